package events_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onda-serving/onda/app/answers"
	"github.com/onda-serving/onda/app/ingress/events"
	"github.com/onda-serving/onda/app/scoring"
)

// TestPersists: what may get better is tried again here, and is one delivery all the same.
func TestPersists(t *testing.T) {
	t.Parallel()
	away := scoring.Errorf(scoring.Unavailable, "the model is loading")
	inBubble(t, "it got better", func(t *testing.T) {
		d := newDoor()
		d.scorer.err = away
		go func() {
			time.Sleep(3 * time.Second)
			d.scorer.mu.Lock()
			defer d.scorer.mu.Unlock()
			d.scorer.err = nil
		}()
		if status := d.handler.DeliverOne(t.Context(), t.Context(), []byte(event(predictData))); status != "SUCCESS" {
			t.Errorf("got %s", status)
		}
		d.published(t, results)
		d.observed(t, "scored OK")
		if tries := len(d.scorer.predicted); tries < 3 || strings.Count(d.log.String(), "event is tried again") != tries-1 {
			t.Errorf("%d tries, and the log says %s", tries, &d.log)
		}
	})
	inBubble(t, "it did not", func(t *testing.T) {
		d := newDoor()
		d.scorer.err = away
		began := time.Now()
		status := d.handler.DeliverOne(t.Context(), t.Context(), []byte(event(predictData)))
		if took := time.Since(began); status != "RETRY" || took < 30*time.Second || took > 40*time.Second || len(d.scorer.predicted) < 5 {
			t.Errorf("got %s after %s and %d tries", status, took, len(d.scorer.predicted))
		}
		d.observed(t, "retry Unavailable")
		if strings.Count(d.log.String(), "event given back to the broker") != 1 {
			t.Errorf("the log says %s", &d.log)
		}
	})
	inBubble(t, "shutdown", func(t *testing.T) {
		d := newDoor()
		d.scorer.err = away
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		began := time.Now()
		if status := d.handler.DeliverOne(ctx, t.Context(), []byte(event(predictData))); status != "RETRY" || time.Since(began) != time.Second {
			t.Errorf("got %s after %s", status, time.Since(began))
		}
		d.observed(t, "retry Unavailable")
	})
	inBubble(t, "panic", func(t *testing.T) {
		d := newDoor()
		d.handler = d.with(panicking{&d.scorer})
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		if status := d.handler.DeliverOne(ctx, t.Context(), []byte(event(predictData))); status != "RETRY" || d.observer.panics < 2 {
			t.Errorf("got %s and %d panics counted", status, d.observer.panics)
		}
		d.observed(t, "retry Internal")
		if !strings.Contains(d.log.String(), `"stack":`) {
			t.Errorf("the log says %s", &d.log)
		}
	})
}

// TestWaitsWithItsData: an event that waits for room fetches its data once.
func TestWaitsWithItsData(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, f := newDoor(), &fetcher{body: "\xff\xd8\xff"}
		d.handler = d.made(events.Parts{Scorer: &d.scorer, Fetcher: f})
		d.scorer.err = scoring.Errorf(scoring.Overloaded, "the queue is full")
		go func() {
			time.Sleep(5 * time.Second)
			d.scorer.mu.Lock()
			defer d.scorer.mu.Unlock()
			d.scorer.err = nil
		}()
		status := d.deliver(t, event(`, "datacontenttype": "image/jpeg", "dataref": "s3://photos/1.jpg", "datarefsha256": "ab12"`))
		if status != "SUCCESS" || len(d.scorer.predicted) < 3 || len(f.fetched) != 1 || f.released != 1 {
			t.Errorf("got %s: %d tries, %d times fetched, %d times released", status, len(d.scorer.predicted), len(f.fetched), f.released)
		}
		for _, asked := range d.scorer.predicted {
			if string(asked.Instances[0].Data) != f.body {
				t.Errorf("asked with %q", asked.Instances[0].Data)
			}
		}
	})
}

// TestAsyncIDThatWasUsedBefore: the record of another request under the same id, whether it is
// answered or not, gets no answer that is not its own, and gives none.
func TestAsyncIDThatWasUsedBefore(t *testing.T) {
	t.Parallel()
	key := answers.Key{Source: answers.AsyncSource, ID: "7"}
	old := strings.Replace(event(predictData, `, "ondarequest": "asked before"`), `"shop"`, `"onda/async"`, 1)
	for _, status := range []answers.Status{answers.Pending, answers.Done, answers.Failed} {
		d, m, _ := remembering()
		there := answers.Record{Status: status, Request: "asked now", Event: []byte(`{"id":"of now"}`)}
		m.records = map[answers.Key]answers.Record{key: there}
		d.refused(t, d.deliver(t, old), scoring.Conflict, "another event with this id and source came before, with another subject or other data: want an id that is new for each event of a source")
		if r := m.records[key]; r.Status != status || r.Request != "asked now" || string(r.Event) != `{"id":"of now"}` {
			t.Errorf("%s: the record became %+v", status, r)
		}
	}
	// The record came while the event was scored.
	d, m, _ := remembering()
	m.before = func() {
		m.before = nil
		m.records = map[answers.Key]answers.Record{key: {Status: answers.Done, Request: "asked now"}}
	}
	d.refused(t, d.deliver(t, old), scoring.Conflict, "another event with this id and source came before, with another subject or other data: want an id that is new for each event of a source")
}
