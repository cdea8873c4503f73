package onnx

import (
	"math/bits"
	"sync"

	"github.com/onda-serving/onda/app/scoring"
)

const (
	// leastBuffer is the size from which memory of outputs is kept for later runs. Below
	// it, the collector is as quick.
	leastBuffer = 32 << 10
	// mostBuffers bounds what is kept, over all sessions.
	mostBuffers = 64 << 20
)

// BufferStats counts the memory of outputs that is kept for later runs.
type BufferStats struct {
	// Held and Most are bytes: what is kept now, and what it may grow to.
	Held, Most int64
	// Reused, Made and Dropped count buffers: taken from those kept, made anew, and given
	// back but not kept because of Most.
	Reused, Made, Dropped uint64
}

// buffers keeps memory of large outputs, with a ceiling. Its worth is that the memory
// need not be cleared, as Go does with new memory, nor collected.
type buffers struct {
	mu sync.Mutex
	// spare buffers by capacity.
	spare map[int][][]byte
	stats BufferStats
}

// bufferSize rounds up, so that outputs of about one size share buffers: to a multiple of
// an eighth of a power of two, which wastes less than that.
func bufferSize(size int) int {
	step := 1 << (bits.Len(uint(size-1)) - 4)
	return (size + step - 1) &^ (step - 1)
}

// get gives memory for size bytes, with any content if it is large.
func (b *buffers) get(size int) []byte {
	if size < leastBuffer {
		return make([]byte, size)
	}
	room := bufferSize(size)
	data := b.reuse(room)
	if data == nil {
		data = make([]byte, room) // without the lock: it takes time to clear
	}
	return data[:size]
}

// reuse gives memory of so many bytes that was put back; nil if there is none.
func (b *buffers) reuse(room int) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	spare := b.spare[room]
	if len(spare) == 0 {
		b.stats.Made++
		return nil
	}
	last := len(spare) - 1
	data := spare[last]
	spare[last] = nil
	b.spare[room] = spare[:last]
	b.stats.Held -= int64(room)
	b.stats.Reused++
	return data
}

// put takes memory back, if it is such as get gave for a large size.
func (b *buffers) put(data []byte) {
	room := cap(data)
	if room < leastBuffer || room != bufferSize(room) {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if int64(room) > mostBuffers {
		b.stats.Dropped++
		return
	}
	if b.stats.Held+int64(room) > mostBuffers {
		// Sizes that nobody asks for any more must not keep the place of those that are.
		b.dropLocked()
	}
	if b.spare == nil {
		b.spare = map[int][][]byte{}
	}
	b.spare[room] = append(b.spare[room], data[:room])
	b.stats.Held += int64(room)
}

// trim leaves all that is kept to the collector.
func (b *buffers) trim() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dropLocked()
}

func (b *buffers) dropLocked() {
	for _, spare := range b.spare {
		b.stats.Dropped += uint64(len(spare))
	}
	clear(b.spare)
	b.stats.Held = 0
}

// Buffers counts the memory that [Session.Release] keeps, for all sessions together.
func (e *Environment) Buffers() BufferStats {
	e.buffers.mu.Lock()
	defer e.buffers.mu.Unlock()
	stats := e.buffers.stats
	stats.Most = mostBuffers
	return stats
}

// Release gives the memory of outputs, which Run returned, to later runs; it pays for
// large ones. It is optional: outputs that nobody releases are collected like all else.
// After it, nobody may read or write the elements, in whatever slice; it takes them out
// of outputs, so that to release them twice is fine.
func (s *Session) Release(outputs []scoring.Tensor) {
	for i := range outputs {
		s.env.buffers.put(outputs[i].Data)
		outputs[i].Data = nil
	}
}
