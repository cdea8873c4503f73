package httpapi

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/onda-serving/onda/app/answers"
	"github.com/onda-serving/onda/app/async"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/wire"
)

// Async takes requests whose callers do not wait: see async.Desk, which implements it.
type Async interface {
	// Accept notes a request that is scored later.
	Accept(ctx context.Context, req async.Request) (async.Accepted, error)
	// Status says what became of one.
	Status(ctx context.Context, id string) (async.State, error)
}

// The headers of asynchronous requests.
const (
	// preferHeader is that of RFC 7240: "respond-async", or "respond-async, wait=5" for an
	// answer at once if there is one within so many seconds.
	preferHeader  = "Prefer"
	appliedHeader = "Preference-Applied"
	respondAsync  = "respond-async"
	// keyOnceHeader makes a request that is sent again the same request: see [async.Request.ID].
	keyOnceHeader = "Idempotency-Key"
)

// requestsPath is below which asynchronous requests are asked for. It is relative to the app:
// callers that come through a sidecar put it behind /v1.0/invoke/onda/method.
const requestsPath = "/v1/requests/"

// asyncAccepted is the body of a 202.
type asyncAccepted struct {
	// ID of the request: its header Idempotency-Key, or a new UUID.
	ID string `json:"id"`
	// Status is "pending", or what became of a request that was sent before.
	Status answers.Status `json:"status"`
	// URL is where the answer will be, as in the header Location.
	URL string `json:"url"`
}

// asyncState is the body of GET /v1/requests/{id}.
type asyncState struct {
	// ID of the request.
	ID string `json:"id"`
	// Status is "pending", "done" or "failed".
	Status answers.Status `json:"status"`
	// Response is what the request would have been answered at once, of one that is done.
	Response json.RawMessage `json:"response,omitempty"`
	// Model is the version that answered.
	Model *wire.Model `json:"model,omitempty"`
	// Error is why there is no answer, of one that failed.
	Error *asyncFailure `json:"error,omitempty"`
}

type asyncFailure struct {
	// Code is the name of the failure's kind, as in error events.
	Code string `json:"code"`
	// Error says what was wrong and what would be right.
	Error string `json:"error"`
}

// later answers a request to score whose caller does not wait, or not for long. What is wrong
// with the request is said at once, as it is without the preference. Whether the queue is full
// is not asked, and lane and priority play no part: it is scored as all events are.
func (h *Handler) later(w http.ResponseWriter, r *http.Request, way way, wait time.Duration) error {
	accepted, err := h.accept(w, r, way)
	if err != nil {
		return err
	}
	if state, ok := h.await(r.Context(), accepted.ID, min(wait, h.config.Timeout)); ok {
		return answerLate(w, r, state)
	}
	url := requestsPath + accepted.ID // of characters that stand for themselves
	header := w.Header()
	header.Set("Location", url)
	header.Set(appliedHeader, respondAsync)
	if accepted.Status == answers.Pending {
		setPollAgain(header)
	}
	return writeJSON(w, r, http.StatusAccepted, asyncAccepted{ID: accepted.ID, Status: accepted.Status, URL: url})
}

// setPollAgain says when it is worth asking for the answer.
func setPollAgain(header http.Header) { header.Set("Retry-After", "1") }

// accept reads and checks a request, and hands it on.
func (h *Handler) accept(w http.ResponseWriter, r *http.Request, way way) (accepted async.Accepted, err error) {
	if h.parts.Async == nil {
		return accepted, errNoAsync()
	}
	in := asked{r: r}
	if in.ref, err = way.target(r); err != nil {
		return accepted, err
	}
	expiration, err := expirationOf(r)
	if err != nil {
		return accepted, err
	}
	if err := h.known(&in, way.check); err != nil {
		return accepted, err
	}
	body, release, err := h.readBody(w, r)
	defer release()
	if err != nil {
		return accepted, err
	}
	in.body = body
	contentType, err := way.later(&in)
	if err != nil {
		return accepted, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), h.config.Timeout)
	defer cancel()
	parent, state := traceParent(r)
	return h.parts.Async.Accept(ctx, async.Request{
		ID: onceKey(r), Subject: in.ref.String(), ContentType: contentType, Body: body, PartitionKey: in.caller.Key, Expiration: expiration,
		TraceParent: parent, TraceState: state,
	})
}

func errNoAsync() error {
	return scoring.Errorf(scoring.Unimplemented, "asynchronous requests need a sidecar with a pub/sub component and a state store, and Onda runs without a sidecar: set ONDA_DAPR=on, or send the request without the header prefer")
}

// onceKey reads the caller's own id. The draft of the header has it in quotation marks, which
// many leave out.
func onceKey(r *http.Request) string {
	key := r.Header.Get(keyOnceHeader)
	if len(key) >= 2 && key[0] == '"' && key[len(key)-1] == '"' {
		key = key[1 : len(key)-1]
	}
	return key
}

// traceOf reads a header of W3C Trace Context; one that is none is left out, not refused.
func traceOf(r *http.Request, name string) string {
	const most = 512
	text := r.Header.Get(name)
	if len(text) > most || strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c > '~' }) {
		return ""
	}
	return text
}

