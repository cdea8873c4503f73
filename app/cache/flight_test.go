package cache_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onda-serving/onda/app/cache"
	"github.com/onda-serving/onda/app/scoring"
)

// slow is a computation of 1 that takes an hour and counts how often it ran. It ends with
// its context.
type slow struct {
	mu         sync.Mutex
	runs, ends int
}

func (s *slow) compute(ctx context.Context) (any, int64, error) {
	s.mu.Lock()
	s.runs++
	s.mu.Unlock()
	select {
	case <-time.After(time.Hour):
		return 1, 0, nil
	case <-ctx.Done():
		s.mu.Lock()
		s.ends++
		s.mu.Unlock()
		return nil, 0, ctx.Err()
	}
}

// outcome is what Do gave to one caller, and when.
type outcome struct {
	value any
	hit   bool
	err   error
	after time.Duration
}

// ask calls Do in another goroutine, and comes back when it waits. The outcome is there
// when `callers` is done.
func ask(callers *sync.WaitGroup, c *cache.Cache, ctx context.Context, key cache.Key, compute cache.Compute) *outcome { //nolint:revive // the cache comes first, as in c.Do
	o := &outcome{}
	start := time.Now()
	callers.Go(func() {
		o.value, o.hit, o.err = c.Do(ctx, key, time.Minute, compute)
		o.after = time.Since(start)
	})
	synctest.Wait()
	return o
}

func TestSameQuestionsAtOnceAreComputedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const n = 100
		c, work := cache.New(roomy), slow{}
		var callers sync.WaitGroup
		var outcomes []*outcome
		for range n {
			outcomes = append(outcomes, ask(&callers, c, t.Context(), keyOf("a"), work.compute))
		}
		if got := c.Stats().Flights; got != 1 {
			t.Errorf("%d computations, want 1", got)
		}
		callers.Wait()
		for i, o := range outcomes {
			if want := (outcome{1, i > 0, nil, time.Hour}); *o != want {
				t.Errorf("caller %d: got %+v, want %+v", i, *o, want)
			}
		}
		if s := c.Stats(); work.runs != 1 || s.Misses != 1 || s.Shared != n-1 || s.Hits != 0 || s.Flights != 0 {
			t.Errorf("%d runs, stats %+v", work.runs, s)
		}
	})
}

func TestOtherQuestionsDoNotWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, work := cache.New(roomy), slow{}
		var callers sync.WaitGroup
		ask(&callers, c, t.Context(), keyOf("a"), work.compute)
		if o := ask(&callers, c, t.Context(), keyOf("b"), gives(2, 0)); o.value != 2 || o.after != 0 {
			t.Errorf("got %+v, want 2 at once", *o)
		}
		callers.Wait()
	})
}

func TestCallerWhoLeavesDoesNotFailTheOthers(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]bool{"the first": true, "another": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c, work := cache.New(roomy), slow{}
				var callers sync.WaitGroup
				leaving, leave := context.WithCancel(t.Context())
				ctxs := []context.Context{t.Context(), t.Context(), t.Context()}
				gone := 1
				if first {
					gone = 0
				}
				ctxs[gone] = leaving
				var outcomes []*outcome
				for _, ctx := range ctxs {
					outcomes = append(outcomes, ask(&callers, c, ctx, keyOf("a"), work.compute))
				}
				time.Sleep(time.Minute)
				leave()
				callers.Wait()
				for i, o := range outcomes {
					if i == gone {
						if scoring.CodeOf(o.err) != scoring.Canceled || o.after != time.Minute {
							t.Errorf("who left: got %+v, want Canceled at once", *o)
						}
					} else if o.value != 1 || o.err != nil || o.after != time.Hour {
						t.Errorf("who stayed: got %+v", *o)
					}
				}
				if work.runs != 1 || work.ends != 0 {
					t.Errorf("%d runs, %d were ended; want one, to its end", work.runs, work.ends)
				}
			})
		})
	}
}

func TestEachCallerHasItsOwnDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, work := cache.New(roomy), slow{}
		var callers sync.WaitGroup
		short, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		hurried := ask(&callers, c, short, keyOf("a"), work.compute)
		patient := ask(&callers, c, t.Context(), keyOf("a"), work.compute)
		callers.Wait()
		if scoring.CodeOf(hurried.err) != scoring.Expired || hurried.after != time.Minute {
			t.Errorf("with a minute: got %+v, want Expired after it", *hurried)
		}
		if patient.value != 1 || patient.err != nil {
			t.Errorf("without a deadline: got %+v", *patient)
		}
	})
}

func TestComputationEndsWithItsLastCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, work := cache.New(roomy), slow{}
		var callers sync.WaitGroup
		start := time.Now()
		for _, patience := range []time.Duration{2 * time.Minute, time.Minute} {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			ask(&callers, c, ctx, keyOf("a"), work.compute)
		}
		callers.Wait()
		c.Wait()
		if after := time.Since(start); work.runs != 1 || work.ends != 1 || after != 2*time.Minute {
			t.Errorf("%d runs, %d were ended, after %v; want one, ended as the last left", work.runs, work.ends, after)
		}
		if s := c.Stats(); s.Flights != 0 || s.Entries != 0 {
			t.Errorf("stats %+v, want nothing left", s)
		}
	})
}

func TestNobodyJoinsAComputationThatWasToldToEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := cache.New(roomy)
		var callers sync.WaitGroup
		leaving, leave := context.WithCancel(t.Context())
		stubborn := func(context.Context) (any, int64, error) {
			time.Sleep(time.Hour)
			return "late", 0, nil
		}
		ask(&callers, c, leaving, keyOf("a"), stubborn)
		leave()
		synctest.Wait()
		if o := ask(&callers, c, t.Context(), keyOf("a"), gives("new", 0)); o.value != "new" || o.hit {
			t.Errorf("got %+v, want an answer of its own", *o)
		}
		callers.Wait()
		c.Wait()
		if s := c.Stats(); s.Entries > 1 || s.Flights != 0 {
			t.Errorf("stats %+v", s)
		}
	})
}

type contextKey struct{}

func TestComputationHasTheValuesOfTheFirstCallerAndTheLatestDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := cache.New(roomy)
		var callers sync.WaitGroup
		var seen []time.Duration
		var value any
		note := func(ctx context.Context) {
			deadline, ok := ctx.Deadline()
			if !ok {
				seen = append(seen, -1)
				return
			}
			seen = append(seen, time.Until(deadline))
		}
		compute := func(ctx context.Context) (any, int64, error) {
			value = ctx.Value(contextKey{})
			for range 4 {
				note(ctx)
				time.Sleep(time.Second)
			}
			return 1, 0, nil
		}
		within := func(d time.Duration) context.Context {
			ctx, cancel := context.WithTimeout(t.Context(), d)
			t.Cleanup(cancel)
			return ctx
		}
		ask(&callers, c, context.WithValue(within(10*time.Second), contextKey{}, "first"), keyOf("a"), compute)
		time.Sleep(time.Second / 2)
		ask(&callers, c, context.WithValue(within(30*time.Second), contextKey{}, "second"), keyOf("a"), compute)
		ask(&callers, c, within(20*time.Second), keyOf("a"), compute)
		time.Sleep(time.Second)
		ask(&callers, c, t.Context(), keyOf("a"), compute)
		time.Sleep(time.Second)
		ask(&callers, c, within(time.Minute), keyOf("a"), compute)
		callers.Wait()
		want := []time.Duration{10 * time.Second, 29500 * time.Millisecond, -1, -1}
		if value != "first" || len(seen) != 4 || [4]time.Duration(seen) != [4]time.Duration(want) {
			t.Errorf("value %v, deadlines %v; want first, %v", value, seen, want)
		}
	})
}

