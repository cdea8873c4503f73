package onnx

import (
	"os"
	"testing"

	"github.com/onda-serving/onda/app/onnx/onnxtest"
)

// tasks counts the threads of this process.
func tasks(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Skip("needs /proc")
	}
	return len(all)
}

// TestThreads counts the threads that sessions make: a pool each, of one less than asked
// for.
func TestThreads(t *testing.T) {
	t.Parallel()
	if !inChild(t) {
		return
	}
	e := environment(t)
	// Go starts threads of its own while the test runs.
	const sessions, gos = 20, 4
	for _, tt := range []struct{ intra, want int }{{1, 0}, {4, 3 * sessions}} {
		before := tasks(t)
		var all []*Session
		for range sessions {
			s, err := e.Load(onnxtest.AddSub(), Options{IntraOpThreads: tt.intra})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Run(t.Context(), addSubInputs(1), nil); err != nil {
				t.Fatal(err)
			}
			all = append(all, s)
		}
		if made := tasks(t) - before; made < tt.want || made > tt.want+gos {
			t.Errorf("%d sessions with %d threads made %d, want %d", sessions, tt.intra, made, tt.want)
		}
		for _, s := range all {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		if left := tasks(t) - before; left > gos {
			t.Errorf("%d sessions with %d threads left %d behind", sessions, tt.intra, left)
		}
	}
}
