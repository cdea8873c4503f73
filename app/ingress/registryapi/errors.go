package registryapi

import (
	"errors"
	"net/http"
	"time"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/ingress/operator"
	"github.com/onda-serving/onda/app/scoring"
)

// failure is the body of a failure.
type failure struct {
	Error string `json:"error"`
	// Status stands where the answer's own status is 200: in a stream.
	Status int `json:"status,omitempty"`
	// Yours and Current are there if somebody else changed the model in between: its state as
	// the change was decided on, and as it is now.
	Yours   *state `json:"yours,omitempty"`
	Current *state `json:"current,omitempty"`
}

// state is a model's state at a revision.
type state struct {
	Revision int64 `json:"revision"`
	catalog.State
}

func stateOf(m *catalog.Model) *state {
	if m == nil {
		return nil
	}
	s := &state{Revision: m.Revision, State: m.State}
	if s.Labels == nil {
		s.Labels = map[string]int64{}
	}
	return s
}

// failureOf gives the public part of err.
func failureOf(err error) failure {
	body := failure{Error: scoring.AsError(err).Message}
	if conflict, ok := errors.AsType[*catalog.ConflictError](err); ok {
		body.Yours, body.Current = stateOf(conflict.Yours), stateOf(conflict.Current)
	}
	return body
}

// fail writes err as the answer, with the public text only, and logs it with its cause.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, name string, err error, took time.Duration) {
	h.door.Failing(w, r, err).Str("operation", name).Str("id", operator.Clip(r.Header.Get(idHeader))).Str("caller", r.Header.Get(operator.CallerHeader)).Dur("took_ms", took).Msg("refused")
	h.door.Answer(w, operator.StatusOf(err), failureOf(err))
}
