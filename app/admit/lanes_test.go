package admit_test

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onda-serving/onda/app/admit"
	"github.com/onda-serving/onda/app/scoring"
)

// visit is who passed a gate, and when.
type visit struct {
	name string
	at   time.Duration
}

// visitors pass a gate and stay for a second each.
type visitors struct {
	t     *testing.T
	lanes *admit.Lanes
	began time.Time
	all   sync.WaitGroup
	mu    sync.Mutex
	seen  []visit
}

func (v *visitors) come(name string, lane scoring.Lane) {
	v.all.Go(func() {
		leave, err := v.lanes.Enter(v.t.Context(), lane)
		if err != nil {
			v.t.Error(err)
			return
		}
		v.mu.Lock()
		v.seen = append(v.seen, visit{name, time.Since(v.began)})
		v.mu.Unlock()
		time.Sleep(time.Second)
		leave()
	})
	synctest.Wait()
}

func (v *visitors) want(want ...visit) {
	v.t.Helper()
	v.all.Wait()
	for _, all := range [][]visit{v.seen, want} { // those who enter in the same moment do so in any order
		slices.SortFunc(all, func(a, b visit) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.name, b.name)) })
	}
	if !slices.Equal(v.seen, want) {
		v.t.Errorf("they entered as %v, want %v", v.seen, want)
	}
}

func TestLanesLetInteractiveGoFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := &visitors{t: t, lanes: admit.NewLanes(1), began: time.Now()}
		v.come("bulk 1", scoring.Bulk)
		v.come("bulk 2", scoring.Bulk)
		v.come("one", scoring.Interactive)
		v.come("two", scoring.Interactive)
		v.want(visit{"bulk 1", 0}, visit{"one", time.Second}, visit{"two", 2 * time.Second}, visit{"bulk 2", 3 * time.Second})
	})
}

// TestLanesKeepAPlaceFree while interactive requests come, and give it to bulk when they stop.
func TestLanesKeepAPlaceFree(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := &visitors{t: t, lanes: admit.NewLanes(3), began: time.Now()}
		v.come("one", scoring.Interactive)
		v.come("bulk 1", scoring.Bulk)
		v.come("bulk 2", scoring.Bulk)
		time.Sleep(time.Second / 2)
		v.come("two", scoring.Interactive) // no place is left for it until somebody leaves
		v.come("bulk 3", scoring.Bulk)
		v.come("bulk 4", scoring.Bulk)
		v.come("bulk 5", scoring.Bulk)
		v.want(
			visit{"one", 0}, visit{"bulk 1", 0}, visit{"bulk 2", 0}, visit{"two", time.Second},
			visit{"bulk 3", time.Second}, visit{"bulk 4", time.Second}, visit{"bulk 5", 2 * time.Second},
		)
	})
	synctest.Test(t, func(t *testing.T) {
		v := &visitors{t: t, lanes: admit.NewLanes(2), began: time.Now()}
		v.come("bulk 1", scoring.Bulk)
		v.come("bulk 2", scoring.Bulk)
		v.want(visit{"bulk 1", 0}, visit{"bulk 2", 0}) // nobody else comes
	})
}

func TestLanesLookAgainWhenInteractiveHasStopped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lanes, ctx := admit.NewLanes(2), t.Context()
		enter := func(lane scoring.Lane) func() {
			leave, err := lanes.Enter(ctx, lane)
			if err != nil {
				t.Fatal(err)
			}
			return leave
		}
		defer enter(scoring.Bulk)()
		began := time.Now()
		enter(scoring.Interactive)()
		defer enter(scoring.Bulk)() // nobody leaves meanwhile
		if took := time.Since(began); took != time.Second {
			t.Errorf("the second bulk request entered after %s, want 1s", took)
		}
	})
}

func TestLanesLetGoOfThoseWhoLeave(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lanes := admit.NewLanes(0) // still one
		leave, err := lanes.Enter(t.Context(), scoring.Bulk)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := lanes.Enter(ctx, scoring.Interactive); scoring.CodeOf(err) != scoring.Expired {
			t.Errorf("got %v, want that the time is over", err)
		}
		gone, cancelGone := context.WithCancel(t.Context())
		cancelGone()
		if _, err := lanes.Enter(gone, scoring.Interactive); scoring.CodeOf(err) != scoring.Canceled {
			t.Errorf("got %v, want that the caller left", err)
		}
		leave()
		if leave, err = lanes.Enter(t.Context(), scoring.Interactive); err != nil {
			t.Fatalf("the place of those who left is not free: %v", err)
		}
		leave()
	})
}
