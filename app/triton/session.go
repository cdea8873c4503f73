package triton

import (
	"context"
	"slices"

	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/triton/configpb"
)

// Session runs a loaded model: see onnx.Session, which implements it.
type Session interface {
	// Signature of the model.
	Signature() scoring.Signature
	// Check says whether Run would take inputs and outputs. The error is an [scoring.Error].
	Check(inputs []scoring.Tensor, outputs []string) error
	// Run computes outputs, by name; all of them if outputs is empty.
	Run(ctx context.Context, inputs []scoring.Tensor, outputs []string) ([]scoring.Tensor, error)
	// Close frees the model.
	Close() error
}

// yielder is a session that can make way for others: see batch.Yielder.
type yielder interface {
	Yields() bool
	RunYielding(ctx context.Context, inputs []scoring.Tensor, outputs []string) ([]scoring.Tensor, error)
}

// Configure shows a model as its configuration describes it: with the shapes that `dims`
// and `reshape` give its tensors, and with no other outputs than those in it. It is s
// itself where that is how the model's file has them, and where cfg is nil. The error is
// that of [Check].
func Configure(s Session, cfg *configpb.ModelConfig) (Session, error) {
	file := s.Signature()
	if err := Check(cfg, file); err != nil {
		return nil, err
	}
	c := &configured{Session: s}
	c.signature.Inputs, c.inputs = narrow(file.Inputs, cfg.GetInput(), batching(cfg))
	c.signature.Outputs, c.outputs = narrow(file.Outputs, cfg.GetOutput(), batching(cfg))
	if asConfigured(file.Inputs, c.signature.Inputs, c.inputs) && asConfigured(file.Outputs, c.signature.Outputs, c.outputs) {
		return s, nil
	}
	for _, spec := range c.signature.Outputs {
		c.names = append(c.names, spec.Name)
	}
	return c, nil
}

// configured is a session with the shapes of a configuration. Elements stay where they are:
// only shapes change.
type configured struct {
	Session

	signature       scoring.Signature
	inputs, outputs map[string]shapes
	// names are those of all outputs.
	names []string
}

func (c *configured) Signature() scoring.Signature { return c.signature }

func (c *configured) Check(inputs []scoring.Tensor, outputs []string) error {
	inputs, outputs, err := c.request(inputs, outputs)
	if err != nil {
		return err
	}
	return c.Session.Check(inputs, outputs)
}

func (c *configured) Run(ctx context.Context, inputs []scoring.Tensor, outputs []string) ([]scoring.Tensor, error) {
	return c.run(ctx, inputs, outputs, c.Session.Run)
}

// Yields says whether the session does.
func (c *configured) Yields() bool {
	y, ok := c.Session.(yielder)
	return ok && y.Yields()
}

func (c *configured) RunYielding(ctx context.Context, inputs []scoring.Tensor, outputs []string) ([]scoring.Tensor, error) {
	if y, ok := c.Session.(yielder); ok {
		return c.run(ctx, inputs, outputs, y.RunYielding)
	}
	return c.run(ctx, inputs, outputs, c.Session.Run)
}

// run has the session run a request, in the shapes of its file.
func (c *configured) run(ctx context.Context, inputs []scoring.Tensor, outputs []string, run func(context.Context, []scoring.Tensor, []string) ([]scoring.Tensor, error)) ([]scoring.Tensor, error) {
	inputs, outputs, err := c.request(inputs, outputs)
	if err != nil {
		return nil, err
	}
	tensors, err := run(ctx, inputs, outputs)
	if err != nil {
		return nil, err
	}
	for i := range tensors {
		t := &tensors[i]
		way, ok := c.outputs[t.Name]
		if !ok || way.same() {
			continue
		}
		shape, ok := reshape(t.Shape, way.model, way.caller)
		if !ok {
			return nil, scoring.Errorf(scoring.Internal, "output %q: the model gave the shape %s, and its configuration says %s", t.Name, scoring.FormatShape(t.Shape), scoring.FormatShape(way.model))
		}
		t.Shape = shape
	}
	return tensors, nil
}

// request gives inputs the shapes of the model's file. What else is wrong with a request,
// the session says.
func (c *configured) request(inputs []scoring.Tensor, outputs []string) ([]scoring.Tensor, []string, error) {
	for _, name := range outputs {
		if !slices.Contains(c.names, name) {
			return nil, nil, scoring.Errorf(scoring.Invalid, "output %q: the model has no such output: want %s", clip(name), names(c.signature.Outputs))
		}
	}
	if len(outputs) == 0 {
		outputs = c.names
	}
	given := inputs
	inputs = slices.Clone(given)
	for i := range inputs {
		t := &inputs[i]
		way, ok := c.inputs[t.Name]
		if !ok {
			continue
		}
		shape, ok := reshape(t.Shape, way.caller, way.model)
		if !ok {
			return nil, nil, scoring.Errorf(scoring.Invalid, "input %q: shape %s: want %s", t.Name, scoring.FormatShape(t.Shape), scoring.FormatShape(way.caller))
		}
		t.Shape = shape
	}
	return inputs, outputs, nil
}
