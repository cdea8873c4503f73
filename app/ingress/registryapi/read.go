package registryapi

import (
	"net/http"
	"strconv"

	"github.com/onda-serving/onda/app/admin"
	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/ingress/operator"
	"github.com/onda-serving/onda/app/scoring"
)

// models answers GET /registry/v1/models.
func (h *Handler) models(w http.ResponseWriter, r *http.Request) error {
	all, err := h.service.Models(r.Context())
	if err != nil {
		return err
	}
	if all == nil {
		all = []admin.Document{}
	}
	return h.read(w, map[string]any{"models": all})
}

// model answers GET /registry/v1/models/{model}.
func (h *Handler) model(w http.ResponseWriter, r *http.Request) error {
	document, err := h.service.Model(r.Context(), r.PathValue("model"))
	if err != nil {
		return err
	}
	return h.document(w, r, document.Revision, document)
}

// version answers GET /registry/v1/models/{model}/versions/{version}.
func (h *Handler) version(w http.ResponseWriter, r *http.Request) error {
	number, err := scoring.ParseVersion(r.PathValue("version"))
	if err != nil {
		return err
	}
	version, err := h.service.Version(r.Context(), r.PathValue("model"), number)
	if err != nil {
		return err
	}
	return h.document(w, r, version.Revision, version)
}

// The entries of an answer of the history.
const (
	defaultLimit = 50
	maxLimit     = 1000
)

// history answers GET /registry/v1/models/{model}/history.
func (h *Handler) history(w http.ResponseWriter, r *http.Request) error {
	limit, err := limitOf(r)
	if err != nil {
		return err
	}
	entries, err := h.service.History(r.Context(), r.PathValue("model"), limit)
	if err != nil {
		return err
	}
	if entries == nil {
		entries = []catalog.Entry{}
	}
	return h.read(w, map[string]any{"entries": entries})
}

// limitOf reads the query of the history.
func limitOf(r *http.Request) (int, error) {
	query := r.URL.Query()
	for name := range query {
		if name != "limit" {
			return 0, scoring.Errorf(scoring.Invalid, "unknown query parameter %q: want limit", operator.Clip(name))
		}
	}
	if !query.Has("limit") {
		return defaultLimit, nil
	}
	limit, err := strconv.Atoi(query.Get("limit"))
	if err != nil || limit < 1 || limit > maxLimit || len(query["limit"]) > 1 {
		return 0, scoring.Errorf(scoring.Invalid, "limit is %q: want one whole number, 1 to %d", operator.Clip(query.Get("limit")), maxLimit)
	}
	return limit, nil
}

// evidence answers GET /registry/v1/models/{model}/evidence.
func (h *Handler) evidence(w http.ResponseWriter, r *http.Request) error {
	evidence, err := h.service.Evidence(r.Context(), r.PathValue("model"))
	if err != nil {
		return err
	}
	return h.read(w, evidence)
}

// status answers GET /registry/v1/status.
func (h *Handler) status(w http.ResponseWriter, _ *http.Request) error {
	status, err := h.service.Status()
	if err != nil {
		return err
	}
	return h.read(w, status)
}

// document answers with what has a revision, or says that the caller has it.
func (h *Handler) document(w http.ResponseWriter, r *http.Request, revision int64, v any) error {
	w.Header().Set("Etag", etag(revision))
	if unchanged(r, revision) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	return h.read(w, v)
}

// read answers what was asked for.
func (h *Handler) read(w http.ResponseWriter, v any) error {
	// What is true now may not be true when it is asked for again.
	w.Header().Set("Cache-Control", "no-cache")
	h.door.Answer(w, http.StatusOK, v)
	return nil
}
