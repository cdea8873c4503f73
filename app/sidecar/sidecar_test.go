package sidecar_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/sidecar"
	"github.com/onda-serving/onda/app/sidecar/sidecartest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func client(t *testing.T, fake *sidecartest.Sidecar, token string) *sidecar.Client {
	t.Helper()
	return clientOf(t, fake, sidecar.Config{APIToken: token})
}

// clientOf is client with settings.
func clientOf(t *testing.T, fake *sidecartest.Sidecar, config sidecar.Config) *sidecar.Client {
	t.Helper()
	config.GRPCAddress, config.HTTPAddress, config.StateStore, config.PubSub = fake.GRPCAddress, fake.HTTPAddress, "statestore", "pubsub"
	c, err := sidecar.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func TestFirstWriterWins(t *testing.T) {
	t.Parallel()
	c := client(t, sidecartest.Start(t), "")
	value, etag, err := c.Get(t.Context(), "k")
	if err != nil || value != nil || etag != "" {
		t.Fatalf("missing document: got %q %q %v, want nothing", value, etag, err)
	}
	if err := c.Save(t.Context(), "k", []byte(`1`), ""); err != nil {
		t.Fatal(err)
	}
	if err := c.Save(t.Context(), "k", []byte(`2`), ""); scoring.CodeOf(err) != scoring.Conflict {
		t.Errorf("create over an existing document: got %v, want Conflict", err)
	}
	_, etag, err = c.Get(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Save(t.Context(), "k", []byte(`2`), etag); err != nil {
		t.Error(err)
	}
	if err := c.Save(t.Context(), "k", []byte(`3`), etag); scoring.CodeOf(err) != scoring.Conflict {
		t.Errorf("stale ETag: got %v, want Conflict", err)
	}
	if value, _, _ := c.Get(t.Context(), "k"); string(value) != `2` {
		t.Errorf("value %s, want 2", value)
	}
}

// TestForgetting asks the store to keep a document for a time, and removes one.
func TestForgetting(t *testing.T) {
	t.Parallel()
	fake := sidecartest.Start(t)
	c := client(t, fake, "")
	for ttl, want := range map[time.Duration]string{time.Hour: "3600", 1500 * time.Millisecond: "1", time.Millisecond: "1"} {
		if err := c.SaveFor(t.Context(), "k"+want+ttl.String(), []byte(`1`), "", ttl); err != nil {
			t.Fatal(err)
		}
		if got := fake.TTL("statestore", "k"+want+ttl.String()); got != want {
			t.Errorf("%s: the store was asked for %q seconds, want %q", ttl, got, want)
		}
	}
	if err := c.SaveFor(t.Context(), "k3600"+time.Hour.String(), []byte(`2`), "", time.Hour); scoring.CodeOf(err) != scoring.Conflict {
		t.Errorf("a second first write: got %v, want Conflict", err)
	}
	if err := c.Save(t.Context(), "k", []byte(`1`), ""); err != nil {
		t.Fatal(err)
	}
	_, etag, err := c.Get(t.Context(), "k")
	if err != nil || fake.TTL("statestore", "k") != "" {
		t.Fatalf("%v, with a time of %q", err, fake.TTL("statestore", "k"))
	}
	if err := c.Delete(t.Context(), "k", etag+"0"); scoring.CodeOf(err) != scoring.Conflict {
		t.Errorf("delete with a stale ETag: got %v, want Conflict", err)
	}
	if err := c.Delete(t.Context(), "k", etag); err != nil || fake.Document("statestore", "k") != "" {
		t.Errorf("delete: %v, and there is %q", err, fake.Document("statestore", "k"))
	}
	if err := c.Delete(t.Context(), "k", etag); scoring.CodeOf(err) != scoring.Conflict {
		t.Errorf("delete of nothing: got %v, want Conflict", err)
	}
}

func TestPublishPassesACloudEventAsItIs(t *testing.T) {
	t.Parallel()
	fake := sidecartest.Start(t)
	if err := client(t, fake, "").Publish(t.Context(), "scoring.results", []byte(`{"specversion":"1.0"}`)); err != nil {
		t.Fatal(err)
	}
	got := fake.Published()
	if len(got) != 1 || got[0].PubSub != "pubsub" || got[0].Topic != "scoring.results" || got[0].ContentType != "application/cloudevents+json" || string(got[0].Data) != `{"specversion":"1.0"}` {
		t.Errorf("published %+v", got)
	}
}

func TestTokenIsShownOnEveryCall(t *testing.T) {
	t.Parallel()
	fake := sidecartest.Start(t)
	c := client(t, fake, "secret")
	if _, _, err := c.Get(t.Context(), "k"); err != nil {
		t.Error(err)
	}
	_ = c.Save(t.Context(), "k", []byte(`1`), "")
	_ = c.Publish(t.Context(), "t", []byte(`{}`))
	if got := strings.Join(fake.Tokens(), ","); got != "secret,secret,secret" {
		t.Errorf("tokens %q, want three times the secret", got)
	}
}

func TestFailuresNameTheComponent(t *testing.T) {
	t.Parallel()
	fake := sidecartest.Start(t)
	fake.Fail(status.Error(codes.Internal, "disk full"))
	c := client(t, fake, "")
	tests := []struct {
		name string
		call func() error
		want string
	}{
		{"get", func() error { _, _, err := c.Get(t.Context(), "k"); return err }, `read "k" from state store "statestore": `},
		{"save", func() error { return c.Save(t.Context(), "k", nil, "") }, `save "k" to state store "statestore": `},
		{"delete", func() error { return c.Delete(t.Context(), "k", "1") }, `delete "k" from state store "statestore": `},
		{"publish", func() error { return c.Publish(t.Context(), "topic", []byte(`{}`)) }, `publish to "topic" on "pubsub": `},
	}
	for _, tt := range tests {
		if err := tt.call(); err == nil || !strings.HasPrefix(err.Error(), tt.want) || !strings.Contains(err.Error(), "disk full") {
			t.Errorf("%s: got %v, want it to begin with %q and to hold the cause", tt.name, err, tt.want)
		}
	}
}

// TestTooLarge tells what will never be taken from a broker, or a store, that is away: the sidecar
// gives both the same code, with the component's words.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	fake := sidecartest.Start(t)
	c := client(t, fake, "")
	for _, tt := range []struct {
		fault error
		code  scoring.Code
	}{
		{status.Error(codes.ResourceExhausted, "received message larger than max"), scoring.TooLarge},
		{status.Error(codes.Internal, "error when publishing to topic t in pubsub pubsub: kafka: invalid configuration (Attempt to produce message larger than configured Producer.MaxMessageBytes: 1048913 > 1048576)"), scoring.TooLarge},
		{status.Error(codes.Internal, "error when publishing to topic t in pubsub pubsub: kafka server: Message was too large, server rejected it to avoid allocation error"), scoring.TooLarge},
		{status.Error(codes.Internal, "error when publishing to topic t in pubsub pubsub: the message is too large"), scoring.TooLarge},
		{status.Error(codes.Internal, "error when publishing to topic t in pubsub pubsub: the EventData could not be added because it is too large for the batch"), scoring.TooLarge},
		{status.Error(codes.Internal, "error when publishing to topic t in pubsub pubsub: rabbitmq pub/sub: publishing to topic failed: Exception (406) Reason: \"PRECONDITION_FAILED - message size 200 is larger than configured max size 100\""), scoring.TooLarge},
		{status.Error(codes.Internal, "error when publishing to topic t in pubsub pubsub: dial tcp: connection refused"), scoring.Internal},
	} {
		fake.Fail(tt.fault)
		if err := c.Publish(t.Context(), "t", []byte(`{}`)); scoring.CodeOf(err) != tt.code {
			t.Errorf("publish, %v: got %v, want %s", tt.fault, scoring.CodeOf(err), tt.code)
		}
		if err := c.SaveFor(t.Context(), "k", []byte(`{}`), "", time.Hour); scoring.CodeOf(err) != tt.code {
			t.Errorf("save, %v: got %v, want %s", tt.fault, scoring.CodeOf(err), tt.code)
		}
	}
}

// TestPublishesNothingLarger than it may, and what is as large.
func TestPublishesNothingLarger(t *testing.T) {
	t.Parallel()
	fake := sidecartest.Start(t)
	c := clientOf(t, fake, sidecar.Config{MaxPublished: 12})
	if err := c.Publish(t.Context(), "t", []byte(`{"id":"abc"}`)); err != nil {
		t.Error(err)
	}
	err := c.Publish(t.Context(), "t", []byte(`{"id":"abcd"}`))
	if scoring.CodeOf(err) != scoring.TooLarge || !strings.Contains(err.Error(), "13 bytes is larger than ONDA_MAX_PUBLISHED=12") {
		t.Errorf("got %v", err)
	}
	if got := fake.Published(); len(got) != 1 {
		t.Errorf("%d events were published, want 1", len(got))
	}
}

func TestWaitOutboundWaitsForTheComponents(t *testing.T) {
	t.Parallel()
	fake := sidecartest.Start(t)
	fake.SetReady(false)
	c := client(t, fake, "")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := c.WaitOutbound(ctx)
	if err == nil || !strings.Contains(err.Error(), "last answer: status 500") {
		t.Errorf("got %v, want an error with the last answer", err)
	}
	waited := make(chan error)
	go func() { waited <- c.WaitOutbound(t.Context()) }()
	fake.SetReady(true)
	if err := <-waited; err != nil {
		t.Error(err)
	}
}
