package registryapi

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/onda-serving/onda/app/scoring"
)

const (
	// callerHeader is how a sidecar says which app called.
	callerHeader = "Dapr-Caller-App-Id"
	// actorHeader is how a caller says who makes a change.
	actorHeader = "X-Onda-Actor"
	// idHeader carries the request's id, both ways.
	idHeader = "X-Request-Id"
	// tokenScheme is before the token in the header authorization.
	tokenScheme = "Bearer "
)

// authorise says whether the caller may change the registry.
func (h *Handler) authorise(r *http.Request) error {
	if err := h.foreign.Check(r); err != nil {
		return scoring.Errorf(scoring.Denied, "a page of another site asks for this change: the registry takes none from there").WithCause(err)
	}
	switch {
	case h.config.Changes == ChangesOpen:
		return nil
	case h.config.Changes != ChangesToken:
		return scoring.Errorf(scoring.Denied, "the registry is not changed over this door: set ONDA_REGISTRY_CHANGES=token, and ONDA_REGISTRY_TOKEN, to allow it")
	case h.config.Token == "":
		return scoring.Errorf(scoring.Denied, "the registry cannot be changed yet: set ONDA_REGISTRY_TOKEN to a token that those show who may, or ONDA_REGISTRY_CHANGES=open to let everybody")
	}
	shown := r.Header.Get("Authorization")
	if len(shown) > len(tokenScheme) && strings.EqualFold(shown[:len(tokenScheme)], tokenScheme) && sameToken(shown[len(tokenScheme):], h.config.Token) {
		return nil
	}
	return statusError{
		cause:  scoring.Errorf(scoring.Unauthenticated, `the header authorization is missing or wrong: send "Bearer " and the token of ONDA_REGISTRY_TOKEN`),
		status: http.StatusUnauthorized, header: "WWW-Authenticate", value: `Bearer realm="onda registry"`,
	}
}

// sameToken compares in a time that says nothing about the token, nor about its length.
func sameToken(a, b string) bool {
	one, two := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(one[:], two[:]) == 1
}

// maxActor bounds what a caller calls itself, in bytes.
const maxActor = 128

// anonymous is who changes without saying so.
const anonymous = "anonymous"

// actorOf says who makes a change: what the caller calls itself, and the app whose sidecar
// it came from. The first is a courtesy, not a proof.
func actorOf(r *http.Request) string {
	actor, app := printable(r.Header.Get(actorHeader)), printable(r.Header.Get(callerHeader))
	if strings.EqualFold(actor, "onda") {
		actor = "a caller named " + actor // alone, it means that nobody asked for the change
	}
	switch {
	case app == "" && actor == "":
		return anonymous
	case app == "":
		return actor
	case actor == "":
		return app
	default:
		return actor + " via " + app
	}
}

// printable cuts what a caller sent to [maxActor] bytes of printable characters.
func printable(s string) string {
	s = strings.Map(func(c rune) rune {
		if c == utf8.RuneError || !unicode.IsPrint(c) {
			return -1
		}
		return c
	}, s)
	s = strings.TrimSpace(s)
	if len(s) > maxActor {
		s = strings.TrimSpace(strings.ToValidUTF8(s[:maxActor], ""))
	}
	return s
}

// revisionOf reads the header If-Match: the revision that the change was decided on, as the
// ETag of the document has it. 0 takes any.
func revisionOf(r *http.Request) (int64, error) {
	text := strings.TrimSpace(r.Header.Get("If-Match"))
	if text == "" || text == "*" {
		return 0, nil
	}
	revision, err := strconv.ParseInt(strings.Trim(text, `"`), 10, 64)
	if err != nil || revision < 1 || etag(revision) != text && text != strconv.FormatInt(revision, 10) {
		return 0, scoring.Errorf(scoring.Invalid, `header if-match is %q: want the revision that the change was decided on, such as "12"`, clip(text))
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
