package httpapi

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/wire"
)

// predict answers the V1 `:predict` paths: budget, body, decode, score, encode.
func (h *Handler) predict(w http.ResponseWriter, r *http.Request) error {
	ref, err := predictTarget(r)
	if err != nil {
		return err
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
	req, err := wire.DecodePredict(r.Header.Get("Content-Type"), body, wire.Limits{MaxInstances: h.config.MaxInstances})
	if err != nil {
		return err
	}
	req.Model = ref
	if err := fromQuery(r, &req); err != nil {
		return err
	}
	if req.ID, err = requestID(r, req.ID); err != nil {
		return err
	}
	decoded := time.Since(start)
	resp, err := h.parts.Scorer.Predict(ctx, &req)
	if err != nil {
		return err
	}
	resp.Timing.Decode = decoded
	answer, err := wire.EncodePredict(resp)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	// The body is not needed for the time that the caller takes to read its answer.
	release()
	answered(w, resp.ID, resp.Model, resp.Timing)
	write(w, http.StatusOK, answer)
	return nil
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

// idHeader carries the request's id, both ways.
const idHeader = "X-Request-Id"

// requestID takes the id of the body, else of the header. It goes back in a header, so
// it must be fit for one.
func requestID(r *http.Request, fromBody string) (string, error) {
	id := fromBody
	if id == "" {
		id = r.Header.Get(idHeader)
	}
	if len(id) > 256 {
		return "", scoring.Errorf(scoring.Invalid, "the request's id is %d bytes long: at most 256 are allowed", len(id))
	}
	for i := range len(id) {
		if id[i] < ' ' || id[i] > '~' {
			return "", scoring.Errorf(scoring.Invalid, "the request's id has a character that is not printable ASCII at offset %d", i)
		}
	}
	return id, nil
}

// answered sets the headers of every scoring: its id, the version that answered and
// where the time went.
func answered(w http.ResponseWriter, id string, model scoring.ModelID, timing scoring.Timing) {
	header := w.Header()
	header.Set(idHeader, id)
	header.Set("Onda-Model", model.String())
	header.Set("Server-Timing", serverTiming(timing))
}

// serverTiming writes the phases as W3C Server Timing has it: durations in milliseconds.
func serverTiming(t scoring.Timing) string {
	var b strings.Builder
	for i, phase := range []struct {
		name string
		took time.Duration
	}{{"decode", t.Decode}, {"queue", t.Queue}, {"preprocess", t.Preprocess}, {"run", t.Run}, {"postprocess", t.Postprocess}} {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s;dur=%.3f", phase.name, float64(phase.took)/float64(time.Millisecond))
	}
	return b.String()
}
