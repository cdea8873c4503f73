package httpapi

import (
	"net/http"
	"strconv"

	"github.com/onda-serving/onda/app/registry"
	"github.com/onda-serving/onda/app/scoring"
)

// modelList names the models, as KServe has it on both protocols.
type modelList struct {
	Models []string `json:"models"`
}

// listModels answers GET /v1/models and GET /v2/models.
func (h *Handler) listModels(w http.ResponseWriter, r *http.Request) error {
	list := modelList{Models: []string{}}
	for _, m := range h.parts.Models.Models() {
		list.Models = append(list.Models, m.Name)
	}
	return writeJSON(w, r, http.StatusOK, list)
}

// v1Status is the status of a model: TensorFlow Serving's list of versions, with the
// name and readiness that KServe has in the same place.
type v1Status struct {
	Name     string            `json:"name"`
	Ready    bool              `json:"ready"`
	Labels   map[string]string `json:"labels,omitempty"`
	Versions []v1Version       `json:"model_version_status"`
}

type v1Version struct {
	Version string         `json:"version"`
	State   registry.State `json:"state"`
	Status  v1Error        `json:"status"`
	Digest  string         `json:"digest,omitempty"`
}

type v1Error struct {
	Code    string `json:"error_code"`
	Message string `json:"error_message"`
}

// modelStatus answers GET /v1/models/{model} and its versions and labels.
func (h *Handler) modelStatus(w http.ResponseWriter, r *http.Request) error {
	if hasVerb(r) { // what a browser does with the address of a `:predict`
		return methodNotAllowed(r.Method, http.MethodPost)
	}
	ref, err := reference(r)
	if err != nil {
		return err
	}
	if ref.Version == 0 && ref.Label == "" {
		m, err := h.parts.Models.Model(ref.Name)
		if err != nil {
			return err
		}
		return writeJSON(w, r, http.StatusOK, statusOf(m))
	}
	s, err := h.parts.Models.Status(ref)
	if err != nil {
		return err
	}
	return writeJSON(w, r, http.StatusOK, v1Status{
		Name: ref.Name, Ready: s.Ready(), Versions: []v1Version{versionOf(s)},
	})
}

func statusOf(m registry.Model) v1Status {
	status := v1Status{Name: m.Name, Labels: map[string]string{}, Versions: []v1Version{}}
	for label, version := range m.Labels {
		status.Labels[label] = strconv.FormatInt(version, 10)
	}
	for _, s := range m.Versions {
		status.Versions = append(status.Versions, versionOf(s))
		status.Ready = status.Ready || s.Ready() && s.Ref.Version == m.Labels[scoring.LabelLive]
	}
	return status
}

// versionOf gives the V1 form. TensorFlow Serving reports a failed load as END with an
// error; its clients test for AVAILABLE, so the plainer word is no risk.
func versionOf(s registry.Status) v1Version {
	v := v1Version{Version: strconv.FormatInt(s.Ref.Version, 10), State: s.Public(), Status: v1Error{Code: "OK"}}
	if v.State == registry.Failed {
		v.Status = v1Error{Code: "INTERNAL", Message: s.Reason}
	}
	if s.Version != nil {
		v.Digest = s.Version.ID.Digest
	}
	return v
}
