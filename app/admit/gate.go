// Package admit bounds what the server takes on: the memory of bodies and of waiting tensors
// ([Bytes]), the requests that are pre-processed at once ([Gate]), and it counts those under
// way, for a stop to wait for ([Flights]). Which requests a model has room for is decided by
// its batcher: see package batch.
package admit

import (
	"container/list"
	"context"
	"math"
	"sync"
	"time"

	"github.com/onda-serving/onda/app/scoring"
)

// Gate lets at most a fixed number of rows run at once and a fixed number wait, first
// come, first served. It counts rows, not requests: sixty-four pictures in one request
// cost what sixty-four requests cost.
//
// A Gate is safe for concurrent use.
type Gate struct {
	capacity int
	queue    int

	mu sync.Mutex
	// inFlight and queued count rows.
	inFlight, queued int
	// requests counts requests that are in flight or waiting.
	requests int
	waiting  list.List // of *waiter, oldest first
	closed   bool
	// idle is closed when the gate is closed and the last request left.
	idle chan struct{}
	// perRow is the time a row keeps its place, as a moving average in seconds.
	perRow float64
}

// waiter is a request in the queue.
type waiter struct {
	rows int
	// admitted is closed, under the gate's lock, when the waiter gets its place.
	admitted chan struct{}
}

// New makes a gate for capacity rows in flight and queue rows waiting. It panics when
// nothing could ever pass, which is a mistake in wiring: settings are checked before.
func New(capacity, queue int) *Gate {
	if capacity < 1 || queue < 0 {
		panic("admit: capacity must be at least 1 and queue at least 0") //nolint:forbidigo // a mistake in wiring
	}
	return &Gate{capacity: capacity, queue: queue, idle: make(chan struct{})}
}

// Enter waits for a place for rows rows. leave gives the place back; it must be called
// exactly once, and only if err is nil.
//
// The error is an [scoring.Error]: Overloaded with RetryAfter when the queue is full,
// Unavailable after [Gate.Close], Expired or Canceled when ctx ended first. A caller
// that leaves frees its place in the queue at once.
func (g *Gate) Enter(ctx context.Context, rows int) (leave func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, scoring.AsError(err)
	}
	// A request larger than the gate runs alone, rather than never.
	rows = min(max(rows, 1), g.capacity)
	g.mu.Lock()
	switch {
	case g.closed:
		g.mu.Unlock()
		return nil, scoring.Errorf(scoring.Unavailable, "the server is shutting down: send the request to another replica").WithRetryAfter(time.Second)
	case g.waiting.Len() == 0 && g.inFlight+rows <= g.capacity:
		g.inFlight += rows
		g.requests++
		g.mu.Unlock()
		return g.leaver(rows), nil
	case g.queued+rows > g.queue:
		err := scoring.Errorf(scoring.Overloaded, "the server is overloaded: %d rows wait and at most %d may", g.queued, g.queue).WithRetryAfter(g.clearsInLocked())
		g.mu.Unlock()
		return nil, err
	}
	w := &waiter{rows: rows, admitted: make(chan struct{})}
	element := g.waiting.PushBack(w)
	g.queued += rows
	g.requests++
	g.mu.Unlock()
	return g.wait(ctx, w, element)
}

// wait blocks until w is admitted or ctx ends.
func (g *Gate) wait(ctx context.Context, w *waiter, element *list.Element) (func(), error) {
	select {
	case <-w.admitted:
		return g.leaver(w.rows), nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-w.admitted:
		// Admitted in the same moment: the place is there but nobody wants it any more.
		g.inFlight -= w.rows
	default:
		g.waiting.Remove(element)
		g.queued -= w.rows
	}
	g.leftLocked()
	return nil, scoring.AsError(ctx.Err())
}

// leaver makes the function that gives rows places back.
func (g *Gate) leaver(rows int) func() {
	start := time.Now()
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.inFlight -= rows
		g.learnLocked(time.Since(start), rows)
		g.leftLocked()
	}
}

// leftLocked hands freed places to the oldest waiters, and says so when the last
// request of a closed gate is gone.
func (g *Gate) leftLocked() {
	g.requests--
	for front := g.waiting.Front(); front != nil; front = g.waiting.Front() {
		w, _ := front.Value.(*waiter)
		// Strictly in order: a small request that overtook a large one would make
		// the large one wait for ever under load.
		if g.inFlight+w.rows > g.capacity {
			break
		}
		g.waiting.Remove(front)
		g.queued -= w.rows
		g.inFlight += w.rows
		close(w.admitted)
	}
	if g.closed && g.requests == 0 {
		close(g.idle)
	}
}

// learnLocked folds the time that rows kept their places into the average.
func (g *Gate) learnLocked(held time.Duration, rows int) {
	const weight = 0.1 // about the last twenty requests
	sample := held.Seconds() / float64(rows)
	if g.perRow == 0 {
		g.perRow = sample
		return
	}
	g.perRow += weight * (sample - g.perRow)
}

// clearsInLocked predicts when the rows that wait now will be through, in whole
// seconds, at least one: Retry-After has no smaller unit.
func (g *Gate) clearsInLocked() time.Duration {
	rows := float64(g.queued + g.inFlight)
	seconds := math.Ceil(rows * g.perRow / float64(g.capacity))
	return time.Duration(min(max(seconds, 1), 60)) * time.Second
}

// Close refuses what comes from now on. Requests in flight and in the queue go on.
// Closing twice is fine.
func (g *Gate) Close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return
	}
	g.closed = true
	if g.requests == 0 {
		close(g.idle)
	}
}

// Drained is closed when the gate is closed and the last accepted request has left.
func (g *Gate) Drained() <-chan struct{} { return g.idle }

// Stats is a moment's view of a gate.
type Stats struct {
	// InFlight and Queued count rows; Capacity and Queue are their limits.
	InFlight, Queued, Capacity, Queue int
}

// Stats gives the present numbers, for metrics.
func (g *Gate) Stats() Stats {
	g.mu.Lock()
	defer g.mu.Unlock()
	return Stats{InFlight: g.inFlight, Queued: g.queued, Capacity: g.capacity, Queue: g.queue}
}
