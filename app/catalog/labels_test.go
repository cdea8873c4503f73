package catalog_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/scoring"
)

func TestSetLabel(t *testing.T) {
	t.Parallel()
	m := unmanaged(t, 3)
	must(t, m.SetLabel("beta", 2, nil))
	if m.Managed() {
		t.Error("a label other than live made the model managed")
	}
	must(t, m.SetLabel(scoring.LabelLive, 1, nil))
	if !m.Managed() || m.Previous != 3 {
		t.Errorf("managed %v, previous %d; want true, and the one that answered before", m.Managed(), m.Previous)
	}
	first := overTheRegistry(unmanaged(t, 2))
	must(t, first.SetLabel(scoring.LabelLive, 1, nil))
	if first.Previous != 0 {
		t.Errorf("previous %d, and nothing answered before", first.Previous)
	}
	for label, want := range map[string]string{
		"LIVE": `label "LIVE" would be taken for "live"`, "newest": `would be taken for "newest"`, "7": `label "7" would be taken for a version`,
	} {
		refuses(t, m, func() error { return m.SetLabel(label, 1, nil) }, scoring.Invalid, want)
	}
	must(t, m.SetLabel(scoring.LabelLive, 3, nil))
	same(t, "state", m.State, catalog.State{Labels: map[string]int64{"beta": 2, "live": 3}, Previous: 1})
	before := text(t, m)
	must(t, m.SetLabel(scoring.LabelLive, 3, nil))
	if text(t, m) != before {
		t.Error("setting a label to what it names already changed the document")
	}
}

func TestMovingLiveEndsWhatWasMadeForTheOldOne(t *testing.T) {
	t.Parallel()
	m := managed(t, 3)
	must(t, m.SetTraffic(&catalog.Traffic{Weights: map[int64]int{1: 9, 2: 1}}))
	must(t, m.SetShadow(&catalog.Shadow{Version: 3, Share: 0.5}))
	must(t, m.SetLabel("beta", 2, nil))
	if m.Traffic == nil || m.Shadow == nil {
		t.Fatal("another label ended the split or the shadow")
	}
	must(t, m.SetLabel(scoring.LabelLive, 2, nil))
	if m.Traffic != nil || m.Shadow == nil {
		t.Errorf("traffic %v, shadow %v; want no split, and the shadow of another version as it was", m.Traffic, m.Shadow)
	}
	must(t, m.SetLabel(scoring.LabelLive, 3, nil))
	if m.Shadow != nil {
		t.Errorf("the live version shadows itself: %v", m.Shadow)
	}
}

func TestSetLabelRefuses(t *testing.T) {
	t.Parallel()
	m := managed(t, 4)
	must(t, m.Retire(4))
	set := func(label string, version int64) func() error {
		return func() error { return m.SetLabel(label, version, nil) }
	}
	refuses(t, m, set("no label", 2), scoring.Invalid, `label "no label"`)
	refuses(t, m, set("", 2), scoring.Invalid, "label is empty")
	refuses(t, m, set("beta", 9), scoring.NotFound, `version 9 of "faq" is not registered`, "one of 3, 2, 1")
	refuses(t, m, set("beta", 0), scoring.NotFound, "version 0")
	refuses(t, m, set("beta", 4), scoring.Conflict, `version 4 of "faq" was retired`, "new number")
	refuses(t, m, set(scoring.LabelLive, 4), scoring.Conflict, "retired")

	must(t, m.BeginRollout(2, nil, catalog.Rule{}, "", nil, noon))
	refuses(t, m, set(scoring.LabelLive, 3), scoring.Conflict, "a rollout of version 2", "promote or roll it back first")
	refuses(t, m, set(catalog.LabelCanary, 3), scoring.Conflict, "a rollout of version 2")
	must(t, m.SetLabel(scoring.LabelLive, 1, nil)) // where it is
	must(t, m.SetLabel("beta", 3, nil))            // not the rollout's

	many := unmanaged(t, 7)
	refuses(t, many, func() error { return many.SetLabel("beta", 8, nil) }, scoring.NotFound, "or take one of 7, 6, 5, 4, 3 or an older one")
	gone := overTheRegistry(unmanaged(t, 1))
	must(t, gone.Retire(1))
	refuses(t, gone, func() error { return gone.SetLabel("beta", 8, nil) }, scoring.NotFound, "a new one: all others are retired")
	empty := catalog.New("faq")
	refuses(t, empty, func() error { return empty.SetLabel("beta", 1, nil) }, scoring.NotFound, `model "faq" is not registered`)
}

