package golden

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/onda-serving/onda/app/compare"
	"github.com/onda-serving/onda/app/scoring"
)

// outputs compares the outputs of an answer. Those that are not expected may be anything.
func (c *checker) outputs(got, want []scoring.Tensor) error {
	for i := range want {
		w := &want[i]
		at := slices.IndexFunc(got, func(t scoring.Tensor) bool { return t.Name == w.Name })
		if at < 0 {
			return fmt.Errorf("output %q is not in the answer", w.Name)
		}
		if err := c.output(&got[at], w); err != nil {
			return fmt.Errorf("output %q %w", w.Name, err)
		}
	}
	return nil
}

// output compares one output. Its errors go on after the output's name.
func (c *checker) output(got, want *scoring.Tensor) error {
	switch {
	case got.Datatype != want.Datatype:
		return fmt.Errorf("is %s, want %s", got.Datatype, want.Datatype)
	case !slices.Equal(got.Shape, want.Shape):
		return fmt.Errorf("has the shape %s, want %s", scoring.FormatShape(got.Shape), scoring.FormatShape(want.Shape))
	case len(got.Data) != len(want.Data) || len(got.Strings) != len(want.Strings):
		return errors.New("has another number of values than its shape")
	}
	switch want.Datatype {
	case scoring.Bytes:
		return sameStrings(got, want)
	case scoring.FP16, scoring.BF16, scoring.FP32, scoring.FP64:
		return c.numbers(got, want)
	default:
		return sameElements(got, want)
	}
}

func (c *checker) numbers(got, want *scoring.Tensor) error {
	for i := range len(want.Data) / want.Datatype.Size() {
		if g, w := compare.Number(got, i), compare.Number(want, i); !c.near(g, w) {
			return fmt.Errorf("has %v at %s, want %v (tolerance %v)", short(g, got.Datatype), place(want.Shape, i), short(w, want.Datatype), c.tolerance)
		}
	}
	return nil
}

// short writes a number with the digits of its datatype.
func short(x float64, d scoring.Datatype) any {
	if d == scoring.FP64 {
		return x
	}
	return float32(x)
}

func sameStrings(got, want *scoring.Tensor) error {
	for i := range want.Strings {
		if !bytes.Equal(got.Strings[i], want.Strings[i]) {
			return fmt.Errorf("has %q at %s, want %q", clip(got.Strings[i]), place(want.Shape, i), clip(want.Strings[i]))
		}
	}
	return nil
}

// sameElements compares whole numbers and truth values, which have no tolerance.
func sameElements(got, want *scoring.Tensor) error {
	size := want.Datatype.Size()
	for at := 0; at < len(want.Data); at += size {
		if g, w := got.Data[at:at+size], want.Data[at:at+size]; !bytes.Equal(g, w) {
			return fmt.Errorf("has %v at %s, want %v", whole(g, want.Datatype), place(want.Shape, at/size), whole(w, want.Datatype))
		}
	}
	return nil
}

// whole reads one element, little-endian, for an error.
func whole(element []byte, d scoring.Datatype) any {
	var bits uint64
	for i, b := range element {
		bits |= uint64(b) << (8 * i)
	}
	unused := 64 - 8*len(element)
	switch d {
	case scoring.Bool:
		return bits != 0
	case scoring.Int8, scoring.Int16, scoring.Int32, scoring.Int64:
		return int64(bits) << unused >> unused
	default:
		return bits
	}
}

// place gives the indices of the i-th element of a tensor, such as "[0,3]".
func place(shape []int64, i int) string {
	indices := make([]int64, len(shape))
	left := int64(i)
	for axis := len(shape) - 1; axis >= 0; axis-- {
		indices[axis] = left % shape[axis]
		left /= shape[axis]
	}
	return scoring.FormatShape(indices)
}
