package simulation_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/scoring"
)

// store is the state store that all share: documents with ETags, of which the first writer
// wins. Reads and writes take effect at one instant each.
type store struct {
	w *world

	mu      sync.Mutex
	records map[string]record
	writes  int
}

type record struct {
	value []byte
	etag  string
}

func (s *store) read(key string) record {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.records[key]
	return record{value: append([]byte(nil), r.value...), etag: r.etag}
}

// write is a write that took effect, or was refused for its ETag.
func (s *store) write(actor, key string, value []byte, etag string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.records[key]
	if old.etag != etag {
		s.w.note(actor, "refused", short(key), 0, "")
		if s.w.plan.plain && etag == "" {
			return errors.New("the document exists")
		}
		return scoring.Errorf(scoring.Conflict, "%q changed in the meantime: read it again", key)
	}
	s.writes++
	s.records[key] = record{value: append([]byte(nil), value...), etag: strconv.Itoa(s.writes)}
	revision, err := s.w.ledger.saved(key, value)
	s.w.note(actor, "saved", short(key), revision, "")
	if err != nil {
		s.w.fail("%s saved %q: %s", actor, key, err)
	}
	return nil
}

// short is a key for the trace.
func short(key string) string { return strings.TrimPrefix(key, "registry:") }

// link is the way of an actor to the state store. It implements catalog.Store.
type link struct {
	w *world
	// actor who calls, and the replica that it is on, if any.
	actor, replica string
	// gone is closed when the actor's process ends: nothing that it does matters any more.
	gone <-chan struct{}

	mu    sync.Mutex
	calls map[string]int
}

func (w *world) link(actor, replica string, gone <-chan struct{}) *link {
	return &link{w: w, actor: actor, replica: replica, gone: gone, calls: map[string]int{}}
}

var (
	errGone    = errors.New("the process ended")
	errRefused = errors.New("connection refused")
	errLost    = errors.New("the answer was lost")
)

// call is what becomes of a call.
type call struct {
	chance

	// there and back are how long it travels.
	there, back time.Duration
	// refused calls do not arrive, and of lost ones the answer does not.
	refused, lost bool
	// lands is a write that arrives even if nobody waits for it any more.
	lands bool
}

// call draws what becomes of the next call of a kind.
func (l *link) call(kind, key string) call {
	l.mu.Lock()
	n := l.calls[kind+key]
	l.calls[kind+key]++
	l.mu.Unlock()
	c := call{chance: l.w.chance("call", l.actor, kind, key, strconv.Itoa(n))}
	c.there, c.back = c.in(l.w.plan.latency), c.in(l.w.plan.latency)
	c.lands = c.yes(0.5)
	// All is drawn each time, so that the end of the faults changes nothing else.
	refused, lost, late, far := c.yes(l.w.plan.fault), c.yes(l.w.plan.fault), c.yes(l.w.plan.slow), c.between(time.Second, 9*time.Second)
	if !l.w.faulty() {
		return c
	}
	c.refused, c.lost = refused, lost
	if late && c.lands {
		c.there = far
	} else if late {
		c.back = far
	}
	return c
}

// wait lets time go by, unless the actor or the call ends.
func (l *link) wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-l.gone:
	}
	return l.ended(ctx)
}

func (l *link) ended(ctx context.Context) error {
	select {
	case <-l.gone:
		return errGone
	default:
		return ctx.Err()
	}
}

// reach is the way of a call to the store, where nothing else is known yet.
func (l *link) reach(c call) (silent time.Duration, err error) {
	now := l.w.now()
	if o, ok := l.w.plan.outageOf(l.replica, now); ok && l.w.faulty() {
		if o.silent {
			return o.to - now + c.back, errRefused
		}
		return 0, errRefused
	}
	if c.refused {
		return 0, errRefused
	}
	return 0, nil
}

// Get implements catalog.Store.
func (l *link) Get(ctx context.Context, key string) ([]byte, string, error) {
	if err := l.ended(ctx); err != nil {
		return nil, "", err
	}
	c := l.call("get", key)
	if err := l.wait(ctx, c.there); err != nil {
		return nil, "", err
	}
	if silent, err := l.reach(c); err != nil {
		return nil, "", l.failed(ctx, "get", key, silent, err)
	}
	r := l.w.store.read(key)
	l.w.note(l.actor, "get", short(key), int64(len(r.value)), r.etag)
	if err := l.wait(ctx, c.back); err != nil {
		return nil, "", err
	}
	if c.lost {
		return nil, "", l.failed(ctx, "get", key, 0, errLost)
	}
	return r.value, r.etag, nil
}

// failed is an error that comes after a time.
func (l *link) failed(ctx context.Context, what, key string, after time.Duration, err error) error {
	if after > 0 {
		if err := l.wait(ctx, after); err != nil {
			return err
		}
	}
	l.w.note(l.actor, "failed", short(key), 0, what+": "+err.Error())
	return err
}

// Save implements catalog.Store.
func (l *link) Save(ctx context.Context, key string, value []byte, etag string) error {
	if err := l.ended(ctx); err != nil {
		return err
	}
	c := l.call("save", key)
	if silent, err := l.reach(c); err != nil {
		if err := l.wait(ctx, c.there); err != nil {
			return err
		}
		return l.failed(ctx, "save", key, silent, err)
	}
	arrived := make(chan error, 1)
	travel := time.AfterFunc(c.there, func() { arrived <- l.w.store.write(l.actor, key, value, etag) })
	var answer error
	select {
	case answer = <-arrived:
	case <-ctx.Done():
	case <-l.gone:
	}
	if err := l.ended(ctx); err != nil {
		if !c.lands {
			travel.Stop()
		}
		return err
	}
	if err := l.wait(ctx, c.back); err != nil {
		return err
	}
	if c.lost {
		return l.failed(ctx, "save", key, 0, errLost)
	}
	return answer
}

var _ catalog.Store = (*link)(nil)
