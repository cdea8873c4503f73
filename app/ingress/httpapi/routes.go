package httpapi

import (
	"fmt"
	"net/http"
	"path"
	"runtime/debug"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/onda-serving/onda/app/scoring"
)

// operation answers one kind of request. An error is written by the door.
type operation func(w http.ResponseWriter, r *http.Request) error

// routes lists everything that the door answers. The V1 paths end in a verb after a
// colon, which the mux takes as part of the last segment: see [splitVerb].
func (h *Handler) routes() {
	for _, route := range []struct {
		pattern, name string
		op            operation
	}{
		{"POST /v1/models/{target}", "predict", h.predict},
		{"POST /v1/models/{model}/versions/{target}", "predict", h.predict},
		{"POST /v1/models/{model}/labels/{target}", "predict", h.predict},
		{"GET /v1/models", "status", h.listModels},
		{"GET /v1/models/{model}", "status", h.modelStatus},
		{"GET /v1/models/{model}/versions/{version}", "status", h.modelStatus},
		{"GET /v1/models/{model}/labels/{label}", "status", h.modelStatus},
		{"GET " + requestsPath + "{id}", "request", h.asyncRequest},

		{"GET /v2", "metadata", h.serverMetadata},
		{"GET /v2/health/live", "health", h.live},
		{"GET /v2/health/ready", "health", h.ready},
		{"GET /v2/models", "metadata", h.listModels},
		{"GET /v2/models/stats", "statistics", h.allStatistics},
		{"POST /v2/repository/index", "repository", h.repositoryIndex},
		{"POST /v2/repository/models/{model}/load", "repository", h.loadModel},
		{"POST /v2/repository/models/{model}/unload", "repository", h.unloadModel},
		{"POST /v2/repository/{repository}/index", "repository", h.namedRepository},
		{"POST /v2/repository/{repository}/models/{model}/load", "repository", h.namedRepository},
		{"POST /v2/repository/{repository}/models/{model}/unload", "repository", h.namedRepository},

		{"GET /v2/trace/setting", "trace", notOffered(noTrace)},
		{"POST /v2/trace/setting", "trace", notOffered(noTrace)},
		{"GET /v2/models/{model}/trace/setting", "trace", notOffered(noTrace)},
		{"POST /v2/models/{model}/trace/setting", "trace", notOffered(noTrace)},
		{"GET /v2/logging", "logging", notOffered(noLogging)},
		{"POST /v2/logging", "logging", notOffered(noLogging)},

		{"/registry/v1/", "registry", h.registry},

		{"POST " + eventsPath, "event", h.event},
		{"POST " + eventsPath + "/{subject...}", "event", h.event},
		{"POST /events/deadletters", "deadletter", h.deadLetter},
		{"/events/v1/", "deadletters", h.deadLetters},

		{"GET /healthz", "health", h.health},
		{"GET /dapr/subscribe", "dapr", h.subscriptions},
		{"/", "unknown", h.unknown},
	} {
		h.mux.Handle(route.pattern, h.serve(route.name, route.op))
	}
	h.modelRoutes()
	h.sharedMemoryRoutes()
}

// modelRoutes lists what the Open Inference Protocol has for each model, version and, as
// an extension of ours, label. A label has a path segment of its own before it, so that
// none is ever taken for a version.
func (h *Handler) modelRoutes() {
	for _, model := range []string{"/v2/models/{model}", "/v2/models/{model}/versions/{version}", "/v2/models/{model}/labels/{label}"} {
		h.mux.Handle("GET "+model, h.serve("metadata", h.modelMetadata))
		h.mux.Handle("GET "+model+"/ready", h.serve("health", h.modelReady))
		h.mux.Handle("GET "+model+"/config", h.serve("metadata", h.modelConfig))
		h.mux.Handle("GET "+model+"/stats", h.serve("statistics", h.modelStatistics))
		h.mux.Handle("POST "+model+"/infer", h.serve("infer", h.infer))
		h.mux.Handle("POST "+model+"/generate", h.serve("generate", notOffered(noGenerate)))
		h.mux.Handle("POST "+model+"/generate_stream", h.serve("generate", notOffered(noGenerate)))
	}
}

// sharedMemoryRoutes lists the calls of both shared memory extensions.
func (h *Handler) sharedMemoryRoutes() {
	for _, kind := range []string{"/v2/systemsharedmemory", "/v2/cudasharedmemory"} {
		for _, region := range []string{kind, kind + "/region/{region}"} {
			h.mux.Handle("GET "+region+"/status", h.serve("shared_memory", h.sharedMemoryStatus))
			h.mux.Handle("POST "+region+"/unregister", h.serve("shared_memory", notOffered(noSharedMemory)))
		}
		h.mux.Handle("POST "+kind+"/region/{region}/register", h.serve("shared_memory", notOffered(noSharedMemory)))
	}
}

