package admit

import (
	"sync"
	"time"

	"github.com/onda-serving/onda/app/scoring"
)

// Flights counts the requests that were accepted and have no answer yet, so that a stop can
// wait for them. It is safe for concurrent use; the zero value is not usable.
type Flights struct {
	mu             sync.Mutex
	requests, rows int
	closed         bool
	// idle is closed when no more requests are let in and the last one left.
	idle chan struct{}
}

// NewFlights makes a counter.
func NewFlights() *Flights { return &Flights{idle: make(chan struct{})} }

// Enter counts a request of rows rows. leave ends it; it must be called exactly once, and
// only if err is nil. The error is an [scoring.Error] with code Unavailable, after
// [Flights.Close].
func (f *Flights) Enter(rows int) (leave func(), err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, scoring.Errorf(scoring.Unavailable, "the server is shutting down: send the request to another replica").WithRetryAfter(time.Second)
	}
	f.requests++
	f.rows += rows
	return func() { f.leave(rows) }, nil
}

func (f *Flights) leave(rows int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests--
	f.rows -= rows
	if f.closed && f.requests == 0 {
		close(f.idle)
	}
}

// Close refuses what comes from now on. Requests under way go on. Closing twice is fine.
func (f *Flights) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return
	}
	f.closed = true
	if f.requests == 0 {
		close(f.idle)
	}
}

// Drained is closed when Close was called and the last request has left.
func (f *Flights) Drained() <-chan struct{} { return f.idle }

// Now gives the requests and the rows under way.
func (f *Flights) Now() (requests, rows int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.requests, f.rows
}
