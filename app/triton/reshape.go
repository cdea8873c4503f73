package triton

import (
	"slices"

	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/triton/configpb"
)

// shapes are those of one tensor: what callers see, and what the model's file has. The
// batch axis is the first of both, where there is one. -1 is any size; the n-th of one
// shape is as long as the n-th of the other.
type shapes struct{ caller, model []int64 }

// shapesOf gives the shapes of a tensor of the configuration. A tensor that is a single
// number in the model's file is one of shape [1] for Triton's callers, without a word of
// reshape.
func shapesOf(t tensorConfig, batching bool, spec *scoring.TensorSpec) shapes {
	s := shapes{caller: t.GetDims(), model: t.GetDims()}
	if t.GetReshape() != nil {
		s.model = t.GetReshape().GetShape()
	} else if spec != nil && spec.Shape != nil && len(spec.Shape) == 0 && !batching && onlyOnes(s.caller) {
		s.model = []int64{}
	}
	if batching {
		s.caller, s.model = append([]int64{-1}, s.caller...), append([]int64{-1}, s.model...)
	}
	return s
}

func onlyOnes(shape []int64) bool {
	return !slices.ContainsFunc(shape, func(d int64) bool { return d != 1 })
}

// same says that nothing is reshaped.
func (s shapes) same() bool { return slices.Equal(s.caller, s.model) }

// reshape gives the shape of the same elements on the other side; false if shape is not of
// this side.
func reshape(shape, from, to []int64) ([]int64, bool) {
	if !takes(from, shape) {
		return nil, false
	}
	other := slices.Clone(to)
	next := 0
	for i, d := range from {
		if d >= 0 {
			continue
		}
		for other[next] >= 0 {
			next++
		}
		other[next] = shape[i]
		next++
	}
	return other, true
}

// takes says whether a shape is one of those that pattern stands for.
func takes(pattern, shape []int64) bool {
	return slices.EqualFunc(pattern, shape, func(want, got int64) bool { return got >= 0 && (want < 0 || want == got) })
}

// reshapeable says whether tensors of one shape can have the other: as many elements
// between one open axis and the next.
func reshapeable(a, b []int64) bool { return slices.Equal(chunks(a), chunks(b)) }

// chunks multiplies the sizes between open axes; -1 for a product that does not fit.
func chunks(shape []int64) []int64 {
	var all []int64
	from := 0
	for i := range len(shape) + 1 {
		if i < len(shape) && shape[i] >= 0 {
			continue
		}
		n, ok := scoring.Elements(shape[from:i])
		if !ok {
			n = -1
		}
		all = append(all, n)
		from = i + 1
	}
	return all
}

// narrow gives the specs as callers see them: those of the model's file that the
// configuration has, with its shapes, and the way from one shape to the other. A
// configuration without any has them all.
func narrow[T tensorConfig](specs []scoring.TensorSpec, tensors []T, batching bool) ([]scoring.TensorSpec, map[string]shapes) {
	ways := map[string]shapes{}
	if len(tensors) == 0 {
		return specs, ways
	}
	var seen []scoring.TensorSpec
	for _, spec := range specs {
		i := slices.IndexFunc(tensors, func(t T) bool { return t.GetName() == spec.Name })
		if i < 0 {
			continue
		}
		way := shapesOf(tensors[i], batching, &spec)
		if !way.same() || len(spec.Axes) != len(way.caller) {
			spec.Axes = nil
		}
		spec.Shape = way.caller
		ways[spec.Name] = way
		seen = append(seen, spec)
	}
	return seen, ways
}

// asConfigured says whether callers see the model just as its file has it.
func asConfigured(file, seen []scoring.TensorSpec, ways map[string]shapes) bool {
	return slices.EqualFunc(file, seen, func(a, b scoring.TensorSpec) bool {
		return a.Name == b.Name && slices.Equal(a.Shape, b.Shape) && (a.Shape == nil) == (b.Shape == nil) && ways[a.Name].same()
	})
}

// batching says whether the tensors of a configuration have a batch axis.
func batching(cfg *configpb.ModelConfig) bool { return cfg.GetMaxBatchSize() > 0 }
