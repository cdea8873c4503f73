package operator

import (
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/rs/zerolog"

	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/wire"
)

// StatusError is a failure that only HTTP knows: its status is not that of its code.
type StatusError struct {
	// Cause has the code and the text.
	Cause *scoring.Error
	// Status of the answer.
	Status int
	// Header is set on the answer, to Value.
	Header, Value string
}

// Error gives the text for logs.
func (e StatusError) Error() string { return e.Cause.Error() }

// Unwrap makes the coded error visible.
func (e StatusError) Unwrap() error { return e.Cause }

// StatusOf gives the HTTP status of a failure.
func StatusOf(err error) int {
	if known, ok := errors.AsType[StatusError](err); ok {
		return known.Status
	}
	return scoring.AsError(err).Code.HTTPStatus()
}

// Failing sets the headers that the answer to a failed request has. It gives the line for the
// log, with the cause and the status and without a message, for the caller to send.
func (d *Door) Failing(w http.ResponseWriter, r *http.Request, err error) *zerolog.Event {
	e := scoring.AsError(err)
	if known, ok := errors.AsType[StatusError](err); ok {
		w.Header().Set(known.Header, known.Value)
	}
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(e.RetryAfter.Seconds()))))
	}
	Abandon(w, r)
	line := d.Log.Debug()
	switch {
	case e.Code == scoring.Internal:
		line = d.Log.Error()
	case e.Code == scoring.Unavailable && e.Unwrap() != nil:
		line = d.Log.Warn() // something that Onda needs is away
	}
	return line.Err(err).Int("status", StatusOf(err))
}

// answerTimeout bounds the writing of an answer, or of a line of one.
const answerTimeout = 30 * time.Second

// Answer writes v in JSON as the whole answer. A caller who left cannot be told anything.
func (d *Door) Answer(w http.ResponseWriter, status int, v any) {
	body, err := wire.Marshal(v)
	if err != nil {
		d.Log.Error().Err(err).Msg("an answer cannot be written as JSON")
		status, body = http.StatusInternalServerError, wire.EncodeError(scoring.InternalError(err))
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTimeout))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// LinesType is the content type of [Lines]: JSON values, a line each.
const LinesType = "application/x-ndjson"

// Lines writes JSON values to a caller, a line each and each at once. One goroutine at a time
// may use it.
type Lines struct {
	w          http.ResponseWriter
	controller *http.ResponseController
	// gone says that the caller left.
	gone bool
}

// NewLines begins an answer in lines. Its status is 200: what fails later is a line. The
// server's own bound on the time of an answer must have been taken off: each line has its own.
func NewLines(w http.ResponseWriter) *Lines {
	header := w.Header()
	header.Set("Content-Type", LinesType)
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no") // some proxies would hold the lines back
	w.WriteHeader(http.StatusOK)
	return &Lines{w: w, controller: http.NewResponseController(w)}
}

// Write writes a line. A caller who left, or who does not read, gets no more.
func (l *Lines) Write(v any) {
	if l.gone {
		return
	}
	body, err := wire.Marshal(v)
	if err != nil {
		body = wire.EncodeError(scoring.InternalError(err))
	}
	_ = l.controller.SetWriteDeadline(time.Now().Add(answerTimeout))
	_, err = l.w.Write(append(body, '\n'))
	if err == nil {
		if err = l.controller.Flush(); errors.Is(err, http.ErrNotSupported) {
			err = nil
		}
	}
	l.gone = err != nil
	_ = l.controller.SetWriteDeadline(time.Time{})
}
