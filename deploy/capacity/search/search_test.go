package search_test

import (
	"testing"

	"github.com/onda-serving/onda/deploy/capacity"
	"github.com/onda-serving/onda/deploy/capacity/search"
	"github.com/onda-serving/onda/deploy/capacity/sim"
)

// TestDescend holds that the search leaves settings that fail too much, keeps those that make no
// difference, and tries nothing twice.
func TestDescend(t *testing.T) {
	t.Parallel()
	inputs, err := capacity.Assumptions()
	if err != nil {
		t.Fatal(err)
	}
	s := search.Searcher{
		Cluster: search.Cluster{Inputs: inputs, OndaStart: 0.2, Cores: 2, PodsPerNode: 3},
		Traffic: []search.Traffic{{
			Load:    sim.Load{Name: "step", Rate: sim.Step(50, 150, 300), Seconds: 900, Budget: search.Budget},
			Service: sim.Service{Pre: 0.009, PerRow: 0.013}, Share: 1, Limit: 0.002,
		}},
		Seed: 1,
	}
	from := search.Start()
	from.Target, from.Min = 0.9, 1
	best := s.Descend(from, search.CallDimensions()[:3])
	if bad := best.Loads["step"].Bad; bad > 0.002 {
		t.Errorf("%.4f are bad with %+v, 0.002 may be", bad, best.Settings)
	}
	if first := s.Tried[0]; first.Settings != from || first.Cost <= best.Cost {
		t.Errorf("it began with %v and ended with %v", first, best)
	}
	if best.Settings.UpPods != from.UpPods {
		t.Errorf("scaleUpPodsPer15Seconds makes no difference here, and went from %d to %d", from.UpPods, best.Settings.UpPods)
	}
	tried := len(s.Tried)
	if s.Try(best.Settings); len(s.Tried) != tried {
		t.Error("settings were tried twice")
	}
}
