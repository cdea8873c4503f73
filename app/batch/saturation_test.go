package batch_test

import (
	"context"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onda-serving/onda/app/batch"
	"github.com/onda-serving/onda/app/scoring"
)

// TestSaturationFollowsTheLoad loads two slots with runs of 10 ms: what is read is in line with
// the share of the time that they are busy, is above 1 where requests wait, and ends.
func TestSaturationFollowsTheLoad(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		every    time.Duration // between two requests
		min, max float64
	}{
		{"a quarter", 20 * ms, 0.24, 0.26},
		{"a half", 10 * ms, 0.48, 0.52},
		{"three quarters", 6667 * time.Microsecond, 0.73, 0.77},
		{"twice what it can", 2500 * time.Microsecond, 1.9, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := batch.NewScheduler(2, 0)
				b := batch.New(&model{fixed: 10 * ms}, batch.Config{MaxRows: 1, MaxQueue: 1 << 20}, batch.Parts{Scheduler: s})
				c := call(t, b)
				for range int(60 * time.Second / test.every) {
					c.send(t.Context(), one(1))
					time.Sleep(test.every)
				}
				if got := s.Saturation(); got < test.min || got > test.max {
					t.Errorf("got %g, want %g to %g", got, test.min, test.max)
				}
				c.checkOwn()
				before := s.Saturation()
				time.Sleep(10 * time.Second)
				if got, want := s.Saturation(), before/math.E; math.Abs(got-want) > 1e-6 {
					t.Errorf("10 s after the end: got %g, want %g", got, want)
				}
			})
		})
	}
}

// TestWhoBegan says of requests that failed whether their turn had come.
func TestWhoBegan(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &model{fixed: 10 * ms}
		b := rig(m, 1, batch.Config{MaxRows: 1})
		running := make(chan batch.Result, 1)
		go func() {
			ctx, cancel := context.WithTimeout(t.Context(), 5*ms)
			defer cancel()
			result, err := b.Run(ctx, one(1))
			if scoring.CodeOf(err) != scoring.Expired {
				t.Errorf("got %v, want the run to be out of time", err)
			}
			running <- result
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), ms)
		defer cancel()
		result, err := b.Run(ctx, one(2))
		if result.Began || scoring.CodeOf(err) != scoring.Expired {
			t.Errorf("got %+v, %v, want a request out of time that never began", result, err)
		}
		if result := <-running; !result.Began {
			t.Errorf("got %+v, want a request that had begun", result)
		}
	})
}
