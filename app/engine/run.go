package engine

import (
	"context"
	"slices"

	"github.com/onda-serving/onda/app/registry"
	"github.com/onda-serving/onda/app/scoring"
)

// run computes outputs on a version's session. A pipeline's rows beyond what the model
// takes at once are run in pieces along the first axis and put together again.
func run(ctx context.Context, v *registry.Version, inputs []scoring.Tensor, outputs []string) ([]scoring.Tensor, error) {
	rows, ok := sharedRows(inputs)
	limit := maxRows(v)
	if !ok || limit == 0 || rows <= limit {
		return v.Session.Run(ctx, inputs, outputs)
	}
	var joined []scoring.Tensor
	for from := int64(0); from < rows; from += limit {
		part, err := v.Session.Run(ctx, cut(inputs, from, min(from+limit, rows)), outputs)
		if err != nil {
			return nil, err
		}
		if joined, err = join(joined, part); err != nil {
			return nil, err
		}
	}
	return joined, nil
}

// maxRows is the most rows of one run: what the model's first axis fixes, else what its
// manifest says, else 0 for any number. Only pipelines make rows that are independent
// of each other, so requests on tensors to a version without one are never cut.
func maxRows(v *registry.Version) int64 {
	if v.Pipeline == nil {
		return 0
	}
	if fixed := v.Pipeline.MaxRows(); fixed > 0 {
		return int64(fixed)
	}
	return int64(v.Manifest.Batching.MaxRows)
}

// sharedRows is the first dimension that all inputs have in common.
func sharedRows(inputs []scoring.Tensor) (rows int64, ok bool) {
	for i := range inputs {
		shape := inputs[i].Shape
		if len(shape) == 0 || i > 0 && shape[0] != rows {
			return 0, false
		}
		rows = shape[0]
	}
	return rows, rows > 0
}

// cut gives the rows from..to of every tensor, without copying.
func cut(tensors []scoring.Tensor, from, to int64) []scoring.Tensor {
	parts := make([]scoring.Tensor, len(tensors))
	for i := range tensors {
		t := tensors[i]
		t.Shape = slices.Clone(t.Shape)
		if t.Datatype == scoring.Bytes {
			row := int64(len(t.Strings)) / t.Shape[0]
			t.Strings = t.Strings[from*row : to*row]
		} else {
			row := int64(len(t.Data)) / t.Shape[0]
			t.Data = t.Data[from*row : to*row]
		}
		t.Shape[0] = to - from
		parts[i] = t
	}
	return parts
}

// join appends the rows of part to those of to. A model whose outputs do not keep one
// row for each row of its inputs cannot be run in pieces.
func join(to, part []scoring.Tensor) ([]scoring.Tensor, error) {
	if to == nil {
		return part, nil
	}
	for i := range to {
		a, b := &to[i], part[i]
		if len(a.Shape) == 0 || len(b.Shape) != len(a.Shape) || !slices.Equal(a.Shape[1:], b.Shape[1:]) {
			return nil, scoring.Errorf(scoring.Internal, "output %q cannot be put together from several runs: its shapes differ", a.Name)
		}
		a.Shape[0] += b.Shape[0]
		a.Data = append(a.Data, b.Data...)
		a.Strings = append(a.Strings, b.Strings...)
	}
	return to, nil
}