// expirationOf is the end of the caller's budget; the zero time if it gave none. It is not
// bounded by ours, which is for callers who wait.
func expirationOf(r *http.Request) (time.Time, error) {
	timeout, err := timeoutOf(r)
	if err != nil || timeout == 0 {
		return time.Time{}, err
	}
	return time.Now().Add(timeout), nil
}

// laterPredict checks the body of a `:predict` as far as it can be without the model, and gives
// its content type.
func (h *Handler) laterPredict(in *asked) (contentType string, err error) {
	if in.r.URL.RawQuery != "" {
		return "", scoring.Errorf(scoring.Invalid, `the query is not taken with the header prefer: %s: send {"instances": [...], "parameters": {"top_k": N}}`, respondAsync)
	}
	contentType = in.r.Header.Get("Content-Type")
	_, err = wire.DecodePredict(contentType, in.body, wire.Limits{MaxInstances: h.config.MaxInstances})
	return contentType, err
}

// laterInfer checks the body of an infer request, which must be JSON, as must be its answer.
func laterInfer(in *asked) (contentType string, err error) {
	binary := in.r.Header.Get(wire.BinaryHeader) != ""
	if !binary {
		var opts wire.InferOptions
		if _, opts, err = wire.DecodeInfer(in.body); err != nil {
			return "", err
		}
		binary = opts.AllBinary || slices.Contains(slices.Collect(maps.Values(opts.Binary)), true)
	}
	if binary {
		return "", scoring.Errorf(scoring.Unimplemented, "binary tensors are not taken with the header prefer: %s: send and ask for JSON, or leave out the header", respondAsync)
	}
	return "application/json", nil
}

// await asks for the answer until there is one, for so long. A store that does not answer is
// no failure of the request, which was accepted.
func (h *Handler) await(ctx context.Context, id string, wait time.Duration) (state async.State, ok bool) {
	const first, longest = 20 * time.Millisecond, 250 * time.Millisecond
	if wait <= 0 {
		return state, false
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for pause := first; ; pause = min(2*pause, longest) {
		state, err := h.parts.Async.Status(ctx, id)
		if err == nil && state.Status != answers.Pending {
			return state, true
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return state, false
		}
	}
}

// answerLate answers as if the caller had waited all the time, as it has.
func answerLate(w http.ResponseWriter, r *http.Request, state async.State) error {
	if state.Failure != nil {
		return state.Failure
	}
	w.Header().Set(idHeader, state.ID)
	w.Header().Set("Onda-Model", state.Model.String())
	_ = write(w, r, http.StatusOK, wire.Answer{JSON: state.Response})
	return nil
}

// asyncRequest answers GET /v1/requests/{id}.
func (h *Handler) asyncRequest(w http.ResponseWriter, r *http.Request) error {
	if h.parts.Async == nil {
		return errNoAsync()
	}
	ctx, cancel := context.WithTimeout(r.Context(), h.config.Timeout)
	defer cancel()
	state, err := h.parts.Async.Status(ctx, r.PathValue("id"))
	if err != nil {
		return err
	}
	body := asyncState{ID: state.ID, Status: state.Status, Response: state.Response}
	switch {
	case state.Status == answers.Pending:
		setPollAgain(w.Header())
	case state.Failure != nil:
		body.Error = &asyncFailure{Code: state.Failure.Code.String(), Error: state.Failure.Message}
	default:
		model := wire.ModelOf(state.Model)
		body.Model = &model
		w.Header().Set("Onda-Model", state.Model.String())
	}
	w.Header().Set("Cache-Control", "no-store")
	return writeJSON(w, r, http.StatusOK, body)
}

// preference says whether a caller does not want to wait for its answer, and for how long it
// does all the same. Preferences of RFC 7240 that are not known are left alone, as are all
// without "respond-async".
func preference(r *http.Request) (later bool, wait time.Duration, err error) {
	lines := r.Header[preferHeader]
	if len(lines) == 0 {
		return false, 0, nil
	}
	said := map[string]string{}
	for _, item := range splitUnquoted(strings.Join(lines, ","), ',') {
		item = splitUnquoted(item, ';')[0] // what follows are parameters
		name, value, _ := strings.Cut(item, "=")
		name = strings.ToLower(strings.TrimSpace(name))
		if _, before := said[name]; !before { // the first one counts
			said[name] = strings.Trim(strings.TrimSpace(value), `"`)
		}
	}
	if _, later = said[respondAsync]; !later {
		return false, 0, nil
	}
	text, given := said["wait"]
	if !given {
		return true, 0, nil
	}
	seconds, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return true, 0, scoring.Errorf(scoring.Invalid, "header prefer: wait is %q: want a whole number of seconds", clip(text))
	}
	return true, time.Duration(seconds) * time.Second, nil
}

// splitUnquoted cuts text at each separator that is not in a quoted string.
func splitUnquoted(text string, separator byte) []string {
	var parts []string
	quoted, start := false, 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case c == separator && !quoted:
			parts = append(parts, text[start:i])
			start = i + 1
		}
	}
	return append(parts, text[start:])
}
