package onnx

import (
	"context"
	"slices"
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

func TestRunWithEndedContext(t *testing.T) {
	t.Parallel()
	s := load(t, onnxtest.AddSub())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Run(ctx, addSubInputs(1), nil); err != context.Canceled {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}
