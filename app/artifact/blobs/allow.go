package blobs

import (
	"errors"
	"fmt"
	"slices"

	"github.com/onda-serving/onda/app/scoring"
)

// Setting is the environment variable that [Allow] comes from.
const Setting = "ONDA_ARTIFACT_SOURCES"

// Allow lists the folders, as URLs or as paths of this machine, below which artifacts may be read. Whoever may register a
// version names the place of its files, and must not be able to have any file of the host
// read for it, or any storage that the process has the right to.
//
// Paths are compared part by part: file:///srv/models covers file:///srv/models/faq, and not
// file:///srv/models-private. Symbolic links are followed as long as they stay below the
// allowed folder. The parameters of the allowed URL, such as the account or the endpoint, are
// the ones that are used; a location repeats them exactly or, better, leaves them out.
// Otherwise its author could have the process's credentials sent elsewhere.
type Allow []string

// Validate says what is wrong with the list; the entries are counted from 1 and not repeated.
func (a Allow) Validate() error {
	var errs []error
	for i, entry := range a {
		if _, err := parseSetting(entry); err != nil {
			errs = append(errs, fmt.Errorf("%s: entry %d: %s", Setting, i+1, scoring.AsError(err).Message))
		}
	}
	return errors.Join(errs...)
}

// find gives the entry that covers l.
func (a Allow) find(l location) (location, error) {
	covered := false
	for _, entry := range a {
		base, err := parseSetting(entry)
		if err != nil || !base.covers(l) {
			continue // Validate told of it
		}
		covered = true
		if len(l.query) == 0 || l.query.Encode() == base.query.Encode() {
			return base, nil
		}
	}
	switch {
	case covered:
		return location{}, scoring.Errorf(scoring.Denied, "location %s: the parameters after the question mark differ from those in %s: leave them out", l, Setting)
	case len(a) == 0:
		return location{}, scoring.Errorf(scoring.Denied, "location %s: no place is allowed: the operator of the server names the folders in %s", l, Setting)
	default:
		return location{}, scoring.Errorf(scoring.Denied, "location %s: not below a folder that is allowed: the operator of the server names them in %s", l, Setting)
	}
}

// covers says whether l is below base, or base itself.
func (l location) covers(other location) bool {
	return l.scheme == other.scheme && l.bucket == other.bucket &&
		len(l.path) <= len(other.path) && slices.Equal(l.path, other.path[:len(l.path)])
}
