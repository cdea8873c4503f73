package httpapi

import (
	"net/http"

	"github.com/onda-serving/onda/app/wire"
)

// event takes one delivery from Dapr. The answer's code is always 200: Dapr reads the
// outcome from the body, and drops an event for some codes (404) without a word. For the
// same reason the path exists without a sidecar too: one that delivers all the same gets
// its event back.
func (h *Handler) event(w http.ResponseWriter, r *http.Request) error {
	reply := wire.Delivery{Status: "RETRY"}
	switch body, release, err := h.readBody(w, r); {
	case h.parts.Events == nil:
		release()
		h.parts.Log.Warn().Msg("an event was delivered, and Onda runs without a sidecar: set ONDA_DAPR=on")
	case err != nil:
		release()
		abandon(w, r)
		reply = h.parts.Events.Refuse(err)
	default:
		defer release()
		reply = h.parts.Events.Deliver(r.Context(), body, r.PathValue("subject"))
	}
	return writeJSON(w, r, http.StatusOK, reply)
}
