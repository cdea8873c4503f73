package cache

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/onda-serving/onda/app/scoring"
)

// flight is one computation and those who wait for it.
type flight struct {
	key Key
	ttl time.Duration
	// generation of the cache when the computation began.
	generation uint64
	// cancel ends the computation's context.
	cancel context.CancelFunc

	// waiters and landed are guarded by [Cache.mu].
	waiters int
	landed  bool
	// deadline is the latest of all who ever waited, and nil once one of them had none. It
	// is written under the lock and read without: a computation that asks the cache for
	// something else is asked for its deadline under the lock.
	deadline atomic.Pointer[time.Time]

	// done is closed when value and err are there.
	done  chan struct{}
	value any
	err   error
	// panicked is what the computation panicked with, until one waiter took it.
	panicked atomic.Pointer[PanicError]
}

// PanicError is what [Cache.Do] panics with when the computation did so.
type PanicError struct {
	// Value is what the computation panicked with.
	Value any
	// Stack is where it did, as [debug.Stack] writes it.
	Stack []byte
}

// Error gives value and stack, for the log: they are nothing for a caller.
func (p *PanicError) Error() string {
	return fmt.Sprintf("panic in a computation that callers share: %v\n%s", p.Value, p.Stack)
}

// flightContext is what a computation runs under: it has the values of the first caller,
// ends with the last, and reports the latest deadline of all.
type flightContext struct {
	context.Context //nolint:containedctx // it is a context

	flight *flight
}

// Deadline is when the last of those who wait will have left, as far as is known now. It
// can move on, so that who gave up because of it must not have done so for good: see
// [personal].
func (c flightContext) Deadline() (deadline time.Time, ok bool) {
	if d := c.flight.deadline.Load(); d != nil {
		return *d, true
	}
	return time.Time{}, false
}

// boardLocked adds a waiter to f. Without a deadline of its own it takes the flight's away.
func (f *flight) boardLocked(ctx context.Context) {
	f.waiters++
	deadline, ok := ctx.Deadline()
	if !ok {
		f.deadline.Store(nil)
		return
	}
	latest := f.deadline.Load()
	if f.waiters == 1 || latest != nil && deadline.After(*latest) {
		f.deadline.Store(&deadline)
	}
}

// launchLocked starts a computation with ctx's caller as its first waiter. Its goroutine
// ends with compute, which may be after all callers left: [Cache.Wait] waits for it.
func (c *Cache) launchLocked(ctx context.Context, key Key, ttl time.Duration, compute Compute) *flight {
	f := &flight{key: key, ttl: ttl, generation: c.generation, done: make(chan struct{})}
	f.boardLocked(ctx)
	// The first caller's end is not the computation's: others may still wait for it.
	detached, cancel := context.WithCancel(context.WithoutCancel(ctx))
	f.cancel = cancel
	c.flights[key] = f
	c.running.Go(func() { c.fly(flightContext{detached, f}, f, compute) }) //nolint:contextcheck // it is made of ctx
	return f
}

// fly runs compute. Nothing that compute does can leave the waiters without an answer.
func (c *Cache) fly(ctx context.Context, f *flight, compute Compute) {
	var size int64
	returned := false
	defer func() {
		if !returned {
			// What recover gives is nil after runtime.Goexit, which a failing test calls.
			p := &PanicError{Value: recover(), Stack: debug.Stack()}
			// p itself is for one waiter alone: the others would count it again.
			f.value, f.err = nil, scoring.InternalError(fmt.Errorf("panic in the computation of another request: %v", p.Value))
			f.panicked.Store(p)
		}
		c.land(f, size)
	}()
	f.value, size, f.err = compute(ctx)
	returned = true
}

// land keeps f's answer and hands it to the waiters.
func (c *Cache) land(f *flight, size int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flights[f.key] == f {
		delete(c.flights, f.key)
	}
	if f.err == nil {
		c.keepLocked(f.key, f.value, size, f.ttl, f.generation)
	}
	f.landed = true
	f.cancel()
	close(f.done)
}

// wait blocks until f's answer is there, or ctx ends.
func (c *Cache) wait(ctx context.Context, f *flight) (value any, err error) {
	select {
	case <-f.done:
	case <-ctx.Done():
		if c.leave(f) {
			return nil, scoring.AsError(ctx.Err())
		}
	}
	if p := f.panicked.Swap(nil); p != nil {
		panic(p) //nolint:forbidigo // one of the callers hears of it where it recovers and counts panics
	}
	return f.value, f.err
}

// leave takes a waiter off f. It reports false if the answer came in the same moment.
func (c *Cache) leave(f *flight) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.landed {
		return false
	}
	f.waiters--
	if f.waiters == 0 {
		f.cancel()
		// Who comes now must not wait for a computation that was told to end.
		if c.flights[f.key] == f {
			delete(c.flights, f.key)
		}
	}
	return true
}

// personal says whether err is about the caller or the moment rather than about the
// request: another caller with the same request may have better luck.
func personal(err error) bool {
	switch scoring.CodeOf(err) {
	case scoring.Unauthenticated, scoring.Denied, scoring.Overloaded, scoring.Expired, scoring.Canceled, scoring.Unavailable:
		return true
	default:
		return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
	}
}
