// Package client asks a running Onda over HTTP about its models and its dead letters, and
// changes them: the other side of the paths under /registry/v1 and /events/v1. It works directly
// and through a sidecar, whose address then ends in /v1.0/invoke/<app id>/method.
package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// connectTimeout bounds the time until a connection stands, and until it is encrypted.
const connectTimeout = 5 * time.Second

// Options say whom a [Client] talks to, and as whom.
type Options struct {
	// Server is the address of an Onda, such as "http://127.0.0.1:8080", or of a sidecar that
	// invokes it. Without a scheme it means http.
	Server string
	// Token that lets its bearer change models and read dead letters; empty for none.
	Token string
	// Actor is who makes the changes: see [CheckActor]. Empty leaves it to the server.
	Actor string
	// Agent is the program and its version.
	Agent string
	// Timeout bounds one call, and for an upload one attempt at one file; 0 for no bound.
	Timeout time.Duration
}

// Client talks to one Onda. It is safe for concurrent use.
type Client struct {
	options Options
	base    *url.URL
	http    *http.Client
	// pause is how long an upload waits before it is tried again, at first.
	pause time.Duration
}

// New makes a client. It connects to nobody yet; the error is for an address that is none.
func New(o Options) (*Client, error) {
	base, err := parse(o.Server)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: connectTimeout}).DialContext,
		TLSHandshakeTimeout: connectTimeout,
		ForceAttemptHTTP2:   true,
		// Who may not upload is told so before a gigabyte was sent.
		ExpectContinueTimeout: time.Second,
		// A compressed stream of progress would arrive when it is of no use any more.
		DisableCompression: true,
	}
	return &Client{
		options: o,
		base:    base,
		http: &http.Client{
			Transport: transport,
			// A change is made where it was sent to, or not at all.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		pause: 500 * time.Millisecond,
	}, nil
}

// Server is the address that the client talks to, without any password in it.
func (c *Client) Server() string { return c.base.Redacted() }

// Close ends the connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// parse reads the address of a server.
func parse(server string) (*url.URL, error) {
	text := server
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(strings.TrimRight(text, "/"))
	if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("server %q: want an address such as http://127.0.0.1:8080", server)
	}
	return u, nil
}

// errTimeout is the cause of a context that [Options.Timeout] ended.
var errTimeout = errors.New("the call took too long")

// bounded gives a context for one call.
func (c *Client) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if c.options.Timeout <= 0 {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, c.options.Timeout, errTimeout)
}

// address of a path.
func (c *Client) address(query url.Values, path ...string) string {
	u := c.base.JoinPath(path...)
	u.RawQuery = query.Encode()
	return u.String()
}

// registry is a path of the registry.
func registry(path ...string) []string { return append([]string{"registry", "v1"}, path...) }

// deadLetters is a path of the dead letters.
func deadLetters(path ...string) []string {
	return append([]string{"events", "v1", "deadletters"}, path...)
}
