package conformance_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/onda-serving/onda/app/ingress/inferencepb"
	"github.com/onda-serving/onda/tests/internal/ondatest"
)

// askers is how many models are asked at once.
const askers = 4

// TestONNXBackendModels asks every model of the corpus by every way and writes down what
// came of it. A model that neither passes nor has a proved reason not to is a failure.
func TestONNXBackendModels(t *testing.T) {
	examples := readCorpus(t, corpusFolder(t))
	openRuntime(t)
	server := ondatest.Serve(t, ondaBinary, layOut(t, examples), map[string]string{"ONDA_MAX_BODY": "64Mi"})
	connection, err := grpc.NewClient(server.Address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	web := &webClient{url: server.URL, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: askers}}}
	all := ways(web, &rpcClient{stub: inferencepb.NewGRPCInferenceServiceClient(connection)})

	results := make([]result, len(examples))
	next := make(chan int)
	var asking sync.WaitGroup
	for range askers {
		asking.Go(func() {
			for i := range next {
				results[i] = examine(all, examples[i])
			}
		})
	}
	for i := range examples {
		next <- i
	}
	close(next)
	asking.Wait()
	if state, ended := server.Ended(); ended {
		t.Fatalf("Onda ended while it was asked: %s", state)
	}
	for _, r := range results {
		if r.kind == failed {
			t.Run(r.group+"/"+r.name, func(t *testing.T) { t.Error(r.reason) })
		}
	}
	report(t, all, results)
}

// kind is what came of a model.
type kind string

// The kinds.
const (
	passed      kind = "passed"
	notRunnable kind = "not runnable by ONNX Runtime itself"
	differs     kind = "ONNX Runtime's own answer differs from the corpus"
	random      kind = "random: ONNX Runtime's own answers differ from run to run"
	unserved    kind = "not offered: the protocol has no words for it"
	failed      kind = "failed"
)

// result is what came of one model.
type result struct {
	*example

	kind   kind
	reason string
	// without names the ways that could not carry the model's values.
	without []string
}

// examine asks one model and says what came of it.
func examine(all []way, e *example) result {
	r := result{example: e, kind: failed}
	if what := e.unserved(); what != "" {
		r.kind, r.reason = checkUnserved(all, e, what)
		return r
	}
	inputs, err := e.tensors("input", e.inputs)
	if err != nil {
		r.reason = err.Error()
		return r
	}
	want, err := e.tensors("output", e.outputs)
	if err != nil {
		r.reason = err.Error()
		return r
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	got := askAll(ctx, all, e.model(), inputs)
	r.without = got.without
	r.kind, r.reason = classify(e, inputs, want, got)
	return r
}

// checkUnserved sees to it that a model that the protocol has no words for is refused in
// order: with a code, and not as a fault of the server.
func checkUnserved(all []way, e *example, what string) (kind, string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, w := range all {
		_, err := w.ask(ctx, e.model(), []tensor{{name: "x", datatype: "INT8", shape: []int64{1}, data: []byte{1}}})
		var refused *refusal
		if !errors.As(err, &refused) || refused.fault {
			return failed, fmt.Sprintf("%s: %v, want a refusal: the model %s", w.name, err, what)
		}
	}
	return unserved, what
}

// classify holds the answers against the corpus. Whatever is not as it should be needs the
// word of ONNX Runtime itself, asked now without Onda: that it cannot run the model, or
// that its own numbers are not those of the corpus.
func classify(e *example, inputs, want []tensor, got answers) (kind, string) {
	wrong := got.problem
	switch {
	case wrong != "":
		return failed, wrong
	case got.refused != nil:
		wrong = got.refused.Error()
	case got.varies != "":
		wrong = got.varies
	default:
		wrong = differ(got.outputs, want)
	}
	if wrong == "" {
		return passed, ""
	}
	raw, err := runRaw(e, inputs, want, 0)
	var theirs *ortError
	switch {
	case errors.As(err, &theirs) && got.refused != nil && got.refused.fault:
		return failed, "ONNX Runtime does not run it, and Onda blames itself: " + wrong
	case errors.As(err, &theirs) && got.refused != nil:
		return notRunnable, theirs.text
	case err != nil:
		return failed, fmt.Sprintf("%s; and there is no proof that ONNX Runtime is the cause: %s", wrong, err)
	case got.refused != nil:
		return failed, "ONNX Runtime runs it, but: " + wrong
	case differForm(got.outputs, want) != "":
		return failed, differForm(got.outputs, want)
	case !alike(raw):
		return random, ""
	case got.varies == "" && unequal(raw[0], got.outputs) == "":
		return differs, wrong
	}
	if raw, err := runRaw(e, inputs, want, 8); err == nil && !alike(raw) {
		wrong += fmt.Sprintf("; the bits that ONNX Runtime gives depend on where the inputs lie: hand them over at multiples of %d bytes", alignment)
	}
	return failed, "ONNX Runtime gives something else: " + wrong
}

// alike says whether all runs gave the same numbers.
func alike(runs [][]tensor) bool {
	return !slices.ContainsFunc(runs, func(run []tensor) bool { return unequal(run, runs[0]) != "" })
}
