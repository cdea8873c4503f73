package async_test

import (
	"encoding/json"
	"errors"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onda-serving/onda/app/answers"
	"github.com/onda-serving/onda/app/async"
	"github.com/onda-serving/onda/app/scoring"
)

// failed checks that a request has failed for good.
func (r *rig) failed(t *testing.T, id string, code scoring.Code, text string) {
	t.Helper()
	state, err := r.Status(t.Context(), id)
	if err != nil || state.Status != answers.Failed || state.Failure == nil {
		t.Errorf("got %+v, %v, want the code %s", state, err, code)
		return
	}
	refused(t, state.Failure, code, text)
}

// TestNobodyAnsweredInTime: a sidecar drops an event whose time is over, and nobody hears of it.
func TestNobodyAnsweredInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		q := question("7")
		q.Expiration = time.Now().Add(time.Second)
		if _, err := r.Accept(t.Context(), q); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Accept(t.Context(), question("8")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Second)
		if state, err := r.Status(t.Context(), "7"); err != nil || state.Status != answers.Pending {
			t.Errorf("got %+v, %v, want what was scored in time to be waited for", state, err)
		}
		time.Sleep(12 * time.Second)
		r.failed(t, "7", scoring.Expired, "the request's time was over before it was scored")
		// It is so for ever, whoever answers or asks now.
		r.answer(t, "7", answers.Done, resultEvent)
		r.failed(t, "7", scoring.Expired, "")
		if got, err := r.Accept(t.Context(), q); got != (async.Accepted{ID: "7", Status: answers.Failed}) || err != nil || len(r.broker.events) != 2 {
			t.Errorf("got %+v, %v after %d events, want no further one", got, err, len(r.broker.events))
		}
		if state, err := r.Status(t.Context(), "8"); err != nil || state.Status != answers.Pending {
			t.Errorf("got %+v, %v, want a request without an end to stay", state, err)
		}
	})
}

// event gives what was published n-th, with changes.
func (r *rig) event(t *testing.T, n int, changes ...string) []byte {
	t.Helper()
	all := maps.Clone(r.broker.events[n])
	for i := 0; i < len(changes); i += 2 {
		all[changes[i]] = changes[i+1]
	}
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestGaveUp tells of events that the sidecar gave up on.
func TestGaveUp(t *testing.T) {
	t.Parallel()
	r := newRig()
	for _, id := range []string{"tried", "expired", "done", "other"} {
		if _, err := r.Accept(t.Context(), question(id)); err != nil {
			t.Fatal(err)
		}
	}
	r.answer(t, "done", answers.Done, resultEvent)
	for _, text := range [][]byte{
		r.event(t, 0), r.event(t, 1, "expiration", "2000-01-01T00:00:00Z"), r.event(t, 2), r.event(t, 3, "ondarequest", "another's"),
		r.event(t, 3, "source", "shop"), r.event(t, 3, "id", "unknown"), r.event(t, 3, "ondareplay", "x"), []byte("no event"),
	} {
		for range 2 {
			if err := r.GaveUp(t.Context(), text); err != nil {
				t.Errorf("%s: %v", text, err)
			}
		}
	}
	r.failed(t, "tried", scoring.Unavailable, "could not be scored however often it was tried")
	r.failed(t, "expired", scoring.Expired, "time was over")
	for id, want := range map[string]answers.Status{"done": answers.Done, "other": answers.Pending} {
		if state, err := r.Status(t.Context(), id); err != nil || state.Status != want {
			t.Errorf("%s: got %+v, %v, want %s", id, state, err, want)
		}
	}
	// What an operator put back and failed again takes no answer away.
	if err := r.GaveUp(t.Context(), r.event(t, 2, "ondareplay", "1")); err != nil {
		t.Error(err)
	}
	if state, err := r.Status(t.Context(), "done"); err != nil || state.Status != answers.Done {
		t.Errorf("got %+v, %v", state, err)
	}
	// Of what has no answer the newest failure counts, as for all replays.
	if err := r.GaveUp(t.Context(), r.event(t, 3, "ondareplay", "2", "expiration", "2000-01-01T00:00:00Z")); err != nil {
		t.Error(err)
	}
	r.failed(t, "other", scoring.Expired, "time was over")
	r.store.fault = errors.New("gone")
	refused(t, r.GaveUp(t.Context(), r.event(t, 3)), scoring.Unavailable)
	r.store.fault, r.Answers = nil, nil
	if err := r.GaveUp(t.Context(), r.event(t, 3)); err != nil {
		t.Errorf("without a store: %v", err)
	}
}