func TestInteractiveDoesNotWaitForBulk(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, work := cache.New(roomy), slow{}
		bulk := texts("a")
		bulk.Schedule.Lane = scoring.Bulk
		var callers sync.WaitGroup
		ask(&callers, c, t.Context(), cache.PredictKey(digest, bulk), work.compute)
		ask(&callers, c, t.Context(), cache.PredictKey(digest, bulk), work.compute)
		if work.runs != 1 {
			t.Errorf("bulk alone: %d runs, want 1", work.runs)
		}
		ask(&callers, c, t.Context(), keyOf("a"), work.compute)
		ask(&callers, c, t.Context(), cache.PredictKey(digest, bulk), work.compute)
		if work.runs != 2 {
			t.Errorf("both lanes: %d runs, want 2: interactive waits for none of bulk, bulk for either", work.runs)
		}
		callers.Wait()
	})
}

func TestErrorOfTheRequestIsEverybodysAnswer(t *testing.T) {
	t.Parallel()
	for _, code := range []scoring.Code{scoring.Invalid, scoring.TooLarge, scoring.Internal, scoring.NotFound} {
		synctest.Test(t, func(t *testing.T) {
			c, runs := cache.New(roomy), 0
			compute := func(context.Context) (any, int64, error) {
				runs++
				time.Sleep(time.Second)
				return nil, 0, scoring.Errorf(code, "bad")
			}
			var callers sync.WaitGroup
			var outcomes []*outcome
			for range 3 {
				outcomes = append(outcomes, ask(&callers, c, t.Context(), keyOf("a"), compute))
			}
			callers.Wait()
			for _, o := range outcomes {
				if scoring.CodeOf(o.err) != code || o.hit {
					t.Errorf("%v: got %+v", code, *o)
				}
			}
			if s := c.Stats(); runs != 1 || s.Shared != 0 || s.Entries != 0 {
				t.Errorf("%v: %d runs, stats %+v", code, runs, s)
			}
		})
	}
}

// TestErrorOfTheMomentIsNotInherited has the first two computations of five callers fail:
// the third, and not the fourth, fifth and so on, must answer all who are left.
func TestErrorOfTheMomentIsNotInherited(t *testing.T) {
	t.Parallel()
	for name, failure := range map[string]error{
		"overloaded":  scoring.Errorf(scoring.Overloaded, "full"),
		"unavailable": scoring.Errorf(scoring.Unavailable, "draining"),
		"expired":     scoring.Errorf(scoring.Expired, "too late"),
		"canceled":    scoring.Errorf(scoring.Canceled, "left"),
		"denied":      scoring.Errorf(scoring.Denied, "not you"),
		"context":     context.DeadlineExceeded,
		"inside":      scoring.InternalError(context.Canceled),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := cache.New(roomy)
				var mu sync.Mutex
				runs := 0
				compute := func(context.Context) (any, int64, error) {
					mu.Lock()
					runs++
					failed := runs == 1
					mu.Unlock()
					time.Sleep(time.Second)
					if failed {
						return nil, 0, failure
					}
					return 1, 0, nil
				}
				var callers sync.WaitGroup
				var outcomes []*outcome
				for range 5 {
					outcomes = append(outcomes, ask(&callers, c, t.Context(), keyOf("a"), compute))
				}
				callers.Wait()
				if !errors.Is(outcomes[0].err, failure) {
					t.Errorf("who began it: got %+v, want its error", *outcomes[0])
				}
				for _, o := range outcomes[1:] {
					if o.value != 1 || o.err != nil || o.after != 2*time.Second {
						t.Errorf("another: got %+v, want 1 after its second try", *o)
					}
				}
				if runs != 2 {
					t.Errorf("%d runs, want 2: who tries again does so together", runs)
				}
			})
		})
	}
}

