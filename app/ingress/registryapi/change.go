package registryapi

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/onda-serving/onda/app/admin"
	"github.com/onda-serving/onda/app/ingress/operator"
	"github.com/onda-serving/onda/app/scoring"
)

// asked is a request for a change.
type asked struct {
	*http.Request

	// body is JSON; nil for none.
	body []byte
	// ask is what every change brings along, but for what stands in the body.
	ask admin.Ask
}

// outcome is what came of a change.
type outcome struct {
	status int
	body   any
	// revision of the document after it.
	revision int64
	// location of what was made; "" if nothing was.
	location string
}

// reader reads a request, and gives the change that it asks for. What is wrong with the
// request itself is found before the change begins.
type reader func(in *asked) (func(ctx context.Context) (outcome, error), error)

// change makes the operation of a change.
func (h *Handler) change(action string, read reader, streams bool) operation {
	return func(w http.ResponseWriter, r *http.Request) error {
		start := time.Now()
		in := &asked{Request: r}
		line := &changeLine{action: action}
		run, cancel, err := h.prepare(w, in, read)
		if err != nil {
			h.ended(in, line, start, err)
			return err
		}
		defer cancel()
		// What proves a version can take longer than any other request: the server's own
		// bound on the time of an answer begins with the answer.
		_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
		made := func() error {
			return h.door.Caught(func() (err error) {
				line.outcome, err = run()
				return err
			})
		}
		if streams && wantsStream(r) {
			h.stream(w, in, line, made)
			h.ended(in, line, start, line.err)
			return nil
		}
		err = made()
		h.ended(in, line, start, err)
		if err != nil {
			return err
		}
		h.answer(w, line.outcome)
		return nil
	}
}

// changeLine is what is logged of a change.
type changeLine struct {
	action  string
	outcome outcome
	err     error
}

// prepare reads the request. cancel must be called when the change is over.
func (h *Handler) prepare(w http.ResponseWriter, in *asked, read reader) (run func() (outcome, error), cancel func(), err error) {
	if err := h.door.Authorise(in.Request); err != nil {
		return nil, nil, err
	}
	if in.ask.Revision, err = revisionOf(in.Request); err != nil {
		return nil, nil, err
	}
	in.ask.Actor = operator.Actor(in.Request)
	if in.body, err = h.readBody(w, in.Request); err != nil {
		return nil, nil, err
	}
	made, err := read(in)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel, err := h.budget(in.Request)
	if err != nil {
		return nil, nil, err
	}
	return func() (outcome, error) { return made(ctx) }, cancel, nil
}

// timeoutHeader is how a caller gives its budget, in milliseconds.
const timeoutHeader = "X-Request-Timeout-Ms"

// budget gives the change its end: the caller's own budget, or ours.
func (h *Handler) budget(r *http.Request) (context.Context, context.CancelFunc, error) {
	timeout := h.config.ChangeTimeout
	if text := r.Header.Get(timeoutHeader); text != "" {
		ms, err := strconv.ParseInt(text, 10, 32)
		if err != nil || ms < 1 {
			return nil, nil, scoring.Errorf(scoring.Invalid, "header x-request-timeout-ms is %q: want a whole number of milliseconds, at least 1", operator.Clip(text))
		}
		timeout = min(timeout, time.Duration(ms)*time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	return ctx, cancel, nil
}

// answer writes the outcome of a change.
func (h *Handler) answer(w http.ResponseWriter, out outcome) {
	w.Header().Set("Etag", etag(out.revision))
	if out.location != "" {
		w.Header().Set("Location", out.location)
	}
	h.door.Answer(w, out.status, out.body)
}

// ended counts and logs a change: who asked for what, and what came of it.
func (h *Handler) ended(in *asked, line *changeLine, start time.Time, err error) {
	code := "OK"
	if err != nil {
		code = scoring.CodeOf(err).String()
	}
	h.changed(line.action, code)
	event := h.door.Log.Info().Str("action", line.action).Str("code", code).Str("actor", operator.Actor(in.Request)).Str("model", operator.Clip(in.PathValue("model")))
	if id := in.Header.Get(idHeader); id != "" {
		event = event.Str("id", operator.Clip(id))
	}
	if err != nil {
		event.Err(err).Dur("took_ms", time.Since(start)).Msg("change refused")
		return
	}
	event.Int64("revision", line.outcome.revision).Dur("took_ms", time.Since(start)).Msg("change made")
}

// wantsStream says whether the caller asks to hear how far a change is.
func wantsStream(r *http.Request) bool {
	for item := range strings.SplitSeq(strings.Join(r.Header.Values("Accept"), ","), ",") {
		kind, _, _ := strings.Cut(item, ";")
		if strings.EqualFold(strings.TrimSpace(kind), operator.LinesType) {
			return true
		}
	}
	return false
}
