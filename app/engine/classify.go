package engine

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"strconv"

	"github.com/onda-serving/onda/app/scoring"
)

// classify replaces the outputs that were asked for as classes by the best classes of each
// row: "score:index" or "score:index:label", the protocol's classification extension.
func classify(outputs []scoring.Tensor, wanted []scoring.Output, labels map[string][]string) error {
	for i := range wanted {
		if wanted[i].Classes == 0 {
			continue
		}
		classes, err := classesOf(&outputs[i], wanted[i].Classes, labels[wanted[i].Name])
		if err != nil {
			return err
		}
		outputs[i] = classes
	}
	return nil
}

// classesOf makes the classes of a tensor. The last axis is that of the classes; all others
// stay as they are. A tensor without axes has one class.
func classesOf(t *scoring.Tensor, most int, labels []string) (scoring.Tensor, error) {
	scores, err := numbers(t)
	if err != nil {
		return scoring.Tensor{}, err
	}
	shape, width := []int64{}, 1
	if n := len(t.Shape); n > 0 {
		shape, width = slices.Clone(t.Shape[:n-1]), int(t.Shape[n-1])
	}
	k := min(most, width)
	out := scoring.Tensor{Name: t.Name, Datatype: scoring.Bytes, Shape: append(shape, int64(k))}
	for from := 0; k > 0 && from+width <= len(scores); from += width {
		row := scores[from : from+width]
		for _, index := range best(row, k) {
			out.Strings = append(out.Strings, class(row[index], index, labels, t.Datatype))
		}
	}
	return out, nil
}

// best gives the indices of the k greatest scores, the greatest first; of equal ones the
// lower index first, and what is not a number last.
func best(row []float64, k int) []int {
	order := make([]int, len(row))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(row[b], row[a]) })
	return order[:k]
}

// class writes one class. Scores are written as their datatype has them, in full.
func class(score float64, index int, labels []string, d scoring.Datatype) []byte {
	var text []byte
	switch d {
	case scoring.FP32, scoring.FP16, scoring.BF16:
		text = strconv.AppendFloat(nil, score, 'f', 6, 32)
	case scoring.FP64:
		text = strconv.AppendFloat(nil, score, 'f', 6, 64)
	default:
		text = strconv.AppendFloat(nil, score, 'f', -1, 64)
	}
	text = append(text, ':')
	text = strconv.AppendInt(text, int64(index), 10)
	if index < len(labels) {
		text = append(text, ':')
		text = append(text, labels[index]...)
	}
	return text
}

// numbers reads the elements of a tensor.
func numbers(t *scoring.Tensor) ([]float64, error) {
	read, ok := readers[t.Datatype]
	if !ok {
		return nil, scoring.Errorf(scoring.Invalid, "output %q is of %s: classification wants numbers", t.Name, t.Datatype)
	}
	size := t.Datatype.Size()
	all := make([]float64, len(t.Data)/size)
	for i := range all {
		all[i] = read(t.Data[i*size:])
	}
	return all, nil
}

var le = binary.LittleEndian

// readers read an element of each datatype that can be ranked, little-endian.
var readers = map[scoring.Datatype]func([]byte) float64{
	scoring.FP32:   func(b []byte) float64 { return float64(math.Float32frombits(le.Uint32(b))) },
	scoring.FP64:   func(b []byte) float64 { return math.Float64frombits(le.Uint64(b)) },
	scoring.BF16:   func(b []byte) float64 { return float64(math.Float32frombits(uint32(le.Uint16(b)) << 16)) },
	scoring.FP16:   func(b []byte) float64 { return float64(scoring.Float16(le.Uint16(b))) },
	scoring.Uint8:  func(b []byte) float64 { return float64(b[0]) },
	scoring.Uint16: func(b []byte) float64 { return float64(le.Uint16(b)) },
	scoring.Uint32: func(b []byte) float64 { return float64(le.Uint32(b)) },
	scoring.Uint64: func(b []byte) float64 { return float64(le.Uint64(b)) },
	scoring.Int8:   func(b []byte) float64 { return float64(int8(b[0])) },
	scoring.Int16:  func(b []byte) float64 { return float64(int16(le.Uint16(b))) },
	scoring.Int32:  func(b []byte) float64 { return float64(int32(le.Uint32(b))) },
	scoring.Int64:  func(b []byte) float64 { return float64(int64(le.Uint64(b))) },
}
