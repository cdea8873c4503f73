package follow

import (
	"reflect"
	"slices"
	"testing"

	"github.com/onda-serving/onda/app/catalog"
)

func TestRestrict(t *testing.T) {
	t.Parallel()
	type route = catalog.Route
	labels := func(live int64) map[string]int64 { return map[string]int64{"live": live} }
	shares := func(versions ...int64) (all []catalog.Share) {
		for _, v := range versions {
			all = append(all, catalog.Share{Version: v, Weight: 10})
		}
		return all
	}
	shadow := &catalog.Shadow{Version: 3, Share: 0.5}
	compare := &catalog.Compare{Candidate: 2, Baseline: 1, Share: 0.2}
	tests := []struct {
		name            string
		want, old, then route
		ready           []int64
	}{
		{"all ready", route{Labels: labels(2), Shares: shares(1, 2), Sticky: "key", Shadow: shadow, Compare: compare}, route{Labels: labels(1)}, route{Labels: labels(2), Shares: shares(1, 2), Sticky: "key", Shadow: shadow, Compare: compare}, []int64{1, 2, 3}},
		{"nothing ready, nothing before", route{Labels: labels(2), Shares: shares(1, 2), Shadow: shadow, Compare: compare}, route{}, route{Labels: map[string]int64{}}, nil},
		{"nothing ready", route{Labels: labels(2), Shares: shares(2, 3), Sticky: "key"}, route{Labels: labels(1), Shares: shares(1), Sticky: "caller"}, route{Labels: labels(1), Shares: shares(1), Sticky: "caller"}, []int64{1}},
		{"a label that is gone", route{Labels: labels(1)}, route{Labels: map[string]int64{"live": 1, "a": 1}}, route{Labels: labels(1)}, []int64{1}},
		{"a label that is new, and not ready", route{Labels: map[string]int64{"live": 1, "a": 2}}, route{Labels: labels(1)}, route{Labels: labels(1)}, []int64{1}},
		{"a share that is not ready", route{Labels: labels(1), Shares: shares(1, 2), Sticky: "key"}, route{Labels: labels(1)}, route{Labels: labels(1), Shares: shares(1), Sticky: "key"}, []int64{1}},
		{"shares that end", route{Labels: labels(1)}, route{Labels: labels(1), Shares: shares(1, 2), Sticky: "key"}, route{Labels: labels(1)}, []int64{1, 2}},
		{"a shadow that is not ready", route{Labels: labels(1), Shadow: shadow}, route{Labels: labels(1), Shadow: &catalog.Shadow{Version: 1, Share: 1}}, route{Labels: labels(1)}, []int64{1}},
		{"a candidate that is not ready", route{Labels: labels(1), Compare: compare}, route{Labels: labels(1)}, route{Labels: labels(1)}, []int64{1}},
		{"a baseline that is not ready", route{Labels: labels(1), Compare: compare}, route{Labels: labels(2)}, route{Labels: labels(2)}, []int64{2}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := restrict(test.want, test.old, func(v int64) bool { return slices.Contains(test.ready, v) })
			if !reflect.DeepEqual(got, test.then) {
				t.Errorf("got %+v, want %+v", got, test.then)
			}
		})
	}
}
