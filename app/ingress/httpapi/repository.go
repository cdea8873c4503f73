package httpapi

import (
	"context"
	"net/http"
	"strconv"

	"github.com/onda-serving/onda/app/registry"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/wire"
)

// Repository loads and unloads models on request.
type Repository interface {
	// Load loads a model, or loads it again. It returns when the model answers, or when it
	// cannot be loaded.
	Load(ctx context.Context, req scoring.LoadRequest) error
	// Unload takes a model out of service.
	Unload(ctx context.Context, name string) error
}

// v2Index is a version in the repository's index.
type v2Index struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	State   string `json:"state"`
	Reason  string `json:"reason"`
}

// repositoryIndex answers POST /v2/repository/index: every version there is.
func (h *Handler) repositoryIndex(w http.ResponseWriter, r *http.Request) error {
	body, release, err := h.readBody(w, r)
	defer release()
	if err != nil {
		return err
	}
	readyOnly, err := wire.DecodeIndex(body)
	if err != nil {
		return err
	}
	index := []v2Index{}
	for _, m := range h.parts.Models.Models() {
		for _, s := range m.Versions {
			if readyOnly && !s.Ready() {
				continue
			}
			index = append(index, indexOf(s))
		}
	}
	return writeJSON(w, r, http.StatusOK, index)
}

// indexOf gives the state of a version in Triton's words.
func indexOf(s registry.Status) v2Index {
	entry := v2Index{Name: s.Ref.Name, Version: strconv.FormatInt(s.Ref.Version, 10)}
	entry.State, entry.Reason = s.RepositoryState()
	return entry
}

// loadModel answers POST /v2/repository/models/{model}/load.
func (h *Handler) loadModel(w http.ResponseWriter, r *http.Request) error {
	name, body, release, err := h.control(w, r)
	defer release()
	if err != nil {
		return err
	}
	req, err := wire.DecodeLoad(name, body)
	if err != nil {
		return err
	}
	if err := h.parts.Repository.Load(r.Context(), req); err != nil {
		return err
	}
	return writeJSON(w, r, http.StatusOK, v2Loaded{Name: name, Load: true})
}

// unloadModel answers POST /v2/repository/models/{model}/unload.
func (h *Handler) unloadModel(w http.ResponseWriter, r *http.Request) error {
	name, body, release, err := h.control(w, r)
	defer release()
	if err != nil {
		return err
	}
	if err := wire.CheckUnload(body); err != nil {
		return err
	}
	if err := h.parts.Repository.Unload(r.Context(), name); err != nil {
		return err
	}
	return writeJSON(w, r, http.StatusOK, v2Unloaded{Name: name, Unload: true})
}

// v2Loaded and v2Unloaded are what KServe answers; Triton's clients look at the code only.
type (
	v2Loaded struct {
		Name string `json:"name"`
		Load bool   `json:"load"`
	}
	v2Unloaded struct {
		Name   string `json:"name"`
		Unload bool   `json:"unload"`
	}
)

// control reads what both repository calls have in common. release must be called
// whatever err is.
func (h *Handler) control(w http.ResponseWriter, r *http.Request) (name string, body []byte, release func(), err error) {
	release = func() {}
	ref, err := reference(r)
	switch {
	case err != nil:
		return "", nil, release, err
	case h.parts.Repository == nil:
		return "", nil, release, scoring.Errorf(scoring.Denied, "models are not loaded or unloaded on request here: set ONDA_MODEL_CONTROL=explicit to allow it")
	}
	body, release, err = h.readBody(w, r)
	return ref.Name, body, release, err
}

// namedRepository answers the repository calls that name a repository.
func (h *Handler) namedRepository(http.ResponseWriter, *http.Request) error {
	return scoring.Errorf(scoring.Unimplemented, "naming a repository is not offered: there is one, at /v2/repository/index and /v2/repository/models/MODEL/load or unload")
}
