package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/onda-serving/onda/app/registry"
	"github.com/onda-serving/onda/app/scoring"
)

// storeTimeout bounds a look into the state store. It is well under the callers' own
// time-outs, so that they get an answer that says what is slow.
const storeTimeout = 5 * time.Second

// registryModels answers GET /registry/v1/models with what the state store holds.
func (h *Handler) registryModels(w http.ResponseWriter, r *http.Request) error {
	if h.parts.Store == nil {
		return noStore()
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeTimeout)
	defer cancel()
	records, err := registry.Read(ctx, h.parts.Store)
	if err != nil {
		return storeFailed(err)
	}
	return writeJSON(w, r, http.StatusOK, map[string]any{"models": records})
}

// registryModel answers GET /registry/v1/models/{model}.
func (h *Handler) registryModel(w http.ResponseWriter, r *http.Request) error {
	if h.parts.Store == nil {
		return noStore()
	}
	ref, err := reference(r)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeTimeout)
	defer cancel()
	record, ok, err := registry.ReadModel(ctx, h.parts.Store, ref.Name)
	if err != nil {
		return storeFailed(err)
	}
	if !ok {
		return scoring.Errorf(scoring.NotFound, "model %q is not in the registry: GET /registry/v1/models lists what is", ref.Name)
	}
	return writeJSON(w, r, http.StatusOK, record)
}

func noStore() error {
	return scoring.Errorf(scoring.Unimplemented, "the registry needs a Dapr sidecar, and Onda runs without one")
}

func storeFailed(err error) error {
	return scoring.Errorf(scoring.Unavailable, "the state store does not answer: the server's log has the details").WithCause(err).WithRetryAfter(time.Second)
}
