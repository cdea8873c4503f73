package registryapi

import (
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/wire"
)

// statusError is a failure that only HTTP knows: its status is not that of its code.
type statusError struct {
	cause  *scoring.Error
	status int
	// header is set on the answer, to value.
	header, value string
}

func methodNotAllowed(method string, allowed ...string) error {
	return statusError{
		cause:  scoring.Errorf(scoring.Unimplemented, "method %s is not allowed here: use %s", clip(method), strings.Join(allowed, " or ")),
		status: http.StatusMethodNotAllowed, header: "Allow", value: strings.Join(allowed, ", "),
	}
}

// Error gives the text for logs.
func (e statusError) Error() string { return e.cause.Error() }

// Unwrap makes the coded error visible.
func (e statusError) Unwrap() error { return e.cause }

// failure is the body of a failure.
type failure struct {
	Error string `json:"error"`
	// Status stands where the answer's own status is 200: in a stream.
	Status int `json:"status,omitempty"`
	// Yours and Current are there if somebody else changed the model in between: its state as
	// the change was decided on, and as it is now.
	Yours   *state `json:"yours,omitempty"`
	Current *state `json:"current,omitempty"`
}

// state is a model's state at a revision.
type state struct {
	Revision int64 `json:"revision"`
	catalog.State
}

func stateOf(m *catalog.Model) *state {
	if m == nil {
		return nil
	}
	s := &state{Revision: m.Revision, State: m.State}
	if s.Labels == nil {
		s.Labels = map[string]int64{}
	}
	return s
}

// failureOf gives the public part of err and the status that belongs to it.
func failureOf(err error) (failure, int) {
	e := scoring.AsError(err)
	status := e.Code.HTTPStatus()
	if known, ok := errors.AsType[statusError](err); ok {
		status = known.status
	}
	body := failure{Error: e.Message}
	if conflict, ok := errors.AsType[*catalog.ConflictError](err); ok {
		body.Yours, body.Current = stateOf(conflict.Yours), stateOf(conflict.Current)
	}
	return body, status
}

// fail writes err as the answer, with the public text only, and logs it with its cause.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, name string, err error, took time.Duration) {
	body, status := failureOf(err)
	e := scoring.AsError(err)
	if known, ok := errors.AsType[statusError](err); ok {
		w.Header().Set(known.header, known.value)
	}
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(e.RetryAfter.Seconds()))))
	}
	event := h.log.Debug()
	switch {
	case e.Code == scoring.Internal:
		event = h.log.Error()
	case e.Code == scoring.Unavailable && e.Unwrap() != nil:
		event = h.log.Warn() // something that Onda needs is away
	}
	abandon(w, r)
	event.Err(err).Str("operation", name).Str("id", clip(r.Header.Get(idHeader))).Int("status", status).Str("caller", r.Header.Get(callerHeader)).Dur("took_ms", took).Msg("refused")
	h.write(w, status, body)
}

// answerTimeout bounds the writing of an answer, or of a line of one.
const answerTimeout = 30 * time.Second

// write writes v as the whole answer. A caller who left cannot be told anything.
func (h *Handler) write(w http.ResponseWriter, status int, v any) {
	body, err := wire.Marshal(v)
	if err != nil {
		h.log.Error().Err(err).Msg("an answer cannot be written as JSON")
		status, body = http.StatusInternalServerError, wire.EncodeError(scoring.InternalError(err))
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTimeout))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// clip shortens what a caller sent before it is repeated in an error.
func clip(s string) string {
	const most = 120
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}
