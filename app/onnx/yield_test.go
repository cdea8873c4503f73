package onnx

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/onda-serving/onda/app/onnx/onnxtest"
	"github.com/onda-serving/onda/app/scoring"
)

// idlers counts the threads of this process that get what all others leave.
func idlers(t *testing.T) (count int) {
	t.Helper()
	all, err := filepath.Glob("/proc/self/task/*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range all {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		const policy, schedIdle = 38, "5" // fields after the name, of proc_pid_stat(5)
		_, rest, _ := strings.Cut(string(text), ") ")
		if fields := strings.Fields(rest); len(fields) > policy && fields[policy] == schedIdle {
			count++
		}
	}
	return count
}

// TestYieldingRuns get what all others leave, one by one, and can be ended as all others.
func TestYieldingRuns(t *testing.T) {
	t.Parallel()
	if !inChild(t) {
		return
	}
	s, err := environment(t).Load(onnxtest.Slow(100_000_000), Options{IntraOpThreads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if want := runtime.GOOS == "linux"; s.Yields() != want {
		t.Fatalf("yields: got %t, want %t", s.Yields(), want)
	}
	row := []scoring.Tensor{onnxtest.Tensor("INPUT", []int64{1, 16}, make([]float32, 16)...)}
	for want, run := range []func(context.Context, []scoring.Tensor, []string) ([]scoring.Tensor, error){s.Run, s.RunYielding} {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			_, err := run(ctx, row, nil)
			ended <- err
		}()
		waitForRuns(t, s, 1)
		found := idlers(t)
		for deadline := time.Now().Add(5 * time.Second); found < want && time.Now().Before(deadline); found = idlers(t) {
			time.Sleep(time.Millisecond)
		}
		if found != want && s.Yields() {
			t.Errorf("%d threads make way for all others, want %d", found, want)
		}
		cancel()
		if err := <-ended; ctx.Err() == nil || err == nil {
			t.Errorf("got %v, want that the run was ended", err)
		}
	}
	if left := idlers(t); left > 0 {
		t.Errorf("%d threads that make way are left behind", left)
	}
}

// TestYieldingAnswers are those of other runs, also where no run can make way.
func TestYieldingAnswers(t *testing.T) {
	t.Parallel()
	for _, threads := range []int{1, 2} {
		s, err := environment(t).Load(onnxtest.AddSub(), Options{IntraOpThreads: threads})
		if err != nil {
			t.Fatal(err)
		}
		if s.Yields() && threads > 1 {
			t.Error("a session whose threads all runs share cannot make way")
		}
		want, err := s.Run(t.Context(), addSubInputs(3), nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.RunYielding(t.Context(), addSubInputs(3), nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := range want {
			if !slices.Equal(onnxtest.Values[int32](got[i]), onnxtest.Values[int32](want[i])) {
				t.Errorf("%d threads: got %v, want %v", threads, got[i], want[i])
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
