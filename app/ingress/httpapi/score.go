package httpapi

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/onda-serving/onda/app/registry"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/wire"
)

// way is what `:predict` and infer do each in its own way.
type way struct {
	// target reads from the path which model is meant.
	target func(r *http.Request) (scoring.ModelRef, error)
	// check refuses for what is known of the version, before the body is read; nil for nothing.
	check func(status registry.Status) error
	// score decodes the body, scores it and encodes the answer.
	score func(ctx context.Context, in *asked) (scored, error)
	// later checks the body of a request that is scored later, and gives its content type.
	later func(in *asked) (contentType string, err error)
}

// asked is a request to score whose body is there.
type asked struct {
	r        *http.Request
	ref      scoring.ModelRef
	status   registry.Status
	schedule scoring.Schedule
	caller   scoring.Caller
	body     []byte
	// start is when the body began to be read.
	start time.Time
	// buffer is for the JSON of the answer.
	buffer []byte
}

// scored is what came of it.
type scored struct {
	id     string
	model  scoring.ModelID
	timing scoring.Timing
	answer wire.Answer
}

// score is the path that both ways share: what can be refused without the body, the body,
// the scoring, the answer.
func (h *Handler) score(w http.ResponseWriter, r *http.Request, way way) (err error) {
	switch later, wait, err := preference(r); {
	case err != nil:
		return err
	case later:
		return h.later(w, r, way, wait)
	}
	in := asked{r: r}
	if in.ref, err = way.target(r); err != nil {
		return err
	}
	ctx, cancel, err := h.budget(r)
	if err != nil {
		return err
	}
	defer cancel()
	if err := h.precheck(ctx, &in, way.check); err != nil {
		return err
	}
	in.start = time.Now()
	body, release, err := h.readBody(w, r)
	// The body stays booked until the answer is written: outputs can be parts of it.
	defer release()
	if err != nil {
		return err
	}
	in.body = body
	buffer, _ := buffers.Get().(*[]byte)
	in.buffer = (*buffer)[:0]
	out, err := way.score(ctx, &in)
	if err != nil {
		buffers.Put(buffer)
		return err
	}
	h.parts.Tracer.Decode(ctx, in.start, out.timing.Decode)
	answered(w, out.id, out.model, out.timing)
	if write(w, r, http.StatusOK, out.answer) == nil {
		keep(buffer, out.answer.JSON)
	}
	return nil
}

// precheck refuses what needs no look at the body: a caller must not send megabytes to
// hear that there is no such model, or no room.
func (h *Handler) precheck(ctx context.Context, in *asked, check func(registry.Status) error) error {
	if err := h.known(in, check); err != nil {
		return err
	}
	if in.r.ContentLength >= 0 && in.r.ContentLength <= smallBody {
		return nil // it costs less to read than to ask twice
	}
	return h.parts.Scorer.Admit(ctx, registry.Want{Ref: in.ref, Caller: in.caller}, in.schedule)
}

// known reads the headers and asks for the version.
func (h *Handler) known(in *asked, check func(registry.Status) error) (err error) {
	if in.schedule, err = scheduleOf(in.r); err != nil {
		return err
	}
	if in.caller, err = callerOf(in.r); err != nil {
		return err
	}
	if in.status, err = h.parts.Models.Status(in.ref); err != nil {
		return err
	}
	if check != nil {
		return check(in.status)
	}
	return nil
}

// smallBody is the size in bytes up to which a body is read before anybody asks for room.
const smallBody = 16 << 10

// The headers that say how urgent a request is.
const (
	laneHeader     = "X-Onda-Lane"
	priorityHeader = "X-Onda-Priority"
)

// scheduleOf reads how urgent a request is. An infer request can say it in its body, too,
// and the body counts.
func scheduleOf(r *http.Request) (schedule scoring.Schedule, err error) {
	if schedule.Lane, err = scoring.ParseLane(r.Header.Get(laneHeader)); err != nil {
		return schedule, scoring.Errorf(scoring.Invalid, "header x-onda-lane: %s", scoring.AsError(err).Message)
	}
	text := r.Header.Get(priorityHeader)
	if text == "" {
		return schedule, nil
	}
	if schedule.Priority, err = strconv.ParseUint(text, 10, 64); err != nil {
		return schedule, scoring.Errorf(scoring.Invalid, "header x-onda-priority is %q: want a whole number, 1 for the most urgent and 0 for the model's default", clip(text))
	}
	return schedule, nil
}

// keyHeader is what a caller wants to be told apart by, where traffic is split over versions.
const keyHeader = "X-Onda-Key"

// callerOf reads who asks.
func callerOf(r *http.Request) (scoring.Caller, error) {
	key := r.Header.Get(keyHeader)
	if len(key) > scoring.MaxKeyLen {
		return scoring.Caller{}, scoring.Errorf(scoring.Invalid, "header x-onda-key is %d bytes long: at most %d are allowed", len(key), scoring.MaxKeyLen)
	}
	if at := strings.IndexFunc(key, unicode.IsControl); at >= 0 {
		return scoring.Caller{}, scoring.Errorf(scoring.Invalid, "header x-onda-key has a control character at offset %d: want text without any", at)
	}
	return scoring.Caller{Key: key, App: r.Header.Get(callerHeader), Lists: true}, nil
}

// idHeader carries the request's id, both ways.
const idHeader = "X-Request-Id"

// requestID takes the id of the body, else of the header. It goes back in a header, so
// it must be fit for one.
func requestID(r *http.Request, fromBody string) (string, error) {
	id := fromBody
	if id == "" {
		id = r.Header.Get(idHeader)
	}
	if len(id) > 256 {
		return "", scoring.Errorf(scoring.Invalid, "the request's id is %d bytes long: at most 256 are allowed", len(id))
	}
	for i := range len(id) {
		if id[i] < ' ' || id[i] > '~' {
			return "", scoring.Errorf(scoring.Invalid, "the request's id has a character that is not printable ASCII at offset %d", i)
		}
	}
	return id, nil
}

// answered sets the headers of every scoring: its id, the version that answered and
// where the time went. They are headers, not parts of the body, so that the same request
// gives the same bytes.
func answered(w http.ResponseWriter, id string, model scoring.ModelID, timing scoring.Timing) {
	header := w.Header()
	header.Set(idHeader, id)
	header.Set("Onda-Model", model.String())
	header.Set("Server-Timing", serverTiming(timing))
}

// serverTiming writes the phases as W3C Server Timing has it: durations in milliseconds.
func serverTiming(t scoring.Timing) string {
	var room [128]byte
	b := room[:0]
	for _, phase := range [...]struct {
		name string
		took time.Duration
	}{{"decode;dur=", t.Decode}, {", queue;dur=", t.Queue}, {", preprocess;dur=", t.Preprocess}, {", run;dur=", t.Run}, {", postprocess;dur=", t.Postprocess}} {
		b = append(b, phase.name...)
		b = strconv.AppendFloat(b, float64(phase.took)/float64(time.Millisecond), 'f', 3, 64)
	}
	return string(b)
}
