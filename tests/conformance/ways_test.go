package conformance_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
)

// refusal is Onda's answer where it does not score.
type refusal struct {
	// code is the HTTP status, or the gRPC code with its name.
	code string
	// fault says that the server blames itself or the model, not the request.
	fault bool
	text  string
}

// Error implements error.
func (r *refusal) Error() string { return r.code + ": " + r.text }

// way is a way to ask a model.
type way struct {
	name string
	// takes and gives say whether this form can hold a tensor as input and as output.
	takes, gives func(tensor) bool
	// ask gives the outputs, or a *refusal where Onda answered with an error.
	ask func(ctx context.Context, model string, inputs []tensor) ([]tensor, error)
}

// anything is for forms that carry every tensor.
func anything(tensor) bool { return true }

// inJSON says whether JSON has a form for every element.
func inJSON(t tensor) bool {
	le := binary.LittleEndian
	size := sizeOf(t.datatype)
	switch t.datatype {
	case "FP16", "BF16":
		return false
	case "FP32", "FP64":
		for element := range slices.Chunk(t.data, size) {
			var v float64
			if size == 4 {
				v = float64(math.Float32frombits(le.Uint32(element)))
			} else {
				v = math.Float64frombits(le.Uint64(element))
			}
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return false
			}
		}
	}
	return true
}

// typed says whether gRPC has typed contents for the datatype.
func typed(t tensor) bool { return t.datatype != "FP16" && t.datatype != "BF16" }

// ways makes the ways to a server. JSON comes in two kinds: with JSON alone, and with
// outputs in binary, for models that take what JSON can say and give what it cannot.
func ways(web *webClient, rpc *rpcClient) []way {
	return []way{
		{"gRPC, raw contents", anything, anything, rpc.raw},
		{"gRPC, typed contents", typed, anything, rpc.typed},
		{"HTTP, JSON", inJSON, inJSON, web.json},
		{"HTTP, binary tensors", anything, anything, web.binary},
		{"HTTP, JSON in, binary tensors out", inJSON, anything, web.mixed},
	}
}

// answers is what one model answered by every way.
type answers struct {
	// outputs are those of the first way.
	outputs []tensor
	// refused is the first way's refusal.
	refused *refusal
	// varies says where another way gave other numbers.
	varies string
	// problem says what is wrong whatever the numbers should be.
	problem string
	// without names the ways that cannot carry the values.
	without []string
}

// askAll asks by every way that carries the inputs, and compares with the first.
func askAll(ctx context.Context, all []way, model string, inputs []tensor) answers {
	var a answers
	var err error
	if a.outputs, err = all[0].ask(ctx, model, inputs); err != nil && !errors.As(err, &a.refused) {
		a.problem = fmt.Sprintf("%s: %s", all[0].name, err)
		return a
	}
	for _, w := range all[1:] {
		if !every(inputs, w.takes) {
			a.without = append(a.without, w.name)
			continue
		}
		outputs, err := w.ask(ctx, model, inputs)
		if problem := a.compare(w, outputs, err); problem != "" {
			a.problem = fmt.Sprintf("%s: %s; %s: %v", w.name, problem, all[0].name, a.refused)
			return a
		}
	}
	return a
}

// compare holds the answer of a further way against that of the first. A way that cannot
// carry the outputs has to say so.
func (a *answers) compare(w way, outputs []tensor, err error) (problem string) {
	var refused *refusal
	switch {
	case err != nil && !errors.As(err, &refused):
		return err.Error()
	case a.refused != nil && refused == nil:
		return "answered"
	case a.refused != nil:
		return ""
	case !every(a.outputs, w.gives):
		a.without = append(a.without, w.name)
		if refused == nil || refused.code != "501" {
			return fmt.Sprintf("%v, want 501 for values that this way has no form for", err)
		}
		return ""
	case refused != nil:
		return refused.Error()
	}
	if difference := unequal(a.outputs, outputs); difference != "" {
		a.varies = w.name + ": " + difference
	}
	return ""
}

// every says whether carries says yes to all tensors.
func every(tensors []tensor, carries func(tensor) bool) bool {
	return !slices.ContainsFunc(tensors, func(t tensor) bool { return !carries(t) })
}

// unequal says where two answers differ in any bit, or "".
func unequal(a, b []tensor) string {
	if len(a) != len(b) {
		return fmt.Sprintf("%d outputs and %d", len(a), len(b))
	}
	for i := range a {
		if !a[i].same(b[i]) {
			return fmt.Sprintf("output %q: %s %v %.40x and %s %v %.40x", a[i].name, a[i].datatype, a[i].shape, a[i].data, b[i].datatype, b[i].shape, b[i].data)
		}
	}
	return ""
}
