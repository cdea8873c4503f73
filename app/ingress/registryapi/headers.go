package registryapi

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/onda-serving/onda/app/ingress/operator"
	"github.com/onda-serving/onda/app/scoring"
)

// idHeader carries the request's id, both ways.
const idHeader = "X-Request-Id"

// revisionOf reads the header If-Match: the revision that the change was decided on, as the
// ETag of the document has it. 0 takes any.
func revisionOf(r *http.Request) (int64, error) {
	text := strings.TrimSpace(r.Header.Get("If-Match"))
	if text == "" || text == "*" {
		return 0, nil
	}
	revision, err := strconv.ParseInt(strings.Trim(text, `"`), 10, 64)
	if err != nil || revision < 1 || etag(revision) != text && text != strconv.FormatInt(revision, 10) {
		return 0, scoring.Errorf(scoring.Invalid, `header if-match is %q: want the revision that the change was decided on, such as "12"`, operator.Clip(text))
	}
	return revision, nil
}

// etag is the ETag of a document.
func etag(revision int64) string { return `"` + strconv.FormatInt(revision, 10) + `"` }

// unchanged says whether the caller has the document of this revision.
func unchanged(r *http.Request, revision int64) bool {
	for item := range strings.SplitSeq(strings.Join(r.Header.Values("If-None-Match"), ","), ",") {
		if item = strings.TrimSpace(item); item == "*" || strings.TrimPrefix(item, "W/") == etag(revision) {
			return true
		}
	}
	return false
}

// echoID gives the caller its request's id back, which must be fit for a header.
func echoID(w http.ResponseWriter, r *http.Request) error {
	id := r.Header.Get(idHeader)
	if len(id) > maxID {
		return scoring.Errorf(scoring.Invalid, "the request's id is %d bytes long: at most %d are allowed", len(id), maxID)
	}
	for i := range len(id) {
		if id[i] < ' ' || id[i] > '~' {
			return scoring.Errorf(scoring.Invalid, "the request's id has a character that is not printable ASCII at offset %d", i)
		}
	}
	if id != "" {
		w.Header().Set(idHeader, id)
	}
	return nil
}

// maxID bounds a request's id, in bytes.
const maxID = 256
