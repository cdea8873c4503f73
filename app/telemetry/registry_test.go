package telemetry_test

import (
	"errors"
	"testing"
	"time"

	"github.com/onda-serving/onda/app/compare"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/telemetry"
)

func TestRegistryMetrics(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics("test")
	m.Registry(func() telemetry.Following {
		return telemetry.Following{Reachable: true, Models: []telemetry.FollowedModel{{Name: "a", Revision: 7, InSync: true}, {Name: "b", Revision: 2}}}
	})
	m.Memory(func() int64 { return 80 }, func() int64 { return 100 })
	m.Loaded(scoring.ModelRef{Name: "a", Version: 1}, 2*time.Second, nil)
	m.Loaded(scoring.ModelRef{Name: "b", Version: 1}, time.Second, errors.New("broken"))
	m.Evicted(scoring.ModelRef{Name: "a", Version: 1})
	id := scoring.ModelID{Name: "a", Version: 2}
	m.Mirrored(id, scoring.ModelID{Name: "a", Version: 3}, compare.Difference{}, 0, nil)
	m.Mirrored(id, scoring.ModelID{Name: "a", Version: 3}, compare.Difference{Disagrees: true, Max: 1}, 0, nil)
	m.Mirrored(id, scoring.ModelID{Name: "a", Version: 3}, compare.Difference{}, 0, errors.New("broken"))
	m.MirrorDropped(id, "busy")
	m.Changed("label", "OK")
	has(t, m,
		"onda_registry_store_reachable 1",
		`onda_registry_in_sync{model="a"} 1`, `onda_registry_in_sync{model="b"} 0`,
		`onda_registry_revision{model="a"} 7`, `onda_registry_revision{model="b"} 2`,
		"onda_models_memory_bytes 80", "onda_models_memory_budget_bytes 100",
		`onda_model_loads_total{outcome="loaded"} 1`, `onda_model_loads_total{outcome="failed"} 1`,
		"onda_model_load_duration_seconds_sum 3", "onda_model_evictions_total 1",
		`onda_mirrored_total{mirror="3",model="a",outcome="agreed",version="2"} 1`,
		`onda_mirrored_total{mirror="3",model="a",outcome="disagreed",version="2"} 1`,
		`onda_mirrored_total{mirror="3",model="a",outcome="failed",version="2"} 1`,
		`onda_mirrors_dropped_total{model="a",reason="busy"} 1`,
		`onda_registry_changes_total{action="label",code="OK"} 1`)
}
