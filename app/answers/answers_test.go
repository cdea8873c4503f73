package answers_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onda-serving/onda/app/answers"
	"github.com/onda-serving/onda/app/scoring"
)

// store is a state store with ETags that count from 1.
type store struct {
	mu    sync.Mutex
	texts map[string]string
	etags map[string]int
	ttls  map[string]time.Duration
	// fault is the error of calls; after is how many saves are made before it.
	fault error
	lose  bool // saves are made, and answered with fault
}

func (s *store) Get(_ context.Context, key string) ([]byte, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fault != nil && !s.lose {
		return nil, "", s.fault
	}
	if s.etags[key] == 0 {
		return nil, "", nil
	}
	return []byte(s.texts[key]), strconv.Itoa(s.etags[key]), nil
}

func (s *store) SaveFor(_ context.Context, key string, value []byte, etag string, ttl time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fault != nil && !s.lose {
		return s.fault
	}
	there := ""
	if n := s.etags[key]; n > 0 {
		there = strconv.Itoa(n)
	}
	if there != etag {
		return scoring.Errorf(scoring.Conflict, "stale")
	}
	if s.texts == nil {
		s.texts, s.etags, s.ttls = map[string]string{}, map[string]int{}, map[string]time.Duration{}
	}
	s.texts[key], s.ttls[key] = string(value), ttl
	s.etags[key]++
	return s.fault
}

func TestKeys(t *testing.T) {
	t.Parallel()
	seen := map[string]answers.Key{}
	for _, k := range []answers.Key{{"a", "bc", 0}, {"ab", "c", 0}, {"a", "bc", 1}, {"a", "", 0}, {"", "a", 0}, {"a:1", "b", 0}, {"a", "1:b", 0}} {
		if other, there := seen[k.String()]; there {
			t.Errorf("%+v and %+v have the same document", k, other)
		}
		seen[k.String()] = k
	}
	if answers.Fingerprint("a", "bc") == answers.Fingerprint("ab", "c") {
		t.Error("two requests have the same fingerprint")
	}
}

// TestFirstAnswerStands whoever else has one.
func TestFirstAnswerStands(t *testing.T) {
	t.Parallel()
	s := &store{}
	b := answers.Book{Store: s, TTL: time.Hour}
	key := answers.Key{Source: "shop", ID: "7"}
	if r, err := b.Find(t.Context(), key); r != nil || err != nil {
		t.Fatalf("got %+v, %v, want nothing", r, err)
	}
	const racers = 20
	got := make([]*answers.Record, racers)
	var group sync.WaitGroup
	for i := range racers {
		group.Go(func() {
			r, err := b.Keep(t.Context(), key, answers.Record{Status: answers.Done, Event: json.RawMessage(fmt.Sprintf(`{"n":%d}`, i))})
			if err != nil {
				t.Error(err)
			}
			got[i] = r
		})
	}
	group.Wait()
	there, err := b.Find(t.Context(), key)
	if err != nil || there == nil {
		t.Fatalf("got %v, %v", there, err)
	}
	for _, r := range got {
		if string(r.Event) != string(there.Event) {
			t.Errorf("one was told %s, the record says %s", r.Event, there.Event)
		}
	}
	if s.ttls[key.String()] != time.Hour {
		t.Errorf("kept for %s", s.ttls[key.String()])
	}
}

// TestSameBytes: what is read again is what was kept, to the byte.
func TestSameBytes(t *testing.T) {
	t.Parallel()
	b := answers.Book{Store: &store{}, TTL: time.Hour}
	key := answers.Key{Source: "shop", ID: "7"}
	event := `{"data":{"answer":"a < b && c > d\u2028` + "\u2028" + `"}}`
	if _, err := b.Keep(t.Context(), key, answers.Record{Status: answers.Done, Event: json.RawMessage(event)}); err != nil {
		t.Fatal(err)
	}
	if r, err := b.Find(t.Context(), key); err != nil || string(r.Event) != event {
		t.Errorf("got %s, %v, want %s", r.Event, err, event)
	}
}

