package plan_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/onda-serving/onda/deploy/capacity/plan"
	"github.com/onda-serving/onda/deploy/capacity/search"
)

const root = "../../.."

func read(t *testing.T) (*plan.Facts, plan.Found) {
	t.Helper()
	f, err := plan.ReadFacts(root)
	if err != nil {
		t.Fatal(err)
	}
	found, err := plan.LoadFound(filepath.Join(root, "deploy/capacity/search.json"))
	if err != nil {
		t.Fatal(err)
	}
	return f, found
}

// TestUpToDate writes the plan again, and compares.
func TestUpToDate(t *testing.T) {
	t.Parallel()
	f, found := read(t)
	files, err := plan.Files(f, found)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(root, "deploy/capacity", name))
		if err != nil || string(got) != want {
			t.Errorf("%s is out of date (%v): run go run ./deploy/capacity/cmd/capacity plan", name, err)
		}
	}
}

// TestSearchIsOfTheseNumbers plays a load of each search again: the costs, the assumptions or the
// simulation may have changed since.
func TestSearchIsOfTheseNumbers(t *testing.T) {
	t.Parallel()
	f, found := read(t)
	for name, c := range map[string]struct {
		searcher *search.Searcher
		best     search.Outcome
	}{"night job": {f.CallSearcher(), found.BestCalls}, "trickle": {f.EventSearcher(), found.BestEvents}} {
		for _, traffic := range c.searcher.Traffic {
			if traffic.Name != name {
				continue
			}
			c.searcher.Traffic = []search.Traffic{traffic}
			if got := c.searcher.Try(c.best.Settings).Loads[name]; got != c.best.Loads[name] {
				t.Errorf("%s comes to %+v now, %+v when it was searched: run go run ./deploy/capacity/cmd/capacity search", name, got, c.best.Loads[name])
			}
		}
	}
}

// TestChart holds the chart to the settings that were chosen.
func TestChart(t *testing.T) {
	t.Parallel()
	f, found := read(t)
	if got, want := f.Chart.Autoscaling, found.Chosen(); got != want {
		t.Errorf("deploy/chart/values.yaml has %+v, and %+v were chosen: go run ./deploy/capacity/cmd/capacity scaling", got, want)
	}
}

// TestPrediction bounds how far the simulation is from what was measured.
func TestPrediction(t *testing.T) {
	t.Parallel()
	f, _ := read(t)
	if len(f.Checks) != 12 || f.Derate < 0.6 || f.Derate > 1 {
		t.Fatalf("%d checks, derating %.2f", len(f.Checks), f.Derate)
	}
	for _, c := range f.Checks {
		bounds := [3]float64{0.15, 0.45, 0.55} // goodput, p50, p99
		if c.Load == "1.5" || c.Load == "2" || c.Load == "3" {
			bounds = [3]float64{0.15, 0.20, 0.20}
		}
		for i, bound := range bounds {
			if e := c.Error(i); e > bound || e < -bound {
				t.Errorf("%s at %s times the capacity, number %d: simulated %.1f, measured %.1f", c.Model, c.Load, i, c.Simulated[i], c.Measured[i])
			}
		}
	}
}

// TestUse holds that a pod which the autoscaler is content with is neither idle nor full.
func TestUse(t *testing.T) {
	t.Parallel()
	f, found := read(t)
	if use := f.Use(f.Picture, found.Chosen().TargetSaturation); use < 0.3 || use > 0.95 {
		t.Errorf("a pod reaches the target at %.2f of its capacity", use)
	}
}
