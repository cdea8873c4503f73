package catalog_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/scoring"
)

// defaults is the rule of a rollout where nobody gives another.
var defaults = catalog.Rule{
	MaxErrorRate: 0.01, MaxP99Ratio: 1.5, MaxDivergence: 0.1, MinSamples: 100, MinCompared: 20,
	StepTime: catalog.Duration(30 * time.Second), Compare: 0.2,
}

func TestRolloutToTheEnd(t *testing.T) {
	t.Parallel()
	m := managed(t, 2)
	m.Revision = 7
	must(t, m.SetTraffic(&catalog.Traffic{Weights: map[int64]int{1: 1, 2: 1}}))
	must(t, m.SetShadow(&catalog.Shadow{Version: 2, Share: 1}))
	must(t, m.BeginRollout(2, nil, catalog.Rule{}, "", nil, noon))
	want := &catalog.Rollout{
		ID: "r8", Candidate: 2, Baseline: 1, Steps: []int{5, 25, 50}, StepSince: noon,
		Rule: defaults, Sticky: catalog.StickyKey, Status: catalog.Running,
	}
	same(t, "rollout", m.Rollout, want)
	same(t, "labels", m.Labels, map[string]int64{"live": 1, "canary": 2})
	if m.Traffic != nil || m.Shadow == nil {
		t.Errorf("traffic %v, shadow %v; want the shares in the split's place, and the shadow as it was", m.Traffic, m.Shadow)
	}
	for step := 1; step < 3; step++ {
		if m.Rollout.LastStep() {
			t.Errorf("step %d counts as the last", step-1)
		}
		at := noon.Add(time.Duration(step) * time.Minute)
		must(t, m.Advance(fmt.Sprint("well ", step), at))
		want.Step, want.StepSince, want.Verdict = step, at, fmt.Sprint("well ", step)
		same(t, "rollout", m.Rollout, want)
	}
	if !m.Rollout.LastStep() {
		t.Error("step 2 does not count as the last")
	}
	at := noon.Add(time.Hour)
	must(t, m.Advance("all well", at))
	want.Status, want.StepSince, want.Verdict = catalog.Promoted, at, "all well"
	same(t, "state", m.State, catalog.State{Labels: map[string]int64{"live": 2}, Previous: 1, Rollout: want})

	must(t, m.RollBack("not so well", at)) // of live, to where it came from
	same(t, "state", m.State, catalog.State{Labels: map[string]int64{"live": 1}, Rollout: want, Standing: map[int64]catalog.Standing{2: catalog.RolledBack}})
}

func TestRollBackOfARollout(t *testing.T) {
	t.Parallel()
	m := managed(t, 3)
	must(t, m.SetLabel(scoring.LabelLive, 2, nil))
	must(t, m.BeginRollout(3, []int{1, 100}, catalog.Rule{}, catalog.StickyCaller, nil, noon))
	must(t, m.RollBack(strings.Repeat("ü", 300), noon.Add(time.Second)))
	r := m.Rollout
	if r.Status != catalog.WasRolledBack || !r.StepSince.Equal(noon.Add(time.Second)) || r.Verdict != strings.Repeat("ü", 256) {
		t.Errorf("got %+v", r)
	}
	same(t, "labels", m.Labels, map[string]int64{"live": 2})
	same(t, "standing", m.Standing, map[int64]catalog.Standing{3: catalog.RolledBack})
	if m.Previous != 1 {
		t.Errorf("previous %d, want 1 as before", m.Previous)
	}
	refuses(t, m, func() error { return m.Advance("", noon) }, scoring.Conflict, `no rollout of "faq" is running`)
	refuses(t, m, func() error { return m.Promote("", noon) }, scoring.Conflict, "move the label")
	must(t, m.RollBack("", noon)) // now of live
	same(t, "labels", m.Labels, map[string]int64{"live": 1})
}

