package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/onda-serving/onda/app/registry"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/wire"
)

// binaryHeader announces the binary tensor extension of the protocol.
const binaryHeader = "Inference-Header-Content-Length"

// platform is what Triton calls ONNX models; clients compare it with nothing else.
const platform = "onnxruntime_onnx"

// infer answers POST /v2/models/{model}/infer: budget, body, decode, run, encode.
func (h *Handler) infer(w http.ResponseWriter, r *http.Request) error {
	ref, err := reference(r)
	if err != nil {
		return err
	}
	if r.Header.Get(binaryHeader) != "" {
		return scoring.Errorf(scoring.Unimplemented, "the binary tensor extension is not offered: send tensors as JSON (the server's metadata lists its extensions)")
	}
	ctx, cancel, err := h.budget(r)
	if err != nil {
		return err
	}
	defer cancel()
	start := time.Now()
	body, release, err := h.readBody(w, r)
	defer release()
	if err != nil {
		return err
	}
	req, opts, err := wire.DecodeInfer(body)
	if err != nil {
		return err
	}
	req.Model = ref
	if req.ID, err = requestID(r, req.ID); err != nil {
		return err
	}
	if opts.Timeout > 0 {
		var cancelSooner context.CancelFunc
		ctx, cancelSooner = context.WithTimeout(ctx, opts.Timeout)
		defer cancelSooner()
	}
	decoded := time.Since(start)
	resp, err := h.parts.Scorer.Infer(ctx, &req)
	if err != nil {
		return err
	}
	resp.Timing.Decode = decoded
	answer, err := wire.EncodeInfer(resp)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	// The body is not needed for the time that the caller takes to read its answer.
	release()
	answered(w, resp.ID, resp.Model, resp.Timing)
	write(w, http.StatusOK, answer)
	return nil
}

// serverMetadata answers GET /v2. Extensions lists what is offered, and nothing else.
func (h *Handler) serverMetadata(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, http.StatusOK, map[string]any{
		"name": h.config.ServerName, "version": h.config.ServerVersion, "extensions": []string{},
	})
}

// v2Model is a model's metadata.
type v2Model struct {
	Name     string            `json:"name"`
	Versions []string          `json:"versions"`
	Platform string            `json:"platform"`
	Inputs   []wire.TensorSpec `json:"inputs"`
	Outputs  []wire.TensorSpec `json:"outputs"`
}

// modelMetadata answers GET /v2/models/{model}[/versions/{version}].
func (h *Handler) modelMetadata(w http.ResponseWriter, r *http.Request) error {
	ref, err := reference(r)
	if err != nil {
		return err
	}
	s, err := h.parts.Models.Status(ref)
	if err != nil {
		return err
	}
	if s.State != registry.Available {
		return scoring.Errorf(scoring.Unavailable, "model %s is not ready: GET /v1/models/%s says why", s.Ref, ref.Name)
	}
	m, err := h.parts.Models.Model(ref.Name)
	if err != nil {
		return err
	}
	signature := s.Version.Session.Signature()
	body := v2Model{Name: ref.Name, Platform: platform, Inputs: wire.SpecsOf(signature.Inputs), Outputs: wire.SpecsOf(signature.Outputs)}
	for _, version := range m.Versions {
		body.Versions = append(body.Versions, strconv.FormatInt(version.Ref.Version, 10))
	}
	return writeJSON(w, http.StatusOK, body)
}
