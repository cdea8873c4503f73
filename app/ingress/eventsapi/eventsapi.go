// Package eventsapi is the HTTP door for dead letters: /events/v1/deadletters, where operators
// list them, read one and put them back, and /events/deadletters, where the sidecar delivers
// what is on the dead-letter topic. openapi.yaml, beside this file, describes them.
//
// Letters hold what callers sent, and to put one back is to act for them. So all but the
// delivery needs the right that changes of the registry need. The delivery is under the same
// rule as all that a sidecar brings: whoever hands requests to this door checks the token of
// the app before.
package eventsapi

import (
	"context"
	"crypto/sha256"
	"net/http"
	"time"

	"github.com/rs/zerolog"

	"github.com/onda-serving/onda/app/deadletters"
	"github.com/onda-serving/onda/app/ingress/operator"
	"github.com/onda-serving/onda/app/scoring"
)

// Service holds the letters: see deadletters.Book, which implements it. Errors whose text is
// for callers are [scoring.Error] values.
type Service interface {
	List(ctx context.Context, f deadletters.Filter, limit int, cursor string) (deadletters.Page, error)
	Get(ctx context.Context, id string) (*deadletters.Letter, error)
	Replay(ctx context.Context, id string, again bool, actor string) (deadletters.Result, error)
	ReplayAll(ctx context.Context, f deadletters.Filter, again bool, actor string, progress func(deadletters.Result)) (deadletters.Counts, error)

	Deliver(ctx context.Context, body []byte) (status string)
	DeliverOversized(ctx context.Context, size, most int64, sum [sha256.Size]byte) (status string)
	Refuse(err error) (status string)
}

// Config says how the door behaves.
type Config struct {
	// Changes is [operator.ChangesToken], [operator.ChangesOpen] or [operator.ChangesOff]; any
	// other value is as off.
	Changes string
	// Token that is to be shown where Changes is [operator.ChangesToken]. Without one, nobody
	// may do anything.
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
	door    *operator.Door
	mux     *http.ServeMux
}

// words for those who may not come in.
var words = operator.Words{
	Foreign: "a page of another site asks for this: dead letters are not put back from there",
	Closed:  "dead letters are not shown over this door: set ONDA_REGISTRY_CHANGES=token, and ONDA_REGISTRY_TOKEN, to allow it",
	Unset:   "dead letters cannot be shown yet: set ONDA_REGISTRY_TOKEN to a token that those show who may, or ONDA_REGISTRY_CHANGES=open to let everybody",
	Realm:   "onda dead letters",
}

// path of the letters.
const path = "/events/v1/deadletters"

// New makes the door.
func New(config Config, service Service, log zerolog.Logger) *Handler {
	h := &Handler{config: config, service: service, mux: http.NewServeMux(), door: &operator.Door{
		Changes: config.Changes, Token: config.Token, Words: words, ReadTimeout: config.ReadTimeout, Log: log,
	}}
	for pattern, op := range h.routes() {
		h.mux.Handle(pattern, h.serve(op))
	}
	h.mux.Handle("/", h.serve(h.unknown))
	return h
}

// routes lists everything that the door answers, by the patterns of http.ServeMux.
func (h *Handler) routes() map[string]operation {
	return map[string]operation{
		"GET " + path:                   h.operators(h.list),
		"GET " + path + "/{id}":         h.operators(h.show),
		"POST " + path + "/{id}/replay": h.operators(h.replay),
		"POST " + path + "/replay":      h.operators(h.replayAll),
		"POST /events/deadletters":      h.deliver,
	}
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	h.mux.ServeHTTP(w, operator.Watched(r))
}

// operation answers one kind of request. An error is written by the door.
type operation func(w http.ResponseWriter, r *http.Request) error

// failure is the body of a failure.
type failure struct {
	Error string `json:"error"`
}

// serve turns an operation into a handler that writes errors and logs them.
func (h *Handler) serve(op operation) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h.door.Caught(func() error { return op(w, r) }); err != nil {
			h.door.Failing(w, r, err).Str("operation", "deadletters").Msg("refused")
			h.door.Answer(w, operator.StatusOf(err), failure{scoring.AsError(err).Message})
		}
	})
}

// operators lets only those through who may.
func (h *Handler) operators(op operation) operation {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := h.door.Authorise(r); err != nil {
			return err
		}
		return op(w, r)
	}
}

// unknown answers what no other route matches.
func (h *Handler) unknown(_ http.ResponseWriter, r *http.Request) error {
	return operator.Unknown(h.mux, r, path)
}
