// Package httpapi is the HTTP door: the V1 `:predict` paths, the Open Inference Protocol
// v2, the registry's read paths, health, and the route that Dapr delivers events to. It
// turns requests into the vocabulary of package scoring and answers into bytes; what
// happens between is the engine's.
//
// The paths are the same whether they are called directly or through
// /v1.0/invoke/onda/method/ of a sidecar.
package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/rs/zerolog"

	"github.com/onda-serving/onda/app/admit"
	"github.com/onda-serving/onda/app/registry"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/telemetry/spans"
	"github.com/onda-serving/onda/app/wire"
)

// Scorer scores requests: see engine.Engine, which implements it.
type Scorer interface {
	// Admit says whether a request for want would be let in now. It is asked before the body
	// is read, and promises nothing.
	Admit(ctx context.Context, want registry.Want, schedule scoring.Schedule) error
	// Predict scores instances with a model's pipeline.
	Predict(ctx context.Context, req *scoring.PredictRequest) (*scoring.PredictResponse, error)
	// Infer runs a model on tensors.
	Infer(ctx context.Context, req *scoring.InferRequest) (*scoring.InferResponse, error)
}

// Models says what is known about the models: see registry.Registry, which implements it.
type Models interface {
	// Ready says whether there is something to answer with.
	Ready() bool
	// Status of one version.
	Status(ref scoring.ModelRef) (registry.Status, error)
	// Wake is Status, after loading a version that is not in memory.
	Wake(ctx context.Context, ref scoring.ModelRef) (registry.Status, error)
	// Model with all its versions.
	Model(name string) (registry.Model, error)
	// Models lists all of them.
	Models() []registry.Model
	// Statistics of one version.
	Statistics(ref scoring.ModelRef) (scoring.Statistics, error)
}

// Observer hears of every answer: see telemetry.Metrics, which implements it.
type Observer interface {
	// Answered is called once for every request; err is nil for success.
	Answered(door, operation string, err error, took time.Duration)
	// Panicked is called for every panic that was caught.
	Panicked()
}

// Events takes deliveries of events: see events.Consumer, which implements it. Both
// methods give what Dapr is told.
type Events interface {
	// Deliver scores one event, or those of a bulk delivery. subject names the model of
	// messages that do not.
	Deliver(ctx context.Context, body []byte, subject string) wire.Delivery
	// Refuse says what becomes of a delivery whose body could not be read.
	Refuse(err error) wire.Delivery
}

// Config says how the door behaves.
type Config struct {
	// ServerName and ServerVersion are what GET /v2 reports.
	ServerName, ServerVersion string
	// MaxBody bounds a request's body, in bytes.
	MaxBody int64
	// MaxInstances bounds the instances of a request.
	MaxInstances int
	// Timeout is the budget of a request that brings none.
	Timeout time.Duration
	// ReadTimeout bounds the time that a body may take to arrive.
	ReadTimeout time.Duration
	// AppToken must be shown by the sidecar; "" asks for none.
	AppToken string
}

// Parts are what the door needs of the rest of the app.
type Parts struct {
	// Scorer scores.
	Scorer Scorer
	// Models are asked for status and metadata.
	Models Models
	// Registry answers below /registry/v1/: see package registryapi.
	Registry http.Handler
	// Following says how this replica follows the registry, for people who look at its
	// health; nil where it does not.
	Following func() any
	// Events takes what Dapr delivers; nil where Onda runs without a sidecar.
	Events Events
	// DeadLetters takes what comes to the dead-letter topic, and answers below /events/v1/: see
	// package eventsapi. nil where there is no state store to keep any.
	DeadLetters http.Handler
	// Async takes requests whose callers do not wait; nil where Onda runs without a sidecar.
	Async Async
	// Repository loads and unloads models; nil where that is not allowed.
	Repository Repository
	// Bodies bounds the memory of bodies, together with the other doors.
	Bodies *admit.Bytes
	// Observer counts answers.
	Observer Observer
	// Tracer of requests; nil where nothing is traced.
	Tracer *spans.Tracer
	// Log gets one line for each failure of ours, and for every request at debug level.
	Log zerolog.Logger
	// Draining says that the app is shutting down.
	Draining func() bool
}

// Handler is the door. It is safe for concurrent use.
type Handler struct {
	config Config
	parts  Parts
	mux    *http.ServeMux
}

// New makes the door of its parts.
func New(config Config, parts Parts) *Handler {
	h := &Handler{config: config, parts: parts, mux: http.NewServeMux()}
	h.routes()
	return h
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	r = withoutSlash(h.watchBody(w, r))
	if h.authorise(r) != nil {
		h.serve("unauthorised", func(_ http.ResponseWriter, r *http.Request) error { return h.authorise(r) }).ServeHTTP(w, r)
		return
	}
	h.mux.ServeHTTP(w, r)
}
