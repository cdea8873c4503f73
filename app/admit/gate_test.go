package admit_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/onda-serving/onda/app/admit"
	"github.com/onda-serving/onda/app/scoring"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestIdleGateAdmitsAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		leave := enter(t, admit.New(2, 0), 2)
		defer leave()
		if waited := time.Since(start); waited != 0 {
			t.Errorf("waited %v at an idle gate, want 0", waited)
		}
	})
}

func TestFullQueueIsRefusedAtOnceWithATruthfulRetryAfter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := admit.New(1, 3)
		// Three rows of 4 s each teach the gate what a row costs.
		for range 3 {
			leave := enter(t, g, 1)
			time.Sleep(4 * time.Second)
			leave()
		}
		leave := enter(t, g, 1)
		var waiters sync.WaitGroup
		for range 3 {
			waiters.Go(func() { enter(t, g, 1)() })
		}
		synctest.Wait()
		start := time.Now()
		_, err := g.Enter(t.Context(), 1)
		var e *scoring.Error
		if !errors.As(err, &e) || e.Code != scoring.Overloaded {
			t.Fatalf("got %v, want Overloaded", err)
		}
		if want := "the server is overloaded: 3 rows wait and at most 3 may"; e.Message != want {
			t.Errorf("message %q, want %q", e.Message, want)
		}
		if want := 16 * time.Second; e.RetryAfter != want {
			t.Errorf("retry after %v, want %v: one row runs and three wait, 4 s each", e.RetryAfter, want)
		}
		if waited := time.Since(start); waited != 0 {
			t.Errorf("refused after %v, want at once", waited)
		}
		leave()
		waiters.Wait()
	})
}

func TestFirstComeFirstServedAlsoForLargeRequests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := admit.New(2, 10)
		leave := enter(t, g, 1)
		var order []string
		var mu sync.Mutex
		var waiters sync.WaitGroup
		queue := func(name string, rows int) {
			waiters.Go(func() {
				leave := enter(t, g, rows)
				mu.Lock()
				order = append(order, name)
				mu.Unlock()
				time.Sleep(time.Second)
				leave()
			})
			synctest.Wait()
		}
		queue("large", 2) // does not fit beside the row in flight
		queue("small", 1) // would fit, but came later
		leave()
		waiters.Wait()
		if got := fmt.Sprint(order); got != "[large small]" {
			t.Errorf("order %v, want [large small]", got)
		}
	})
}

func TestRequestLargerThanTheGateRunsAlone(t *testing.T) {
	t.Parallel()
	g := admit.New(2, 0)
	leave := enter(t, g, 100)
	if _, err := g.Enter(t.Context(), 1); scoring.CodeOf(err) != scoring.Overloaded {
		t.Errorf("a second request got %v, want Overloaded", err)
	}
	leave()
	enter(t, g, 1)()
}

func TestWhoLeavesTheQueueFreesItsPlace(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		end  func(context.Context) (context.Context, context.CancelFunc)
		want scoring.Code
	}{
		{"caller left", context.WithCancel, scoring.Canceled},
		{"budget spent", func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Second)
		}, scoring.Expired},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := admit.New(1, 1)
				leave := enter(t, g, 1)
				ctx, cancel := tt.end(t.Context())
				defer cancel()
				result := make(chan error)
				go func() {
					_, err := g.Enter(ctx, 1)
					result <- err
				}()
				synctest.Wait()
				if tt.want == scoring.Canceled {
					cancel()
				}
				if err := <-result; scoring.CodeOf(err) != tt.want {
					t.Errorf("got %v, want %v", err, tt.want)
				}
				if got := g.Stats().Queued; got != 0 {
					t.Errorf("%d rows still queued", got)
				}
				leave()
				enter(t, g, 1)()
			})
		})
	}
}

func TestSpentBudgetNeverEnters(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	if _, err := admit.New(1, 1).Enter(ctx, 1); scoring.CodeOf(err) != scoring.Expired {
		t.Errorf("got %v, want Expired", err)
	}
}

func TestClosedGateFinishesWhatItAccepted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := admit.New(1, 1)
		leave := enter(t, g, 1)
		queued := make(chan struct{})
		go func() {
			leave := enter(t, g, 1)
			close(queued)
			time.Sleep(time.Second)
			leave()
		}()
		synctest.Wait()
		g.Close()
		g.Close()
		if _, err := g.Enter(t.Context(), 1); scoring.CodeOf(err) != scoring.Unavailable {
			t.Errorf("got %v, want Unavailable", err)
		}
		select {
		case <-g.Drained():
			t.Fatal("drained with requests inside")
		default:
		}
		leave()
		<-queued
		<-g.Drained()
	})
}

func TestEmptyClosedGateIsDrained(t *testing.T) {
	t.Parallel()
	g := admit.New(1, 1)
	g.Close()
	<-g.Drained()
}

// TestNeverMoreInFlightThanAllowed is a property test: random sizes, holding times and
// callers that leave.
func TestNeverMoreInFlightThanAllowed(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			const capacity, queue = 4, 12
			random := rand.New(rand.NewPCG(seed, 1))
			g := admit.New(capacity, queue)
			var callers sync.WaitGroup
			var mu sync.Mutex
			inFlight := 0
			change := func(by int) {
				mu.Lock()
				defer mu.Unlock()
				if inFlight += by; inFlight > capacity {
					t.Errorf("seed %d: %d rows in flight, at most %d may be", seed, inFlight, capacity)
				}
			}
			for range 300 {
				rows := 1 + random.IntN(capacity)
				hold := time.Duration(random.IntN(50)) * time.Millisecond
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+random.IntN(100))*time.Millisecond)
				callers.Go(func() {
					defer cancel()
					leave, err := g.Enter(ctx, rows)
					if err != nil {
						return
					}
					change(rows)
					time.Sleep(hold)
					change(-rows)
					leave()
				})
				time.Sleep(time.Duration(random.IntN(8)) * time.Millisecond)
			}
			callers.Wait()
			if s := g.Stats(); s.InFlight != 0 || s.Queued != 0 {
				t.Errorf("seed %d: left behind %+v", seed, s)
			}
			g.Close()
			<-g.Drained()
		})
	}
}

func BenchmarkEnter(b *testing.B) {
	g := admit.New(1, 0)
	b.ReportAllocs()
	for b.Loop() {
		leave, err := g.Enter(b.Context(), 1)
		if err != nil {
			b.Fatal(err)
		}
		leave()
	}
}

func enter(t *testing.T, g *admit.Gate, rows int) func() {
	t.Helper()
	leave, err := g.Enter(t.Context(), rows)
	if err != nil {
		t.Errorf("enter %d rows: %v", rows, err)
		return func() {}
	}
	return leave
}
