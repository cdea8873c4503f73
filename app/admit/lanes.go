package admit

import (
	"container/list"
	"context"
	"sync"
	"time"

	"github.com/onda-serving/onda/app/scoring"
)

// Lanes lets at most a fixed number of requests through at once, the interactive ones first,
// and each lane in its order. While interactive requests come, one place is kept free of bulk,
// if there is more than one: what has entered cannot be interrupted. It is safe for concurrent
// use.
type Lanes struct {
	mu     sync.Mutex
	places int
	inside [2]int
	// waiting holds a channel for each who waits, by lane. It is closed with the place given.
	waiting [2]list.List
	// latest is when the last interactive request came.
	latest time.Time
	// again looks for bulk that may enter once interactive requests have stopped.
	again *time.Timer
}

// recent is how long after an interactive request another one is expected.
const recent = time.Second

// NewLanes makes a gate with so many places, at least one.
func NewLanes(places int) *Lanes { return &Lanes{places: max(1, places)} }

// Enter waits for a place. leave gives it back; it must be called exactly once, and only if
// err is nil.
//
// The error is an [scoring.Error], Expired or Canceled, when ctx ended first. A caller that
// leaves frees its place in the queue at once.
func (l *Lanes) Enter(ctx context.Context, lane scoring.Lane) (leave func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, scoring.AsError(err)
	}
	leave = func() { l.leave(lane) }
	l.mu.Lock()
	if lane == scoring.Interactive {
		l.latest = time.Now()
	}
	if l.waiting[lane].Len() == 0 && l.mayLocked(lane) {
		l.inside[lane]++
		l.mu.Unlock()
		return leave, nil
	}
	turn := make(chan struct{})
	place := l.waiting[lane].PushBack(turn)
	l.mu.Unlock()
	select {
	case <-turn:
		return leave, nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-turn: // in the same moment: somebody else may have it
		l.leaveLocked(lane)
	default:
		l.waiting[lane].Remove(place)
		l.admitLocked() // bulk may have waited for this one
	}
	return nil, scoring.AsError(ctx.Err())
}

func (l *Lanes) leave(lane scoring.Lane) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leaveLocked(lane)
}

func (l *Lanes) leaveLocked(lane scoring.Lane) {
	l.inside[lane]--
	l.admitLocked()
}

// admitLocked lets those in who may enter now.
func (l *Lanes) admitLocked() {
	for _, lane := range [...]scoring.Lane{scoring.Interactive, scoring.Bulk} {
		for l.waiting[lane].Len() > 0 && l.mayLocked(lane) {
			first := l.waiting[lane].Front()
			l.waiting[lane].Remove(first)
			l.inside[lane]++
			turn, _ := first.Value.(chan struct{})
			close(turn)
		}
	}
}

// mayLocked says whether a request of a lane may enter now.
func (l *Lanes) mayLocked(lane scoring.Lane) bool {
	if l.inside[scoring.Interactive]+l.inside[scoring.Bulk] >= l.places {
		return false
	}
	if lane == scoring.Interactive || l.inside[scoring.Bulk] < max(1, l.places-1) {
		return true
	}
	quiet := time.Since(l.latest)
	if quiet < recent {
		l.lookAgainLocked(recent - quiet)
	}
	return quiet >= recent
}

// lookAgainLocked lets bulk in after a time.
func (l *Lanes) lookAgainLocked(after time.Duration) {
	if l.again != nil {
		l.again.Reset(after)
		return
	}
	l.again = time.AfterFunc(after, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.admitLocked()
	})
}
