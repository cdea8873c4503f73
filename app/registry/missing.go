package registry

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/onda-serving/onda/app/scoring"
)

// maxNamed bounds what an error names of what there is.
const maxNamed = 10

// missingLocked says that there is no such model. While no document was read, there may be.
func (r *Registry) missingLocked(want Want) error {
	if r.awaiting {
		return notDocumented(want.Ref.Name)
	}
	return r.unknownModelLocked(want.Ref.Name, want.Caller.Lists)
}

// unknownModelLocked names the models there are to a caller who may list them.
func (r *Registry) unknownModelLocked(name string, lists bool) error {
	text := "GET /v1/models lists the models"
	switch {
	case lists && len(r.models) > 0:
		text = fmt.Sprintf("there %s: %s", thereIs(first(maps.Keys(r.models), strings.Compare), len(r.models)), text)
	case lists:
		text = "there is no model at all"
	}
	return scoring.Errorf(scoring.NotFound, "Request for unknown model: '%s' is not found: %s", name, text)
}

// noVersion says that a model has no such version: see [scoring.Caller] for whom it names the
// others.
func (m *model) noVersion(want Want) error {
	return m.notThere(want, fmt.Sprintf("model %q has no version %d", want.Ref.Name, want.Ref.Version), "its versions")
}

// retired says that a version is out of use.
func (m *model) retired(want Want, version int64) error {
	return m.notThere(want, fmt.Sprintf("version %d of model %q is retired", version, want.Ref.Name), "the others")
}

// notThere adds to text the versions that are in use, the newest first.
func (m *model) notThere(want Want, text, what string) error {
	if want.Caller.Lists {
		inUse := maps.Clone(m.versions)
		maps.DeleteFunc(inUse, func(_ int64, s *Status) bool { return s.Retired })
		var newest []string
		for _, number := range first(maps.Keys(inUse), func(a, b int64) int { return cmp.Compare(b, a) }) {
			newest = append(newest, strconv.FormatInt(number, 10))
		}
		text += ": there " + thereIs(newest, len(inUse))
	}
	return scoring.Errorf(scoring.NotFound, "%s: GET /v1/models/%s lists %s", text, want.Ref.Name, what)
}

// noLabel says that a model has no such label.
func (m *model) noLabel(want Want, label string) error {
	text := fmt.Sprintf("model %q has no label %q", want.Ref.Name, label)
	if want.Caller.Lists {
		labels := m.named()
		if m.managed {
			labels = m.labels
		}
		text += ": there " + thereIs(first(maps.Keys(labels), strings.Compare), len(labels))
	}
	return scoring.Errorf(scoring.NotFound, "%s: GET /v1/models/%s lists its labels", text, want.Ref.Name)
}

// first gives the first so many of all, in the order of compare. It keeps no more than those:
// whoever asks for what is not there does not make the server sort everything.
func first[T any](all iter.Seq[T], compare func(a, b T) int) []T {
	kept := make([]T, 0, maxNamed+1)
	for one := range all {
		at, _ := slices.BinarySearchFunc(kept, one, compare)
		if at == maxNamed {
			continue
		}
		kept = slices.Insert(kept, at, one)
		kept = kept[:min(len(kept), maxNamed)]
	}
	return kept
}

// thereIs lists the first of so many: "are a, b and 3 more".
func thereIs(named []string, all int) string {
	verb, more := "are", ""
	switch {
	case all == 0:
		return "is none"
	case all == 1:
		verb = "is"
	case all > len(named):
		more = fmt.Sprintf(" and %d more", all-len(named))
	}
	return verb + " " + strings.Join(named, ", ") + more
}
