package engine

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// recentMemory bounds the recent requests of all models together, in bytes.
	recentMemory = 64 << 20
	// recentAge is when a request is forgotten.
	recentAge = time.Hour
	// recentPause is the least time between two requests of a model that are kept, so that a
	// burst does not fill all places.
	recentPause = 50 * time.Millisecond
	// recentCost is how many times as long as the last copying took the next one is away, as
	// long as that is no more than recentLongest: large requests must not cost their callers
	// more than a hundredth.
	recentCost    = 100
	recentLongest = time.Second
)

// recent holds copies of the newest requests that each model has answered, for asking a new
// version before it answers anybody. They are in memory and nowhere else.
//
// A request that is not kept, which is nearly every one, costs a look at a table and a clock:
// it takes no lock.
type recent struct {
	requests int   // of each model
	bytes    int64 // of each model
	began    time.Time
	// rings are replaced whole when there is a new model, under mu. Models that answered
	// once stay in it, with nothing in them an hour later.
	rings atomic.Pointer[map[string]*ring]

	mu     sync.Mutex
	used   int64
	closed bool
	// timer forgets; nil while there is nothing to forget.
	timer *time.Timer
}

// ring holds the requests of a model.
type ring struct {
	// due is when the next request may be kept, since recent.began. Who is copying one has
	// set it to never.
	due atomic.Int64

	// What follows is guarded by recent.mu.

	kept  []recentRequest // the oldest first
	bytes int64
}

const never = int64(1<<63 - 1)

type recentRequest struct {
	question question
	size     int64
	at       time.Time
}

func (r *recent) init(requests int, bytes int64) {
	r.requests, r.bytes, r.began = requests, min(bytes, recentMemory), time.Now()
	r.rings.Store(&map[string]*ring{})
}

// take keeps a copy of a question to model, if it is time for one. Who calls it has answered
// the question.
func (r *recent) take(model string, q question) {
	if r.requests <= 0 || r.bytes <= 0 {
		return
	}
	now := time.Now()
	of := r.ring(model)
	due := of.due.Load()
	if int64(now.Sub(r.began)) < due || !of.due.CompareAndSwap(due, never) {
		return
	}
	pause := recentPause
	if size := q.size(); size <= r.bytes {
		copied := q.anonymous()
		pause = min(max(pause, recentCost*time.Since(now)), recentLongest)
		r.add(of, recentRequest{copied, size, now})
	}
	of.due.Store(int64(now.Add(pause).Sub(r.began)))
}

// ring gives that of a model.
func (r *recent) ring(model string) *ring {
	if of := (*r.rings.Load())[model]; of != nil {
		return of
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	rings := maps.Clone(*r.rings.Load())
	if rings[model] == nil { // nobody was faster
		rings[model] = &ring{}
		r.rings.Store(&rings)
	}
	return rings[model]
}

// add keeps a request, and forgets others for it.
func (r *recent) add(to *ring, request recentRequest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	for len(to.kept) >= r.requests || to.bytes+request.size > r.bytes {
		r.dropLocked(to)
	}
	for r.used+request.size > recentMemory {
		r.dropLocked(r.oldestLocked())
	}
	to.kept = append(to.kept, request)
	to.bytes += request.size
	r.used += request.size
	if r.timer == nil {
		r.timer = time.AfterFunc(recentAge, r.forget)
	}
}

// dropLocked forgets the oldest request of a ring.
func (r *recent) dropLocked(of *ring) {
	size := of.kept[0].size
	of.kept = slices.Delete(of.kept, 0, 1)
	of.bytes -= size
	r.used -= size
}

// oldestLocked finds the ring with the oldest request of all; nil where there is none.
func (r *recent) oldestLocked() (oldest *ring) {
	for _, of := range *r.rings.Load() {
		if len(of.kept) > 0 && (oldest == nil || of.kept[0].at.Before(oldest.kept[0].at)) {
			oldest = of
		}
	}
	return oldest
}

// expireLocked forgets what is too old, and gives the ring whose turn is next.
func (r *recent) expireLocked(now time.Time) (next *ring) {
	for {
		next = r.oldestLocked()
		if next == nil || now.Sub(next.kept[0].at) < recentAge {
			return next
		}
		r.dropLocked(next)
	}
}

// forget is what the timer does: nothing stays only because nobody asks any more.
func (r *recent) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	next := r.expireLocked(now)
	r.timer = nil
	if next != nil {
		r.timer = time.AfterFunc(recentAge-now.Sub(next.kept[0].at), r.forget)
	}
}

// of gives the requests of a model, the oldest first.
func (r *recent) of(model string) []question {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expireLocked(time.Now())
	from := (*r.rings.Load())[model]
	if from == nil {
		return nil
	}
	var all []question
	for _, request := range from.kept {
		all = append(all, request.question)
	}
	return all
}

// close forgets everything.
func (r *recent) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	if r.timer != nil {
		r.timer.Stop()
		r.timer = nil
	}
	for _, of := range *r.rings.Load() {
		for len(of.kept) > 0 {
			r.dropLocked(of)
		}
	}
}
