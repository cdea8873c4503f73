package registry

import (
	"context"
	"fmt"

	"github.com/onda-serving/onda/app/scoring"
)

// Predict asks a version that nobody else has, such as one that is tried before it serves:
// without its batcher, its queue and its statistics.
func (v *Version) Predict(ctx context.Context, instances []scoring.Instance, parameters scoring.Parameters) ([]scoring.Prediction, error) {
	if v.Pipeline == nil {
		return nil, fmt.Errorf("%s has no pipeline, and takes tensors only", v.ID)
	}
	inputs, err := v.Pipeline.Preprocess(ctx, instances)
	if err != nil {
		return nil, err
	}
	outputs, err := v.Session.Run(ctx, inputs, v.Pipeline.Outputs())
	if err != nil {
		return nil, err
	}
	return v.Pipeline.Postprocess(outputs, len(instances), parameters)
}

// Infer is [Version.Predict] on tensors.
func (v *Version) Infer(ctx context.Context, inputs []scoring.Tensor) ([]scoring.Tensor, error) {
	if err := v.Session.Check(inputs, nil); err != nil {
		return nil, err
	}
	return v.Session.Run(ctx, inputs, nil)
}
