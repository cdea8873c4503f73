package deadletters_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/onda-serving/onda/app/deadletters"
	"github.com/onda-serving/onda/app/scoring"
)

// replay puts a letter back and checks what came of it.
func (r *rig) replay(t *testing.T, id string, again bool, outcome deadletters.Outcome, number int) {
	t.Helper()
	got, err := r.Replay(t.Context(), id, again, "ann")
	if err != nil || got.ID != id || got.Outcome != outcome || got.Replay != number {
		t.Fatalf("got %+v, %v, want %s as %d", got, err, outcome, number)
	}
}

// numbers lists the numbers of what was published.
func (r *rig) numbers(t *testing.T) string {
	t.Helper()
	var all []string
	for _, event := range r.publisher.events {
		all = append(all, fmt.Sprint(attribute(t, event, "ondareplay")))
	}
	return strings.Join(all, " ")
}

func TestReplay(t *testing.T) {
	t.Parallel()
	r := newRig()
	r.deliver(t, refused("NotFound", "shop", "7", original("shop", "7", `,"data":{"b":1.10,"a":"<"}`)), "SUCCESS")
	id := r.only(t).ID
	r.pass(time.Minute)
	r.replay(t, id, false, deadletters.PutBack, 1)
	want := original("shop", "7", `,"data":{"b":1.10,"a":"<"},"ondareplay":"1"`)
	if len(r.publisher.events) != 1 || r.publisher.events[0] != want || r.publisher.topics[0] != "requests" {
		t.Errorf("published %q to %q\nwant %s", r.publisher.events, r.publisher.topics, want)
	}
	l := r.only(t)
	if l.State != deadletters.Replayed || l.Replays != 1 || l.LastReplay != 1 || !l.ReplayedAt.Equal(start.Add(time.Minute)) {
		t.Errorf("got %+v", l)
	}
	r.replay(t, id, false, deadletters.Skipped, 1)
	if l.ReplayedBy != "ann" {
		t.Errorf("put back by %q, want ann", l.ReplayedBy)
	}
	r.replay(t, id, true, deadletters.PutBack, 2)
	if got := r.numbers(t); got != "1 2" {
		t.Errorf("published %s, want 1 2", got)
	}
	if seen := r.counter.text(); seen != "kept replayed skipped replayed" {
		t.Errorf("counted %q", seen)
	}
}

// TestFailedAgain has a replay come back, which is another letter with numbers of its own.
func TestFailedAgain(t *testing.T) {
	t.Parallel()
	r := newRig()
	r.deliver(t, original("shop", "7"), "SUCCESS")
	first := r.only(t).ID
	r.replay(t, first, false, deadletters.PutBack, 1)
	r.deliver(t, refused("NotFound", "shop", "7", r.publisher.events[0]), "SUCCESS")
	second := deadletters.Read([]byte(r.publisher.events[0])).ID
	if got := r.ids(t, deadletters.Filter{}); got != "7 7" || first == second {
		t.Errorf("got %q, want two letters", got)
	}
	// The first one's delivery comes again: it stays replayed.
	r.deliver(t, original("shop", "7"), "SUCCESS")
	if got := r.ids(t, deadletters.Filter{State: deadletters.Waiting}); got != "7" {
		t.Errorf("got %q waiting, want the second letter", got)
	}
	r.replay(t, second, false, deadletters.PutBack, 2)
	r.deliver(t, refused("NotFound", "shop", "7", r.publisher.events[1]), "SUCCESS")
	// With 2 it has failed: as that one the first letter would fail again, unseen.
	r.replay(t, first, true, deadletters.PutBack, 3)
	if got := r.numbers(t); got != "1 2 3" {
		t.Errorf("published %s, want 1 2 3", got)
	}
}

// TestReplaysOfOtherEvents: two events with the same ids are put back with numbers of their own,
// because an answer is found by ids and number.
func TestReplaysOfOtherEvents(t *testing.T) {
	t.Parallel()
	r := newRig()
	one, two := original("shop", "7", `,"data":1`), original("shop", "7", `,"data":2`)
	r.deliver(t, one, "SUCCESS")
	r.deliver(t, two, "SUCCESS")
	r.replay(t, deadletters.Read([]byte(one)).ID, false, deadletters.PutBack, 1)
	r.replay(t, deadletters.Read([]byte(two)).ID, false, deadletters.PutBack, 2)
	r.replay(t, deadletters.Read([]byte(one)).ID, true, deadletters.PutBack, 3)
}

// TestNumbersGoUp even where nobody knows any more which were taken.
func TestNumbersGoUp(t *testing.T) {
	t.Parallel()
	r := newRig()
	r.deliver(t, original("shop", "7", `,"ondareplay":"5"`), "SUCCESS")
	id := r.only(t).ID
	r.replay(t, id, false, deadletters.PutBack, 6)
	for key := range r.store.documents {
		if strings.HasPrefix(key, "deadletter:number:") {
			delete(r.store.documents, key)
		}
	}
	r.replay(t, id, true, deadletters.PutBack, 7)
}

