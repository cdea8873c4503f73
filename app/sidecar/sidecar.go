// Package sidecar talks to the Dapr sidecar: state, publishing and readiness. It is the
// only importer of the Dapr client.
package sidecar

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	dapr "github.com/dapr/go-sdk/client"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/telemetry/spans"
)

// maxMessage bounds a message between Onda and its sidecar, in bytes. The client's own
// bound is 4 MiB, which a result event with many predictions can pass.
const maxMessage = 64 << 20

// Config says where the sidecar is and what it is called upon for.
type Config struct {
	// GRPCAddress of the sidecar's API, "host:port".
	GRPCAddress string
	// TLS says that the gRPC API speaks TLS, as one that is not on this host should.
	TLS bool
	// HTTPAddress is the base URL of the sidecar's HTTP API.
	HTTPAddress string
	// APIToken is shown on every call; "" for none.
	APIToken string
	// StateStore and PubSub name the components.
	StateStore, PubSub string
	// MaxPublished bounds an event that is published, in bytes; 0 leaves that to the broker. With
	// RabbitMQ the sidecar of Dapr 1.18 says that it published what the broker refused for its size,
	// and the refusal ends the connection: what it was to answer comes again, for ever.
	MaxPublished int
}

// Client talks to one sidecar. It is safe for concurrent use.
type Client struct {
	config Config
	conn   *grpc.ClientConn
	dapr   dapr.Client
	http   *http.Client
}

// New makes a client. It connects on first use: the sidecar may start later than Onda.
//
// The connection is made here and not by the SDK, because the SDK's own interceptor for
// the token replaces all outgoing metadata instead of adding to it, and because it
// waits for a sidecar that, at this moment, waits for Onda.
func New(config Config) (*Client, error) {
	silence()
	conn, err := grpc.NewClient(config.GRPCAddress,
		grpc.WithTransportCredentials(transport(config.TLS)),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)),
		grpc.WithUnaryInterceptor(withToken(config.APIToken)),
		grpc.WithConnectParams(reconnect),
	)
	if err != nil {
		return nil, fmt.Errorf("connect to the Dapr sidecar at %s: %w", config.GRPCAddress, err)
	}
	return &Client{
		config: config,
		conn:   conn,
		dapr:   dapr.NewClientWithConnection(conn),
		http:   &http.Client{Timeout: 2 * time.Second},
	}, nil
}

// reconnect is how often a sidecar that went away is looked for. gRPC's own pauses grow to
// two minutes, in which a replica would hear of no change.
var reconnect = grpc.ConnectParams{
	Backoff:           backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 500 * time.Millisecond},
	MinConnectTimeout: 5 * time.Second,
}

// Close ends the connection.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return c.conn.Close()
}

// transport encrypts where the sidecar is elsewhere; on loopback, or in the same pod,
// there is nobody to hide from.
func transport(encrypted bool) credentials.TransportCredentials {
	if encrypted {
		return credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12})
	}
	return insecure.NewCredentials()
}

// silence stops the SDK from printing to standard output. Its logger is global.
var silence = sync.OnceFunc(func() { dapr.SetLogger(nil) })

// withToken adds the API token, and the trace, to a call's metadata.
func withToken(token string) grpc.UnaryClientInterceptor {
	return func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		if token != "" {
			ctx = metadata.AppendToOutgoingContext(ctx, "dapr-api-token", token)
		}
		if parent, state := spans.Parent(ctx); parent != "" { // the sidecar's spans continue ours
			ctx = metadata.AppendToOutgoingContext(ctx, "traceparent", parent)
			if state != "" {
				ctx = metadata.AppendToOutgoingContext(ctx, "tracestate", state)
			}
		}
		return invoke(ctx, method, req, reply, cc, opts...)
	}
}

// WaitOutbound waits until the sidecar's components can be called. It asks
// /v1.0/healthz/outbound: /v1.0/healthz waits for the app, so an app that waits for it
// before it listens would wait for ever, and it fails for ever where a placement
// address is set and nothing answers there.
func (c *Client) WaitOutbound(ctx context.Context) error {
	const pause = 20 * time.Millisecond
	for {
		err := c.outbound(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the Dapr sidecar at %s: %w (last answer: %w)", c.config.HTTPAddress, ctx.Err(), err)
		case <-time.After(pause):
		}
	}
}

func (c *Client) outbound(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.config.HTTPAddress+"/v1.0/healthz/outbound", nil)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		return fmt.Errorf("status %s", resp.Status)
	}
	return nil
}

