// Package eventsapi is the HTTP door for dead letters: /events/v1/deadletters, where operators
// list them, read one and put them back, and /events/deadletters, where the sidecar delivers
// what is on the dead-letter topic.
//
// Letters hold what callers sent, and to put one back is to act for them. So all but the
// delivery needs the right that changes of the registry need. The delivery is under the same
// rule as all that a sidecar brings: whoever hands requests to this door checks the token of
// the app before.
package eventsapi

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/onda-serving/onda/app/deadletters"
	"github.com/onda-serving/onda/app/scoring"
)

// Service holds the letters: see deadletters.Book, which implements it. Errors whose text is
// for callers are [scoring.Error] values.
type Service interface {
	List(ctx context.Context, f deadletters.Filter, limit int, cursor string) (deadletters.Page, error)
	Get(ctx context.Context, id string) (*deadletters.Letter, error)
	Replay(ctx context.Context, id string, again bool) (deadletters.Result, error)
	ReplayAll(ctx context.Context, f deadletters.Filter, again bool, progress func(deadletters.Result)) (deadletters.Counts, error)

	Deliver(ctx context.Context, body []byte) (status string)
	DeliverOversized(ctx context.Context, size, most int64, sum [sha256.Size]byte) (status string)
	Refuse(err error) (status string)
}

// Who may read letters and put them back. The values are those of the registry's door.
const (
	// ChangesToken lets those do it who show the token.
	ChangesToken = "token"
	// ChangesOpen lets everybody do it who reaches the door.
	ChangesOpen = "open"
	// ChangesOff lets nobody do it.
	ChangesOff = "off"
)

// Config says how the door behaves.
type Config struct {
	// Changes is [ChangesToken], [ChangesOpen] or [ChangesOff]; any other value is as off.
	Changes string
	// Token that is to be shown where Changes is [ChangesToken]. Without one, nobody may do
	// anything.
	Token string
	// MaxLetter bounds a delivery, in bytes. An error event has its original in it, in base64
	// if it is no JSON: it should be twice the bound of a request.
	MaxLetter int64
	// ReadTimeout bounds the time that a body may take to arrive.
	ReadTimeout time.Duration
	// Timeout bounds a request, but for one that puts many letters back.
	Timeout time.Duration
}

// Handler is the door. It is safe for concurrent use.
type Handler struct {
	config  Config
	service Service
	log     zerolog.Logger
	mux     *http.ServeMux
	// foreign refuses what a browser sends on behalf of another site's page.
	foreign *http.CrossOriginProtection
}

// path of the letters.
const path = "/events/v1/deadletters"

// New makes the door.
func New(config Config, service Service, log zerolog.Logger) *Handler {
	h := &Handler{config: config, service: service, log: log, mux: http.NewServeMux(), foreign: http.NewCrossOriginProtection()}
	for pattern, op := range map[string]operation{
		"GET " + path:                   h.operators(h.list),
		"GET " + path + "/{id}":         h.operators(h.show),
		"POST " + path + "/{id}/replay": h.operators(h.replay),
		"POST " + path + "/replay":      h.operators(h.replayAll),
		"POST /events/deadletters":      h.deliver,
		"/":                             h.unknown,
	} {
		h.mux.Handle(pattern, h.serve(op))
	}
	return h
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	h.mux.ServeHTTP(w, watched(r))
}

// operation answers one kind of request. An error is written by the door.
type operation func(w http.ResponseWriter, r *http.Request) error

// serve turns an operation into a handler that writes errors.
func (h *Handler) serve(op operation) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h.caught(w, r, op); err != nil {
			h.fail(w, r, err)
		}
	})
}

// caught turns a panic into an error: one request's bad luck is answered like any other
// failure.
func (h *Handler) caught(w http.ResponseWriter, r *http.Request, op operation) (err error) {
	defer func() {
		if p := recover(); p != nil {
			h.log.Error().Str("panic", fmt.Sprint(p)).Bytes("stack", debug.Stack()).Msg("panic while answering")
			err = scoring.InternalError(nil)
		}
	}()
	return op(w, r)
}

// operators lets only those through who may.
func (h *Handler) operators(op operation) operation {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := h.authorise(r); err != nil {
			return err
		}
		return op(w, r)
	}
}

// unknown answers what no other route matches: 404, or 405 where the path exists for another
// method.
func (h *Handler) unknown(_ http.ResponseWriter, r *http.Request) error {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		probe := r.Clone(r.Context())
		probe.Method = method
		if _, pattern := h.mux.Handler(probe); pattern != "/" {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) > 0 {
		return statusError{
			cause:  scoring.Errorf(scoring.Unimplemented, "method %s is not allowed here: use %s", clip(r.Method), strings.Join(allowed, " or ")),
			status: http.StatusMethodNotAllowed, header: "Allow", value: strings.Join(allowed, ", "),
		}
	}
	return scoring.Errorf(scoring.NotFound, "there is nothing at %s %s: want %s", clip(r.Method), clip(r.URL.Path), path)
}