// TestReplayedAgainTwice has a faster operator: what both want is done once.
func TestReplayedAgainTwice(t *testing.T) {
	t.Parallel()
	r := newRig()
	r.deliver(t, original("shop", "7"), "SUCCESS")
	id := r.only(t).ID
	r.replay(t, id, false, deadletters.PutBack, 1)
	r.faster("deadletter:letter:", func() {
		if got, err := r.other().Replay(t.Context(), id, true, "ann"); err != nil || got.Outcome != deadletters.PutBack || got.Replay != 3 {
			t.Errorf("the faster one got %+v, %v", got, err)
		}
	})
	r.replay(t, id, true, deadletters.Skipped, 3)
	if got := r.numbers(t); got != "1 3" {
		t.Errorf("published %s, want 1 3", got)
	}
}

// TestReplayEndsAnywhere fails at each step, made or not, and is called again: the event has
// the same number however often it was published.
func TestReplayEndsAnywhere(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		write   int // the one that fails; 0 if publishing does
		made    bool
		numbers string
		by      string // whose number it is in the end
	}{
		{"before a number is taken", 1, false, "1", "bob"},
		{"after a number is taken", 1, true, "2", "bob"},
		{"before the number is noted", 2, false, "2", "bob"},
		{"after the number is noted", 2, true, "1", "ann"},
		{"before the event is published", 0, false, "1", "ann"},
		{"after the event is published", 0, true, "1 1", "ann"},
		{"before the end is noted", 3, false, "1 1", "ann"},
		{"after the end is noted", 3, true, "1", "ann"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig()
			r.deliver(t, original("shop", "7"), "SUCCESS")
			id := r.only(t).ID
			if test.write == 0 {
				r.publisher.err, r.publisher.lose = errGone, test.made
			} else {
				bad := r.store.saves + test.write
				r.store.fault = func(n int, _ string) (error, bool) {
					if n == bad {
						return errGone, test.made
					}
					return nil, false
				}
			}
			_, err := r.Replay(t.Context(), id, false, "ann")
			if scoring.CodeOf(err) != scoring.Unavailable || !errors.Is(err, errGone) {
				t.Fatalf("got %v, want Unavailable", err)
			}
			r.publisher.err = nil
			r.Log.Info().Msg("and now another")
			again := r.other()
			again.Log = r.Log
			if _, err := again.Replay(t.Context(), id, false, "bob"); err != nil {
				t.Fatal(err)
			}
			if _, log, _ := strings.Cut(r.log.String(), "and now another"); !strings.Contains(log, `"actor":"bob"`) || strings.Contains(log, `"actor":"ann"`) {
				t.Errorf("logged %s", r.log.String())
			}
			if got := r.numbers(t); got != test.numbers {
				t.Errorf("published %s, want %s", got, test.numbers)
			}
			l := r.only(t)
			if l.State != deadletters.Replayed || l.ReplayedBy != test.by || l.Replays != 1 || !strings.HasPrefix(test.numbers, strconv.Itoa(l.LastReplay)) {
				t.Errorf("got %+v, want it replayed once by %s", l, test.by)
			}
			r.replay(t, id, false, deadletters.Skipped, l.LastReplay)
		})
	}
}

// TestReplayedByMany has eight operators at once: all that is published has the same number.
func TestReplayedByMany(t *testing.T) {
	t.Parallel()
	for _, again := range []bool{false, true} {
		r := newRig()
		r.deliver(t, original("shop", "7"), "SUCCESS")
		id := r.only(t).ID
		var group sync.WaitGroup
		for range 8 {
			book := r.other()
			group.Go(func() {
				if _, err := book.Replay(t.Context(), id, again, "ann"); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		l := r.only(t)
		if l.State != deadletters.Replayed || !again && l.Replays != 1 || l.LastReplay < l.Replays {
			t.Errorf("got %+v", l)
		}
		for number := range strings.FieldsSeq(r.numbers(t)) {
			if n, err := strconv.Atoi(number); err != nil || n > l.LastReplay || !again && n != l.LastReplay {
				t.Errorf("published with %s, want %d", number, l.LastReplay)
			}
		}
	}
}

func TestExpiration(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, expiration, want, note string }{
		{"past", `"2026-05-04T11:00:00Z"`, "", `the expiration "2026-05-04T11:00:00Z" was past, and was left out`},
		{"now", `"2026-05-04T12:00:00Z"`, "", `the expiration "2026-05-04T12:00:00Z" was past, and was left out`},
		{"to come", `"2026-05-04T13:00:00Z"`, "2026-05-04T13:00:00Z", ""},
		{"no time", `"soon"`, "soon", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig()
			r.deliver(t, original("shop", "7", `,"Ondareplay":"x","expiration":`+test.expiration), "SUCCESS")
			got, err := r.Replay(t.Context(), r.only(t).ID, false, "ann")
			if err != nil || got.Note != test.note || r.only(t).Note != test.note {
				t.Errorf("got %+v, %v, want the note %q", got, err, test.note)
			}
			event := r.publisher.events[0]
			if there := attribute(t, event, "expiration"); fmt.Sprint(there) != test.want && (there != nil || test.want != "") {
				t.Errorf("published %s, want the expiration %q", event, test.want)
			}
			if attribute(t, event, "ondareplay") != "1" || strings.Contains(event, "Ondareplay") {
				t.Errorf("published %s, want one number", event)
			}
		})
	}
}

func TestNotReplayable(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, body, want string }{
		{"bytes", "hello", "its original is no CloudEvent in JSON"},
		{"other JSON", "[1]", "its original is no CloudEvent in JSON"},
		{"no id", `{"specversion":"1.0","source":"x"}`, "its original has no id or no source, and would be refused again"},
		{"not kept", `{"specversion":"1.0","id":"x","source":"onda","type":"onda.score.error.v1","data":{"code":"TooLarge"}}`, "its original was not kept"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig()
			r.deliver(t, test.body, "SUCCESS")
			l := r.only(t)
			_, err := r.Replay(t.Context(), l.ID, true, "ann")
			if want := "Invalid: dead letter " + l.ID + " cannot be put back: " + test.want; err == nil || err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
			if after := r.only(t); jsonOf(t, after) != jsonOf(t, l) || len(r.publisher.events) != 0 {
				t.Errorf("got %+v, want nothing changed", after)
			}
		})
	}
}