// TestExpected requests get their answer once.
func TestExpected(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := answers.Book{Store: &store{}, TTL: time.Hour}
		key := answers.Key{Source: "onda", ID: "1"}
		steps := []struct {
			keep answers.Record
			want answers.Status
		}{
			{answers.Record{Status: answers.Pending}, answers.Pending},
			{answers.Record{Status: answers.Pending}, answers.Pending},
			{answers.Record{Status: answers.Failed}, answers.Failed},
			{answers.Record{Status: answers.Done}, answers.Failed},
			{answers.Record{Status: answers.Pending}, answers.Failed},
		}
		for i, step := range steps {
			if r, err := b.Keep(t.Context(), key, step.keep); err != nil || r.Status != step.want {
				t.Fatalf("step %d: got %+v, %v, want %s", i, r, err, step.want)
			}
			r, err := b.Find(t.Context(), key)
			if err != nil || r.Status != step.want || !r.At.Equal(time.Now()) {
				t.Errorf("step %d: got %+v, %v, want %s", i, r, err, step.want)
			}
		}
	})
}

// TestStoreThatIsAway has the request come again.
func TestStoreThatIsAway(t *testing.T) {
	t.Parallel()
	s := &store{fault: errors.New("gone")}
	b := answers.Book{Store: s, TTL: time.Hour}
	key := answers.Key{Source: "shop", ID: "7"}
	_, find := b.Find(t.Context(), key)
	_, keep := b.Keep(t.Context(), key, answers.Record{Status: answers.Done})
	for _, err := range []error{find, keep} {
		if scoring.CodeOf(err) != scoring.Unavailable || !errors.Is(err, s.fault) {
			t.Errorf("got %v, want Unavailable", err)
		}
	}
	// A write whose answer is lost was made: the next delivery finds it.
	s.lose = true
	if _, err := b.Keep(t.Context(), key, answers.Record{Status: answers.Done}); scoring.CodeOf(err) != scoring.Unavailable {
		t.Errorf("got %v, want Unavailable", err)
	}
	if r, err := b.Find(t.Context(), key); err != nil || r == nil || r.Status != answers.Done {
		t.Errorf("got %+v, %v, want the answer", r, err)
	}
}

// TestUnreadableRecord is not taken for none.
func TestUnreadableRecord(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"{", `{"status": "later"}`, `[]`, `{}`} {
		key := answers.Key{Source: "shop", ID: "7"}
		s := &store{texts: map[string]string{key.String(): text}, etags: map[string]int{key.String(): 1}, ttls: map[string]time.Duration{}}
		b := answers.Book{Store: s, TTL: time.Hour}
		if r, err := b.Find(t.Context(), key); r != nil || scoring.CodeOf(err) != scoring.Internal {
			t.Errorf("%s: got %+v, %v, want an error", text, r, err)
		}
		if r, err := b.Keep(t.Context(), key, answers.Record{Status: answers.Done}); r != nil || scoring.CodeOf(err) != scoring.Internal {
			t.Errorf("%s: kept %+v, %v, want an error", text, r, err)
		}
	}
}

// TestAnsweredAnew follows a request through replays: each has a record that never changes, and
// the caller gets the newest answer, or the newest failure where there is no answer.
func TestAnsweredAnew(t *testing.T) {
	t.Parallel()
	type step struct {
		replay int
		status answers.Status
		// want is the replay whose record the caller gets then.
		want int
	}
	tests := map[string]struct {
		// own is the record of the request before; "" for none.
		own   answers.Status
		steps []step
	}{
		"never answered":         {answers.Pending, []step{{1, answers.Done, 1}}},
		"failed":                 {answers.Failed, []step{{1, answers.Failed, 1}, {2, answers.Done, 2}, {3, answers.Done, 3}}},
		"forgotten":              {"", []step{{1, answers.Failed, 1}, {2, answers.Done, 2}}},
		"failed after an answer": {answers.Done, []step{{1, answers.Failed, 0}, {2, answers.Done, 2}, {3, answers.Failed, 2}}},
		"late ones":              {answers.Pending, []step{{2, answers.Done, 2}, {1, answers.Done, 2}, {1, answers.Failed, 2}}},
		"late answer":            {answers.Pending, []step{{2, answers.Failed, 2}, {1, answers.Done, 1}}},
		"late first delivery":    {answers.Pending, []step{{1, answers.Done, 1}, {0, answers.Failed, 1}}},
		"late first answer":      {answers.Pending, []step{{1, answers.Failed, 1}, {0, answers.Done, 0}, {2, answers.Failed, 0}, {3, answers.Done, 3}}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &store{}
			b := answers.Book{Store: s, TTL: time.Hour}
			key := answers.Key{Source: answers.AsyncSource, ID: "7"}
			keep := func(replay int, status answers.Status) *answers.Record {
				t.Helper()
				key := answers.Key{Source: key.Source, ID: key.ID, Replay: replay}
				r, err := b.Keep(t.Context(), key, answers.Record{Status: status, Request: "asked", Event: json.RawMessage(strconv.Itoa(replay))})
				if err != nil {
					t.Fatal(err)
				}
				return r
			}
			if test.own != "" {
				keep(0, test.own)
			}
			for i, step := range test.steps {
				r := keep(step.replay, step.status)
				if step.replay > 0 {
					if err := b.Answered(t.Context(), answers.Key{Source: key.Source, ID: key.ID, Replay: step.replay}, r); err != nil {
						t.Fatal(err)
					}
				}
				got, err := b.Newest(t.Context(), key)
				if err != nil || got == nil || string(got.Event) != strconv.Itoa(step.want) {
					t.Fatalf("step %d: got %+v, %v, want replay %d", i, got, err, step.want)
				}
			}
			if ttl := s.ttls[key.String()]; ttl != time.Hour {
				t.Errorf("kept for %s", ttl)
			}
		})
	}
}

