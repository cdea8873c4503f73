package httpapi

import (
	"crypto/subtle"
	"errors"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/wire"
)

// tokenHeader is where a sidecar shows APP_API_TOKEN.
const tokenHeader = "Dapr-Api-Token" //nolint:gosec // the name of a header, not a credential

// openPaths need no token: Dapr, Kubernetes and clients of the protocol probe them and have
// none. They say of the models only whether there is something to answer with.
var openPaths = []string{"/healthz", "/v2/health/live", "/v2/health/ready"}

// authorise checks the token of the sidecar.
func (h *Handler) authorise(r *http.Request) error {
	if h.config.AppToken == "" || slices.Contains(openPaths, r.URL.Path) {
		return nil
	}
	shown := r.Header.Get(tokenHeader)
	if subtle.ConstantTimeCompare([]byte(shown), []byte(h.config.AppToken)) == 1 {
		return nil
	}
	return scoring.Errorf(scoring.Unauthenticated, "the header dapr-api-token is missing or wrong: call Onda through its sidecar, or send the token of APP_API_TOKEN")
}

// callerHeader is how a sidecar says which app called.
const callerHeader = "Dapr-Caller-App-Id"

// methodError is a failure that only HTTP knows: the path exists, for other methods.
type methodError struct {
	cause   *scoring.Error
	allowed []string
}

func methodNotAllowed(method string, allowed ...string) error {
	return methodError{scoring.Errorf(scoring.Unimplemented, "method %s is not allowed here: use %s", clip(method), strings.Join(allowed, " or ")), allowed}
}

// Error gives the text for logs.
func (e methodError) Error() string { return e.cause.Error() }

// Unwrap makes the coded error visible.
func (e methodError) Unwrap() error { return e.cause }

// httpStatus is the status code of an answer that err is written as.
func httpStatus(err error) int {
	if _, ok := errors.AsType[methodError](err); ok {
		return http.StatusMethodNotAllowed
	}
	return scoring.CodeOf(err).HTTPStatus()
}

// fail writes err as the answer, with the public text only, and logs failures of ours
// with their cause.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, name string, err error, took time.Duration) {
	e, status := scoring.AsError(err), httpStatus(err)
	if method, ok := errors.AsType[methodError](err); ok {
		w.Header().Set("Allow", strings.Join(method.allowed, ", "))
	}
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(e.RetryAfter.Seconds()))))
	}
	event := h.parts.Log.Debug()
	switch {
	case e.Code == scoring.Internal:
		event = h.parts.Log.Error()
	case e.Code == scoring.Unavailable && e.Unwrap() != nil:
		event = h.parts.Log.Warn() // something that Onda needs is away
	}
	abandon(w, r)
	event.Ctx(r.Context()).Err(err).Str("operation", name).Str("id", clip(r.Header.Get(idHeader))).Int("status", status).Str("caller", r.Header.Get(callerHeader)).Dur("took_ms", took).Msg("refused")
	_ = write(w, r, status, wire.Answer{JSON: wire.EncodeError(e)})
}

func clip(s string) string {
	const most = 120
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}
