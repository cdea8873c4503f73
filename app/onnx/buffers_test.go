package onnx

import (
	"slices"
	"testing"

	"github.com/onda-serving/onda/app/onnx/onnxtest"
	"github.com/onda-serving/onda/app/scoring"
)

func TestBufferSize(t *testing.T) {
	t.Parallel()
	for size := leastBuffer; size < 1<<25; size += size/7 + 1 {
		got := bufferSize(size)
		if got < size || got > size+size/8 || bufferSize(got) != got {
			t.Errorf("%d: got %d, want a little more, and itself for itself", size, got)
		}
	}
}

func TestBuffers(t *testing.T) {
	t.Parallel()
	var b buffers
	first := b.get(leastBuffer + 1)
	b.put(first)
	again := b.get(leastBuffer + 2)
	if &first[0] != &again[0] {
		t.Error("the memory was not used again")
	}
	if b.put(make([]byte, 100)); b.stats.Held != 0 {
		t.Errorf("a small buffer was kept: %+v", b.stats)
	}
	if b.put(make([]byte, leastBuffer+1)); b.stats.Held != 0 {
		t.Errorf("memory of another's was kept: %+v", b.stats)
	}
	if b.put(b.get(mostBuffers + 1)); b.stats.Held != 0 || b.stats.Dropped != 1 {
		t.Errorf("more than the ceiling was kept: %+v", b.stats)
	}
	var all [][]byte
	for range 10 {
		all = append(all, b.get(mostBuffers/8))
	}
	for _, each := range all {
		b.put(each)
		if b.stats.Held > mostBuffers {
			t.Fatalf("more than the ceiling was kept: %+v", b.stats)
		}
	}
	if want := (BufferStats{Held: 2 * mostBuffers / 8, Reused: 1, Made: 12, Dropped: 9}); b.stats != want {
		t.Errorf("got %+v, want %+v", b.stats, want)
	}
	if b.trim(); b.stats.Held != 0 || len(b.get(leastBuffer)) != leastBuffer {
		t.Errorf("after trim: %+v", b.stats)
	}
}

// TestRelease uses the memory of large outputs again, and leaves no trace of what was in it.
func TestRelease(t *testing.T) {
	t.Parallel()
	if !inChild(t) {
		return // the counters are of all sessions
	}
	s := load(t, onnxtest.Identity(scoring.FP32, []int64{-1, 4096}))
	for i := range 20 {
		rows := int64(i%3 + 2)
		in := onnxtest.Tensor("INPUT", []int64{rows, 4096}, slices.Repeat([]float32{float32(i)}, int(rows)*4096)...)
		out, err := s.Run(t.Context(), []scoring.Tensor{in}, nil)
		if err != nil || !slices.Equal(out[0].Data, in.Data) {
			t.Fatalf("run %d: wrong result, %v", i, err)
		}
		s.Release(out)
		s.Release(out)
		if out[0].Data != nil {
			t.Error("released elements can be read")
		}
	}
	if stats := s.env.Buffers(); stats.Reused < 10 || stats.Held == 0 || stats.Held > stats.Most {
		t.Errorf("got %+v, want reuse within the ceiling", stats)
	}
}
