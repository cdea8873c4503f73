package load

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/onda-serving/onda/tests/bench/stats"
)

// TestRunEvents publishes to a sidecar that answers each tenth event twice, and each
// twentieth by an error.
func TestRunEvents(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		bulk bool
		rate float64
	}{"one by one": {}, "in bulk": {bulk: true}, "at a rate": {rate: 400}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, func(n int, _ published) []string {
				switch {
				case n%20 == 5:
					return []string{"letters"}
				case n%10 == 0:
					return []string{"results", "results"}
				default:
					return []string{"results"}
				}
			})
			job := Job{Request: f.request(t, tt.bulk), Rate: tt.rate, Connections: 8, WarmUp: 50 * time.Millisecond, Window: 200 * time.Millisecond, Seed: 1}
			r, err := Run(t.Context(), job)
			if err != nil {
				t.Fatal(err)
			}
			checkRun(t, f, r)
			if !strings.Contains(r.Error, "it is bad") {
				t.Errorf("the first failure is %q, want the error of a dead letter", r.Error)
			}
		})
	}
}

// checkRun holds what was counted against what the sidecar saw.
func checkRun(t *testing.T, f *fake, r Result) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	// The first event showed that events flow, and was answered twice: it is not counted.
	n := uint64(len(f.events)) - 1
	want := Delivery{Published: n, Duplicates: n / 10, DeadLetters: (n + 15) / 20}
	if r.Events == nil || *r.Events != want || n < 20 {
		t.Fatalf("counted %+v, want %+v", r.Events, want)
	}
	if ok := r.Counts["ok"]; ok == 0 || ok > n-want.DeadLetters || r.Counts["failed"] == 0 || r.Latency["ok"].P50 <= 0 {
		t.Errorf("of %d events, counted %v, with latencies %v", n, r.Counts, r.Latency)
	}
	if answers := int(n + 1 + want.Duplicates + 1); f.acked != answers {
		t.Errorf("%d of %d answers were acknowledged", f.acked, answers)
	}
	ids := map[string]bool{}
	for _, e := range f.events {
		ids[e.ID] = true
		if len(e.ID) != len(blankID) || e.Subject != "faq" || string(e.Data) != `{"instances":["Why?"]}` {
			t.Fatalf("published %+v", e)
		}
	}
	if len(ids) != len(f.events) {
		t.Errorf("%d events have %d ids", len(f.events), len(ids))
	}
}

func TestRunEventsRefuses(t *testing.T) {
	t.Parallel()
	r := Request{Protocol: Events, Body: []byte(`{}`)}
	if _, err := Run(t.Context(), Job{Request: r, Connections: 1, Window: time.Second}); err == nil || !strings.Contains(err.Error(), "place for an id") {
		t.Errorf("an event without a place for its id: %v", err)
	}
}

// senderFunc is a sender.
type senderFunc func(id string) <-chan error

func (s senderFunc) send(id string) <-chan error { return s(id) }
func (senderFunc) close()                        {}

// done is the result of a call that has ended.
func done(err error) <-chan error {
	c := make(chan error, 1)
	c <- err
	return c
}

func TestEventClient(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		send    func(m *mailbox, id string) <-chan error
		outcome stats.Outcome
		failure string
		want    Delivery
	}{
		"answered": {
			func(m *mailbox, id string) <-chan error {
				m.hear([]byte(`{"requestid":"`+id+`"}`), false)
				return done(nil)
			},
			stats.OK, "",
			Delivery{Published: 1},
		},
		"answered before the call ends": {
			func(m *mailbox, id string) <-chan error { m.hear([]byte(`{"requestid":"`+id+`"}`), false); return nil },
			stats.OK, "",
			Delivery{Published: 1},
		},
		"an error": {
			func(m *mailbox, id string) <-chan error {
				m.hear([]byte(`{"requestid":"`+id+`","data":"no"}`), true)
				return done(nil)
			},
			stats.Failed, `answered by an error: "no"`,
			Delivery{Published: 1, DeadLetters: 1},
		},
		"the sidecar's own dead letter": {
			func(m *mailbox, id string) <-chan error { m.hear([]byte(`{"id":"`+id+`"}`), true); return done(nil) },
			stats.Failed, "answered by an error",
			Delivery{Published: 1, DeadLetters: 1},
		},
		"lost": {
			func(*mailbox, string) <-chan error { return done(nil) },
			stats.Failed, "not answered within 50ms",
			Delivery{Published: 1, Lost: 1},
		},
		"an answer to another, and none that can be read": {
			func(m *mailbox, _ string) <-chan error {
				m.hear([]byte(`{"requestid":"AAAAAAAA-0000000000"}`), false)
				m.hear([]byte(`no JSON`), false)
				return done(nil)
			},
			stats.Failed, "not answered within 50ms",
			Delivery{Published: 1, Lost: 1},
		},
		"refused": {
			func(*mailbox, string) <-chan error { return done(errors.New("status 500")) },
			stats.Failed, "publish: status 500",
			Delivery{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMailbox()
			c := &eventClient{box: m, sender: senderFunc(func(id string) <-chan error { return tt.send(m, id) }), patience: 50 * time.Millisecond}
			outcome, err := c.do()
			if outcome != tt.outcome || (err == nil) != (tt.failure == "") || err != nil && !strings.Contains(err.Error(), tt.failure) {
				t.Errorf("got %s and %v, want %s and %q", outcome, err, tt.outcome, tt.failure)
			}
			// "answered" may be chosen before or after the end of the call: the account is the same.
			if got := m.delivery(); got != tt.want {
				t.Errorf("counted %+v, want %+v", got, tt.want)
			}
		})
	}
}

// TestLateAnswers hears a lost event's answer after all, twice, and a former run's.
func TestLateAnswers(t *testing.T) {
	t.Parallel()
	m := newMailbox()
	id, answer := m.expect()
	text := []byte(`{"requestid":"` + id + `"}`)
	m.lose(id)
	m.hear(text, false)
	m.hear(text, false)
	if got, want := m.delivery(), (Delivery{Published: 1, Lost: 1, Duplicates: 1}); got != want {
		t.Errorf("counted %+v, want %+v", got, want)
	}
	if len(answer) != 0 {
		t.Error("nobody waits for that answer")
	}
	m.forget()
	m.hear(text, false)
	if next, _ := m.expect(); next == id || m.delivery() != (Delivery{Published: 1}) {
		t.Errorf("the next run has event %s after %s, and counted %+v", next, id, m.delivery())
	}
}

// TestBulkFills publishes what waited while calls were under way in one call.
func TestBulkFills(t *testing.T) {
	t.Parallel()
	f := newFake(t, func(int, published) []string { return nil })
	r := f.request(t, true)
	o := &office{request: r, at: bytes.Index(r.Body, []byte(blankID)), parcels: make(chan parcel, mostInCall)}
	sent := make(chan error, mostInCall)
	for _, id := range []string{"AAAAAAAA-0000000001", "AAAAAAAA-0000000002", "AAAAAAAA-0000000003"} {
		o.parcels <- parcel{id, sent}
	}
	if got := len(o.waiting(2)); got != 2 {
		t.Errorf("%d events go into a call with room for 2", got)
	}
	close(o.parcels)
	o.bulk()
	if err := <-sent; err != nil || len(f.events) != 1 || f.events[0].ID != "AAAAAAAA-0000000003" {
		t.Errorf("published %+v, %v", f.events, err)
	}
}
