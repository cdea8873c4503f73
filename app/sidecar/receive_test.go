package sidecar_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/onda-serving/onda/app/sidecar/sidecartest"
)

func TestBroker(t *testing.T) {
	t.Parallel()
	fake := sidecartest.Start(t)
	c := client(t, fake, "")
	for _, tt := range []struct {
		name            string
		components      map[string]string
		there, declared bool
	}{
		{"nothing", nil, false, false},
		{"another component", map[string]string{"orders": "scoring.requests"}, false, false},
		{"no subscription, but a stream of a former life", map[string]string{"pubsub": ""}, true, false},
		{"a subscription to another topic", map[string]string{"pubsub": "orders"}, true, false},
		{"declared", map[string]string{"pubsub": "scoring.requests"}, true, true},
	} {
		fake.SetComponents(tt.components)
		fake.FormerStream("pubsub", "scoring.requests", 1)
		there, declared, err := c.Broker(t.Context(), "scoring.requests")
		if err != nil || there != tt.there || declared != tt.declared {
			t.Errorf("%s: got %t %t %v, want %t %t", tt.name, there, declared, err, tt.there, tt.declared)
		}
	}
	fake.Fail(errors.New("down"))
	if _, _, err := c.Broker(t.Context(), "scoring.requests"); err == nil {
		t.Error("a sidecar that does not answer has a broker")
	}
}

// TestReceiveEndsBeforeItBegan is a stop while the sidecar has not answered a subscription.
func TestReceiveEndsBeforeItBegan(t *testing.T) {
	t.Parallel()
	fake := sidecartest.Start(t)
	asked := fake.Silence()
	c := client(t, fake, "")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- c.Receive(ctx, "requests", "letters", nil, nil) }()
	<-asked
	stop()
	if err := <-ended; err != nil {
		t.Errorf("got %v, want no error: it was to end", err)
	}
}

// TestReceiveAfterAFormerLife waits until the sidecar has ended the stream that is left of it, and
// for no other.
func TestReceiveAfterAFormerLife(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		pubsub, topic string
		left          int
	}{
		{"pubsub", "requests", 0},
		{"pubsub", "orders", 2},
		{"other", "requests", 2},
	} {
		fake := sidecartest.Start(t)
		fake.FormerStream(tt.pubsub, tt.topic, 3)
		c := client(t, fake, "")
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- c.Receive(ctx, "requests", "letters", nil, nil) }()
		fake.Subscribed()
		if left := fake.FormerTimes(); left != tt.left {
			t.Errorf("%s of %s: subscribed while the stream would be listed %d times more, want %d", tt.topic, tt.pubsub, left, tt.left)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// TestReceiveEndsBeforeTheFormerLife is a stop while another stream has not ended.
func TestReceiveEndsBeforeTheFormerLife(t *testing.T) {
	t.Parallel()
	fake := sidecartest.Start(t)
	fake.FormerStream("pubsub", "requests", 1_000_000)
	c := client(t, fake, "")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Receive(ctx, "requests", "letters", nil, nil) }()
	for fake.FormerTimes() == 1_000_000 {
		time.Sleep(time.Millisecond)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("got %v, want no error: it was to end", err)
	}
}

// TestReceive answers each event as its handler says, one beside the other, and after a stop
// those that are in work.
func TestReceive(t *testing.T) {
	t.Parallel()
	fake := sidecartest.Start(t)
	c := client(t, fake, "secret")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	hold := make(chan struct{})
	var work sync.WaitGroup
	ended := make(chan error, 1)
	work.Go(func() {
		ended <- c.Receive(ctx, "requests", "letters", map[string]string{"queueType": "quorum"}, func(_ context.Context, event []byte) string {
			if string(event) == "held" {
				<-hold
				return "SUCCESS"
			}
			return string(event)
		})
	})
	s := fake.Subscribed()
	if s.PubSub != "pubsub" || s.Topic != "requests" || s.DeadLetterTopic != "letters" || s.Metadata["rawPayload"] != "true" || s.Metadata["queueType"] != "quorum" {
		t.Errorf("subscribed to %+v", s)
	}
	if tokens := fake.Tokens(); len(tokens) != 1 || tokens[0] != "secret" {
		t.Errorf("got the tokens %q", tokens)
	}
	s.Deliver("0", []byte("held"))
	for _, status := range []string{"SUCCESS", "RETRY", "DROP"} {
		s.Deliver(status, []byte(status))
		if id, got := s.Answer(); id != status || got != status {
			t.Errorf("event %s is answered by %s of %s", status, got, id)
		}
	}
	s.Deliver("odd", []byte("what?"))
	if _, got := s.Answer(); got != "RETRY" {
		t.Errorf("an answer that is none: %s, want RETRY", got)
	}
	stop()
	select {
	case <-s.Ended():
		t.Error("the stream ended before an event in work was answered")
	case err := <-ended:
		t.Errorf("it ended with %v before an event in work was answered", err)
	default:
	}
	close(hold)
	if id, got := s.Answer(); id != "0" || got != "SUCCESS" {
		t.Errorf("the event in work is answered by %s of %s", got, id)
	}
	<-s.Ended()
	if err := <-ended; err != nil {
		t.Errorf("a stop that was asked for: %v", err)
	}
	work.Wait()
}

// TestReceiveTellsOfTheSidecarsEnd: who calls subscribes again.
func TestReceiveTellsOfTheSidecarsEnd(t *testing.T) {
	t.Parallel()
	fake := sidecartest.Start(t)
	c := client(t, fake, "")
	ended := make(chan error, 1)
	go func() {
		ended <- c.Receive(t.Context(), "requests", "letters", nil, func(context.Context, []byte) string { return "SUCCESS" })
	}()
	fake.Subscribed()
	fake.EndStreams()
	if err := <-ended; err == nil {
		t.Error("the stream ended without an error")
	}
	fake.Fail(errors.New("no such component"))
	if err := c.Receive(t.Context(), "requests", "letters", nil, nil); err == nil {
		t.Error("a subscription that was refused went well")
	}
}
