package pool_test

import (
	"fmt"
	"testing"

	"github.com/onda-serving/onda/app/pool"
)

// sink keeps the compiler from leaving buffers out.
var sink []byte

var sizes = []int{128, 256, 512, 1 << 10, 2 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 600 << 10, 1 << 20, 4 << 20, 16 << 20}

// BenchmarkPool and BenchmarkMake lend and give back without touching the bytes, from one
// goroutine and from all processors at once.
func BenchmarkPool(b *testing.B) {
	for _, size := range sizes {
		p := pool.New(1 << 30)
		b.Run(fmt.Sprintf("sequential-%d", size), func(b *testing.B) {
			for b.Loop() {
				sink = p.Get(size)
				p.Put(sink)
			}
		})
		b.Run(fmt.Sprintf("parallel-%d", size), func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					buffer := p.Get(size)
					buffer[0]++
					p.Put(buffer)
				}
			})
		})
	}
}

func BenchmarkMake(b *testing.B) {
	for _, size := range sizes {
		b.Run(fmt.Sprintf("sequential-%d", size), func(b *testing.B) {
			for b.Loop() {
				sink = make([]byte, size)
			}
		})
		b.Run(fmt.Sprintf("parallel-%d", size), func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					buffer := make([]byte, size)
					buffer[0]++
					escape(buffer)
				}
			})
		})
	}
}

//go:noinline
func escape(b []byte) {
	if b == nil {
		sink = b
	}
}

// BenchmarkFill is what a tensor costs in the end: the buffer and the writing of it, by
// several goroutines that each keep eight.
func BenchmarkFill(b *testing.B) {
	const size = 600 << 10
	p := pool.New(1 << 30)
	for name, get := range map[string]func() []byte{
		"pool": func() []byte { return p.Get(size) },
		"make": func() []byte { return make([]byte, size) },
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(size)
			b.RunParallel(func(pb *testing.PB) {
				var kept [8][]byte
				for i := 0; pb.Next(); i++ {
					slot := &kept[i%len(kept)]
					if name == "pool" && *slot != nil {
						p.Put(*slot)
					}
					*slot = get()
					for j := range *slot {
						(*slot)[j] = byte(j)
					}
				}
			})
		})
	}
}
