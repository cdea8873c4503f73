package onnx

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/onda-serving/onda/app/onnx/onnxtest"
	"github.com/onda-serving/onda/app/scoring"
)

// waitForRuns returns once n runs are under way.
func waitForRuns(t *testing.T, s *Session, n int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		s.mu.Lock()
		runs := s.runs
		s.mu.Unlock()
		if runs >= n {
			return
		}
	}
	t.Fatal("no run began")
}

// TestCancel ends a run that would take minutes.
func TestCancel(t *testing.T) {
	t.Parallel()
	s := load(t, onnxtest.Slow(100_000_000))
	row := []scoring.Tensor{onnxtest.Tensor("INPUT", []int64{1, 16}, make([]float32, 16)...)}
	tests := []struct {
		name string
		ctx  func() (context.Context, context.CancelFunc)
		want error
	}{
		{"canceled", func() (context.Context, context.CancelFunc) { return context.WithCancel(context.Background()) }, context.Canceled},
		{"deadline", func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(context.Background(), 50*time.Millisecond)
		}, context.DeadlineExceeded},
	}
	for _, tt := range tests {
		ctx, cancel := tt.ctx()
		defer cancel()
		result := make(chan error, 1)
		go func() {
			_, err := s.Run(ctx, row, nil)
			result <- err
		}()
		waitForRuns(t, s, 1)
		if tt.want == context.Canceled {
			cancel()
		}
		select {
		case err := <-result:
			if err != tt.want {
				t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%s: the run went on", tt.name)
		}
	}
}

// TestRunAfterCancel sees to it that a stopped run leaves the session, and the run options
// it used, fit for the next.
func TestRunAfterCancel(t *testing.T) {
	t.Parallel()
	s := load(t, onnxtest.Slow(3_000))
	row := []scoring.Tensor{onnxtest.Tensor("INPUT", []int64{1, 16}, slices.Repeat([]float32{2}, 16)...)}
	var stopped int
	for i := range 60 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i%6)*time.Millisecond)
		out, err := s.Run(ctx, row, nil)
		cancel()
		switch {
		case err == nil && !slices.Equal(out[0].Data, row[0].Data):
			t.Errorf("got %v, want the input", out[0])
		case err != nil:
			stopped++
		}
		ctx, cancel = context.WithCancel(context.Background())
		if _, err := s.Run(ctx, row, nil); err != nil {
			t.Errorf("the run after: %v", err)
		}
		cancel()
	}
	if stopped == 0 {
		t.Error("no run was stopped: the test tests nothing")
	}
}

// TestManyCancels ends a thousand runs at once, at different times, and looks whether the
// session still answers right, and holds nothing of them.
func TestManyCancels(t *testing.T) {
	t.Parallel()
	s := load(t, onnxtest.Slow(100_000_000))
	quick := load(t, onnxtest.Slow(100))
	row := func(v float32) []scoring.Tensor {
		return []scoring.Tensor{onnxtest.Tensor("INPUT", []int64{1, 16}, slices.Repeat([]float32{v}, 16)...)}
	}
	const runs = 1000
	var wg sync.WaitGroup
	var began, stopped atomic.Int64
	for i := range runs {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i%20)*time.Millisecond)
			defer cancel()
			if ctx.Err() == nil {
				began.Add(1)
			}
			if _, err := s.Run(ctx, row(1), nil); err == context.DeadlineExceeded {
				stopped.Add(1)
			}
			out, err := quick.Run(t.Context(), row(float32(i)), nil)
			if err != nil || !slices.Equal(out[0].Data, row(float32(i))[0].Data) {
				t.Errorf("run %d: got %v, %v, want the input", i, out, err)
			}
		})
	}
	wg.Wait()
	if stopped.Load() != runs || began.Load() == 0 {
		t.Errorf("%d of %d runs were stopped, %d began before their end", stopped.Load(), runs, began.Load())
	}
	for _, each := range []*Session{s, quick} {
		// Not counting the look whether memory can be given back.
		each.surge.busy.Lock()
		each.mu.Lock()
		if each.runs != 0 || len(each.spare) > mostSpare {
			t.Errorf("%d runs and %d calls are left", each.runs, len(each.spare))
		}
		each.mu.Unlock()
		each.surge.busy.Unlock()
	}
}

func TestRunWithEndedContext(t *testing.T) {
	t.Parallel()
	s := load(t, onnxtest.AddSub())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Run(ctx, addSubInputs(1), nil); err != context.Canceled {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}
