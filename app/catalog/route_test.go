package catalog_test

import (
	"slices"
	"testing"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/scoring"
)

func TestRoute(t *testing.T) {
	t.Parallel()
	m := managed(t, 9)
	must(t, m.SetLabel("beta", 7, nil))
	must(t, m.SetShadow(&catalog.Shadow{Version: 8, Share: 0.5}))
	check := func(what string, want catalog.Route, versions ...int64) {
		t.Helper()
		got := m.Route()
		same(t, what, got, want)
		if v := got.Versions(); !slices.Equal(v, versions) {
			t.Errorf("%s: needs the versions %v, want %v", what, v, versions)
		}
	}
	labels := map[string]int64{"live": 1, "beta": 7}
	shadow := &catalog.Shadow{Version: 8, Share: 0.5}
	check("labels", catalog.Route{Labels: labels, Shadow: shadow}, 1, 7, 8)

	must(t, m.SetTraffic(&catalog.Traffic{Weights: map[int64]int{10 - 1: 1, 3: 5}, Sticky: catalog.StickyCaller}))
	check("traffic", catalog.Route{Labels: labels, Shadow: shadow, Sticky: catalog.StickyCaller, Shares: []catalog.Share{{Version: 3, Weight: 5}, {Version: 9, Weight: 1}}}, 1, 3, 7, 8, 9)

	must(t, m.SetLabel(scoring.LabelLive, 5, nil)) // 1 is the previous one now, which nobody needs
	must(t, m.BeginRollout(4, []int{10, 100}, catalog.Rule{Compare: 0.3}, "", nil, noon))
	labels = map[string]int64{"live": 5, "beta": 7, "canary": 4}
	compare := &catalog.Compare{Candidate: 4, Baseline: 5, Share: 0.3}
	check("rollout", catalog.Route{Labels: labels, Shadow: shadow, Sticky: catalog.StickyKey, Compare: compare, Shares: []catalog.Share{{Version: 4, Weight: 10}, {Version: 5, Weight: 90}}}, 4, 5, 7, 8)
	must(t, m.Advance("", noon))
	check("all for the candidate", catalog.Route{Labels: labels, Shadow: shadow, Sticky: catalog.StickyKey, Compare: compare, Shares: []catalog.Share{{Version: 4, Weight: 100}}}, 4, 5, 7, 8)
	must(t, m.RollBack("", noon))
	check("rolled back", catalog.Route{Labels: map[string]int64{"live": 5, "beta": 7}, Shadow: shadow}, 5, 7, 8)
}

// TestRouteSharesNothing: a replica keeps routes while documents go on to change.
func TestRouteSharesNothing(t *testing.T) {
	t.Parallel()
	m := managed(t, 3)
	must(t, m.SetShadow(&catalog.Shadow{Version: 2, Share: 0.5}))
	before := text(t, m)
	r := m.Route()
	r.Labels["live"], r.Shadow.Version = 3, 3
	if after := text(t, m); after != before {
		t.Errorf("writing into a route changed the document:\n%s\n%s", before, after)
	}
}

func TestVersionsOfBareRoutes(t *testing.T) {
	t.Parallel()
	r := catalog.Route{Compare: &catalog.Compare{Candidate: 3, Baseline: 2}, Shares: []catalog.Share{{Version: 3, Weight: 1}}}
	if got := r.Versions(); !slices.Equal(got, []int64{2, 3}) {
		t.Errorf("got %v, want 2 and 3", got)
	}
	if got := new(catalog.Route).Versions(); len(got) != 0 {
		t.Errorf("got %v, want none", got)
	}
}
