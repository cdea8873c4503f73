package simulation_test

import (
	"fmt"
	goruntime "runtime"
	"strconv"
	"sync/atomic"
	"testing"
)

// enough failures are shown; the others would say the same.
const enough = 5

// count is how many seeds to run.
func count() int {
	switch {
	case *seeds > 0:
		return *seeds
	case raceEnabled || testing.Short():
		return 100
	default:
		return 1500
	}
}

// TestSeeds runs one world after the other, on all cores.
func TestSeeds(t *testing.T) {
	t.Parallel()
	var ran, failures atomic.Int64
	var happened tally
	t.Cleanup(func() {
		if count() >= 1000 && failures.Load() == 0 {
			happened.check(t)
		}
	})
	for worker := range goruntime.GOMAXPROCS(0) {
		t.Run(strconv.Itoa(worker), func(t *testing.T) {
			t.Parallel()
			for failures.Load() < enough {
				i := ran.Add(1) - 1
				if i >= int64(count()) {
					return
				}
				seed := *first + uint64(i)
				w := simulate(t, seed)
				happened.add(w)
				if w.failure != "" {
					failures.Add(1)
					t.Errorf("seed %d: %s\nrun it again: go test ./tests/simulation -run TestSeeds -seeds 1 -first %d", seed, w.failure, seed)
				}
			}
		})
	}
}

// TestOneSeedIsOneRun proves that a seed decides all that happens.
func TestOneSeedIsOneRun(t *testing.T) {
	t.Parallel()
	worlds := 50
	switch {
	case *seeds > 0:
		worlds = *seeds
	case raceEnabled || testing.Short():
		worlds = 10
	}
	for i := range worlds {
		seed := *first + uint64(i)
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			one, two := simulate(t, seed), simulate(t, seed)
			if len(one.trace.events) < 100 {
				t.Errorf("seed %d: only %d events", seed, len(one.trace.events))
			}
			if a, b := one.trace.sum(), two.trace.sum(); a != b {
				t.Errorf("seed %d: two runs of %d and %d events differ (%x and %x)%s", seed, len(one.trace.events), len(two.trace.events), a, b, difference(one, two))
			}
		})
	}
}

// difference is where two runs part.
func difference(one, two *world) string {
	for i := range min(len(one.trace.events), len(two.trace.events)) {
		if a, b := one.trace.events[i], two.trace.events[i]; a.what != logged && a != b {
			return fmt.Sprintf("\nfrom event %d on:\n%s\n%s", i, a, b)
		}
	}
	return ""
}
