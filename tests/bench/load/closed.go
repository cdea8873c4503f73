package load

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/onda-serving/onda/tests/bench/stats"
)

// The phases of a closed loop.
const (
	warming int32 = iota
	measuring
	over
)

// closedLoop keeps every connection busy. A request counts if it ends in the window.
func closedLoop(ctx context.Context, job Job, connect func() (client, error)) (Result, error) {
	var (
		phase   atomic.Int32
		group   sync.WaitGroup
		first   atomic.Pointer[string]
		tallies = make([]*stats.Tally, job.Connections)
	)
	for i := range tallies {
		c, err := connect()
		if err != nil {
			return Result{}, err
		}
		tallies[i] = &stats.Tally{Budget: job.Budget}
		group.Go(func() { keepBusy(c, &phase, tallies[i], &first) })
	}
	pause(ctx, job.WarmUp)
	m := startMeter(job.Watch)
	phase.Store(measuring)
	pause(ctx, job.Window)
	phase.Store(over)
	var r Result
	m.stop(&r)
	group.Wait()
	all := &stats.Tally{}
	for _, t := range tallies {
		all.Merge(t)
	}
	r.report(all)
	if text := first.Load(); text != nil {
		r.Error = *text
	}
	return r, ctx.Err()
}

// keepBusy sends one request after the other until the window is over.
func keepBusy(c client, phase *atomic.Int32, t *stats.Tally, first *atomic.Pointer[string]) {
	defer c.close()
	began := time.Now()
	for phase.Load() != over {
		outcome, err := c.do()
		ended := time.Now()
		if err != nil {
			text := err.Error()
			first.CompareAndSwap(nil, &text)
			time.Sleep(time.Millisecond) // a server that is gone must not make this a busy loop
		}
		if phase.Load() == measuring {
			t.Add(outcome, ended.Sub(began))
		}
		began = ended
	}
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
