package httpapi

import (
	"net/http"

	"github.com/onda-serving/onda/app/registry"
)

// health answers GET /healthz, Dapr's app health check: can the app take work? While it
// says no, Dapr holds subscriptions back, which keeps events in the broker until the
// models are loaded.
func (h *Handler) health(w http.ResponseWriter, r *http.Request) error {
	ready := h.canWork()
	return writeJSON(w, r, statusFor(ready), map[string]bool{"ready": ready})
}

// live answers GET /v2/health/live: the process answers. Both keys are in both replies,
// because clients of the protocol differ in which one they read.
func (h *Handler) live(w http.ResponseWriter, r *http.Request) error {
	return writeJSON(w, r, http.StatusOK, map[string]bool{"live": true, "ready": h.canWork()})
}

// ready answers GET /v2/health/ready.
func (h *Handler) ready(w http.ResponseWriter, r *http.Request) error {
	ready := h.canWork()
	return writeJSON(w, r, statusFor(ready), map[string]bool{"live": true, "ready": ready})
}

// modelReady answers GET /v2/models/{model}[/versions/{version}]/ready.
func (h *Handler) modelReady(w http.ResponseWriter, r *http.Request) error {
	ref, err := reference(r)
	if err != nil {
		return err
	}
	s, err := h.parts.Models.Status(ref)
	if err != nil {
		return err
	}
	ready := s.State == registry.Available && !h.parts.Draining()
	return writeJSON(w, r, statusFor(ready), map[string]any{"name": ref.Name, "ready": ready})
}

func (h *Handler) canWork() bool { return h.parts.Models.Ready() && !h.parts.Draining() }

func statusFor(ready bool) int {
	if ready {
		return http.StatusOK
	}
	return http.StatusServiceUnavailable
}
