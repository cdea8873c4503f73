package onnx

import (
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync"
	"testing"

	"github.com/onda-serving/onda/app/onnx/onnxtest"
	"github.com/onda-serving/onda/app/scoring"
)

// shipped reads a model of the repository.
func shipped(t *testing.T, name string) []byte {
	t.Helper()
	file, err := os.ReadFile(filepath.Join("..", "..", "models", name, "1", "model.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// filled makes the one input of a model, with so many rows.
func filled(info *Info, rows int64) []scoring.Tensor {
	in := info.Signature.Inputs[0]
	shape := append([]int64{rows}, in.Shape[1:]...)
	n, _ := scoring.Elements(shape)
	if in.Datatype != scoring.Bytes {
		return []scoring.Tensor{{Name: in.Name, Datatype: in.Datatype, Shape: shape, Data: make([]byte, int(n)*sizes[in.Datatype])}}
	}
	texts := make([]string, n)
	for i := range texts {
		texts[i] = "how do I reset the password of my account"
	}
	return []scoring.Tensor{onnxtest.Strings(in.Name, shape, texts...)}
}

// mustRun runs a session with so many rows.
func mustRun(t *testing.T, s *Session, rows int64) {
	t.Helper()
	mustRunOn(t, s, filled(s.Info(), rows))
}

func mustRunOn(t *testing.T, s *Session, inputs []scoring.Tensor) {
	t.Helper()
	out, err := s.Run(t.Context(), inputs, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.Release(out)
}

// settled is the resident memory without what Go's collector and the C library could give
// back.
func settled(t *testing.T) int64 {
	t.Helper()
	debug.FreeOSMemory()
	trimHeap()
	return resident(t)
}

// TestMemoryIsWhatStaysResident holds what a session says of its memory against what the
// process's resident memory grows by: within a quarter, and 4 MB for the code of the
// library and the like, which come with the first model and stay.
func TestMemoryIsWhatStaysResident(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"image-classification", "faq-matching"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if inChild(t) {
				weigh(t, name)
			}
		})
	}
}

func weigh(t *testing.T, name string) {
	t.Helper()
	const slack = 4 << 20
	mustRun(t, load(t, onnxtest.MatMul(4, 4, make([]float32, 16))), 1)
	// What Go holds is there from beginning to end: the race detector keeps notes of it, for
	// ever, which are several times as large.
	file := shipped(t, name)
	info, err := Inspect(file)
	if err != nil {
		t.Fatal(err)
	}
	row, rows := filled(info, 1), filled(info, 32)
	before := settled(t)
	s, err := environment(t).Load(file, Options{IntraOpThreads: 1})
	if err != nil {
		t.Fatal(err)
	}
	// No memory is to be given back in between.
	s.surge.armed = true
	look := func(when string) int64 {
		t.Helper()
		held, ok := s.Memory()
		grown := settled(t) - before
		t.Logf("%s: %s says %d KiB, resident memory has grown by %d KiB", name, when, held>>10, grown>>10)
		if !ok || held < grown*3/4-slack || held > grown*5/4+slack {
			t.Errorf("%s: Memory gave %d KiB, %t: want about the %d KiB that resident memory has grown by", when, held>>10, ok, grown>>10)
		}
		return held
	}
	loaded := look("after the load")
	mustRunOn(t, s, row)
	one := look("after a run of 1 row")
	mustRunOn(t, s, rows)
	many := look("after a run of 32 rows")
	if one <= loaded || many <= one+16<<20 {
		t.Errorf("memory is %d, %d, %d KiB after the load and after runs of 1 and 32 rows: want it to rise, by more than 16 MiB at last", loaded>>10, one>>10, many>>10)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if left := settled(t) - before; left > many/10+slack {
		t.Errorf("%d KiB are left of the closed session", left>>10)
	}
	runtime.KeepAlive(file)
	runtime.KeepAlive(row)
	runtime.KeepAlive(rows)
	if held, ok := s.Memory(); ok {
		t.Errorf("a closed session says that it holds %d bytes", held)
	}
}

// TestMemoryAmongOthers loads a model while another is run with ever more rows, and others
// come and go: what it is found to hold must not depend on them.
func TestMemoryAmongOthers(t *testing.T) {
	t.Parallel()
	if !inChild(t) {
		return
	}
	e, file, other := environment(t), shipped(t, "faq-matching"), shipped(t, "image-classification")
	alone := load(t, file)
	want, ok := alone.Memory()
	if !ok {
		t.Skip("the C library does not count what is in use")
	}
	busy := load(t, other)
	var all sync.WaitGroup
	var measured [4]int64
	all.Go(func() {
		for rows := range 9 {
			mustRun(t, busy, int64(1+rows))
		}
	})
	for i := range measured {
		all.Go(func() {
			s, err := e.Load(file, Options{IntraOpThreads: 1})
			if err != nil {
				t.Error(err)
				return
			}
			measured[i], _ = s.Memory()
			mustRun(t, s, 4)
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, got := range measured {
		if got < want*9/10 || got > want*11/10 {
			t.Errorf("among others it is found to hold %d KiB, alone %d KiB", got>>10, want>>10)
		}
	}
	if len(e.accounts.open) != 2 {
		t.Errorf("%d sessions are in the accounts, want the 2 that are open", len(e.accounts.open))
	}
}

// TestMemoryWithoutArena wants the weights counted, and nothing of a run.
func TestMemoryWithoutArena(t *testing.T) {
	t.Parallel()
	if !inChild(t) {
		return
	}
	const width = 1024
	load(t, onnxtest.AddSub())
	s, err := environment(t).Load(onnxtest.MatMul(width, width, make([]float32, width*width)), Options{IntraOpThreads: 1, MemArena: Off})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	before, ok := s.Memory()
	if weights := int64(4 * width * width); !ok || before < weights || before > weights*5/4 {
		t.Errorf("Memory gave %d, %t of a model with %d bytes of weights", before, ok, weights)
	}
	mustRun(t, s, 64)
	if after, _ := s.Memory(); after != before {
		t.Errorf("it holds %d bytes before and %d after a run: want the same", before, after)
	}
}

// TestMemoryOfManyVersions swaps versions while requests come in on several threads, and
// wants the memory of all but the last back. Each thread frees into a heap of its own.
func TestMemoryOfManyVersions(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes seconds")
	}
	if !inChild(t) {
		return
	}
	// By the settled one, all that is made once for each thread has been made.
	const settledAt, versions, most = 6, 30, 10 << 20
	e, file := environment(t), shipped(t, "image-classification")
	mustRun(t, load(t, onnxtest.MatMul(4, 4, make([]float32, 16))), 1)
	info, err := Inspect(file)
	if err != nil {
		t.Fatal(err)
	}
	rows := filled(info, 2)
	var grown int64 // since the settled one was freed
	var live *Session
	for i := range versions {
		next, err := e.Load(file, Options{IntraOpThreads: 1})
		if err != nil {
			t.Fatal(err)
		}
		var callers sync.WaitGroup
		for range 4 {
			callers.Go(func() { mustRunOn(t, next, rows) })
		}
		if live != nil {
			if err := live.Close(); err != nil {
				t.Fatal(err)
			}
		}
		callers.Wait()
		if live = next; i == settledAt || i == versions-1 {
			if err := live.Close(); err != nil {
				t.Fatal(err)
			}
			grown, live = settled(t)-grown, nil
		}
	}
	t.Logf("after %d versions, resident memory is %d KiB more than after %d", versions, grown>>10, settledAt)
	if grown > most {
		t.Errorf("%d KiB are left of %d versions", grown>>10, versions)
	}
}