// TestRollBackDoesNotSwing: a second rollback would end at the version that failed first.
func TestRollBackDoesNotSwing(t *testing.T) {
	t.Parallel()
	m := overTheRegistry(unmanaged(t, 2))
	must(t, m.SetLabel(scoring.LabelLive, 1, nil))
	must(t, m.SetTraffic(&catalog.Traffic{Weights: map[int64]int{1: 1, 2: 1}}))
	refuses(t, m, func() error { return m.RollBack("", noon) }, scoring.Conflict, "version 1", "no version before it to go back to", "move the label")
	must(t, m.SetLabel(scoring.LabelLive, 2, nil))
	must(t, m.SetTraffic(&catalog.Traffic{Weights: map[int64]int{1: 1, 2: 1}}))
	must(t, m.SetShadow(&catalog.Shadow{Version: 1, Share: 1}))
	must(t, m.RollBack("errors", noon))
	same(t, "state", m.State, catalog.State{Labels: map[string]int64{"live": 1}, Standing: map[int64]catalog.Standing{2: catalog.RolledBack}})
	refuses(t, m, func() error { return m.RollBack("", noon) }, scoring.Conflict, "after a rollback there is none")
	refuses(t, m, func() error { return m.SetTraffic(&catalog.Traffic{Weights: map[int64]int{1: 1, 2: 1}}) }, scoring.Conflict, `version 2 of "faq" was rolled back`)
	must(t, m.SetLabel(catalog.LabelCanary, 1, nil))
	refuses(t, m, func() error {
		return m.BeginRollout(2, nil, catalog.Rule{}, "", catalog.Accept{catalog.AcceptRolledBack}, noon)
	}, scoring.Conflict, `label "canary" of "faq" names version 1`)
}

// TestRollBackToWhatFailed: what was live before can have failed as a candidate since.
func TestRollBackToWhatFailed(t *testing.T) {
	t.Parallel()
	m := managed(t, 2)
	must(t, m.SetLabel(scoring.LabelLive, 2, nil))
	must(t, m.BeginRollout(1, nil, catalog.Rule{}, "", nil, noon))
	must(t, m.RollBack("errors", noon))
	refuses(t, m, func() error { return m.RollBack("", noon) }, scoring.Conflict, "version 1", "itself rolled back", "move the label")
}

func TestRollOutAgainWhatWasRolledBack(t *testing.T) {
	t.Parallel()
	m := managed(t, 2)
	must(t, m.BeginRollout(2, nil, catalog.Rule{}, "", nil, noon))
	must(t, m.RollBack("errors", noon))
	begin := func(accept ...string) func() error {
		return func() error { return m.BeginRollout(2, nil, catalog.Rule{}, "", accept, noon) }
	}
	refuses(t, m, begin(), scoring.Conflict, "version 2", "rolled back", `accept "rolled-back"`)
	must(t, begin(catalog.AcceptRolledBack)())
	if len(m.Standing) != 0 {
		t.Errorf("standing %v of a candidate, want none", m.Standing)
	}
}

