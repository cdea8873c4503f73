package onnx

import (
	"os"
	"path/filepath"
	"strings"
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

// niced counts the threads of this process that make way for others.
func niced(t *testing.T) (count int) {
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
		_, rest, _ := strings.Cut(string(text), ") ") // the name before can have spaces
		if fields := strings.Fields(rest); len(fields) > 16 && fields[16] != "0" {
			count++
		}
	}
	return count
}

// TestThreads counts the threads that sessions make: a pool each, of one less than asked
// for. One that was loaded gently has the same, and they do not make way for others.
func TestThreads(t *testing.T) {
	t.Parallel()
	if !inChild(t) {
		return
	}
	e := environment(t)
	// Go starts threads of its own while the test runs.
	const sessions, gos = 20, 4
	for _, tt := range []struct {
		intra, want int
		gently      bool
	}{{1, 0, false}, {4, 3 * sessions, false}, {1, 0, true}, {4, 3 * sessions, true}} {
		before := tasks(t)
		var all []*Session
		for range sessions {
			s, err := e.Load(onnxtest.AddSub(), Options{IntraOpThreads: tt.intra, Gently: tt.gently})
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
		if n := niced(t); n > 0 {
			t.Errorf("%d threads of %d sessions with %d threads, gently %t, have another priority", n, sessions, tt.intra, tt.gently)
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
