package registryapi

import (
	"net/http"
	"time"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/ingress/operator"
)

// operation answers one kind of request. An error is written by the door.
type operation func(w http.ResponseWriter, r *http.Request) error

// route is one kind of request.
type route struct {
	// pattern as http.ServeMux has it.
	pattern string
	// name for logs.
	name string
	op   operation
}

// routes lists everything that the door answers.
func (h *Handler) routes() []route {
	const model = "/registry/v1/models/{model}"
	reads := []route{
		{"GET /registry/v1/models", "models", h.models},
		{"GET " + model, "model", h.model},
		{"GET " + model + "/history", "history", h.history},
		{"GET " + model + "/evidence", "evidence", h.evidence},
		{"GET " + model + "/versions/{version}", "version", h.version},
		{"GET /registry/v1/status", "status", h.status},
		{"HEAD /registry/v1/blobs/{sum}", "blob", h.hasBlob},
		{"PUT /registry/v1/blobs/{sum}", actionUpload, h.upload},
	}
	for _, change := range []struct {
		pattern, action string
		read            reader
		// streams says that the change can take long, and can tell how far it is.
		streams bool
	}{
		{"POST " + model + "/versions", catalog.ActionRegister, h.register, true},
		{"PUT " + model + "/labels/{label}", catalog.ActionLabel, h.setLabel, true},
		{"DELETE " + model + "/labels/{label}", catalog.ActionUnlabel, h.removeLabel, false},
		{"PUT " + model + "/traffic", catalog.ActionTraffic, h.setTraffic, true},
		{"DELETE " + model + "/traffic", catalog.ActionTraffic, h.clearTraffic, false},
		{"PUT " + model + "/shadow", catalog.ActionShadow, h.setShadow, true},
		{"DELETE " + model + "/shadow", catalog.ActionShadow, h.clearShadow, false},
		{"POST " + model + "/rollout", catalog.ActionRollout, h.rollout, true},
		{"POST " + model + "/promote", catalog.ActionPromote, h.promote, true},
		{"POST " + model + "/rollback", catalog.ActionRollback, h.rollBack, true},
		{"POST " + model + "/versions/{version}/retire", catalog.ActionRetire, h.retire, false},
		{"PUT " + model + "/pin", catalog.ActionPin, h.pin, false},
	} {
		reads = append(reads, route{change.pattern, change.action, h.change(change.action, change.read, change.streams)})
	}
	return reads
}

// serve turns an operation into a handler that gives the request's id back, logs and writes
// errors.
func (h *Handler) serve(name string, op operation) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		err := h.door.Caught(func() error {
			if err := echoID(w, r); err != nil {
				return err
			}
			return op(w, r)
		})
		took := time.Since(start)
		if err != nil {
			h.fail(w, r, name, err, took)
			return
		}
		h.door.Log.Debug().Str("operation", name).Str("caller", r.Header.Get(operator.CallerHeader)).Dur("took_ms", took).Msg("answered")
	})
}

// unknown answers what no other route matches.
func (h *Handler) unknown(_ http.ResponseWriter, r *http.Request) error {
	return operator.Unknown(h.mux, r, "/registry/v1/models or another path of README.md")
}