// Get reads the document under key and its ETag. For a missing one both are empty.
func (c *Client) Get(ctx context.Context, key string) (value []byte, etag string, err error) {
	item, err := c.dapr.GetStateWithConsistency(ctx, c.config.StateStore, key, nil, dapr.StateConsistencyStrong)
	if err != nil {
		return nil, "", fmt.Errorf("read %q from state store %q: %w", key, c.config.StateStore, err)
	}
	return item.Value, item.Etag, nil
}

// Save writes the document value under key if the one there still has the given ETag; ""
// means that there must be none yet. If it changed in the meantime the error is a
// [scoring.Error] with code Conflict: read it again and retry. After any other error, and
// after that one too, the document may have been written all the same: an answer can be lost.
// The code is TooLarge for a document that the sidecar does not take, now or later.
//
// First-write-wins is asked for on every write: without it, Redis overwrites silently. The
// sidecar is not told that the document is JSON: it would take it apart and write it anew,
// and with that lose digits, which on Redis are all after the sixth decimal place.
func (c *Client) Save(ctx context.Context, key string, value []byte, etag string) error {
	return c.save(ctx, key, value, etag, nil)
}

// SaveFor is [Client.Save] of a document that the store forgets after ttl, in whole seconds
// and at least one.
func (c *Client) SaveFor(ctx context.Context, key string, value []byte, etag string, ttl time.Duration) error {
	seconds := int64(max(ttl, time.Second) / time.Second)
	return c.save(ctx, key, value, etag, map[string]string{"ttlInSeconds": strconv.FormatInt(seconds, 10)})
}

func (c *Client) save(ctx context.Context, key string, value []byte, etag string, meta map[string]string) error {
	err := c.dapr.SaveStateWithETag(ctx, c.config.StateStore, key, value, etag, meta,
		dapr.WithConcurrency(dapr.StateConcurrencyFirstWrite), dapr.WithConsistency(dapr.StateConsistencyStrong))
	who, large := tooLarge(err)
	switch {
	case err == nil:
		return nil
	case (status.Code(err) == codes.Aborted || etag == "") && c.overtaken(ctx, key, etag):
		return scoring.Errorf(scoring.Conflict, "%q changed in the meantime: read it again", key).WithCause(err)
	case large:
		return scoring.Errorf(scoring.TooLarge, "a document of %d bytes is larger than %s", len(value), who).WithCause(err)
	default:
		return fmt.Errorf("save %q to state store %q: %w", key, c.config.StateStore, err)
	}
}

// Delete removes the document under key if it still has the given ETag. The error for one that
// changed, or is gone, is that of [Client.Save].
func (c *Client) Delete(ctx context.Context, key, etag string) error {
	err := c.dapr.DeleteStateWithETag(ctx, c.config.StateStore, key, &dapr.ETag{Value: etag}, nil,
		&dapr.StateOptions{Concurrency: dapr.StateConcurrencyFirstWrite, Consistency: dapr.StateConsistencyStrong})
	switch {
	case err == nil:
		return nil
	case status.Code(err) == codes.Aborted && c.overtaken(ctx, key, etag):
		return scoring.Errorf(scoring.Conflict, "%q changed in the meantime: read it again", key).WithCause(err)
	default:
		return fmt.Errorf("delete %q from state store %q: %w", key, c.config.StateStore, err)
	}
}

// overtaken says whether a write was refused because the document is not what the writer
// took it for. The document itself must tell: on Redis, a write with an ETag fails as a stale
// one where the server is only gone, and a refused first write has no code of its own.
func (c *Client) overtaken(ctx context.Context, key, etag string) bool {
	_, now, err := c.Get(ctx, key)
	return err == nil && now != etag
}

// Publish sends a CloudEvent in its structured JSON form to a topic. The sidecar passes
// it on as it is, extensions included. An event that is larger than the sidecar or the broker
// takes gives a [scoring.Error] with code TooLarge: it will be too large again.
func (c *Client) Publish(ctx context.Context, topic string, cloudEvent []byte) error {
	if most := c.config.MaxPublished; most > 0 && len(cloudEvent) > most {
		return scoring.Errorf(scoring.TooLarge, "the event of %d bytes is larger than ONDA_MAX_PUBLISHED=%d", len(cloudEvent), most)
	}
	err := c.dapr.PublishEvent(ctx, c.config.PubSub, topic, cloudEvent, dapr.PublishEventWithContentType("application/cloudevents+json"))
	who, large := tooLarge(err)
	switch {
	case err == nil:
		return nil
	case large:
		return scoring.Errorf(scoring.TooLarge, "the event of %d bytes is larger than %s", len(cloudEvent), who).WithCause(err)
	default:
		return fmt.Errorf("publish to %q on %q: %w", topic, c.config.PubSub, err)
	}
}