func TestNobodyWaitsForOneFailureAfterAnother(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := cache.New(roomy)
		compute := func(context.Context) (any, int64, error) {
			time.Sleep(time.Second)
			return nil, 0, scoring.Errorf(scoring.Unavailable, "draining")
		}
		var callers sync.WaitGroup
		var outcomes []*outcome
		for range 50 {
			outcomes = append(outcomes, ask(&callers, c, t.Context(), keyOf("a"), compute))
		}
		callers.Wait()
		for i, o := range outcomes {
			if scoring.CodeOf(o.err) != scoring.Unavailable || o.after > 3*time.Second {
				t.Errorf("caller %d: got %+v, want its own error after three computations at most", i, *o)
			}
		}
	})
}

func TestAnswerOfACallerAloneIsKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := cache.New(roomy)
		var callers sync.WaitGroup
		var mu sync.Mutex
		runs := 0
		compute := func(context.Context) (any, int64, error) {
			mu.Lock()
			defer mu.Unlock()
			if runs++; runs <= 2 {
				time.Sleep(time.Second)
				return nil, 0, scoring.Errorf(scoring.Overloaded, "full")
			}
			return runs, 0, nil
		}
		for range 3 {
			ask(&callers, c, t.Context(), keyOf("a"), compute)
		}
		callers.Wait()
		if !has(t, c, keyOf("a"), 3) {
			t.Error("not kept")
		}
	})
}

func TestPanicReachesOneCallerAndAnErrorTheOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := cache.New(roomy)
		var callers sync.WaitGroup
		var mu sync.Mutex
		panics, internal := 0, 0
		for range 3 {
			callers.Go(func() {
				defer func() {
					p, _ := recover().(*cache.PanicError)
					if p == nil {
						return
					}
					mu.Lock()
					defer mu.Unlock()
					if panics++; p.Value != "oops" || !strings.Contains(p.Error(), "oops") || !strings.Contains(p.Error(), "flight_test.go") {
						t.Errorf("panicked with %v, want the value and where", p)
					}
				}()
				_, _, err := c.Do(t.Context(), keyOf("a"), time.Hour, func(context.Context) (any, int64, error) {
					time.Sleep(time.Second)
					panic("oops")
				})
				mu.Lock()
				defer mu.Unlock()
				var again *cache.PanicError
				if scoring.CodeOf(err) == scoring.Internal && strings.Contains(err.Error(), "oops") && !errors.As(err, &again) {
					internal++
				}
			})
		}
		callers.Wait()
		if panics != 1 || internal != 2 {
			t.Errorf("%d panics and %d Internal errors, want 1 and 2", panics, internal)
		}
		put(t, c, keyOf("a"), time.Hour, 1)
	})
}

func TestComputationThatExitsItsGoroutineLeavesNobodyWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := cache.New(roomy)
		defer func() {
			if p, _ := recover().(*cache.PanicError); p == nil || p.Value != nil {
				t.Errorf("got %v, want a panic without a value", p)
			}
		}()
		_, _, err := c.Do(t.Context(), keyOf("a"), time.Hour, func(context.Context) (any, int64, error) {
			runtime.Goexit()
			return nil, 0, nil
		})
		t.Errorf("got %v", err)
	})
}

func TestComputationMayAskForAnother(t *testing.T) {
	t.Parallel()
	c := cache.New(roomy)
	value, _, err := c.Do(t.Context(), keyOf("a"), time.Hour, func(ctx context.Context) (any, int64, error) {
		value, _, err := c.Do(ctx, keyOf("b"), time.Hour, gives(1, 0))
		return value, 0, err
	})
	if value != 1 || err != nil {
		t.Errorf("got %v, %v", value, err)
	}
}

func TestForgottenVersionKeepsNoAnswerOfAComputationUnderWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, work := cache.New(roomy), slow{}
		var callers sync.WaitGroup
		o := ask(&callers, c, t.Context(), keyOf("a"), work.compute)
		c.Forget(digest)
		callers.Wait()
		if o.value != 1 || o.err != nil {
			t.Errorf("who waited: got %+v, want the answer", *o)
		}
		if s := c.Stats(); s.Entries != 0 {
			t.Errorf("stats %+v, want nothing kept", s)
		}
	})
}
