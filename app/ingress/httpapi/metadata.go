package httpapi

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/onda-serving/onda/app/registry"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/triton"
	"github.com/onda-serving/onda/app/wire"
)

// platform is what Triton calls ONNX models; clients compare it with nothing else.
const platform = "onnxruntime_onnx"

// v2Server is the server's metadata.
type v2Server struct {
	Name       string   `json:"name"`
	Version    string   `json:"version"`
	Extensions []string `json:"extensions"`
}

// serverMetadata answers GET /v2.
func (h *Handler) serverMetadata(w http.ResponseWriter, r *http.Request) error {
	return writeJSON(w, r, http.StatusOK, v2Server{h.config.ServerName, h.config.ServerVersion, wire.Extensions})
}

// v2Model is a model's metadata.
type v2Model struct {
	Name     string            `json:"name"`
	Versions []string          `json:"versions"`
	Platform string            `json:"platform"`
	Inputs   []wire.TensorSpec `json:"inputs"`
	Outputs  []wire.TensorSpec `json:"outputs"`
}

// modelMetadata answers GET /v2/models/{model}, also with a version or a label.
func (h *Handler) modelMetadata(w http.ResponseWriter, r *http.Request) error {
	s, err := h.available(r)
	if err != nil {
		return err
	}
	m, err := h.parts.Models.Model(s.Ref.Name)
	if err != nil {
		return err
	}
	signature := s.Version.Session.Signature()
	body := v2Model{Name: s.Ref.Name, Platform: platform, Inputs: wire.SpecsOf(signature.Inputs), Outputs: wire.SpecsOf(signature.Outputs)}
	for _, version := range m.Versions {
		body.Versions = append(body.Versions, strconv.FormatInt(version.Ref.Version, 10))
	}
	return writeJSON(w, r, http.StatusOK, body)
}

// available finds the version that a path names, which is loaded if it is not.
func (h *Handler) available(r *http.Request) (registry.Status, error) {
	ref, err := reference(r)
	if err != nil {
		return registry.Status{}, err
	}
	s, err := h.parts.Models.Status(ref)
	if err == nil && s.State == registry.Cold {
		s, err = h.parts.Models.Wake(r.Context(), ref)
	}
	if err == nil && s.State != registry.Available {
		err = notReady(s)
	}
	return s, err
}

func notReady(s registry.Status) error {
	return scoring.Errorf(scoring.Unavailable, "model %s is not ready: GET /v1/models/%s says why", s.Ref, s.Ref.Name)
}

// modelConfig answers GET /v2/models/{model}/config, also with a version or a label.
func (h *Handler) modelConfig(w http.ResponseWriter, r *http.Request) error {
	s, err := h.available(r)
	if err != nil {
		return err
	}
	if s.Version.Config == nil {
		return scoring.Errorf(scoring.Unimplemented, "model %s has no configuration in Triton's form", s.Ref)
	}
	config, err := triton.MarshalJSON(s.Version.Config)
	if err != nil {
		return fmt.Errorf("encode configuration of %s: %w", s.Ref, err)
	}
	_ = write(w, r, http.StatusOK, wire.Answer{JSON: config})
	return nil
}

// v2Statistics is the answer to a request for statistics.
type v2Statistics struct {
	Models []wire.ModelStatistics `json:"model_stats"`
}

// allStatistics answers GET /v2/models/stats.
func (h *Handler) allStatistics(w http.ResponseWriter, r *http.Request) error {
	body := v2Statistics{Models: []wire.ModelStatistics{}}
	for _, m := range h.parts.Models.Models() {
		if err := h.addStatistics(&body, m); err != nil {
			return err
		}
	}
	return writeJSON(w, r, http.StatusOK, body)
}

// modelStatistics answers GET /v2/models/{model}/stats, for one version where the path
// names one, and otherwise for all that are loaded.
func (h *Handler) modelStatistics(w http.ResponseWriter, r *http.Request) error {
	ref, err := reference(r)
	if err != nil {
		return err
	}
	body := v2Statistics{Models: []wire.ModelStatistics{}}
	if ref.Version == 0 && ref.Label == "" {
		m, err := h.parts.Models.Model(ref.Name)
		if err == nil {
			err = h.addStatistics(&body, m)
		}
		if err != nil {
			return err
		}
		return writeJSON(w, r, http.StatusOK, body)
	}
	s, err := h.available(r)
	if err != nil {
		return err
	}
	statistics, err := h.parts.Models.Statistics(scoring.ModelRef{Name: s.Ref.Name, Version: s.Ref.Version})
	if err != nil {
		return err
	}
	body.Models = append(body.Models, wire.StatisticsOf(&statistics))
	return writeJSON(w, r, http.StatusOK, body)
}

// addStatistics adds the statistics of the loaded versions of m.
func (h *Handler) addStatistics(body *v2Statistics, m registry.Model) error {
	for _, s := range m.Versions {
		if s.State != registry.Available {
			continue
		}
		statistics, err := h.parts.Models.Statistics(scoring.ModelRef{Name: s.Ref.Name, Version: s.Ref.Version})
		if err != nil {
			return err
		}
		body.Models = append(body.Models, wire.StatisticsOf(&statistics))
	}
	return nil
}
