package eventsapi

import (
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

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

// Error gives the text for logs.
func (e statusError) Error() string { return e.cause.Error() }

// Unwrap makes the coded error visible.
func (e statusError) Unwrap() error { return e.cause }

// failure is the body of a failure.
type failure struct {
	Error string `json:"error"`
}

// fail writes err as the answer, with the public text only, and logs it with its cause.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	e := scoring.AsError(err)
	status := e.Code.HTTPStatus()
	if known, ok := errors.AsType[statusError](err); ok {
		status = known.status
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
	event.Err(err).Str("operation", "deadletters").Int("status", status).Msg("refused")
	h.write(w, status, failure{e.Message})
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
