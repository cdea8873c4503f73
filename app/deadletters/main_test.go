package deadletters_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/onda-serving/onda/app/deadletters"
	"github.com/onda-serving/onda/app/scoring"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// document of a store.
type document struct {
	text string
	etag int
	ttl  time.Duration
	ends time.Time
}

// store is a state store with ETags that count from 1, and documents that end.
type store struct {
	now func() time.Time

	mu        sync.Mutex
	documents map[string]document
	saves     int
	gets      int
	// fault is asked before each save, by its number from 1: the error that it is answered
	// with, and whether it is made all the same.
	fault func(n int, key string) (err error, made bool)
	// before is called before a save, by whoever is to be faster; it calls the store itself.
	before func(key string)
	// away fails everything.
	away error
}

func newStore(now func() time.Time) *store {
	return &store{now: now, documents: map[string]document{}}
}

func (s *store) Get(_ context.Context, key string) ([]byte, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gets++
	d, ok := s.documents[key]
	switch {
	case s.away != nil:
		return nil, "", s.away
	case !ok || !s.now().Before(d.ends):
		return nil, "", nil
	}
	return []byte(d.text), strconv.Itoa(d.etag), nil
}

func (s *store) SaveFor(_ context.Context, key string, value []byte, etag string, ttl time.Duration) error {
	s.mu.Lock()
	if before := s.before; before != nil {
		s.mu.Unlock()
		before(key)
		s.mu.Lock()
	}
	defer s.mu.Unlock()
	if s.away != nil {
		return s.away
	}
	s.saves++
	var answer error
	if s.fault != nil {
		err, made := s.fault(s.saves, key)
		if err != nil && !made {
			return err
		}
		answer = err
	}
	there, d := "", s.documents[key]
	if d.etag > 0 && s.now().Before(d.ends) {
		there = strconv.Itoa(d.etag)
	}
	if there != etag {
		return scoring.Errorf(scoring.Conflict, "stale")
	}
	s.documents[key] = document{string(value), d.etag + 1, ttl, s.now().Add(ttl)}
	return answer
}

// publisher keeps what was published.
type publisher struct {
	mu     sync.Mutex
	events []string
	topics []string
	err    error
	// lose publishes and answers with err.
	lose bool
}

func (p *publisher) Publish(_ context.Context, topic string, event []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil && !p.lose {
		return p.err
	}
	p.events, p.topics = append(p.events, string(event)), append(p.topics, topic)
	return p.err
}

// counter is an Observer.
type counter struct {
	mu   sync.Mutex
	seen []string
}

func (c *counter) DeadLetter(outcome string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = append(c.seen, outcome)
}

// text gives what was counted, and forgets it.
func (c *counter) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	text := strings.Join(c.seen, " ")
	c.seen = nil
	return text
}

// rig is a book on fakes, with a clock that tests move.
type rig struct {
	*deadletters.Book

	clock     sync.Mutex
	at        time.Time
	store     *store
	publisher publisher
	counter   counter
	log       strings.Builder
}

const ttl = 24 * time.Hour

var start = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func newRig() *rig {
	r := &rig{at: start}
	r.store = newStore(r.now)
	r.Book = r.other()
	r.Log = zerolog.New(&r.log)
	return r
}

// other is another replica's book.
func (r *rig) other() *deadletters.Book {
	return &deadletters.Book{Store: r.store, Publisher: &r.publisher, RequestsTopic: "requests", TTL: ttl, Now: r.now, Observer: &r.counter, Log: zerolog.Nop()}
}

func (r *rig) now() time.Time {
	r.clock.Lock()
	defer r.clock.Unlock()
	return r.at
}

func (r *rig) pass(d time.Duration) {
	r.clock.Lock()
	defer r.clock.Unlock()
	r.at = r.at.Add(d)
}

// original makes an event with more attributes, each with a comma before.
func original(source, id string, more ...string) string {
	return fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":%q,"type":"onda.score.request.v1","subject":"faq"%s}`, id, source, strings.Join(more, ""))
}

// refused makes an error event for an original.
func refused(code, source, id, original string) string {
	return fmt.Sprintf(`{"specversion":"1.0","id":"%s#%s/error","source":"onda","type":"onda.score.error.v1","subject":"faq","requestid":%q,"requestsource":%q,"data":{"code":%q,"error":"it is wrong","original":%s}}`,
		source, id, id, source, code, original)
}

// deliver delivers a body and checks the answer.
func (r *rig) deliver(t *testing.T, body, want string) {
	t.Helper()
	if got := r.Deliver(t.Context(), []byte(body)); got != want {
		t.Fatalf("got status %s, want %s\n%s", got, want, r.log.String())
	}
}

// ids lists the letters by the ids of their requests.
func (r *rig) ids(t *testing.T, f deadletters.Filter) string {
	t.Helper()
	page, err := r.List(t.Context(), f, 100, "")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, l := range page.Letters {
		all = append(all, l.RequestID)
	}
	return strings.Join(all, " ")
}

// only gives the one letter that there is.
func (r *rig) only(t *testing.T) *deadletters.Letter {
	t.Helper()
	page, err := r.List(t.Context(), deadletters.Filter{}, 100, "")
	if err != nil || len(page.Letters) != 1 || page.Cursor != "" {
		t.Fatalf("got %+v, %v, want one letter", page, err)
	}
	l, err := r.Get(t.Context(), page.Letters[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// entries counts those of the index.
func (r *rig) entries() int {
	n := 0
	for key, d := range r.store.documents {
		if strings.HasPrefix(key, "deadletter:segment:") {
			n += strings.Count(d.text, `"id"`)
		}
	}
	return n
}

// faster has somebody else do something before the first save whose key has a prefix.
func (r *rig) faster(prefix string, do func()) {
	r.store.before = func(key string) {
		if strings.HasPrefix(key, prefix) {
			r.store.before = nil
			do()
		}
	}
}

// attribute gives an attribute of an event.
func attribute(t *testing.T, event, name string) any {
	t.Helper()
	var all map[string]any
	if err := json.Unmarshal([]byte(event), &all); err != nil {
		t.Fatalf("%s: %v", event, err)
	}
	return all[name]
}

var errGone = errors.New("gone")
