package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/onda-serving/onda/app/compare"
	"github.com/onda-serving/onda/app/registry"
	"github.com/onda-serving/onda/app/scoring"
)

// Why a copy of a request was not mirrored.
const (
	// DroppedLarge copies are larger than what is copied for a mirror.
	DroppedLarge = "too_large"
	// DroppedMemory copies found no room in memory.
	DroppedMemory = "no_memory"
	// DroppedBusy copies came while as many mirrors were being asked as may be.
	DroppedBusy = "busy"
	// DroppedOverloaded copies were refused by the mirror, which has enough to do.
	DroppedOverloaded = "overloaded"
	// DroppedStopping copies met the end of the app.
	DroppedStopping = "stopping"
)

// mostMirrored bounds the copy of one request and its answer, in bytes.
const mostMirrored = 8 << 20

// mirrors counts the mirrors that are being asked, and ends them.
type mirrors struct {
	most int
	ctx  context.Context //nolint:containedctx // its end is that of all mirrors, not of one call
	stop context.CancelFunc

	mu      sync.Mutex
	running int
	closed  bool
	ended   sync.WaitGroup
}

func (m *mirrors) init(most int) {
	m.most = most
	m.ctx, m.stop = context.WithCancel(context.Background())
}

// enter takes a place for a mirror; dropped says why there is none. leave gives it back.
func (m *mirrors) enter() (dropped string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.closed:
		return DroppedStopping
	case m.running >= m.most:
		return DroppedBusy
	}
	m.running++
	m.ended.Add(1)
	return ""
}

func (m *mirrors) leave() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.running--
	m.ended.Done()
}

// close ends all mirrors and waits for their end, or that of ctx.
func (m *mirrors) close(ctx context.Context) error {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.stop()
	ended := make(chan struct{})
	go func() {
		m.ended.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the end of mirrored requests: %w", ctx.Err())
	}
}

// mirroring is a request that was answered, for another version to answer as well.
type mirroring struct {
	answered scoring.ModelID
	mirror   *registry.Version
	question question
	answer   answer
}

// mirror has a lease's mirror asked what its version has answered. Its caller waits for the
// copy and not for the mirror.
func (e *Engine) mirror(lease registry.Lease, q question, a answer) {
	size := q.size() + a.size()
	if dropped := e.reserve(size); dropped != "" {
		e.parts.Observer.MirrorDropped(lease.ID, dropped)
		return
	}
	m := mirroring{answered: lease.ID, mirror: lease.Mirror, question: q.anonymous(), answer: a.own()}
	release := lease.Mirror.Retain()
	go func() {
		defer e.unreserve(size)
		defer release()
		defer func() {
			if p := recover(); p != nil {
				_ = e.caught(e.mirrors.ctx, p) // nobody is there to be told
			}
		}()
		e.reflect(m)
	}()
}

// reserve takes a place and memory for a mirrored request; dropped says why it does not.
func (e *Engine) reserve(size int64) (dropped string) {
	if size > mostMirrored {
		return DroppedLarge
	}
	if dropped := e.mirrors.enter(); dropped != "" {
		return dropped
	}
	if copies := e.parts.Copies; copies != nil && !copies.Take(size) {
		e.unreserve(size)
		return DroppedMemory
	}
	return ""
}

// unreserve gives back what reserve took.
func (e *Engine) unreserve(size int64) {
	if copies := e.parts.Copies; copies != nil {
		copies.Free(size)
	}
	e.mirrors.leave()
}

// reflect asks the mirror and reports how its answer differs. What kept it from being asked
// says nothing about it, and is no failure of its.
func (e *Engine) reflect(m mirroring) {
	watch := stopwatch(time.Now())
	var timing scoring.Timing
	a, err := e.askAlone(e.mirrors.ctx, m.mirror, m.question, e.parts.Copies, &timing)
	took := watch.lap()
	m.mirror.Statistics.Copy(m.question.rows(), timing, took, err)
	switch {
	case err == nil:
		e.parts.Observer.Mirrored(m.answered, m.mirror.ID, difference(m.answer, a), took, nil)
	case e.mirrors.ctx.Err() != nil:
		e.parts.Observer.MirrorDropped(m.answered, DroppedStopping)
	case errors.Is(err, errNoMemory):
		e.parts.Observer.MirrorDropped(m.answered, DroppedMemory)
	case scoring.CodeOf(err) == scoring.Overloaded:
		e.parts.Observer.MirrorDropped(m.answered, DroppedOverloaded)
	default:
		e.parts.Observer.Mirrored(m.answered, m.mirror.ID, compare.Difference{}, took, err)
	}
}
