package compare

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"

	"github.com/onda-serving/onda/app/scoring"
)

// Tensors compares the outputs of two answers, by their names and in any order. Outputs are
// compared as the model gives them: the strings that the protocol's classification extension
// makes of them hold scores as text, and differ with the last digit.
//
// Answers disagree where an output is missing in one of them, or has another datatype or
// shape, such as another number of rows; where strings, whole numbers or truth values are not
// all the same; and where a number is NaN or infinite in one of them only. Other numbers are
// looked at row by row:
//
//   - A row of several numbers is taken for scores: what counts is which of them is the
//     largest. Rows are those of the last axis that is longer than 1, as models that end in
//     a convolution give [N, classes, 1, 1]. Two numbers count as equally large if they are
//     within 1e-6, or no more than a rounding of their datatype apart: half precision has
//     few digits, and many ties.
//   - A row of a single number is taken for a quantity or a probability: the answers disagree
//     if it differs by more than a tenth. Numbers below a hundredth count as a hundredth
//     there: a fraud that is very unlikely and one that is twice as likely are both no
//     reason to act.
//
// Numbers of another kind, such as an embedding's, can differ without a disagreement:
// [Difference.Max] tells of them too.
func Tensors(a, b []scoring.Tensor) Difference {
	d := Difference{Disagrees: len(a) != len(b)}
	for i := range a {
		other := named(b, a[i].Name, i)
		if other == nil {
			d.Disagrees = true
			continue
		}
		d.tensors(&a[i], other)
	}
	return d
}

// named finds a tensor by its name, first at the place at.
func named(all []scoring.Tensor, name string, at int) *scoring.Tensor {
	if at < len(all) && all[at].Name == name {
		return &all[at]
	}
	for i := range all {
		if all[i].Name == name {
			return &all[i]
		}
	}
	return nil
}

// tensors compares two outputs of the same name.
func (d *Difference) tensors(a, b *scoring.Tensor) {
	if a.Datatype != b.Datatype || !slices.Equal(a.Shape, b.Shape) || len(a.Data) != len(b.Data) {
		d.Disagrees = true
		return // there is nothing to compare number by number
	}
	switch {
	case a.Datatype == scoring.Bytes:
		d.Disagrees = d.Disagrees || !slices.EqualFunc(a.Strings, b.Strings, bytes.Equal)
	case bytes.Equal(a.Data, b.Data): // as most answers of a version and itself are
	case fraction(a.Datatype) == 0:
		d.whole(a, b)
	default:
		d.rows(a, b)
	}
}

// whole compares tensors of whole numbers or truth values that are not equal.
func (d *Difference) whole(a, b *scoring.Tensor) {
	d.Disagrees = true
	size := a.Datatype.Size()
	for at := 0; at+size <= len(a.Data); at += size {
		x, y := integer(a.Datatype, a.Data[at:]), integer(b.Datatype, b.Data[at:])
		d.Max = max(d.Max, apart(x, y, a.Datatype))
	}
}

// rows compares tensors of numbers that have a fraction.
func (d *Difference) rows(a, b *scoring.Tensor) {
	width := rowWidth(a.Shape)
	for at, n := 0, len(a.Data)/a.Datatype.Size(); at+width <= n; at += width {
		if width > 1 {
			d.scores(a, b, at, width)
		} else {
			d.quantity(Number(a, at), Number(b, at))
		}
	}
}

// rowWidth is the length of the last axis, behind the first one, that is longer than 1;
// without such an axis it is 1.
func rowWidth(shape []int64) int {
	for i := len(shape) - 1; i > 0; i-- {
		if shape[i] > 1 {
			return int(shape[i])
		}
	}
	return 1
}

// scores compares the numbers of a row, width of them from the place at.
func (d *Difference) scores(a, b *scoring.Tensor, at, width int) {
	bestA, bestB := largest{at: -1}, largest{at: -1}
	for i := at; i < at+width; i++ {
		x, y := Number(a, i), Number(b, i)
		d.numbers(x, y)
		bestA.see(i, x)
		bestB.see(i, y)
	}
	if bestA.at < 0 || bestB.at < 0 || bestA.at == bestB.at {
		return // where only one of the rows is all NaN, numbers has seen it
	}
	step := fraction(a.Datatype)
	if !near(bestA.number, Number(a, bestB.at), step) && !near(bestB.number, Number(b, bestA.at), step) {
		d.Disagrees = true
	}
}

// largest is the largest number that was seen, and its place; NaN is passed over.
type largest struct {
	at     int
	number float64
}

func (l *largest) see(at int, x float64) {
	if l.at < 0 && !math.IsNaN(x) || x > l.number {
		l.at, l.number = at, x
	}
}

// near says whether two numbers of one row are equally large; step is the datatype's.
func near(largest, x, step float64) bool {
	return largest-x <= max(tie, step*math.Abs(largest))
}

// quantity compares the single number of a row.
func (d *Difference) quantity(x, y float64) {
	const share, least = 0.1, 0.01
	d.numbers(x, y)
	if finite(x) && finite(y) && distance(x, y) > share*max(math.Abs(x), math.Abs(y), least) {
		d.Disagrees = true
	}
}

// fraction is the distance from 1 to the next number of a datatype that has fractions; 0
// for whole numbers, truth values and strings.
func fraction(d scoring.Datatype) float64 {
	switch d {
	case scoring.FP16:
		return 0x1p-10
	case scoring.BF16:
		return 0x1p-7
	case scoring.FP32:
		return 0x1p-23
	case scoring.FP64:
		return 0x1p-52
	default:
		return 0
	}
}

// Number is the i-th element of a tensor of FP16, BF16, FP32 or FP64; 0 for any other
// datatype.
func Number(t *scoring.Tensor, i int) float64 {
	switch t.Datatype {
	case scoring.FP32:
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(t.Data[4*i:])))
	case scoring.FP64:
		return math.Float64frombits(binary.LittleEndian.Uint64(t.Data[8*i:]))
	case scoring.FP16:
		return float64(scoring.Float16(binary.LittleEndian.Uint16(t.Data[2*i:])))
	case scoring.BF16:
		return float64(math.Float32frombits(uint32(binary.LittleEndian.Uint16(t.Data[2*i:])) << 16))
	default:
		return 0
	}
}

// integer is the first element in data, a whole number or truth value; one that is negative
// is in two's complement.
func integer(d scoring.Datatype, data []byte) uint64 {
	le := binary.LittleEndian
	switch d {
	case scoring.Int8:
		return uint64(int64(int8(data[0])))
	case scoring.Int16:
		return uint64(int64(int16(le.Uint16(data))))
	case scoring.Int32:
		return uint64(int64(int32(le.Uint32(data))))
	case scoring.Uint16:
		return uint64(le.Uint16(data))
	case scoring.Uint32:
		return uint64(le.Uint32(data))
	case scoring.Int64, scoring.Uint64:
		return le.Uint64(data)
	default:
		return uint64(data[0])
	}
}

// apart is the distance of two whole numbers. It is taken before they become float64, which
// does not tell large ones apart.
func apart(x, y uint64, d scoring.Datatype) float64 {
	larger := x > y
	if signed(d) {
		larger = int64(x) > int64(y)
	}
	if !larger {
		x, y = y, x
	}
	return float64(x - y)
}

func signed(d scoring.Datatype) bool {
	return d == scoring.Int8 || d == scoring.Int16 || d == scoring.Int32 || d == scoring.Int64
}
