package portal

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

const (
	// maxTries bounds how often one request is sent. Two repeats are enough to
	// ride out a restart or a full queue; more would add load where there is
	// too much already.
	maxTries = 3
	// minPause keeps "Retry-After: 0" from becoming a tight loop.
	minPause = 50 * time.Millisecond
	// maxDiscard is how much of an unwanted answer is read so that its
	// connection can be used again. A longer one is cheaper to drop.
	maxDiscard = 64 << 10

	dialTimeout = 2 * time.Second
	idleTimeout = 30 * time.Second
)

// client calls Onda by service invocation through the app's own sidecar.
type client struct {
	http *http.Client
	// prefix is everything of the address before Onda's own path.
	prefix string
	token  string
}

// call is one request to Onda.
type call struct {
	verb        string
	path        string // Onda's path, without a leading slash
	query       url.Values
	contentType string
	length      int64 // of body; -1 when unknown
	body        *replay
	requestID   string
	traceparent string
}

func newClient(cfg *Config) *client {
	return &client{
		http: &http.Client{
			Transport: newTransport(),
			// An answer of Onda is never a redirect, and following one could
			// carry the API token to somewhere else.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		prefix: fmt.Sprintf("%s/v1.0/invoke/%s/method/", trimSlash(cfg.Sidecar), cfg.OndaAppID),
		token:  cfg.APIToken,
	}
}

// newTransport differs from http.DefaultTransport where a sidecar differs from
// the internet: it is next door, never behind a proxy, and one host gets all
// the connections.
func newTransport() *http.Transport {
	return &http.Transport{
		DialContext:            (&net.Dialer{Timeout: dialTimeout}).DialContext,
		MaxIdleConnsPerHost:    maxInFlight,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
		DisableCompression:     true, // answers are passed on as they are
	}
}

func trimSlash(address string) string {
	for len(address) > 0 && address[len(address)-1] == '/' {
		address = address[:len(address)-1]
	}

	return address
}

// invoke sends c and repeats it while Onda answers 429 or 503 and says with
// Retry-After when to come back, as long as that fits into the budget that ctx
// sets. Scoring has no side effects, so a repeat does no harm.
//
// Nothing else is repeated here. Transport failures are the sidecar's to
// repeat, by its resiliency policy: two layers that both do it multiply.
func (c *client) invoke(ctx context.Context, in *call) (*http.Response, error) {
	for try := 1; ; try++ {
		resp, err := c.send(ctx, in)
		if err != nil {
			return nil, err
		}
		pause, again := retryPause(ctx, resp)
		if !again || try == maxTries {
			return resp, nil
		}
		discard(resp)
		if err := sleep(ctx, pause); err != nil {
			return nil, err
		}
	}
}

func (c *client) send(ctx context.Context, in *call) (*http.Response, error) {
	req, err := c.request(ctx, in)
	if err != nil {
		return nil, err
	}

	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("invoke %s: %w", in.path, err)
	}

	return resp, nil
}

func (c *client) request(ctx context.Context, in *call) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, in.verb, c.prefix+in.path, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("build request: %w", err)
	}
	req.URL.RawQuery = in.query.Encode()
	if in.body != nil {
		req.Body = in.body.open()
		req.ContentLength = in.length
		// Lets the transport itself start again when the sidecar closed an
		// idle connection at the moment it was picked.
		req.GetBody = func() (io.ReadCloser, error) { return in.body.open(), nil }
	}

	set := func(key, value string) {
		if value != "" {
			req.Header.Set(key, value)
		}
	}
	set("Content-Type", in.contentType)
	set("Accept", "application/json")
	set("Dapr-Api-Token", c.token)
	set("Traceparent", in.traceparent)
	set("X-Request-Id", in.requestID)
	set("X-Request-Timeout-Ms", budget(ctx))

	return req, nil
}

// budget is what is left of ctx, in milliseconds. Onda does not run work whose
// budget is spent; a deadline itself does not cross HTTP invocation.
func budget(ctx context.Context) string {
	deadline, ok := ctx.Deadline()
	if !ok {
		return ""
	}

	return strconv.FormatInt(max(time.Until(deadline).Milliseconds(), 1), 10)
}

// retryPause says whether resp asks for another try, and how long to wait. A
// pause that outlasts the budget means no: then the person is better served by
// Onda's own answer now.
func retryPause(ctx context.Context, resp *http.Response) (time.Duration, bool) {
	if resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode != http.StatusServiceUnavailable {
		return 0, false
	}
	pause, ok := parseRetryAfter(resp.Header.Get("Retry-After"), time.Now())
	if !ok {
		return 0, false
	}
	pause = max(pause, minPause)
	deadline, bounded := ctx.Deadline()

	return pause, !bounded || time.Until(deadline) > pause
}

// parseRetryAfter reads both forms of the header, seconds and a date.
func parseRetryAfter(value string, now time.Time) (time.Duration, bool) {
	const most = 1 << 31 // seconds; keeps the product below from overflowing

	if seconds, err := strconv.ParseUint(value, 10, 64); err == nil {
		return time.Duration(min(seconds, most)) * time.Second, true
	}
	if date, err := http.ParseTime(value); err == nil {
		return date.Sub(now), true
	}

	return 0, false
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()

	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait to retry: %w", ctx.Err())
	}
}

func discard(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, maxDiscard) // only for the connection's sake
	_ = resp.Body.Close()
}
