package pool_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"go.uber.org/goleak"

	"github.com/onda-serving/onda/app/pool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func address(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }

func TestBufferHasTheLengthAskedForAndLittleMore(t *testing.T) {
	t.Parallel()
	p := pool.New(0)
	check := func(n int) {
		t.Helper()
		b := p.Get(n)
		if len(b) != n || cap(b) > n+n/4 {
			t.Fatalf("%d bytes: got length %d and capacity %d", n, len(b), cap(b))
		}
		if n >= 256 && address(b)%64 != 0 {
			t.Fatalf("%d bytes: begins at %x", n, address(b))
		}
	}
	for n := range 9000 {
		check(n)
	}
	for size := 1 << 14; size <= 1<<24; size *= 2 {
		for _, n := range []int{size - 1, size, size + 1, size / 4 * 5, size/4*5 + 1, size / 4 * 7} {
			check(n)
		}
	}
}

func TestBufferComesBackForEverySizeOfItsClass(t *testing.T) {
	t.Parallel()
	p := pool.New(1 << 20)
	for _, n := range []int{4097, 5000, 5120} {
		b := p.Get(5000)
		p.Put(b)
		again := p.Get(n)
		if address(again) != address(b) || len(again) != n {
			t.Errorf("%d bytes: another buffer, or %d bytes of it", n, len(again))
		}
		p.Put(again)
	}
	for _, n := range []int{4096, 5121} {
		if b := p.Get(n); cap(b) == 5120 {
			t.Errorf("%d bytes: got a buffer of 5120", n)
		}
	}
	want := pool.Stats{Gets: 8, Hits: 5, Held: 5120, Ceiling: 1 << 20}
	if got := p.Stats(); got != want {
		t.Errorf("stats %+v, want %+v", got, want)
	}
}

func TestTwoCallersNeverHaveOneBuffer(t *testing.T) {
	t.Parallel()
	p := pool.New(1 << 20)
	p.Put(p.Get(2000))
	if a, b := p.Get(2000), p.Get(2000); address(a) == address(b) {
		t.Error("one buffer was lent twice")
	}
}

func TestSmallBuffersAreNotKept(t *testing.T) {
	t.Parallel()
	p := pool.New(1 << 20)
	for _, n := range []int{0, 1, 255} {
		b := p.Get(n)
		if len(b) != n {
			t.Errorf("got %d bytes, want %d", len(b), n)
		}
		p.Put(b)
	}
	if s := p.Stats(); s.Held != 0 || s.Gets != 3 {
		t.Errorf("stats %+v", s)
	}
}

func TestForeignBuffersAreIgnored(t *testing.T) {
	t.Parallel()
	p := pool.New(1 << 30)
	room := p.Get(1 << 16)
	for name, b := range map[string][]byte{
		"nil":                         nil,
		"empty":                       {},
		"of a size between classes":   make([]byte, 5000),
		"not aligned":                 room[8 : 8+4096 : 8+4096],
		"without its beginning":       p.Get(1 << 20)[64:],
		"larger than the largest":     room[:0:5001],
		"a string's, grown by append": append(make([]byte, 0, 3), "hello"...),
	} {
		p.Put(b)
		if held := p.Stats().Held; held != 0 {
			t.Fatalf("%s: %d bytes are kept", name, held)
		}
	}
	// What looks like one of its own serves as one.
	p.Put(room[:0:4096])
	if s := p.Stats(); s.Held != 4096 {
		t.Errorf("stats %+v", s)
	}
}

func TestNoMoreIsKeptThanTheCeiling(t *testing.T) {
	t.Parallel()
	p := pool.New(10 << 10)
	var lent [][]byte
	for range 8 {
		lent = append(lent, p.Get(4<<10))
	}
	for _, b := range lent {
		p.Put(b)
	}
	p.Put(p.Get(2 << 10))
	p.Put(p.Get(1 << 10))
	want := pool.Stats{Gets: 10, Discarded: 7, Held: 10 << 10, Ceiling: 10 << 10}
	if got := p.Stats(); got != want {
		t.Errorf("stats %+v, want %+v", got, want)
	}
	for _, ceiling := range []int64{0, -1} {
		p := pool.New(ceiling)
		p.Put(p.Get(4 << 10))
		if s := p.Stats(); s.Held != 0 {
			t.Errorf("ceiling %d: stats %+v", ceiling, s)
		}
	}
}

func TestSpikeIsGivenBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := pool.New(1 << 30)
		var spike [][]byte
		for range 64 {
			spike = append(spike, p.Get(64<<10))
		}
		for _, b := range spike {
			p.Put(b)
		}
		// What is used goes on being kept: here two at a time.
		for range 11 {
			time.Sleep(time.Second)
			a, b := p.Get(64<<10), p.Get(64<<10)
			p.Put(a)
			p.Put(b)
		}
		if s := p.Stats(); s.Held != 2*64<<10 || s.Trimmed != 62 || s.Hits != 22 {
			t.Errorf("after 11 s with two in use: stats %+v, want two kept, and only hits", s)
		}
		time.Sleep(time.Minute)
		if s := p.Stats(); s.Held != 0 || s.Trimmed != 64 {
			t.Errorf("after a minute without use: stats %+v, want nothing kept", s)
		}
	})
}

func TestBufferSurvivesAShortPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := pool.New(1 << 30)
		p.Put(p.Get(64 << 10))
		for range 20 {
			time.Sleep(5*time.Second - 1)
			p.Put(p.Get(64 << 10))
		}
		if s := p.Stats(); s.Hits != 20 {
			t.Errorf("stats %+v, want 20 hits", s)
		}
	})
}

// TestForgottenPoolIsCollected shows that the timer does not keep a pool for ever.
func TestForgottenPoolIsCollected(t *testing.T) {
	t.Parallel()
	collected := make(chan struct{})
	synctest.Test(t, func(*testing.T) {
		p := pool.New(1 << 30)
		runtime.AddCleanup(p, func(done chan struct{}) { close(done) }, collected)
		p.Put(p.Get(64 << 10))
		time.Sleep(time.Minute)
	})
	for range 100 {
		runtime.GC()
		select {
		case <-collected:
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
	t.Error("the pool is still there")
}

// TestManyCallers has many goroutines write what only they may read, while time passes.
func TestManyCallers(t *testing.T) {
	t.Parallel()
	p := pool.New(2 << 20)
	var callers sync.WaitGroup
	for worker := range 8 {
		callers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(worker), 1))
			var mine [][]byte
			for range 1000 {
				if len(mine) < 4 && r.IntN(2) == 0 {
					b := p.Get(1 + r.IntN(40_000))
					for i := range b {
						b[i] = byte(worker)
					}
					mine = append(mine, b)
				} else if len(mine) > 0 {
					b := mine[0]
					mine = mine[1:]
					for i := range b {
						if b[i] != byte(worker) {
							t.Errorf("worker %d found %d: somebody else has its buffer", worker, b[i])
							return
						}
					}
					p.Put(b)
				}
			}
		})
	}
	callers.Wait()
	if s := p.Stats(); s.Held > s.Ceiling || s.Hits == 0 {
		t.Errorf("stats %+v", s)
	}
}

// TestTrimWhileInUse runs timer, callers and statistics against each other in little time.
func TestTrimWhileInUse(t *testing.T) {
	t.Parallel()
	for seed := range uint64(10) {
		synctest.Test(t, func(t *testing.T) {
			p := pool.New(1 << 20)
			var callers sync.WaitGroup
			for worker := range uint64(4) {
				callers.Go(func() {
					r := rand.New(rand.NewPCG(seed, worker))
					var mine [][]byte
					for range 200 {
						time.Sleep(time.Duration(r.IntN(2000)) * time.Millisecond)
						mine = append(mine, p.Get(1<<10+r.IntN(8<<10)))
						for len(mine) > r.IntN(20) {
							p.Put(mine[len(mine)-1])
							mine = mine[:len(mine)-1]
						}
						if s := p.Stats(); s.Held < 0 || s.Held > s.Ceiling {
							t.Errorf("stats %+v", s)
						}
					}
				})
			}
			callers.Wait()
			time.Sleep(time.Minute)
			if s := p.Stats(); s.Held != 0 || s.Trimmed == 0 {
				t.Errorf("stats %+v, want nothing kept", s)
			}
		})
	}
}

func TestGettingAndPuttingAllocatesNothing(t *testing.T) {
	p := pool.New(1 << 30)
	p.Put(p.Get(64 << 10))
	if n := testing.AllocsPerRun(100, func() { p.Put(p.Get(64 << 10)) }); n > 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func ExamplePool() {
	p := pool.New(64 << 20)
	b := p.Get(1000 * 1000)
	fmt.Println(len(b), cap(b))
	p.Put(b)
	fmt.Println(p.Stats().Held)
	// Output:
	// 1000000 1048576
	// 1048576
}
