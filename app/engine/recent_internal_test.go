package engine

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onda-serving/onda/app/scoring"
)

// asking makes a question of so many bytes.
func asking(bytes int) question {
	return question{predict: &scoring.PredictRequest{Instances: []scoring.Instance{{Kind: scoring.Binary, Data: make([]byte, bytes)}}}}
}

// checkSums fails unless the counters are what is there, and what is there within its bounds.
func checkSums(t *testing.T, r *recent) (requests int) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	used := int64(0)
	for model, of := range *r.rings.Load() {
		bytes := int64(0)
		for _, request := range of.kept {
			bytes += request.question.size()
		}
		if bytes != of.bytes || bytes > r.bytes || len(of.kept) > r.requests {
			t.Errorf("%s: %d bytes in %d requests, counted %d", model, bytes, len(of.kept), of.bytes)
		}
		used += bytes
		requests += len(of.kept)
	}
	if used != r.used || used > recentMemory {
		t.Errorf("%d bytes, counted %d", used, r.used)
	}
	return requests
}

func TestRecentMemoryIsBoundedOverAllModels(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var r recent
		r.init(32, 8<<20)
		defer r.close()
		for i := range 20 {
			for j := range 3 {
				r.take(fmt.Sprintf("m%d", i), asking(2<<20))
				checkSums(t, &r)
				time.Sleep(recentPause)
				if got := len(r.of(fmt.Sprintf("m%d", i))); got != j+1 {
					t.Errorf("m%d: %d requests, want %d: the newest model is as welcome as the others", i, got, j+1)
				}
			}
		}
		// 64 MiB have room for 31, and 90 bytes of heads each.
		if got := checkSums(t, &r); got != 31 {
			t.Errorf("%d requests, want 31", got)
		}
		for i, want := range map[int]int{0: 0, 8: 0, 9: 1, 10: 3, 19: 3} {
			if got := len(r.of(fmt.Sprintf("m%d", i))); got != want {
				t.Errorf("m%d: %d requests, want %d: the oldest of all go first", i, got, want)
			}
		}
	})
}

// TestRecentRequestsAreForgotten without anybody asking for them.
func TestRecentRequestsAreForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var r recent
		r.init(32, 8<<20)
		began := time.Now()
		r.take("a", asking(1))
		time.Sleep(10 * time.Minute)
		r.take("b", asking(1))
		for _, step := range []struct {
			at   time.Duration
			want int
		}{{59 * time.Minute, 2}, {61 * time.Minute, 1}, {69 * time.Minute, 1}, {71 * time.Minute, 0}} {
			time.Sleep(step.at - time.Since(began))
			synctest.Wait()
			if got := checkSums(t, &r); got != step.want {
				t.Errorf("%d requests after %s, want %d", got, step.at, step.want)
			}
		}
		if r.timer != nil {
			t.Error("there is a timer and nothing to forget")
		}
		r.take("a", asking(1))
		r.close()
		r.take("b", asking(1))
		if got := checkSums(t, &r); got != 0 || r.timer != nil {
			t.Errorf("%d requests after close, want none", got)
		}
	})
}
