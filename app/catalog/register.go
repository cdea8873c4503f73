package catalog

import (
	"maps"
	"slices"
	"strings"

	"github.com/onda-serving/onda/app/scoring"
)

const (
	// maxVersions bounds the versions of a document.
	maxVersions = 1000
	// maxVersionsBytes bounds what they take in a document: state stores bound the size of
	// theirs, Cosmos DB at 2 MB, and a document that cannot be saved could not even be
	// rolled back.
	maxVersionsBytes = 1 << 20
)

// Register adds a version. One that is there already with the same files changes nothing.
//
// The error's code is Invalid for a version that is none, and Conflict for a number that has
// other files, for a model that has too many versions, and, unless that is accepted, for a
// version that callers would trip over: see [Breaking]. They are callers of what is live or,
// of a model that is not managed, of the newest version that is not retired.
func (m *Model) Register(v Version, accept Accept) error {
	if err := v.check(); err != nil {
		return err
	}
	if known, ok := m.Versions[v.Version]; ok {
		return m.same(known, v)
	}
	if len(m.Versions) >= maxVersions {
		return scoring.Errorf(scoring.Conflict, "model %q has %d versions, and its document can hold no more, retired ones included: register this one under a new model name", m.Name, len(m.Versions))
	}
	v = v.normalised()
	if err := m.keepsPromises(v, accept); err != nil {
		return err
	}
	versions := maps.Clone(m.Versions)
	versions[v.Version] = v
	encoded, err := encode(versions)
	if err != nil {
		return err
	}
	if len(encoded) > maxVersionsBytes {
		return scoring.Errorf(scoring.Conflict, "the %d versions of model %q fill its document: with this one they take %d bytes of %d; register it under a new model name", len(m.Versions), m.Name, len(encoded), maxVersionsBytes)
	}
	m.Versions = versions
	return nil
}

// same fails unless v is known already, as it is. Versions that came with the app do not list
// their files; their digest says enough.
func (m *Model) same(known, v Version) error {
	if known.Digest != v.Digest {
		return scoring.Errorf(scoring.Conflict, "version %d of %q is registered with the digest %s, and this one has %s: versions never change, give this one a new number", v.Version, m.Name, known.Digest, v.Digest)
	}
	if len(known.Files) > 0 && len(v.Files) > 0 && !maps.Equal(known.Files, v.Files) {
		return scoring.Errorf(scoring.Conflict, "version %d of %q is registered with the digest %s, which this one (%s) has too, but with other files (%s): versions never change, give this one a new number",
			v.Version, m.Name, known.Digest, v.Digest, differences(known.Files, v.Files))
	}
	return nil
}

// differences names some files that two versions do not have alike.
func differences(a, b map[string]File) string {
	const most = 5
	both := maps.Clone(a)
	maps.Copy(both, b)
	var names []string
	for _, name := range slices.Sorted(maps.Keys(both)) {
		one, inA := a[name]
		if two, inB := b[name]; inA == inB && one == two {
			continue
		}
		if len(names) == most {
			return strings.Join(names, ", ") + " and others"
		}
		names = append(names, name)
	}
	return strings.Join(names, ", ")
}

// keepsPromises fails where callers would trip over v.
func (m *Model) keepsPromises(v Version, accept Accept) error {
	before, ok := m.reference()
	if !ok || accept.Has(AcceptSignature) {
		return nil
	}
	if all := Breaking(before, v); len(all) > 0 {
		return scoring.Errorf(scoring.Conflict, "version %d of %q breaks what callers of version %d rely on: %s; if they know, confirm with accept %q",
			v.Version, m.Name, before.Version, strings.Join(all, "; "), AcceptSignature)
	}
	return nil
}

// reference gives the version whose callers a new one must not surprise.
func (m *Model) reference() (v Version, ok bool) {
	if m.Managed() {
		v, ok = m.Versions[m.Labels[scoring.LabelLive]]
		return v, ok
	}
	for _, number := range slices.Backward(slices.Sorted(maps.Keys(m.Versions))) {
		if m.Standing[number] != Retired {
			return m.Versions[number], true
		}
	}
	return Version{}, false
}
