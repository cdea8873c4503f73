package catalog

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/onda-serving/onda/app/scoring"
)

// Retire takes a version out of use for good: nothing can name it any more, and what was live
// before is forgotten if it was this one. The error's code is NotFound for a version that is
// not registered, and Conflict while something names it.
func (m *Model) Retire(version int64) error {
	if err := m.registered(version); err != nil {
		return err
	}
	if m.Standing[version] == Retired {
		return nil
	}
	if !m.Managed() && version == m.newestInFolder() {
		return scoring.Errorf(scoring.Conflict, "version %d of %q answers, as the newest of the models folder: set the label %q to another version first", version, m.Name, scoring.LabelLive)
	}
	if by := m.usedBy(version); len(by) > 0 {
		return scoring.Errorf(scoring.Conflict, "version %d of %q is in use by %s: give them another version first", version, m.Name, strings.Join(by, ", "))
	}
	next := m.State.clone()
	next.Standing[version] = Retired
	if next.Previous == version {
		next.Previous = 0
	}
	m.State = next
	return nil
}

// usedBy lists what names version.
func (s *State) usedBy(version int64) []string {
	var by []string
	for _, label := range slices.Sorted(maps.Keys(s.Labels)) {
		if s.Labels[label] == version {
			by = append(by, fmt.Sprintf("the label %q", label))
		}
	}
	if s.Traffic != nil && s.Traffic.Weights[version] > 0 {
		by = append(by, "the traffic split")
	}
	if s.Shadow != nil && s.Shadow.Version == version {
		by = append(by, "the shadow")
	}
	if r := s.Running(); r != nil && (r.Candidate == version || r.Baseline == version) {
		by = append(by, "the running rollout")
	}
	return by
}

// newestInFolder is the newest version that came with the app and is in use: the version that
// answers where no label says which does. 0 where there is none.
func (m *Model) newestInFolder() (newest int64) {
	for number, v := range m.Versions {
		if v.Location == InModelsFolder && m.Standing[number] == "" {
			newest = max(newest, number)
		}
	}
	return newest
}

// SetPinned says whether the versions that answer stay in memory whatever else needs room. The
// error's code is NotFound for a model without versions.
func (m *Model) SetPinned(pinned bool) error {
	if len(m.Versions) == 0 {
		return m.unknown()
	}
	next := m.State.clone()
	next.Pinned = pinned
	m.State = next
	return nil
}
