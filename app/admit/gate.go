// Package admit bounds what the server takes on: the memory of bodies and of waiting tensors
// ([Bytes]), the requests that are pre-processed at once ([Gate]), and it counts those under
// way, for a stop to wait for ([Flights]). Which requests a model has room for is decided by
// its batcher: see package batch.
package admit

import (
	"context"

	"golang.org/x/sync/semaphore"

	"github.com/onda-serving/onda/app/scoring"
)

// Gate lets at most a fixed number of requests through at once, first come, first served. How
// many may wait is for others to bound. It is safe for concurrent use.
type Gate struct{ places *semaphore.Weighted }

// New makes a gate for so many requests at once, at least one.
func New(capacity int) *Gate { return &Gate{semaphore.NewWeighted(int64(max(1, capacity)))} }

// Enter waits for a place. leave gives it back; it must be called exactly once, and only if
// err is nil.
//
// The error is an [scoring.Error], Expired or Canceled, when ctx ended first. A caller that
// leaves frees its place in the queue at once.
func (g *Gate) Enter(ctx context.Context) (leave func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, scoring.AsError(err)
	}
	if err := g.places.Acquire(ctx, 1); err != nil {
		return nil, scoring.AsError(err)
	}
	return func() { g.places.Release(1) }, nil
}