// eventsPath is where Dapr delivers scoring events: the subscription in components/
// names it. A subscription to messages that are no CloudEvents has the model behind it, such
// as /events/scoring/faq-matching/labels/canary.
const eventsPath = "/events/scoring"

// serve turns an operation into a handler that counts, logs and writes errors.
func (h *Handler) serve(name string, op operation) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		r, span := h.trace(r, name)
		err := h.caught(op, w, r) //nolint:contextcheck // the request has its context, with the span
		took := time.Since(start)
		end(span, err)
		h.parts.Observer.Answered("http", name, err, took)
		if err != nil {
			h.fail(w, r, name, err, took)
			return
		}
		h.note(r).Str("operation", name).Str("caller", r.Header.Get(callerHeader)).Dur("took_ms", took).Msg("answered")
	})
}

// note begins the line in the log of a request that was answered.
func (h *Handler) note(r *http.Request) *zerolog.Event { return h.parts.Log.Debug().Ctx(r.Context()) }

// caught runs an operation and turns a panic into an error: one request's bad luck is
// answered and counted like any other failure.
func (h *Handler) caught(op operation, w http.ResponseWriter, r *http.Request) (err error) {
	defer func() {
		if p := recover(); p != nil {
			h.parts.Observer.Panicked()
			h.parts.Log.Error().Ctx(r.Context()).Str("panic", fmt.Sprint(p)).Bytes("stack", debug.Stack()).Msg("panic while answering")
			err = scoring.InternalError(nil)
		}
	}()
	return op(w, r)
}

// subscriptions tells Dapr that the app subscribes to nothing by itself: the
// subscriptions are files in components/, where operators can change them.
func (h *Handler) subscriptions(w http.ResponseWriter, r *http.Request) error {
	return writeJSON(w, r, http.StatusOK, []string{})
}

// unknown answers what no other route matches: 404, or 405 where the path exists for
// another method.
func (h *Handler) unknown(_ http.ResponseWriter, r *http.Request) error {
	if allowed := h.allowed(r); len(allowed) > 0 {
		return methodNotAllowed(r.Method, allowed...)
	}
	return scoring.Errorf(scoring.NotFound, "there is nothing at %s %s: want /v1/models/MODEL:predict, /v2/models/MODEL/infer or another path of README.md", r.Method, clip(r.URL.Path))
}

// allowed lists the methods that the path of r answers.
func (h *Handler) allowed(r *http.Request) []string {
	var methods []string
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		probe := r.Clone(r.Context())
		probe.Method = method
		if _, pattern := h.mux.Handler(probe); pattern != "/" && pattern != "" {
			methods = append(methods, method)
		}
	}
	if len(methods) > 1 && strings.HasPrefix(r.URL.Path, "/v1/") { // a path, which the mux knows with and without a verb alike
		if hasVerb(r) {
			return []string{http.MethodPost}
		}
		return []string{http.MethodGet}
	}
	return methods
}

// withoutSlash takes a slash off the end of the protocol's paths, which some clients put
// there. A redirect would not do: a client may repeat a POST as a GET.
func withoutSlash(r *http.Request) *http.Request {
	if !strings.HasPrefix(r.URL.Path, "/v2") || !strings.HasSuffix(r.URL.Path, "/") {
		return r
	}
	changed := r.WithContext(r.Context())
	address := *r.URL
	address.Path = strings.TrimSuffix(address.Path, "/")
	address.RawPath = strings.TrimSuffix(address.RawPath, "/")
	changed.URL = &address
	return changed
}

// hasVerb says whether the path of r ends in a verb, as those to score do: the names of
// models, versions and labels have no colon.
func hasVerb(r *http.Request) bool {
	_, verb := splitVerb(path.Base(r.URL.Path))
	return verb != ""
}

// reference reads the model, version and label of a path.
func reference(r *http.Request) (scoring.ModelRef, error) {
	ref := scoring.ModelRef{Name: r.PathValue("model"), Label: r.PathValue("label")}
	if err := scoring.CheckName("model name", ref.Name); err != nil {
		return ref, err
	}
	if version := r.PathValue("version"); version != "" {
		number, err := scoring.ParseVersion(version)
		if err != nil {
			return ref, err
		}
		ref.Version = number
	}
	if ref.Label != "" {
		if err := scoring.CheckName("label", ref.Label); err != nil {
			return ref, err
		}
	}
	return ref, nil
}

// splitVerb separates "faq-matching:predict" into name and verb.
func splitVerb(target string) (name, verb string) {
	at := strings.LastIndexByte(target, ':')
	if at < 0 {
		return target, ""
	}
	return target[:at], target[at+1:]
}
