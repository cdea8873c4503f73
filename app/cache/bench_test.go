package cache_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/onda-serving/onda/app/cache"
	"github.com/onda-serving/onda/app/scoring"
)

// BenchmarkKey is what a request pays before the cache is asked: a row of a table, and a
// picture's tensor.
func BenchmarkKey(b *testing.B) {
	for _, size := range []int{128 * 4, 3 * 224 * 224 * 4} {
		b.Run(fmt.Sprintf("infer-%d", size), func(b *testing.B) {
			req := numbers([]int64{1, int64(size)}, make([]byte, size)...)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				cache.InferKey(digest, req)
			}
		})
	}
	b.Run("predict-text", func(b *testing.B) {
		req := texts("how do I get my money back?")
		b.ReportAllocs()
		for b.Loop() {
			cache.PredictKey(digest, req)
		}
	})
	b.Run("infer-1000-strings", func(b *testing.B) {
		req := words(make([]string, 1000)...)
		b.ReportAllocs()
		for b.Loop() {
			cache.InferKey(digest, req)
		}
	})
}

// keys makes n keys.
func keys(n int) []cache.Key {
	all := make([]cache.Key, n)
	for i := range all {
		all[i] = cache.InferKey(digest, &scoring.InferRequest{Inputs: []scoring.Tensor{{Shape: []int64{int64(i)}}}})
	}
	return all
}

// BenchmarkHit is an answer out of 100,000.
func BenchmarkHit(b *testing.B) {
	all := keys(100_000)
	c := cache.New(roomy)
	for _, key := range all {
		c.Do(b.Context(), key, time.Hour, gives(1, 0))
	}
	b.Run("sequential", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			c.Do(b.Context(), all[i%len(all)], time.Hour, nil)
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				c.Do(b.Context(), all[i*7919%len(all)], time.Hour, nil)
			}
		})
	})
}

// BenchmarkMiss is what the cache costs a request that it cannot answer, with an eviction
// each time.
func BenchmarkMiss(b *testing.B) {
	all := keys(200_000)
	c := cache.New(100_000 * 256)
	compute := func(context.Context) (any, int64, error) { return 1, 0, nil }
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		c.Do(b.Context(), all[i%len(all)], time.Hour, compute)
	}
}

// BenchmarkForget drops a version with 100,000 answers.
func BenchmarkForget(b *testing.B) {
	all := keys(100_000)
	c := cache.New(roomy)
	for b.Loop() {
		b.StopTimer()
		for _, key := range all {
			c.Do(b.Context(), key, time.Hour, gives(1, 0))
		}
		b.StartTimer()
		c.Forget(digest)
	}
}
