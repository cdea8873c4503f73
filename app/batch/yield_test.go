package batch_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onda-serving/onda/app/batch"
	"github.com/onda-serving/onda/app/scoring"
)

// yielder is a model whose runs can make way for others.
type yielder struct {
	model

	yielded []int32 // the first elements of those runs
	slow    int     // how many times as long they take; 0 is as long
}

func (m *yielder) Yields() bool { return true }

func (m *yielder) RunYielding(ctx context.Context, inputs []scoring.Tensor, outputs []string) ([]scoring.Tensor, error) {
	m.mu.Lock()
	m.yielded = append(m.yielded, numbers(inputs[0].Data)[0])
	m.mu.Unlock()
	time.Sleep(time.Duration(m.slow) * m.fixed)
	return m.Run(ctx, inputs, outputs)
}

// stubborn is a model that says that it cannot make way.
type stubborn struct{ yielder }

func (m *stubborn) Yields() bool { return false }

func TestInteractiveDoesNotWaitForBulkThatMakesWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &yielder{model: model{fixed: 100 * ms}}
		c := call(t, batch.New(m, batch.Config{MaxRows: 8, MaxQueue: 100}, batch.Parts{Scheduler: batch.NewScheduler(1, 1)}))
		for v := range int32(20) {
			c.send(t.Context(), bulk(100+v))
		}
		synctest.Wait()
		c.send(t.Context(), one(1))
		c.checkOwn()
		if a := c.answers[1]; a.took != 100*ms || a.Rows != 1 {
			t.Errorf("the interactive request took %s in a run of %d rows, want 100ms and 1", a.took, a.Rows)
		}
		if runs := len(m.seen()); slices.Contains(m.yielded, 1) || len(m.yielded) != runs-1 {
			t.Errorf("of %d runs those that made way began with %v: want all of bulk and no other", runs, m.yielded)
		}
		if most := m.peak(); most != 2 {
			t.Errorf("%d runs at once, want one of each lane", most)
		}
	})
}

func TestBulkThatMakesWayFillsItsOwnBatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &yielder{model: model{fixed: 20 * ms, perRow: ms}}
		c := call(t, batch.New(m, batch.Config{MaxRows: 16, MaxQueue: 1000}, batch.Parts{Scheduler: batch.NewScheduler(2, 1)}))
		for v := range int32(200) {
			c.send(t.Context(), bulk(100+v))
		}
		c.checkOwn()
		runs := m.seen()
		if full := slices.Max(runs); full != 16 || len(runs) > 40 {
			t.Errorf("200 bulk rows ran in batches of %v, want them full at 16 once that is known to pay", runs)
		}
		if most := m.peak(); most != 1 {
			t.Errorf("%d bulk runs at once, want 1: that many slots make way", most)
		}
	})
}

// TestBulkTakesTurnsWhereItCannotMakeWay: without slots for it, or with a model that cannot.
func TestBulkTakesTurnsWhereItCannotMakeWay(t *testing.T) {
	t.Parallel()
	for name, parts := range map[string]struct {
		model    batch.Model
		yielding int
	}{
		"no slots": {&yielder{model: model{fixed: 100 * ms}}, 0},
		"a model":  {&stubborn{yielder{model: model{fixed: 100 * ms}}}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := call(t, batch.New(parts.model, batch.Config{MaxRows: 8, MaxQueue: 100}, batch.Parts{Scheduler: batch.NewScheduler(1, parts.yielding)}))
				c.send(t.Context(), bulk(1))
				synctest.Wait()
				c.send(t.Context(), one(2))
				c.checkOwn()
				if a := c.answers[2]; a.took != 200*ms {
					t.Errorf("the interactive request took %s, want 200ms behind the bulk run", a.took)
				}
			})
		})
	}
}

// TestFailuresOfBulkAreIsolatedInRunsThatMakeWay: also the runs that find the culprit do.
func TestFailuresOfBulkAreIsolatedInRunsThatMakeWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &yielder{model: model{fixed: 10 * ms, poison: 666}}
		c := call(t, batch.New(m, batch.Config{MaxRows: 8, MaxQueue: 100}, batch.Parts{Scheduler: batch.NewScheduler(1, 1)}))
		c.send(t.Context(), bulk(1))
		synctest.Wait()
		for _, v := range []int32{2, 3, 666} {
			c.send(t.Context(), bulk(v))
		}
		c.wait.Wait()
		if a := c.answers[666]; codeOf(a.err) != scoring.Invalid {
			t.Errorf("the poison is answered by %v", a.err)
		}
		delete(c.answers, 666)
		c.checkOwn()
		if runs := m.seen(); len(runs) != len(m.yielded) || len(runs) < 4 {
			t.Errorf("%d runs, of which %d made way: want all of 4 or more", len(runs), len(m.yielded))
		}
	})
}

// TestSlowBulkTurnsNobodyAway: what makes way may take long, and says nothing about others.
func TestSlowBulkTurnsNobodyAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &yielder{model: model{fixed: 10 * ms}, slow: 2000}
		b := batch.New(m, batch.Config{MaxRows: 8, MaxQueue: 100}, batch.Parts{Scheduler: batch.NewScheduler(1, 1)})
		ask := func(req batch.Request, budget time.Duration) error {
			ctx, cancel := context.WithTimeout(t.Context(), budget)
			defer cancel()
			leave, err := b.Admit(ctx, req.Schedule, 1)
			if err != nil {
				return err
			}
			defer leave()
			_, err = b.Run(ctx, req)
			return err
		}
		for v := range int32(12) {
			if err := ask(bulk(100+v), time.Minute); err != nil {
				t.Fatal(err)
			}
		}
		var all sync.WaitGroup
		for v := range int32(5) {
			all.Go(func() {
				if err := ask(one(1+v), time.Second); err != nil {
					t.Errorf("after slow bulk runs: %v", err)
				}
			})
		}
		all.Wait()
	})
}
