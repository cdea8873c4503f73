package cache_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onda-serving/onda/app/cache"
	"github.com/onda-serving/onda/app/scoring"
)

func TestSecondQuestionIsAHit(t *testing.T) {
	t.Parallel()
	c := cache.New(roomy)
	put(t, c, keyOf("a"), time.Minute, 1)
	if !has(t, c, keyOf("a"), 1) || has(t, c, keyOf("b"), 2) {
		t.Error("want an answer to a, and none to b")
	}
	if s := c.Stats(); s.Hits != 1 || s.Misses != 2 || s.Entries != 1 || s.Bytes <= 0 || s.Limit != roomy {
		t.Errorf("stats %+v", s)
	}
}

func TestGetOnlyLooks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := cache.New(roomy)
		if value, found := c.Get(keyOf("a")); found || value != nil {
			t.Errorf("got %v from an empty cache", value)
		}
		put(t, c, keyOf("a"), time.Minute, 1)
		if value, found := c.Get(keyOf("a")); !found || value != 1 {
			t.Errorf("got %v, %v, want 1", value, found)
		}
		time.Sleep(time.Minute)
		if _, found := c.Get(keyOf("a")); found {
			t.Error("got an answer that has expired")
		}
		if s := c.Stats(); s.Hits != 1 || s.Misses != 1 || s.Expired != 1 {
			t.Errorf("stats %+v, want one hit, and only the computation as a miss", s)
		}
	})
}

func TestTwoModelsDoNotShareAnswers(t *testing.T) {
	t.Parallel()
	c := cache.New(roomy)
	put(t, c, cache.InferKey(digest, two()), time.Minute, 1)
	put(t, c, cache.InferKey(other, two()), time.Minute, 2)
	if !has(t, c, cache.InferKey(digest, two()), 1) || !has(t, c, cache.InferKey(other, two()), 2) {
		t.Error("an answer is missing")
	}
}

func TestShapesDoNotShareAnswers(t *testing.T) {
	t.Parallel()
	c := cache.New(roomy)
	put(t, c, cache.InferKey(digest, numbers([]int64{2, 3}, 1, 2, 3, 4, 5, 6)), time.Minute, 1)
	if has(t, c, cache.InferKey(digest, numbers([]int64{3, 2}, 1, 2, 3, 4, 5, 6)), 2) {
		t.Error("[3,2] was answered with [2,3]")
	}
}

func TestAnswersServeBothLanes(t *testing.T) {
	t.Parallel()
	c := cache.New(roomy)
	bulk := texts("a")
	bulk.Schedule.Lane = scoring.Bulk
	put(t, c, cache.PredictKey(digest, bulk), time.Minute, 1)
	if !has(t, c, cache.PredictKey(digest, texts("a")), 1) {
		t.Error("the lane is part of the answer's name")
	}
}

func TestAnswerExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := cache.New(roomy)
		put(t, c, keyOf("a"), time.Minute, 1)
		time.Sleep(time.Minute - 1)
		if !has(t, c, keyOf("a"), 1) {
			t.Error("expired 1 ns too early")
		}
		time.Sleep(time.Nanosecond)
		if has(t, c, keyOf("a"), 1) {
			t.Error("lives after its time, or a hit made it younger")
		}
		if s := c.Stats(); s.Expired != 1 || s.Entries != 0 || s.Bytes != 0 {
			t.Errorf("stats %+v, want nothing left", s)
		}
	})
}

func TestTimeBeginsWithTheAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := cache.New(roomy)
		c.Do(t.Context(), keyOf("a"), time.Minute, func(context.Context) (any, int64, error) {
			time.Sleep(time.Hour)
			return 1, 0, nil
		})
		time.Sleep(time.Minute - 1)
		if !has(t, c, keyOf("a"), 1) {
			t.Error("the time of the computation counts")
		}
	})
}

func TestAnswerWithoutTimeIsNotKept(t *testing.T) {
	t.Parallel()
	for _, ttl := range []time.Duration{0, -1, math.MinInt64} {
		c := cache.New(roomy)
		put(t, c, keyOf("a"), ttl, 1)
		if has(t, c, keyOf("a"), 1) {
			t.Errorf("ttl %v: kept", ttl)
		}
	}
	c := cache.New(roomy)
	put(t, c, keyOf("a"), math.MaxInt64, 1)
	if !has(t, c, keyOf("a"), 1) {
		t.Error("the longest time there is: not kept")
	}
}

func TestExpiredAnswersGiveTheirMemoryBack(t *testing.T) {
	t.Parallel()
	const n = 5000
	filled := func(t *testing.T) *cache.Cache {
		t.Helper()
		c := cache.New(roomy)
		for i := range n {
			put(t, c, keyOf(strconv.Itoa(i)), time.Minute, i)
		}
		time.Sleep(time.Minute)
		return c
	}
	t.Run("when somebody looks at the numbers", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			if s := filled(t).Stats(); s.Bytes != 0 || s.Entries != 0 || s.Expired != n {
				t.Errorf("stats %+v, want nothing left", s)
			}
		})
	})
	t.Run("as others come, and before what lives", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			c := filled(t)
			for i := range n / 16 {
				put(t, c, keyOf(fmt.Sprint("new", i)), time.Hour, i)
			}
			if s := c.Stats(); s.Evictions != 0 || s.Expired != n || s.Entries != n/16 {
				t.Errorf("stats %+v", s)
			}
		})
	})
}