func TestBeginRolloutRefuses(t *testing.T) {
	t.Parallel()
	m := managed(t, 4)
	must(t, m.Retire(4))
	nan := math.NaN()
	tests := []struct {
		name      string
		candidate int64
		steps     []int
		rule      catalog.Rule
		sticky    string
		code      scoring.Code
		part      string
	}{
		{"live", 1, nil, catalog.Rule{}, "", scoring.Conflict, "live already"},
		{"unknown", 9, nil, catalog.Rule{}, "", scoring.NotFound, "version 9"},
		{"retired", 4, nil, catalog.Rule{}, "", scoring.Conflict, "retired"},
		{"sticky", 2, nil, catalog.Rule{}, "ip", scoring.Invalid, `sticky "ip"`},
		{"step 0", 2, []int{0, 5}, catalog.Rule{}, "", scoring.Invalid, "step 1 is 0"},
		{"step 101", 2, []int{5, 101}, catalog.Rule{}, "", scoring.Invalid, "step 2 is 101"},
		{"falling", 2, []int{5, 10, 7}, catalog.Rule{}, "", scoring.Invalid, "step 3 is 7 percent, after 10"},
		{"equal", 2, []int{5, 5}, catalog.Rule{}, "", scoring.Invalid, "must rise"},
		{"many", 2, make([]int, 21), catalog.Rule{}, "", scoring.Invalid, "21 steps: want 1 to 20"},
		{"error rate", 2, nil, catalog.Rule{MaxErrorRate: -0.1}, "", scoring.Invalid, "max_error_rate is -0.1"},
		{"error rate NaN", 2, nil, catalog.Rule{MaxErrorRate: nan}, "", scoring.Invalid, "max_error_rate is NaN"},
		{"error rate large", 2, nil, catalog.Rule{MaxErrorRate: 1.1}, "", scoring.Invalid, "at most 1"},
		{"ratio", 2, nil, catalog.Rule{MaxP99Ratio: -1}, "", scoring.Invalid, "max_p99_ratio is -1"},
		{"ratio NaN", 2, nil, catalog.Rule{MaxP99Ratio: nan}, "", scoring.Invalid, "max_p99_ratio"},
		{"ratio infinite", 2, nil, catalog.Rule{MaxP99Ratio: math.Inf(1)}, "", scoring.Invalid, "at most 1000"},
		{"divergence", 2, nil, catalog.Rule{MaxDivergence: 2}, "", scoring.Invalid, "max_divergence is 2"},
		{"divergence NaN", 2, nil, catalog.Rule{MaxDivergence: nan}, "", scoring.Invalid, "max_divergence"},
		{"samples", 2, nil, catalog.Rule{MinSamples: -1}, "", scoring.Invalid, "min_samples is -1"},
		{"compared", 2, nil, catalog.Rule{MinCompared: -1}, "", scoring.Invalid, "min_compared is -1"},
		{"step time", 2, nil, catalog.Rule{StepTime: -1}, "", scoring.Invalid, "step_time is -1ns"},
		{"step time long", 2, nil, catalog.Rule{StepTime: math.MaxInt64}, "", scoring.Invalid, "step_time"},
		{"compare", 2, nil, catalog.Rule{Compare: 1.5}, "", scoring.Invalid, "compare is 1.5"},
		{"compare NaN", 2, nil, catalog.Rule{Compare: nan}, "", scoring.Invalid, "compare is NaN"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			refuses(t, m, func() error { return m.BeginRollout(test.candidate, test.steps, test.rule, test.sticky, nil, noon) }, test.code, test.part)
		})
	}
	must(t, m.BeginRollout(2, nil, catalog.Rule{}, "", nil, noon))
	refuses(t, m, func() error { return m.BeginRollout(3, nil, catalog.Rule{}, "", nil, noon) }, scoring.Conflict, "a rollout of version 2")
}

func TestRolloutsOfUnmanagedModels(t *testing.T) {
	t.Parallel()
	m := unmanaged(t, 2)
	refuses(t, m, func() error { return m.BeginRollout(2, nil, catalog.Rule{}, "", nil, noon) }, scoring.Conflict, "set the label before you roll a version out")
	refuses(t, m, func() error { return m.RollBack("", noon) }, scoring.Conflict, "set the label before you roll anything back")
	refuses(t, m, func() error { return m.Advance("", noon) }, scoring.Conflict, "no rollout")
	empty := catalog.New("faq")
	for _, change := range []func() error{
		func() error { return empty.BeginRollout(2, nil, catalog.Rule{}, "", nil, noon) },
		func() error { return empty.RollBack("", noon) },
		func() error { return empty.Promote("", noon) },
		func() error { return empty.Retire(1) },
		func() error { return empty.RemoveLabel("beta") },
		func() error { return empty.SetShadow(&catalog.Shadow{}) },
	} {
		refuses(t, empty, change, scoring.NotFound, `model "faq" is not registered: register a version of it first`)
	}
}

func TestRuleWithDefaults(t *testing.T) {
	t.Parallel()
	if got := (catalog.Rule{}).WithDefaults(); got != defaults {
		t.Errorf("got %+v, want %+v", got, defaults)
	}
	own := catalog.Rule{
		MaxErrorRate: 0.5, MaxP99Ratio: 2, MaxDivergence: 1, MinSamples: 1, MinCompared: 2,
		StepTime: catalog.Duration(time.Minute), Compare: 1,
	}
	if got := own.WithDefaults(); got != own {
		t.Errorf("got %+v, want what was given", got)
	}
}
