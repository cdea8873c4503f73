package catalog

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/onda-serving/onda/app/scoring"
)

// registered fails unless version is in the document.
func (m *Model) registered(version int64) error {
	if len(m.Versions) == 0 {
		return m.unknown()
	}
	if _, ok := m.Versions[version]; !ok {
		return scoring.Errorf(scoring.NotFound, "version %d of %q is not registered: register it first, or take %s", version, m.Name, m.newest())
	}
	return nil
}

// unknown is the error of a model without versions.
func (m *Model) unknown() error {
	return scoring.Errorf(scoring.NotFound, "model %q is not registered: register a version of it first", m.Name)
}

// newest names some versions that could have been meant, of those that are in use.
func (m *Model) newest() string {
	const most = 5
	var all []string
	for _, version := range slices.Backward(slices.Sorted(maps.Keys(m.Versions))) {
		if m.Standing[version] == Retired {
			continue
		}
		if len(all) == most {
			return "one of " + strings.Join(all, ", ") + " or an older one"
		}
		all = append(all, strconv.FormatInt(version, 10))
	}
	if len(all) == 0 {
		return "a new one: all others are retired"
	}
	return "one of " + strings.Join(all, ", ")
}

// usable fails unless version can be named by a label, a split, a shadow or a rollout.
func (m *Model) usable(version int64) error {
	if err := m.registered(version); err != nil {
		return err
	}
	if m.Standing[version] == Retired {
		return scoring.Errorf(scoring.Conflict, "version %d of %q was retired%s: take another one, or register its files under a new number", version, m.Name, m.since(version))
	}
	return nil
}

// confirmed fails for a version that was rolled back, unless that is accepted.
func (m *Model) confirmed(version int64, accept Accept) error {
	if m.Standing[version] == RolledBack && !accept.Has(AcceptRolledBack) {
		return scoring.Errorf(scoring.Conflict, "version %d of %q was rolled back%s: confirm with accept %q", version, m.Name, m.since(version), AcceptRolledBack)
	}
	return nil
}

// since says when version got its standing, as far as the document's own history goes back.
func (m *Model) since(version int64) string {
	standing := m.Standing[version]
	for _, e := range slices.Backward(m.History) {
		if e.After.Standing[version] == standing && e.Before.Standing[version] != standing {
			return " on " + moment(e.At)
		}
	}
	return ""
}

// managed fails for a model whose versions no label decides about yet.
func (m *Model) managed(what string) error {
	switch {
	case len(m.Versions) == 0:
		return m.unknown()
	case !m.Managed():
		return scoring.Errorf(scoring.Conflict, "model %q has no label %q, and answers with the newest version: set the label before you %s", m.Name, scoring.LabelLive, what)
	}
	return nil
}

// still fails while a rollout is running.
func (m *Model) still() error {
	if r := m.Running(); r != nil {
		return scoring.Errorf(scoring.Conflict, "a rollout of version %d of %q is running: promote or roll it back first", r.Candidate, m.Name)
	}
	return nil
}

// moment writes a time for people.
func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// stamp is a time as documents hold it.
func stamp(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// clip cuts a text between two characters, to no more than so many bytes. Bytes that are no
// characters would not come back from the state store as they went in.
func clip(text string, bytes int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= bytes {
		return text
	}
	// Cutting through a character leaves bytes that are none.
	return strings.ToValidUTF8(text[:bytes], "")
}

// plural writes a number of things.
func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
