package catalog_test

import (
	"math"
	"testing"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/scoring"
)

func TestSetTraffic(t *testing.T) {
	t.Parallel()
	m := managed(t, 3)
	given := &catalog.Traffic{Weights: map[int64]int{1: 90, 2: 10}}
	must(t, m.SetTraffic(given))
	given.Weights[3] = 5 // is the caller's own
	same(t, "traffic", m.Traffic, catalog.Traffic{Weights: map[int64]int{1: 90, 2: 10}, Sticky: catalog.StickyKey})
	must(t, m.SetTraffic(&catalog.Traffic{Weights: map[int64]int{2: 1}, Sticky: catalog.StickyCaller}))
	same(t, "traffic", m.Traffic, catalog.Traffic{Weights: map[int64]int{2: 1}, Sticky: catalog.StickyCaller})
	must(t, m.SetTraffic(nil))
	must(t, m.SetTraffic(nil))
	if m.Traffic != nil {
		t.Errorf("traffic %v, want none", m.Traffic)
	}
}

func TestSetTrafficRefuses(t *testing.T) {
	t.Parallel()
	m := managed(t, 3)
	must(t, m.Retire(3))
	many := map[int64]int{}
	for n := range int64(33) {
		many[n+1] = 1
	}
	tests := []struct {
		name    string
		traffic catalog.Traffic
		code    scoring.Code
		part    string
	}{
		{"nothing", catalog.Traffic{}, scoring.Invalid, "0 versions: name 1 to 32"},
		{"too many", catalog.Traffic{Weights: many}, scoring.Invalid, "33 versions"},
		{"no weight", catalog.Traffic{Weights: map[int64]int{1: 1, 2: 0}}, scoring.Invalid, "version 2 has the weight 0"},
		{"negative", catalog.Traffic{Weights: map[int64]int{1: -1}}, scoring.Invalid, "weight -1"},
		{"huge", catalog.Traffic{Weights: map[int64]int{1: math.MaxInt}}, scoring.Invalid, "want 1 to 1000000"},
		{"unknown", catalog.Traffic{Weights: map[int64]int{1: 1, 9: 1}}, scoring.NotFound, "version 9"},
		{"retired", catalog.Traffic{Weights: map[int64]int{1: 1, 3: 1}}, scoring.Conflict, "retired"},
		{"sticky", catalog.Traffic{Weights: map[int64]int{1: 1}, Sticky: "ip"}, scoring.Invalid, `sticky "ip": want "key" or "caller"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			refuses(t, m, func() error { return m.SetTraffic(&test.traffic) }, test.code, test.part)
		})
	}
	split := &catalog.Traffic{Weights: map[int64]int{1: 1}}
	must(t, m.BeginRollout(2, nil, catalog.Rule{}, "", nil, noon))
	refuses(t, m, func() error { return m.SetTraffic(split) }, scoring.Conflict, "a rollout of version 2")
	free := unmanaged(t, 1)
	refuses(t, free, func() error { return free.SetTraffic(split) }, scoring.Conflict, `no label "live"`, "set the label before you split its traffic")
	empty := catalog.New("faq")
	refuses(t, empty, func() error { return empty.SetTraffic(split) }, scoring.NotFound, "not registered")
	refuses(t, empty, func() error { return empty.SetTraffic(nil) }, scoring.NotFound, "not registered")
}

func TestSetShadow(t *testing.T) {
	t.Parallel()
	m := managed(t, 3)
	must(t, m.Retire(3))
	must(t, m.SetShadow(&catalog.Shadow{Version: 2, Share: 0.25}))
	same(t, "shadow", m.Shadow, catalog.Shadow{Version: 2, Share: 0.25})
	set := func(version int64, share float64) func() error {
		return func() error { return m.SetShadow(&catalog.Shadow{Version: version, Share: share}) }
	}
	for _, share := range []float64{0, -0.1, 1.01, math.NaN(), math.Inf(1)} {
		refuses(t, m, set(2, share), scoring.Invalid, "want more than 0 and at most 1")
	}
	refuses(t, m, set(1, 1), scoring.Invalid, "version 1", "live")
	refuses(t, m, set(3, 1), scoring.Conflict, "retired")
	refuses(t, m, set(9, 1), scoring.NotFound, "version 9")
	must(t, m.SetShadow(nil))
	if m.Shadow != nil {
		t.Errorf("shadow %v, want none", m.Shadow)
	}
	free := unmanaged(t, 2)
	refuses(t, free, func() error { return free.SetShadow(&catalog.Shadow{Version: 2, Share: 1}) }, scoring.Conflict, "set the label before you shadow")
	empty := catalog.New("faq")
	refuses(t, empty, func() error { return empty.SetShadow(nil) }, scoring.NotFound, "not registered")
}
