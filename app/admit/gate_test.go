package admit_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onda-serving/onda/app/admit"
	"github.com/onda-serving/onda/app/scoring"
)

func TestGateLetsSoManyThroughInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := admit.New(2)
		var inside, most atomic.Int32
		var mu sync.Mutex
		var order []int
		for i := range 6 {
			go func() {
				time.Sleep(time.Duration(i) * time.Millisecond)
				leave, err := gate.Enter(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				order = append(order, i)
				most.Store(max(most.Load(), inside.Add(1)))
				mu.Unlock()
				time.Sleep(time.Duration(10+i) * time.Millisecond)
				inside.Add(-1)
				leave()
			}()
			synctest.Wait()
		}
		time.Sleep(time.Second)
		mu.Lock()
		defer mu.Unlock()
		for i, got := range order {
			if got != i {
				t.Fatalf("they entered in the order %v", order)
			}
		}
		if most.Load() != 2 || len(order) != 6 {
			t.Errorf("%d entered, %d at once, want 6 and 2", len(order), most.Load())
		}
	})
}

func TestGateLetsGoOfThoseWhoLeave(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := admit.New(0) // still one: a gate that nobody passes is of no use
		leave, err := gate.Enter(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := gate.Enter(ctx); scoring.CodeOf(err) != scoring.Expired {
			t.Errorf("got %v, want that the time is over", err)
		}
		gone, cancelGone := context.WithCancel(t.Context())
		cancelGone()
		if _, err := gate.Enter(gone); scoring.CodeOf(err) != scoring.Canceled {
			t.Errorf("got %v, want that the caller left", err)
		}
		leave()
		if leave, err = gate.Enter(t.Context()); err != nil {
			t.Fatalf("the place of those who left is not free: %v", err)
		}
		leave()
	})
}
