// Package registryapi is the registry's HTTP door: /registry/v1 with everything that is read
// and changed there. What a change does is package admin's; here requests become changes, and
// what came of them becomes JSON.
//
// The paths are the same whether they are called directly or through
// /v1.0/invoke/onda/method/ of a sidecar. openapi.yaml, beside this file, describes them.
package registryapi

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/rs/zerolog"

	"github.com/onda-serving/onda/app/admin"
	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/ingress/operator"
)

// Service reads and changes the registry: see admin.Admin, which implements it. Errors whose
// text is for callers are [scoring.Error] values.
type Service interface {
	Models(ctx context.Context) ([]admin.Document, error)
	Model(ctx context.Context, name string) (*admin.Document, error)
	Version(ctx context.Context, name string, number int64) (*admin.Version, error)
	History(ctx context.Context, name string, limit int) ([]catalog.Entry, error)
	Evidence(ctx context.Context, name string) (*admin.Evidence, error)
	Status() (*admin.Status, error)

	Register(ctx context.Context, name string, want admin.Registration, ask admin.Ask) (*admin.Registered, error)
	SetLabel(ctx context.Context, name, label string, version int64, ask admin.Ask) (*admin.Document, error)
	RemoveLabel(ctx context.Context, name, label string, ask admin.Ask) (*admin.Document, error)
	SetTraffic(ctx context.Context, name string, traffic *catalog.Traffic, ask admin.Ask) (*admin.Document, error)
	SetShadow(ctx context.Context, name string, shadow *catalog.Shadow, ask admin.Ask) (*admin.Document, error)
	Rollout(ctx context.Context, name string, plan admin.RolloutPlan, ask admin.Ask) (*admin.Document, error)
	Promote(ctx context.Context, name string, version int64, ask admin.Ask) (*admin.Document, error)
	RollBack(ctx context.Context, name string, ask admin.Ask) (*admin.Document, error)
	Retire(ctx context.Context, name string, version int64, ask admin.Ask) (*admin.Document, error)
	Pin(ctx context.Context, name string, pinned bool, ask admin.Ask) (*admin.Document, error)

	HasBlob(ctx context.Context, sum string) (size int64, ok bool, err error)
	Upload(ctx context.Context, sum string, size int64, body io.Reader) (created bool, err error)
}

// Observer counts changes.
type Observer interface {
	// Changed is called once for every change that was asked for, with its action (one of the
	// Action constants of package catalog, or "upload") and "OK" or the name of the failure's
	// code.
	Changed(action, code string)
}

// Config says how the door behaves.
type Config struct {
	// Changes is [operator.ChangesToken], [operator.ChangesOpen] or [operator.ChangesOff]; any
	// other value is as off.
	Changes string
	// Token that is to be shown where Changes is [operator.ChangesToken]. Without one, nobody
	// may change anything.
	Token string
	// MaxBody bounds the body of a request, in bytes. The body of a change is bounded by
	// 1 MiB as well.
	MaxBody int64
	// MaxBlob bounds an uploaded file, in bytes.
	MaxBlob int64
	// ReadTimeout bounds the time that a body may take to arrive; of an upload, the time
	// between two parts of it.
	ReadTimeout time.Duration
	// ChangeTimeout is the budget of a change whose request brings none.
	ChangeTimeout time.Duration
	// Observer counts changes; nil for nobody.
	Observer Observer
}

// Handler is the door. It is safe for concurrent use.
type Handler struct {
	config  Config
	service Service
	door    *operator.Door
	mux     *http.ServeMux
	// uploads is full when as many files arrive as may.
	uploads chan struct{}
}

// words for those who may not change the registry.
var words = operator.Words{
	Foreign: "a page of another site asks for this change: the registry takes none from there",
	Closed:  "the registry is not changed over this door: set ONDA_REGISTRY_CHANGES=token, and ONDA_REGISTRY_TOKEN, to allow it",
	Unset:   "the registry cannot be changed yet: set ONDA_REGISTRY_TOKEN to a token that those show who may, or ONDA_REGISTRY_CHANGES=open to let everybody",
	Realm:   "onda registry",
}

// New makes the door.
func New(config Config, service Service, log zerolog.Logger) *Handler {
	h := &Handler{
		config: config, service: service, mux: http.NewServeMux(), uploads: make(chan struct{}, maxUploads),
		door: &operator.Door{Changes: config.Changes, Token: config.Token, Words: words, ReadTimeout: config.ReadTimeout, Log: log},
	}
	for _, route := range h.routes() {
		h.mux.Handle(route.pattern, h.serve(route.name, route.op))
	}
	h.mux.Handle("/", h.serve("unknown", h.unknown))
	return h
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	h.mux.ServeHTTP(w, operator.Watched(r))
}

// changed tells the observer of a change.
func (h *Handler) changed(action, code string) {
	if h.config.Observer != nil {
		h.config.Observer.Changed(action, code)
	}
}
