package httpapi

import (
	"net/http"
)

// health answers GET /healthz, Dapr's app health check: can the app take work? While it
// says no, Dapr holds subscriptions back, which keeps events in the broker until the
// models are loaded.
func (h *Handler) health(w http.ResponseWriter, r *http.Request) error {
	body := health{Ready: h.canWork()}
	if h.parts.Following != nil {
		body.Registry = h.parts.Following()
	}
	return writeJSON(w, r, statusFor(body.Ready), body)
}

// health is the answer of GET /healthz. A replica that lost sight of the registry serves
// what it has, and is ready.
type health struct {
	Ready    bool `json:"ready"`
	Registry any  `json:"registry,omitempty"`
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
	ready := s.Ready() && !h.parts.Draining()
	return writeJSON(w, r, statusFor(ready), map[string]any{"name": ref.Name, "ready": ready})
}

func (h *Handler) canWork() bool { return h.parts.Models.Ready() && !h.parts.Draining() }

func statusFor(ready bool) int {
	if ready {
		return http.StatusOK
	}
	return http.StatusServiceUnavailable
}
