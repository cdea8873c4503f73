package admin

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/scoring"
)

// SetLabel moves a label to a version. The report compares the version with the one that the
// label named before or, for a new label, with the live one.
func (a *Admin) SetLabel(ctx context.Context, name, label string, version int64, ask Ask) (*Document, error) {
	if err := scoring.CheckName("label", label); err != nil {
		return nil, err
	}
	if err := checkVersion(version); err != nil {
		return nil, err
	}
	return a.change(ctx, name, ask, change{
		action: catalog.ActionLabel, version: version,
		apply: func(m *catalog.Model) error { return m.SetLabel(label, version, ask.Accept) },
		candidates: func(m *catalog.Model) []candidate {
			return []candidate{{version, cmp.Or(m.Labels[label], a.answering(m))}}
		},
	})
}

// RemoveLabel takes a label away.
func (a *Admin) RemoveLabel(ctx context.Context, name, label string, ask Ask) (*Document, error) {
	if err := scoring.CheckName("label", label); err != nil {
		return nil, err
	}
	return a.change(ctx, name, ask, change{
		action:     catalog.ActionUnlabel,
		apply:      func(m *catalog.Model) error { return m.RemoveLabel(label) },
		candidates: nobody,
	})
}

// SetTraffic splits the requests that name neither version nor label; nil gives all of them
// to the live version. The report is there if one version was compared with the live one.
func (a *Admin) SetTraffic(ctx context.Context, name string, traffic *catalog.Traffic, ask Ask) (*Document, error) {
	return a.change(ctx, name, ask, change{
		action: catalog.ActionTraffic,
		apply:  func(m *catalog.Model) error { return m.SetTraffic(traffic) },
		candidates: func(m *catalog.Model) []candidate {
			if traffic == nil {
				return nil // the live version answers already
			}
			var all []candidate
			for _, version := range slices.Sorted(maps.Keys(traffic.Weights)) {
				if version != m.Labels[scoring.LabelLive] {
					all = append(all, candidate{version, a.answering(m)})
				}
			}
			return all
		},
	})
}

// SetShadow copies requests to a version; nil ends it. The version is made ready but not
// compared before: to compare is what a shadow is for, and nobody gets its answers.
func (a *Admin) SetShadow(ctx context.Context, name string, shadow *catalog.Shadow, ask Ask) (*Document, error) {
	c := change{
		action:     catalog.ActionShadow,
		apply:      func(m *catalog.Model) error { return m.SetShadow(shadow) },
		candidates: nobody,
	}
	if shadow != nil {
		c.version = shadow.Version
		c.candidates = func(*catalog.Model) []candidate { return []candidate{{shadow.Version, 0}} }
	}
	return a.change(ctx, name, ask, c)
}

// Retire takes a version out of use.
func (a *Admin) Retire(ctx context.Context, name string, version int64, ask Ask) (*Document, error) {
	if err := checkVersion(version); err != nil {
		return nil, err
	}
	return a.change(ctx, name, ask, change{
		action: catalog.ActionRetire, version: version,
		apply:      func(m *catalog.Model) error { return m.Retire(version) },
		candidates: nobody,
	})
}

// Pin keeps the versions of a model that answer in memory, or no longer.
func (a *Admin) Pin(ctx context.Context, name string, pinned bool, ask Ask) (*Document, error) {
	return a.change(ctx, name, ask, change{
		action:     catalog.ActionPin,
		apply:      func(m *catalog.Model) error { return m.SetPinned(pinned) },
		candidates: nobody,
	})
}

// nobody is for changes that make no version answer.
func nobody(*catalog.Model) []candidate { return nil }

// answering is the version that answers requests without version and label today: the live
// one or, of a model that is not managed yet, the one that this replica answers with. It is 0
// if there is none, or if the registry does not know it.
func (a *Admin) answering(m *catalog.Model) int64 {
	version := m.Labels[scoring.LabelLive]
	if version == 0 {
		version = a.Replica.Serving(m.Name).Labels[scoring.LabelLive]
	}
	if _, known := m.Versions[version]; !known {
		return 0
	}
	return version
}

func checkVersion(version int64) error {
	if version < 1 {
		return scoring.Errorf(scoring.Invalid, "version is %d: want the number of a registered version", version)
	}
	return nil
}
