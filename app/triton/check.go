package triton

import (
	"fmt"
	"slices"
	"strings"

	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/triton/configpb"
)

// Check says whether a configuration is about the model with this signature: names,
// datatypes and shapes. The error lists all that does not fit, one a line, with both sides.
func Check(cfg *configpb.ModelConfig, sig scoring.Signature) error {
	c := new(checks)
	if rows := cfg.GetMaxBatchSize(); rows > 0 {
		c.batchAxis(rows, "input", sig.Inputs)
		c.batchAxis(rows, "output", sig.Outputs)
	}
	seen := map[string]bool{}
	for i, in := range cfg.GetInput() {
		field := fmt.Sprintf("input[%d]", i)
		c.once(field, in.GetName(), seen)
		// An optional input is one that the file has a value for: it is not in the signature.
		if in.GetOptional() && find(sig.Inputs, in.GetName()) == nil {
			continue
		}
		c.fits(field, in, batching(cfg), "input", sig.Inputs)
	}
	for _, spec := range sig.Inputs {
		if len(cfg.GetInput()) > 0 && !seen[spec.Name] {
			c.add("input", "%q is missing: the model's file has the inputs %s", spec.Name, names(sig.Inputs))
		}
	}
	clear(seen)
	for i, out := range cfg.GetOutput() {
		field := fmt.Sprintf("output[%d]", i)
		c.once(field, out.GetName(), seen)
		c.fits(field, out, batching(cfg), "output", sig.Outputs)
	}
	return c.err()
}

// batchAxis says whether tensors have a batch axis that may vary.
func (c *checks) batchAxis(rows int32, what string, specs []scoring.TensorSpec) {
	for _, spec := range specs {
		if spec.Shape != nil && (len(spec.Shape) == 0 || spec.Shape[0] >= 0) {
			c.add("max_batch_size", "%d: the %s %q of the model's file has the shape %s: want a first axis that may vary, or max_batch_size: 0", rows, what, spec.Name, scoring.FormatShape(spec.Shape))
		}
	}
}

func (c *checks) once(field, name string, seen map[string]bool) {
	if seen[name] {
		c.add(field+".name", "%q is there twice", name)
	}
	seen[name] = true
}

// fits holds a tensor of the configuration against that of the same name in the signature.
func (c *checks) fits(field string, t tensorConfig, batching bool, what string, specs []scoring.TensorSpec) {
	spec := find(specs, t.GetName())
	if spec == nil {
		c.add(field+".name", "the model's file has no %s %q: it has %s", what, t.GetName(), names(specs))
		return
	}
	if got := datatypes[t.GetDataType()]; got != spec.Datatype {
		c.add(field+".data_type", "%s: %q is %s in the model's file", t.GetDataType(), spec.Name, typeOf(spec.Datatype))
	}
	// A size may be said where the model's file leaves it open, and not the other way round.
	full := shapesOf(t, batching, spec).model
	if spec.Shape == nil || slices.EqualFunc(full, spec.Shape, func(got, want int64) bool { return got == want || want < 0 }) {
		return
	}
	part, words := ".dims", ""
	if t.GetReshape() != nil {
		part = ".reshape.shape"
	}
	if batching {
		words = " with the batch axis of max_batch_size"
	}
	c.add(field+part, "%s%s: %q has the shape %s in the model's file", scoring.FormatShape(full), words, spec.Name, scoring.FormatShape(spec.Shape))
}

func find(specs []scoring.TensorSpec, name string) *scoring.TensorSpec {
	for i := range specs {
		if specs[i].Name == name {
			return &specs[i]
		}
	}
	return nil
}

func names(specs []scoring.TensorSpec) string {
	if len(specs) == 0 {
		return "none"
	}
	quoted := make([]string, len(specs))
	for i, spec := range specs {
		quoted[i] = fmt.Sprintf("%q", spec.Name)
	}
	return strings.Join(quoted, ", ")
}