func TestLeastRecentlyUsedAnswerGoesFirst(t *testing.T) {
	t.Parallel()
	overhead := int64(overheadOf(t))
	c := cache.New(8 * overhead)
	for i := range 8 {
		put(t, c, keyOf(strconv.Itoa(i)), time.Hour, i)
	}
	has(t, c, keyOf("0"), 0)
	put(t, c, keyOf("8"), time.Hour, 8)
	for i := range 9 {
		if kept := has(t, c, keyOf(strconv.Itoa(i)), i); kept != (i != 1) {
			t.Errorf("answer %d kept: %v; want all but 1, which was not used for longest", i, kept)
		}
	}
	if s := c.Stats(); s.Evictions != 1 || s.Bytes != s.Limit {
		t.Errorf("stats %+v", s)
	}
}

func TestLargeAnswerIsGivenButNotKept(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{1<<20/8 + 1, 1 << 20, math.MaxInt64} {
		c := cache.New(1 << 20)
		put(t, c, keyOf("small"), time.Hour, 1)
		if got, _, err := c.Do(t.Context(), keyOf("large"), time.Hour, gives(2, size)); got != 2 || err != nil {
			t.Errorf("%d bytes: got %v, %v", size, got, err)
		}
		if has(t, c, keyOf("large"), 2) || !has(t, c, keyOf("small"), 1) {
			t.Errorf("%d bytes: kept, or pushed another out", size)
		}
	}
}

func TestNegativeSizeMakesNoRoom(t *testing.T) {
	t.Parallel()
	c := cache.New(roomy)
	c.Do(t.Context(), keyOf("a"), time.Hour, gives(1, -1<<40))
	if got := c.Stats().Bytes; got <= 0 {
		t.Errorf("%d bytes are kept", got)
	}
}

func TestForgetDropsOneVersion(t *testing.T) {
	t.Parallel()
	c := cache.New(roomy)
	const n = 3000 // more than go under one lock
	for i := range n {
		put(t, c, keyOf(strconv.Itoa(i)), time.Hour, i)
	}
	put(t, c, cache.PredictKey(other, texts("0")), time.Hour, "other")
	c.Forget(digest)
	c.Forget("sha256:of nothing")
	if s := c.Stats(); s.Entries != 1 || s.Bytes != int64(overheadOf(t)) || s.Evictions != 0 {
		t.Errorf("stats %+v, want one entry left", s)
	}
	if has(t, c, keyOf("0"), 0) || !has(t, c, cache.PredictKey(other, texts("0")), "other") {
		t.Error("the wrong version's answers are gone")
	}
}

func TestErrorsAreNotKept(t *testing.T) {
	t.Parallel()
	c := cache.New(roomy)
	invalid := scoring.Errorf(scoring.Invalid, "bad")
	if value, hit, err := c.Do(t.Context(), keyOf("a"), time.Hour, fails(invalid)); value != nil || hit || err != error(invalid) {
		t.Errorf("got %v, %v, %v", value, hit, err)
	}
	put(t, c, keyOf("a"), time.Hour, 1)
}

func TestNobodyComputesForACallerWhoLeft(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := cache.New(roomy)
	_, _, err := c.Do(ctx, keyOf("a"), time.Hour, func(context.Context) (any, int64, error) {
		t.Error("computed")
		return nil, 0, nil
	})
	if scoring.CodeOf(err) != scoring.Canceled || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want Canceled", err)
	}
}

func TestCacheOfNothingPanics(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("a cache of 0 bytes was made")
		}
	}()
	cache.New(0)
}

// TestOverheadIsWhatAnEntryTakes measures the heap, because a bound in bytes that leaves
// out half of them is none.
func TestOverheadIsWhatAnEntryTakes(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector changes the heap")
	}
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	// Sizes just before and after maps and slices grow.
	for _, n := range []int64{1000, 7000, 8000, 50_000, 58_000, 100_000, 120_000} {
		c := cache.New(roomy)
		before := heap()
		for i := range n {
			put(t, c, cache.InferKey(digest, numbers([]int64{i})), time.Hour, true)
		}
		measured, counted := (heap()-before)/n, c.Stats().Bytes/n
		t.Logf("%d entries: %d bytes measured, %d counted", n, measured, counted)
		if measured > counted || measured < counted/2 {
			t.Errorf("%d entries: an entry takes %d bytes and counts for %d", n, measured, counted)
		}
		runtime.KeepAlive(c)
	}
}

// TestManyCallers has everybody do everything at once, for the race detector and for
// answers that land at the wrong caller.
func TestManyCallers(t *testing.T) {
	t.Parallel()
	c := cache.New(100_000)
	var callers sync.WaitGroup
	for worker := range uint64(8) {
		callers.Go(func() {
			r := rand.New(rand.NewPCG(worker, 1))
			for range 2000 {
				word := strconv.Itoa(r.IntN(300))
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(r.IntN(1000))*time.Microsecond)
				value, _, err := c.Do(ctx, keyOf(word), time.Duration(r.IntN(5))*time.Millisecond, func(ctx context.Context) (any, int64, error) {
					// Not r: this can run longer than the caller stays.
					switch rand.IntN(20) {
					case 0:
						return nil, 0, scoring.Errorf(scoring.Overloaded, "full")
					case 1:
						<-ctx.Done()
						return nil, 0, ctx.Err()
					case 2:
						time.Sleep(100 * time.Microsecond)
					}
					return word, rand.Int64N(1000), nil
				})
				cancel()
				if err == nil && value != word {
					t.Errorf("asked %s, got %v", word, value)
				}
				switch r.IntN(100) {
				case 0:
					c.Forget(digest)
				case 1:
					c.Stats()
				}
			}
		})
	}
	callers.Wait()
	c.Wait()
	if s := c.Stats(); s.Flights != 0 || s.Bytes > s.Limit {
		t.Errorf("stats %+v", s)
	}
}
