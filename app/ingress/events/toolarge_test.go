package events_test

import (
	"context"
	"strings"
	"testing"

	"github.com/onda-serving/onda/app/answers"
	"github.com/onda-serving/onda/app/ingress/events"
	"github.com/onda-serving/onda/app/scoring"
)

// small is a store that takes no answers that are done, and none at all where it takes nothing.
type small struct {
	*memory

	nothing bool
}

func (s small) Keep(ctx context.Context, key answers.Key, r answers.Record) (*answers.Record, error) {
	if r.Status == answers.Done || s.nothing {
		return nil, scoring.Errorf(scoring.TooLarge, "a document of 9 bytes is larger than the sidecar takes")
	}
	return s.memory.Keep(ctx, key, r)
}

// TestTooLargeToKeep: an answer that no store takes is a dead letter at once, and not an event
// that is tried again until the broker gives it up.
func TestTooLargeToKeep(t *testing.T) {
	t.Parallel()
	d, m, _ := remembering()
	d.handler = d.made(events.Parts{Scorer: &d.scorer, Answers: small{m, false}})
	for range 2 {
		if status := d.deliver(t, event(predictData)); status != "SUCCESS" {
			t.Fatalf("got %s", status)
		}
	}
	if len(d.publisher.messages) != 2 {
		t.Fatalf("%d events left, want an error event for each delivery", len(d.publisher.messages))
	}
	for _, sent := range d.publisher.messages {
		if sent.topic != deadLetters || !strings.Contains(string(sent.body), `"code":"TooLarge","error":"the answer cannot be kept: a document of 9 bytes`) {
			t.Errorf("sent %s to %s", sent.body, sent.topic)
		}
	}
	d.handler = d.made(events.Parts{Scorer: &d.scorer, Answers: small{&memory{}, true}})
	if status := d.deliver(t, event(predictData)); status != "DROP" {
		t.Errorf("an event whose failure cannot be kept either: %s, want DROP, so that the sidecar keeps it", status)
	}
}
