package catalog

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/onda-serving/onda/app/scoring"
)

const (
	// maxSplit bounds the versions of a traffic split: a replica keeps all of them loaded.
	maxSplit = 32
	// maxWeight bounds the weight of one version, so that sums stay whole.
	maxWeight = 1_000_000
)

// SetTraffic splits the requests that name neither version nor label over versions; nil gives
// all of them to the label "live" again. Sticky is [StickyKey] where t leaves it out. The
// error's code is Invalid for a split that is none, NotFound for a version that is not
// registered, and Conflict for a retired one, while a rollout runs, or without the label
// "live".
func (m *Model) SetTraffic(t *Traffic) error {
	if t == nil {
		return m.noTraffic()
	}
	if err := m.managed("split its traffic"); err != nil {
		return err
	}
	if err := m.still(); err != nil {
		return err
	}
	if len(t.Weights) < 1 || len(t.Weights) > maxSplit {
		return scoring.Errorf(scoring.Invalid, "traffic over %s: name 1 to %d versions, each with its weight", plural(len(t.Weights), "version"), maxSplit)
	}
	for _, version := range slices.Sorted(maps.Keys(t.Weights)) {
		if weight := t.Weights[version]; weight < 1 || weight > maxWeight {
			return scoring.Errorf(scoring.Invalid, "traffic: version %d has the weight %d, want 1 to %d; leave out a version that shall get nothing", version, weight, maxWeight)
		}
		if err := m.usable(version); err != nil {
			return err
		}
		if m.Standing[version] == RolledBack {
			return scoring.Errorf(scoring.Conflict, "traffic: version %d of %q was rolled back%s: leave it out, or move the label %q to it, which can be confirmed", version, m.Name, m.since(version), scoring.LabelLive)
		}
		if all := Breaking(m.Versions[m.Labels[scoring.LabelLive]], m.Versions[version]); len(all) > 0 {
			return scoring.Errorf(scoring.Conflict, "traffic: version %d breaks what callers of version %d rely on, and some of them would get it: %s", version, m.Labels[scoring.LabelLive], strings.Join(all, "; "))
		}
	}
	sticky := cmp.Or(t.Sticky, StickyKey)
	if err := checkSticky(sticky); err != nil {
		return err
	}
	next := m.State.clone()
	next.Traffic = t.clone()
	next.Traffic.Sticky = sticky
	m.State = next
	return nil
}

// noTraffic ends a split. While a rollout runs there is none to end.
func (m *Model) noTraffic() error {
	if len(m.Versions) == 0 {
		return m.unknown()
	}
	next := m.State.clone()
	next.Traffic = nil
	m.State = next
	return nil
}

// checkSticky fails for what cannot keep a caller on one version.
func checkSticky(sticky string) error {
	if sticky != StickyKey && sticky != StickyCaller {
		return scoring.Errorf(scoring.Invalid, "sticky %q: want %q or %q", clip(sticky, 64), StickyKey, StickyCaller)
	}
	return nil
}

// SetShadow copies a share of the requests to a version whose answers nobody gets; nil copies
// none. The error's code is Invalid for a share that is none and for the version that is live,
// NotFound for a version that is not registered, and Conflict for a retired one, or without
// the label "live".
func (m *Model) SetShadow(s *Shadow) error {
	if s == nil {
		return m.noShadow()
	}
	if err := m.managed("shadow a version"); err != nil {
		return err
	}
	if !(s.Share > 0 && s.Share <= 1) { // NaN is neither
		return scoring.Errorf(scoring.Invalid, "shadow: share %v of the requests, want more than 0 and at most 1", s.Share)
	}
	if err := m.usable(s.Version); err != nil {
		return err
	}
	if s.Version == m.Labels[scoring.LabelLive] {
		return scoring.Errorf(scoring.Invalid, "version %d of %q is live, and answers already: shadow another one", s.Version, m.Name)
	}
	next := m.State.clone()
	shadow := *s
	next.Shadow = &shadow
	m.State = next
	return nil
}

func (m *Model) noShadow() error {
	if len(m.Versions) == 0 {
		return m.unknown()
	}
	next := m.State.clone()
	next.Shadow = nil
	m.State = next
	return nil
}