func TestRolledBackVersionWantsConfirmation(t *testing.T) {
	t.Parallel()
	m := managed(t, 2)
	must(t, m.SetLabel(scoring.LabelLive, 2, nil))
	before := m.State
	must(t, m.RollBack("errors", noon))
	m.History = append(m.History, catalog.Entry{At: noon, Before: before, After: m.State})

	set := func(label string) func() error {
		return func() error { return m.SetLabel(label, 2, catalog.Accept{catalog.AcceptSignature}) }
	}
	refuses(t, m, set(scoring.LabelLive), scoring.Conflict, `version 2 of "faq" was rolled back on 2026-09-01 12:00:00 UTC: confirm with accept "rolled-back"`)
	refuses(t, m, set("beta"), scoring.Conflict, "rolled back on")
	accept := catalog.Accept{catalog.AcceptRolledBack}
	must(t, m.SetLabel("beta", 2, accept))
	if m.Standing[2] != catalog.RolledBack {
		t.Errorf("a label that answers nobody unasked cleared the standing: %v", m.Standing)
	}
	must(t, m.SetLabel(scoring.LabelLive, 2, accept))
	if len(m.Standing) != 0 {
		t.Errorf("standing %v of what is live again, want none", m.Standing)
	}
}

func TestLabelsAreBounded(t *testing.T) {
	t.Parallel()
	m := unmanaged(t, 2)
	for i := range 64 {
		must(t, m.SetLabel(fmt.Sprintf("l%d", i), 1, nil))
	}
	refuses(t, m, func() error { return m.SetLabel("one-more", 1, nil) }, scoring.Conflict, "64 labels", "remove one")
	must(t, m.SetLabel("l7", 2, nil))
	must(t, m.SetLabel(scoring.LabelLive, 1, nil))
	refuses(t, m, func() error { return m.BeginRollout(2, nil, catalog.Rule{}, "", nil, noon) }, scoring.Conflict, "labels", `"canary"`)
}

func TestRemoveLabel(t *testing.T) {
	t.Parallel()
	m := managed(t, 2)
	must(t, m.SetLabel("beta", 2, nil))
	must(t, m.RemoveLabel("beta"))
	same(t, "labels", m.Labels, map[string]int64{"live": 1})
	refuses(t, m, func() error { return m.RemoveLabel("beta") }, scoring.NotFound, `no label "beta"`)
	refuses(t, m, func() error { return m.RemoveLabel(strings.Repeat("b", 999)) }, scoring.Invalid, "999 bytes")
	refuses(t, m, func() error { return m.RemoveLabel(scoring.LabelLive) }, scoring.Conflict, "cannot be removed", "move it from version 1")
	must(t, m.BeginRollout(2, nil, catalog.Rule{}, "", nil, noon))
	refuses(t, m, func() error { return m.RemoveLabel(catalog.LabelCanary) }, scoring.Conflict, "promote or roll it back first")
}

func TestRetire(t *testing.T) {
	t.Parallel()
	m := managed(t, 6)
	must(t, m.SetLabel("beta", 2, nil))
	must(t, m.SetTraffic(&catalog.Traffic{Weights: map[int64]int{1: 1, 3: 1}}))
	must(t, m.SetShadow(&catalog.Shadow{Version: 4, Share: 1}))
	retire := func(n int64) func() error { return func() error { return m.Retire(n) } }
	refuses(t, m, retire(1), scoring.Conflict, `version 1 of "faq" is in use by the label "live", the traffic split`)
	refuses(t, m, retire(2), scoring.Conflict, `the label "beta"`)
	refuses(t, m, retire(3), scoring.Conflict, "by the traffic split:")
	refuses(t, m, retire(4), scoring.Conflict, "by the shadow:")
	refuses(t, m, retire(9), scoring.NotFound, "version 9")
	must(t, m.BeginRollout(5, nil, catalog.Rule{}, "", nil, noon))
	refuses(t, m, retire(5), scoring.Conflict, `the label "canary", the running rollout`)
	must(t, m.RollBack("", noon))
	must(t, m.Retire(5)) // what was rolled back, too
	must(t, m.Retire(6))
	before := text(t, m)
	must(t, m.Retire(6))
	if text(t, m) != before {
		t.Error("retiring a version again changed the document")
	}
	same(t, "standing", m.Standing, map[int64]catalog.Standing{5: catalog.Retired, 6: catalog.Retired})
}

// TestRetiredVersionIsNotGoneBackTo: the version that was live before can be retired.
func TestRetiredVersionIsNotGoneBackTo(t *testing.T) {
	t.Parallel()
	m := managed(t, 2)
	must(t, m.SetLabel(scoring.LabelLive, 2, nil))
	must(t, m.Retire(1))
	refuses(t, m, func() error { return m.RollBack("", noon) }, scoring.Conflict, "no version before it")
}

func TestPin(t *testing.T) {
	t.Parallel()
	m := unmanaged(t, 1)
	must(t, m.SetPinned(true))
	if !m.Pinned {
		t.Error("the model is not pinned")
	}
	must(t, m.SetPinned(false))
	if m.Pinned {
		t.Error("the model is still pinned")
	}
	empty := catalog.New("faq")
	refuses(t, empty, func() error { return empty.SetPinned(true) }, scoring.NotFound, "not registered")
}
