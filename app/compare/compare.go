// Package compare says how far two answers to the same request differ: those of two
// versions of a model, or of one version now and then.
//
// Two answers can differ in two ways, and [Difference] keeps them apart. Numbers drift:
// another library, thread count or device moves the last digits, which harms nobody; Max
// says how far. And answers can disagree: a caller who acts on them would act differently.
// What counts as that is written down at [Predictions] and [Tensors].
package compare

import "math"

// Difference says how far two answers differ.
type Difference struct {
	// Disagrees is true where a caller would act differently on the one answer than on the
	// other.
	Disagrees bool
	// Max is the largest absolute difference of two scores or numbers that stand for the
	// same thing. It is finite: NaN and infinities make answers disagree, and have no
	// distance.
	Max float64
}

// tie is how close two scores may be to count as equally good: float32 has no more digits
// near 1, and so a run in another order of additions could turn them around.
const tie = 1e-6

// add widens d to what is in other, too.
func (d *Difference) add(other Difference) {
	d.Disagrees = d.Disagrees || other.Disagrees
	d.Max = max(d.Max, other.Max)
}

// numbers compares two numbers that stand for the same thing.
func (d *Difference) numbers(x, y float64) {
	switch {
	case x == y || math.IsNaN(x) && math.IsNaN(y):
	case !finite(x) || !finite(y):
		d.Disagrees = true
	default:
		d.Max = max(d.Max, distance(x, y))
	}
}

// distance is that of two finite numbers. It is finite itself, also where it is larger than
// any number: JSON could not write it.
func distance(x, y float64) float64 { return min(math.Abs(x-y), math.MaxFloat64) }

// finite is false for NaN and the infinities.
func finite(x float64) bool { return x-x == 0 }
