package httpapi

import "net/http"

// event takes one delivery from Dapr. The answer's code is always 200: Dapr reads the
// outcome from the body, and drops an event for some codes (404) without a word. For the
// same reason the path exists without a sidecar too: one that delivers all the same gets
// its event back.
func (h *Handler) event(w http.ResponseWriter, r *http.Request) error {
	status := "RETRY"
	switch body, release, err := h.readBody(w, r); {
	case h.parts.Events == nil:
		release()
		h.parts.Log.Warn().Msg("an event was delivered, and Onda runs without a sidecar: set ONDA_DAPR=on")
	case err != nil:
		release()
		abandon(w, r)
		status = h.parts.Events.Refuse(err)
	default:
		defer release()
		status = h.parts.Events.Deliver(r.Context(), body)
	}
	return writeJSON(w, r, http.StatusOK, map[string]string{"status": status})
}