func TestReplayAll(t *testing.T) {
	t.Parallel()
	r := newRig()
	for i := range 250 {
		r.deliver(t, refused("NotFound", "shop", strconv.Itoa(i), original("shop", strconv.Itoa(i))), "SUCCESS")
	}
	r.deliver(t, refused("Invalid", "shop", "bad", `{"x":1}`), "SUCCESS")
	r.deliver(t, original("bank", "0"), "SUCCESS")
	first := deadletters.Read([]byte(original("shop", "3"))).ID
	r.replay(t, first, false, deadletters.PutBack, 1)
	var results []deadletters.Result
	note := func(result deadletters.Result) { results = append(results, result) }

	counts, err := r.ReplayAll(t.Context(), deadletters.Filter{Source: "shop"}, false, "ann", note)
	if want := (deadletters.Counts{Replayed: 249, Skipped: 1, Failed: 1}); err != nil || counts != want || len(results) != 251 {
		t.Errorf("got %+v, %v and %d results, want %+v", counts, err, len(results), want)
	}
	if failed := results[0]; failed.Outcome != deadletters.Failed || !strings.Contains(failed.Error, "its original is no CloudEvent") || failed.ID == "" {
		t.Errorf("got %+v first, want the bad one", failed)
	}
	counts, err = r.ReplayAll(t.Context(), deadletters.Filter{Code: "NotFound"}, false, "ann", note)
	if want := (deadletters.Counts{Skipped: 250}); err != nil || counts != want {
		t.Errorf("got %+v, %v, want %+v", counts, err, want)
	}
	counts, err = r.ReplayAll(t.Context(), deadletters.Filter{Code: "NotFound", State: deadletters.Replayed}, true, "ann", note)
	if want := (deadletters.Counts{Replayed: 250}); err != nil || counts != want {
		t.Errorf("got %+v, %v, want %+v", counts, err, want)
	}
	if got := r.ids(t, deadletters.Filter{State: deadletters.Waiting}); got != "0 bad" {
		t.Errorf("got %q waiting", got)
	}
}

// TestReplayAllStops where all that follows would fail, too.
func TestReplayAllStops(t *testing.T) {
	t.Parallel()
	r := newRig()
	for i := range 5 {
		r.deliver(t, original("shop", strconv.Itoa(i)), "SUCCESS")
	}
	r.publisher.err = errGone
	told := 0
	counts, err := r.ReplayAll(t.Context(), deadletters.Filter{}, false, "ann", func(deadletters.Result) { told++ })
	if want := (deadletters.Counts{Failed: 1}); counts != want || scoring.CodeOf(err) != scoring.Unavailable || told != 1 {
		t.Errorf("got %+v, %v, told %d times", counts, err, told)
	}
	r.publisher.err = nil
	ctx, cancel := context.WithCancel(t.Context())
	if counts, _ = r.ReplayAll(ctx, deadletters.Filter{}, false, "ann", func(deadletters.Result) { cancel() }); counts.Replayed != 1 {
		t.Errorf("got %+v, want an end after the first", counts)
	}
	if _, err := r.ReplayAll(t.Context(), deadletters.Filter{State: "x"}, false, "ann", nil); scoring.CodeOf(err) != scoring.Invalid {
		t.Errorf("got %v, want Invalid", err)
	}
}

// TestEventTooLargeToPublish is told as it is.
func TestEventTooLargeToPublish(t *testing.T) {
	t.Parallel()
	r := newRig()
	r.deliver(t, original("shop", "7"), "SUCCESS")
	r.publisher.err = scoring.Errorf(scoring.TooLarge, "the event is larger than the sidecar takes")
	if _, err := r.Replay(t.Context(), r.only(t).ID, false, "ann"); scoring.CodeOf(err) != scoring.TooLarge {
		t.Errorf("got %v, want TooLarge", err)
	}
}
