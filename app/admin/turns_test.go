package admin_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onda-serving/onda/app/admin"
	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/scoring"
)

func TestOneChangeOfAModelAfterTheOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := managed(t)
		var busy atomic.Int32
		r.replica.prepare = func(context.Context, *catalog.Model, int64, int64) (admin.Comparison, error) {
			if n := busy.Add(1); n > 1 {
				t.Errorf("%d changes of one model at once", n)
			}
			time.Sleep(time.Minute)
			busy.Add(-1)
			return admin.Comparison{}, nil
		}
		var group sync.WaitGroup
		for i := range 5 {
			group.Go(func() {
				if _, err := r.SetLabel(t.Context(), "m", fmt.Sprintf("l%d", i), 2, by); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		if got := len(r.model(t).Labels); got != 6 {
			t.Errorf("got %d labels, want 6", got)
		}
	})
}

func TestAFewChangesOfManyModelsAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		var mu sync.Mutex
		var busy, most int
		count := func(n int) {
			mu.Lock()
			defer mu.Unlock()
			busy += n
			most = max(most, busy)
		}
		r.replica.inspect = func(_ string, v catalog.Version) (report, error) {
			count(1)
			time.Sleep(time.Minute)
			count(-1)
			return reportOf(v), nil
		}
		r.store.files[sum("1")] = 5
		var group sync.WaitGroup
		for i := range 10 {
			group.Go(func() {
				if _, err := r.Register(t.Context(), fmt.Sprintf("m%d", i), admin.Registration{Location: "store:", Files: filesOf("1")}, by); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		if most != 4 {
			t.Errorf("%d changes were under way at once, want 4", most)
		}
	})
}

// TestWaitingEndsWithTheBudget has a change that waits for longer than its caller does.
func TestWaitingEndsWithTheBudget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := managed(t)
		r.replica.prepare = func(context.Context, *catalog.Model, int64, int64) (admin.Comparison, error) {
			time.Sleep(time.Minute)
			return admin.Comparison{}, nil
		}
		var group sync.WaitGroup
		group.Go(func() {
			if _, err := r.SetLabel(t.Context(), "m", "live", 2, by); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		var heard []admin.Progress
		ask := admin.Ask{Actor: "bob", Progress: func(p admin.Progress) { heard = append(heard, p) }}
		_, err := r.SetLabel(ctx, "m", "live", 3, ask)
		refused(t, err, scoring.Expired, "the change was not begun")
		if len(heard) != 1 || heard[0].Stage != admin.StageWaiting {
			t.Errorf("heard %v, want that it waits", heard)
		}
		group.Wait()
		if got := r.model(t).Labels["live"]; got != 2 {
			t.Errorf("live is %d, want 2", got)
		}
	})
}

func TestProgressIsPassedOn(t *testing.T) {
	t.Parallel()
	r := managed(t)
	var heard []string
	if _, err := r.SetLabel(t.Context(), "m", "live", 2, admin.Ask{Actor: "ann", Progress: func(p admin.Progress) { heard = append(heard, p.Stage) }}); err != nil {
		t.Fatal(err)
	}
	same(t, "stages", heard, []string{"waiting", "load"})
}

// TestWaitingForASlotGivesTheTurnBack has as many changes under way as may, of other models.
func TestWaitingForASlotGivesTheTurnBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.store.files[sum("1")] = 5
		r.replica.inspect = func(_ string, v catalog.Version) (report, error) {
			time.Sleep(time.Minute)
			return reportOf(v), nil
		}
		register := func(ctx context.Context, name string) error {
			_, err := r.Register(ctx, name, admin.Registration{Location: "store:", Files: filesOf("1")}, by)
			return err
		}
		var group sync.WaitGroup
		for i := range 4 {
			group.Go(func() {
				if err := register(t.Context(), fmt.Sprintf("m%d", i)); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		refused(t, register(ctx, "m"), scoring.Expired, "the change was not begun")
		group.Wait()
		if err := register(t.Context(), "m"); err != nil {
			t.Error(err)
		}
	})
}
