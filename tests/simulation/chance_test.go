package simulation_test

import (
	"math/rand/v2"
	"sync"
	"time"
)

// chance draws what happens.
type chance struct{ *rand.Rand }

// chance makes a source whose numbers depend on nothing but the seed and the names, so that
// what an actor draws does not depend on what others did before.
func (w *world) chance(names ...string) chance {
	return chance{rand.New(rand.NewPCG(w.seed, hash(names...)))}
}

// hash is FNV-1a, with an end after each name.
func hash(names ...string) uint64 {
	h := uint64(14695981039346656037)
	for _, name := range names {
		for i := range len(name) {
			h = (h ^ uint64(name[i])) * 1099511628211
		}
		h = (h ^ 0xff) * 1099511628211
	}
	return h
}

// draws is what an actor's code draws from, in place of what is random.
func (w *world) draws(actor string) func() float64 {
	c := w.chance("draws", actor)
	var mu sync.Mutex
	return func() float64 {
		mu.Lock()
		defer mu.Unlock()
		return c.Float64()
	}
}

// yes is true with a probability.
func (c chance) yes(probability float64) bool { return c.Float64() < probability }

// between is a time from low to below high, to the nanosecond.
func (c chance) between(low, high time.Duration) time.Duration {
	return low + time.Duration(c.Int64N(int64(high-low)))
}

// from is a whole number from low to high.
func (c chance) from(low, high int) int { return low + c.IntN(high-low+1) }

// span is a range of times.
type span struct{ low, high time.Duration }

func (c chance) in(s span) time.Duration { return c.between(s.low, s.high) }

// pick is one of all.
func pick[T any](c chance, all ...T) T { return all[c.IntN(len(all))] }
