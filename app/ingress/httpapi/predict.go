package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/onda-serving/onda/app/registry"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/wire"
)

// predict answers the V1 `:predict` paths.
func (h *Handler) predict(w http.ResponseWriter, r *http.Request) error {
	return h.score(w, r, way{target: predictTarget, check: checkPipeline, score: h.scorePredict, later: h.laterPredict})
}

// checkPipeline refuses a `:predict` of a version that takes nothing but tensors.
func checkPipeline(s registry.Status) error {
	if s.Version == nil || s.Version.Pipeline != nil {
		return nil
	}
	return scoring.Errorf(scoring.Invalid, "model %s has no pipeline: send tensors to /v2/models/%s/infer", s.Version.ID, s.Version.ID.Name)
}

func (h *Handler) scorePredict(ctx context.Context, in *asked) (scored, error) {
	req, err := wire.DecodePredict(in.r.Header.Get("Content-Type"), in.body, wire.Limits{MaxInstances: h.config.MaxInstances})
	if err != nil {
		return scored{}, err
	}
	req.Model, req.Schedule, req.Caller = in.ref, in.schedule, in.caller
	if err := fromQuery(in.r, &req); err != nil {
		return scored{}, err
	}
	if req.ID, err = requestID(in.r, req.ID); err != nil {
		return scored{}, err
	}
	decoded := time.Since(in.start)
	resp, err := h.parts.Scorer.Predict(ctx, &req)
	if err != nil {
		return scored{}, err
	}
	resp.Timing.Decode = decoded
	body, err := wire.EncodePredict(resp)
	if err != nil {
		return scored{}, fmt.Errorf("encode answer: %w", err)
	}
	return scored{id: resp.ID, model: resp.Model, timing: resp.Timing, answer: wire.Answer{JSON: body}}, nil
}

// predictTarget reads the model and checks the verb: ".../MODEL:predict",
// ".../versions/N:predict" or ".../labels/L:predict".
func predictTarget(r *http.Request) (scoring.ModelRef, error) {
	target, verb := splitVerb(r.PathValue("target"))
	if verb != "predict" {
		return scoring.ModelRef{}, verbError(r, verb)
	}
	name := r.PathValue("model")
	if name == "" {
		return scoring.ModelRef{Name: target}, scoring.CheckName("model name", target)
	}
	ref := scoring.ModelRef{Name: name}
	if err := scoring.CheckName("model name", name); err != nil {
		return ref, err
	}
	if strings.Contains(r.Pattern, "/versions/") {
		version, err := scoring.ParseVersion(target)
		ref.Version = version
		return ref, err
	}
	ref.Label = target
	return ref, scoring.CheckName("label", target)
}

func verbError(r *http.Request, verb string) error {
	switch verb {
	case "":
		return methodNotAllowed(r.Method, http.MethodGet)
	case "classify", "regress", "explain":
		return scoring.Errorf(scoring.Unimplemented, ":%s is not offered: use :predict", verb)
	default:
		return scoring.Errorf(scoring.NotFound, "unknown verb %q: want :predict", ":"+clip(verb))
	}
}

// fromQuery reads the parameters of the query, for bodies that have no place for any.
func fromQuery(r *http.Request, req *scoring.PredictRequest) error {
	for key, values := range r.URL.Query() {
		if key != "top_k" {
			return scoring.Errorf(scoring.Invalid, "unknown query parameter %q: want top_k", clip(key))
		}
		if len(values) > 1 || req.Parameters.TopK != 0 {
			return scoring.Errorf(scoring.Invalid, "top_k is given more than once: want it in the query or in the body")
		}
		k, err := strconv.Atoi(values[0])
		if err != nil {
			return scoring.Errorf(scoring.Invalid, "top_k is %q: want a whole number, at least 1", clip(values[0]))
		}
		if req.Parameters, err = wire.CheckTopK(k); err != nil {
			return err
		}
	}
	return nil
}
