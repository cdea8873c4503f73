package eventsapi

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"

	"github.com/onda-serving/onda/app/scoring"
)

// tokenScheme is before the token in the header authorization.
const tokenScheme = "Bearer "

// authorise says whether the caller may read letters and put them back.
func (h *Handler) authorise(r *http.Request) error {
	if err := h.foreign.Check(r); err != nil {
		return scoring.Errorf(scoring.Denied, "a page of another site asks for this: dead letters are not put back from there").WithCause(err)
	}
	switch {
	case h.config.Changes == ChangesOpen:
		return nil
	case h.config.Changes != ChangesToken:
		return scoring.Errorf(scoring.Denied, "dead letters are not shown over this door: set ONDA_REGISTRY_CHANGES=token, and ONDA_REGISTRY_TOKEN, to allow it")
	case h.config.Token == "":
		return scoring.Errorf(scoring.Denied, "dead letters cannot be shown yet: set ONDA_REGISTRY_TOKEN to a token that those show who may, or ONDA_REGISTRY_CHANGES=open to let everybody")
	}
	shown := r.Header.Get("Authorization")
	if len(shown) > len(tokenScheme) && strings.EqualFold(shown[:len(tokenScheme)], tokenScheme) && sameToken(shown[len(tokenScheme):], h.config.Token) {
		return nil
	}
	return statusError{
		cause:  scoring.Errorf(scoring.Unauthenticated, `the header authorization is missing or wrong: send "Bearer " and the token of ONDA_REGISTRY_TOKEN`),
		status: http.StatusUnauthorized, header: "WWW-Authenticate", value: `Bearer realm="onda dead letters"`,
	}
}

// sameToken compares in a time that says nothing about the token, nor about its length.
func sameToken(a, b string) bool {
	one, two := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(one[:], two[:]) == 1
}
