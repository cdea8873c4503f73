package operator

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/onda-serving/onda/app/scoring"
)

// Who may come in.
const (
	// ChangesToken lets those in who show the token.
	ChangesToken = "token"
	// ChangesOpen lets everybody in who reaches the door.
	ChangesOpen = "open"
	// ChangesOff lets nobody in.
	ChangesOff = "off"
)

// Words are what a door says to those who may not come in.
type Words struct {
	// Foreign is for pages of other sites.
	Foreign string
	// Closed is for everybody, where nobody may.
	Closed string
	// Unset is for everybody, where the token is missing that would let them.
	Unset string
	// Realm is what the token is for.
	Realm string
}

const (
	// CallerHeader is how a sidecar says which app called.
	CallerHeader = "Dapr-Caller-App-Id"
	// actorHeader is how a caller says who asks.
	actorHeader = "X-Onda-Actor"
	// tokenScheme is before the token in the header authorization.
	tokenScheme = "Bearer "
)

// Authorise says whether the caller may come in. The error is Denied or Unauthenticated.
func (d *Door) Authorise(r *http.Request) error {
	if err := d.foreign.Check(r); err != nil {
		return scoring.Errorf(scoring.Denied, "%s", d.Words.Foreign).WithCause(err)
	}
	switch {
	case d.Changes == ChangesOpen:
		return nil
	case d.Changes != ChangesToken:
		return scoring.Errorf(scoring.Denied, "%s", d.Words.Closed)
	case d.Token == "":
		return scoring.Errorf(scoring.Denied, "%s", d.Words.Unset)
	}
	shown := r.Header.Get("Authorization")
	if len(shown) > len(tokenScheme) && strings.EqualFold(shown[:len(tokenScheme)], tokenScheme) && sameToken(shown[len(tokenScheme):], d.Token) {
		return nil
	}
	return StatusError{
		Cause:  scoring.Errorf(scoring.Unauthenticated, `the header authorization is missing or wrong: send "Bearer " and the token of ONDA_REGISTRY_TOKEN`),
		Status: http.StatusUnauthorized, Header: "WWW-Authenticate", Value: `Bearer realm="` + d.Words.Realm + `"`,
	}
}

// sameToken compares in a time that says nothing about the token, nor about its length.
func sameToken(a, b string) bool {
	one, two := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(one[:], two[:]) == 1
}

// maxActor bounds what a caller calls itself, in bytes.
const maxActor = 128

// anonymous is who asks without saying so.
const anonymous = "anonymous"

// Actor says who asks: what the caller calls itself, and the app whose sidecar it came from.
// The first is a courtesy, not a proof.
func Actor(r *http.Request) string {
	actor, app := printable(r.Header.Get(actorHeader)), printable(r.Header.Get(CallerHeader))
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
