package load

import (
	"context"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	"github.com/onda-serving/onda/tests/bench/stats"
)

// dispatcher hands requests that are due to connections that are idle. It prefers the
// connection that was used last, so that no more are open than the load needs.
type dispatcher struct {
	job     Job
	connect func() (client, error)
	from    time.Time // when the window begins

	mu    sync.Mutex
	idle  []chan time.Time
	made  int
	queue []time.Time // due, but every connection is busy
	tally stats.Tally
	lag   stats.Histogram
	first string
	open  sync.WaitGroup // requests that are due and have no answer yet
}

// openLoop sends requests at random times, whatever becomes of those before. A request
// counts if it was due in the window; all of them are waited for.
func openLoop(ctx context.Context, job Job, connect func() (client, error)) (Result, error) {
	d := &dispatcher{job: job, connect: connect, tally: stats.Tally{Budget: job.Budget}}
	defer d.stop()
	// Sleeping to the microsecond takes a thread that nobody else uses.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	random := rand.New(rand.NewPCG(job.Seed, 1)) //nolint:gosec // the times of a load are no secret, and must repeat
	due := time.Now()
	d.from = due.Add(job.WarmUp)
	end := d.from.Add(job.Window)
	var m *meter
	for ctx.Err() == nil {
		due = due.Add(time.Duration(random.ExpFloat64() / job.Rate * float64(time.Second)))
		if m == nil && due.After(d.from) {
			m = startMeter(job.Watch)
		}
		if due.After(end) {
			break
		}
		sleepUntil(due)
		d.dispatch(due)
	}
	sleepUntil(end)
	var r Result
	if m != nil {
		m.stop(&r)
	}
	r.Seconds = job.Window.Seconds()
	d.open.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	r.report(&d.tally)
	r.Lag, r.Error = describe(&d.lag), d.first
	return r, ctx.Err()
}

// dispatch gives a request to an idle connection, to a new one, or to the next that
// becomes idle.
func (d *dispatcher) dispatch(due time.Time) {
	d.open.Add(1)
	d.mu.Lock()
	defer d.mu.Unlock()
	if due.After(d.from) {
		d.lag.Add(time.Since(due))
	}
	switch n := len(d.idle); {
	case n > 0:
		d.idle[n-1] <- due // it waits for exactly this
		d.idle = d.idle[:n-1]
	case d.made < d.job.Connections:
		d.made++
		work := make(chan time.Time, 1)
		work <- due
		go d.serve(work)
	default:
		d.queue = append(d.queue, due)
	}
}

// serve sends the requests that one connection gets, until there are no more.
func (d *dispatcher) serve(work chan time.Time) {
	c, err := d.connect()
	if err != nil {
		d.note(stats.Failed, err, time.Now())
		return
	}
	defer c.close()
	for due := range work {
		for {
			outcome, err := c.do()
			d.note(outcome, err, due)
			next, more := d.next(work)
			if !more {
				break
			}
			due = next
		}
	}
}

// next takes a request that waits, or declares the connection idle.
func (d *dispatcher) next(work chan time.Time) (due time.Time, more bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.queue) == 0 {
		d.idle = append(d.idle, work)
		return time.Time{}, false
	}
	due = d.queue[0]
	d.queue = d.queue[1:]
	return due, true
}

// note counts a request that has ended.
func (d *dispatcher) note(outcome stats.Outcome, err error, due time.Time) {
	latency := time.Since(due)
	d.mu.Lock()
	defer d.mu.Unlock()
	if due.After(d.from) {
		d.tally.Add(outcome, latency)
	}
	if err != nil && d.first == "" {
		d.first = err.Error()
	}
	d.open.Done()
}

// stop ends the idle connections.
func (d *dispatcher) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, work := range d.idle {
		close(work)
	}
	d.idle = nil
}