// TestAnsweredIsOfTheSameRequest leaves a request alone whose id was used before, for another.
func TestAnsweredIsOfTheSameRequest(t *testing.T) {
	t.Parallel()
	b := answers.Book{Store: &store{}, TTL: time.Hour}
	key := answers.Key{Source: answers.AsyncSource, ID: "7"}
	if _, err := b.Keep(t.Context(), key, answers.Record{Status: answers.Pending, Request: "new"}); err != nil {
		t.Fatal(err)
	}
	replay := answers.Key{Source: key.Source, ID: key.ID, Replay: 1}
	r, err := b.Keep(t.Context(), replay, answers.Record{Status: answers.Done, Request: "old"})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Answered(t.Context(), replay, r); err != nil {
		t.Fatal(err)
	}
	if got, err := b.Newest(t.Context(), key); err != nil || got.Status != answers.Pending || got.Request != "new" {
		t.Errorf("got %+v, %v, want nothing of the other request", got, err)
	}
}

// TestAnsweredByMany has the newest of several replays that are answered at once.
func TestAnsweredByMany(t *testing.T) {
	t.Parallel()
	b := answers.Book{Store: &store{}, TTL: time.Hour}
	key := answers.Key{Source: answers.AsyncSource, ID: "7"}
	const racers = 4
	var group sync.WaitGroup
	for i := range racers {
		group.Go(func() {
			replay := answers.Key{Source: key.Source, ID: key.ID, Replay: i + 1}
			r, err := b.Keep(t.Context(), replay, answers.Record{Status: answers.Done, Event: json.RawMessage(strconv.Itoa(i + 1))})
			if err == nil {
				err = b.Answered(t.Context(), replay, r)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if got, err := b.Newest(t.Context(), key); err != nil || string(got.Event) != strconv.Itoa(racers) {
		t.Errorf("got %+v, %v, want replay %d", got, err, racers)
	}
}

// TestForgottenReplay gives the request's own record where the store forgot the other first.
func TestForgottenReplay(t *testing.T) {
	t.Parallel()
	s := &store{}
	b := answers.Book{Store: s, TTL: time.Hour}
	key := answers.Key{Source: answers.AsyncSource, ID: "7"}
	if r, err := b.Newest(t.Context(), key); r != nil || err != nil {
		t.Fatalf("got %+v, %v, want nothing", r, err)
	}
	if _, err := b.Keep(t.Context(), key, answers.Record{Status: answers.Failed}); err != nil {
		t.Fatal(err)
	}
	if err := b.Answered(t.Context(), answers.Key{Source: key.Source, ID: key.ID, Replay: 1}, &answers.Record{Status: answers.Done}); err != nil {
		t.Fatal(err)
	}
	if r, err := b.Newest(t.Context(), key); err != nil || r.Status != answers.Failed {
		t.Errorf("got %+v, %v, want the first failure", r, err)
	}
	s.fault = errors.New("gone")
	_, newest := b.Newest(t.Context(), key)
	answered := b.Answered(t.Context(), answers.Key{Source: key.Source, ID: key.ID, Replay: 2}, &answers.Record{Status: answers.Done})
	for _, err := range []error{newest, answered} {
		if scoring.CodeOf(err) != scoring.Unavailable || !errors.Is(err, s.fault) {
			t.Errorf("got %v, want Unavailable", err)
		}
	}
}
