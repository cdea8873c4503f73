package httpapi

import (
	"net/http"

	"github.com/onda-serving/onda/app/scoring"
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
		h.parts.Log.Warn().Ctx(r.Context()).Msg("an event was delivered, and Onda runs without a sidecar: set ONDA_DAPR=on")
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

// deadLetters hands on what operators ask about dead letters, to a door that writes its errors
// itself.
func (h *Handler) deadLetters(w http.ResponseWriter, r *http.Request) error {
	if h.parts.DeadLetters == nil {
		return scoring.Errorf(scoring.Unimplemented, "this server keeps no dead letters: it needs a Dapr sidecar with a state store (ONDA_DAPR, ONDA_STATE_STORE)")
	}
	h.parts.DeadLetters.ServeHTTP(w, r)
	return nil
}

// deadLetter takes a delivery from the dead-letter topic. Where nothing can be kept, it is not
// given back: it would come again for ever, and the topic's other subscribers have it, too.
func (h *Handler) deadLetter(w http.ResponseWriter, r *http.Request) error {
	if h.parts.DeadLetters == nil {
		h.parts.Log.Warn().Ctx(r.Context()).Msg("a dead letter was delivered and is not kept: that needs a state store (ONDA_STATE_STORE)")
		return writeJSON(w, r, http.StatusOK, wire.Delivery{Status: "SUCCESS"})
	}
	h.parts.DeadLetters.ServeHTTP(w, r)
	return nil
}
