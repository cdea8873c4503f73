package catalog

import (
	"strconv"
	"strings"

	"github.com/onda-serving/onda/app/scoring"
)

// maxLabels bounds the labels of a model.
const maxLabels = 64

// SetLabel makes label name version. Where the label is "live", this is how a model becomes
// managed; it ends a traffic split, which was made with another version in mind, and a shadow
// that is now live itself, and the version that was live is kept as the one to go back to.
//
// The error's code is Invalid for a label that is none, NotFound for a version that is not
// registered, and Conflict for one that is retired or that was rolled back (unless that is
// accepted, which clears its standing where the label is "live"), for one that breaks what
// callers of "live" rely on (unless that is accepted: versions of the models folder were
// registered without anybody being asked), for the labels that a running rollout moves, and
// for a label too many.
func (m *Model) SetLabel(label string, version int64, accept Accept) error {
	if err := checkLabel(label); err != nil {
		return err
	}
	if err := m.usable(version); err != nil {
		return err
	}
	was := m.Labels[label]
	if was == version {
		return nil
	}
	if label == scoring.LabelLive || label == LabelCanary {
		if err := m.still(); err != nil {
			return err
		}
	}
	if err := m.confirmed(version, accept); err != nil {
		return err
	}
	if err := m.roomFor(label); err != nil {
		return err
	}
	next := m.State.clone()
	if label == scoring.LabelLive {
		if err := m.keepsPromises(m.Versions[version], accept); err != nil {
			return err
		}
		next.Previous = was
		if answered := m.newestInFolder(); was == 0 && answered != version {
			next.Previous = answered // without a label
		}
		next.moveLive(version)
	} else {
		next.Labels[label] = version
	}
	m.State = next
	return nil
}

// checkLabel refuses what could not be told from something else by those who read it.
func checkLabel(label string) error {
	if err := scoring.CheckName("label", label); err != nil {
		return err
	}
	for _, taken := range []string{scoring.LabelLive, LabelCanary, "newest"} {
		if strings.EqualFold(label, taken) && (label != taken || taken == "newest") {
			return scoring.Errorf(scoring.Invalid, "label %q would be taken for %q: want another name", label, taken)
		}
	}
	if _, err := strconv.ParseInt(label, 10, 64); err == nil {
		return scoring.Errorf(scoring.Invalid, "label %q would be taken for a version: want a name with a letter", label)
	}
	return nil
}

// roomFor fails where label would be one too many. "live" always finds room: it is what makes
// a model managed.
func (m *Model) roomFor(label string) error {
	if _, ok := m.Labels[label]; ok || label == scoring.LabelLive || len(m.Labels) < maxLabels {
		return nil
	}
	return scoring.Errorf(scoring.Conflict, "model %q has %s, and can have no more: remove one before you set %q", m.Name, plural(len(m.Labels), "label"), label)
}

// RemoveLabel takes a label away. The error's code is NotFound for a label that is not there,
// and Conflict for "live", without which nothing would answer, and for that of a running
// rollout.
func (m *Model) RemoveLabel(label string) error {
	if err := scoring.CheckName("label", label); err != nil {
		return err
	}
	version, ok := m.Labels[label]
	switch {
	case len(m.Versions) == 0:
		return m.unknown()
	case !ok:
		return scoring.Errorf(scoring.NotFound, "model %q has no label %q to remove: look at the labels that it has", m.Name, label)
	}
	if label == scoring.LabelLive {
		return scoring.Errorf(scoring.Conflict, "label %q of %q names the version that answers, and cannot be removed: move it from version %d to another one", label, m.Name, version)
	}
	if label == LabelCanary {
		if err := m.still(); err != nil {
			return err
		}
	}
	next := m.State.clone()
	delete(next.Labels, label)
	m.State = next
	return nil
}
