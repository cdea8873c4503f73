package compare_test

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/onda-serving/onda/app/compare"
	"github.com/onda-serving/onda/app/onnx/onnxtest"
	"github.com/onda-serving/onda/app/scoring"
)

// tensor is an answer of one output of a datatype with a fraction.
func tensor(d scoring.Datatype, shape []int64, values ...float64) []scoring.Tensor {
	t := scoring.Tensor{Name: "y", Datatype: d, Shape: shape}
	le := binary.LittleEndian
	for _, v := range values {
		switch d {
		case scoring.FP16:
			t.Data = le.AppendUint16(t.Data, scoring.ToFloat16(float32(v)))
		case scoring.BF16:
			t.Data = le.AppendUint16(t.Data, uint16(math.Float32bits(float32(v))>>16))
		case scoring.FP32:
			t.Data = le.AppendUint32(t.Data, math.Float32bits(float32(v)))
		case scoring.FP64:
			t.Data = le.AppendUint64(t.Data, math.Float64bits(v))
		default:
			panic("tensor of " + d.String())
		}
	}
	return []scoring.Tensor{t}
}

func numbers(random *rand.Rand, n int) []float64 {
	all := make([]float64, n)
	for i := range all {
		all[i] = random.NormFloat64()
	}
	return all
}

func answer(all ...scoring.Tensor) []scoring.Tensor { return all }

func TestTensorsOfScores(t *testing.T) {
	t.Parallel()
	nan, inf := math.NaN(), math.Inf(1)
	tests := []struct {
		name  string
		shape []int64
		a, b  []float64
		want  compare.Difference
	}{
		{"the same", []int64{2, 2}, []float64{0.25, 0.75, 1, 0}, []float64{0.25, 0.75, 1, 0}, compare.Difference{}},
		{"drift", []int64{1, 3}, []float64{0.25, 0.75, 0}, []float64{0.375, 0.5, 0}, compare.Difference{Max: 0.25}},
		{"another largest", []int64{2, 2}, []float64{0.25, 0.75, 1, 0}, []float64{0.25, 0.75, 0.375, 0.625}, compare.Difference{Disagrees: true, Max: 0.625}},
		{"a tie", []int64{1, 2}, []float64{0.5, 0.5}, []float64{0.25, 0.5}, compare.Difference{Max: 0.25}},
		{"trailing axes of 1", []int64{1, 2, 1, 1}, []float64{0.25, 0.75}, []float64{0.75, 0.25}, compare.Difference{Disagrees: true, Max: 0.5}},
		{"trailing axes of 1 and drift", []int64{1, 2, 1, 1}, []float64{0.25, 0.75}, []float64{0.125, 0.75}, compare.Difference{Max: 0.125}},
		{"NaN in one", []int64{1, 2}, []float64{0, 1}, []float64{nan, 1}, compare.Difference{Disagrees: true}},
		{"NaN in both", []int64{1, 2}, []float64{nan, 1}, []float64{nan, 0.5}, compare.Difference{Max: 0.5}},
		{"only NaN in both", []int64{1, 2}, []float64{nan, nan}, []float64{nan, nan}, compare.Difference{}},
		{"only NaN in one", []int64{1, 2}, []float64{nan, nan}, []float64{0, 1}, compare.Difference{Disagrees: true}},
		{"infinite in one", []int64{1, 2}, []float64{0, inf}, []float64{0, 1}, compare.Difference{Disagrees: true}},
		{"infinite in both", []int64{1, 2}, []float64{0, -inf}, []float64{0, -inf}, compare.Difference{}},
		{"infinite both ways", []int64{1, 2}, []float64{0, -inf}, []float64{0, inf}, compare.Difference{Disagrees: true}},
		{"no rows", []int64{0, 2}, nil, nil, compare.Difference{}},
	}
	for _, d := range []scoring.Datatype{scoring.FP16, scoring.BF16, scoring.FP32, scoring.FP64} {
		for _, tt := range tests {
			t.Run(d.String()+" "+tt.name, func(t *testing.T) {
				t.Parallel()
				check(t, compare.Tensors, tensor(d, tt.shape, tt.a...), tensor(d, tt.shape, tt.b...), tt.want)
			})
		}
	}
}

func TestTensorsOfQuantities(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		shape []int64
		a, b  []float64
		want  compare.Difference
	}{
		{"within a tenth", []int64{2, 1}, []float64{100, -40}, []float64{109, -38}, compare.Difference{Max: 9}},
		{"beyond a tenth", []int64{2, 1}, []float64{100, -40}, []float64{112, -38}, compare.Difference{Disagrees: true, Max: 12}},
		{"another sign", []int64{1, 1}, []float64{0.5}, []float64{-0.5}, compare.Difference{Disagrees: true, Max: 1}},
		{"both unlikely", []int64{1, 1}, []float64{0.0005}, []float64{0.00125}, compare.Difference{Max: 0.00075}},
		{"one not so unlikely", []int64{1, 1}, []float64{0.0005}, []float64{0.002}, compare.Difference{Disagrees: true, Max: 0.0015}},
		{"only the rows' axis", []int64{2}, []float64{1, 2}, []float64{2, 1}, compare.Difference{Disagrees: true, Max: 1}},
		{"a scalar", []int64{}, []float64{4}, []float64{4.25}, compare.Difference{Max: 0.25}},
		{"NaN", []int64{1, 1}, []float64{math.NaN()}, []float64{0}, compare.Difference{Disagrees: true}},
		{"farther apart than any number", []int64{1}, []float64{math.MaxFloat64}, []float64{-math.MaxFloat64}, compare.Difference{Disagrees: true, Max: math.MaxFloat64}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			check(t, compare.Tensors, tensor(scoring.FP64, tt.shape, tt.a...), tensor(scoring.FP64, tt.shape, tt.b...), tt.want)
		})
	}
}

// TestTensorsTie tells a tie from a difference by what each datatype can hold.
func TestTensorsTie(t *testing.T) {
	t.Parallel()
	row := []int64{1, 2}
	tests := []struct {
		name     string
		datatype scoring.Datatype
		low      float64
		high     float64
		want     bool
	}{
		{"FP16, a rounding", scoring.FP16, 100, 100.0625, false},
		{"FP16, more", scoring.FP16, 100, 100.25, true},
		{"BF16, a rounding", scoring.BF16, 100, 100.5, false},
		{"BF16, more", scoring.BF16, 100, 102, true},
		{"FP32, roundings of additions", scoring.FP32, 0.4999998, 0.5, false},
		{"FP32, more", scoring.FP32, 0.49999, 0.5, true},
		{"FP32, a rounding of a large number", scoring.FP32, 100, 100.0000076, false},
		{"FP64, roundings of additions", scoring.FP64, 0.4999998, 0.5, false},
		{"FP64, more of a large number", scoring.FP64, 100, 100.00001, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := compare.Tensors(tensor(tt.datatype, row, tt.low, tt.high), tensor(tt.datatype, row, tt.high, tt.low))
			if got.Disagrees != tt.want || got.Max == 0 {
				t.Errorf("got %+v, want them to disagree: %v", got, tt.want)
			}
		})
	}
}

func TestTensorsOfWholeNumbers(t *testing.T) {
	t.Parallel()
	shape := []int64{2}
	tests := []struct {
		name string
		a, b scoring.Tensor
		want float64
	}{
		{"BOOL", onnxtest.Tensor("y", shape, true, false), onnxtest.Tensor("y", shape, true, true), 1},
		{"UINT8", onnxtest.Tensor("y", shape, uint8(0), 7), onnxtest.Tensor("y", shape, uint8(255), 7), 255},
		{"UINT16", onnxtest.Tensor("y", shape, uint16(0), 7), onnxtest.Tensor("y", shape, uint16(65535), 9), 65535},
		{"UINT32", onnxtest.Tensor("y", shape, uint32(1)<<31, 7), onnxtest.Tensor("y", shape, uint32(0), 9), 1 << 31},
		{"UINT64", onnxtest.Tensor("y", shape, uint64(1)<<63, 7), onnxtest.Tensor("y", shape, uint64(0), 9), 1 << 63},
		{"INT8", onnxtest.Tensor("y", shape, int8(-128), 7), onnxtest.Tensor("y", shape, int8(127), 9), 255},
		{"INT16", onnxtest.Tensor("y", shape, int16(-32768), 7), onnxtest.Tensor("y", shape, int16(32767), 9), 65535},
		{"INT32", onnxtest.Tensor("y", shape, int32(-1), 7), onnxtest.Tensor("y", shape, int32(1), 7), 2},
		{"INT64", onnxtest.Tensor("y", shape, int64(math.MinInt64), 7), onnxtest.Tensor("y", shape, int64(math.MaxInt64), 7), math.MaxUint64},
		{"INT64 that float64 does not tell apart", onnxtest.Tensor("y", shape, int64(1)<<60, 7), onnxtest.Tensor("y", shape, int64(1)<<60+1, 7), 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			check(t, compare.Tensors, answer(tt.a), answer(tt.a), compare.Difference{})
			check(t, compare.Tensors, answer(tt.a), answer(tt.b), compare.Difference{Disagrees: true, Max: tt.want})
		})
	}
}

func TestTensorsThatAreOthers(t *testing.T) {
	t.Parallel()
	disagree := compare.Difference{Disagrees: true}
	x, y := onnxtest.Tensor("x", []int64{2}, float32(1), 2), onnxtest.Tensor("y", []int64{2}, float32(1), 2)
	named := x
	named.Name = "z"
	wide := x
	wide.Shape = []int64{1, 2}
	check(t, compare.Tensors, answer(x, y), answer(y, x), compare.Difference{})
	check(t, compare.Tensors, answer(x, y), answer(x), disagree)
	check(t, compare.Tensors, answer(x, y), answer(named, y), disagree)
	check(t, compare.Tensors, answer(x), answer(wide), disagree)
	check(t, compare.Tensors, answer(x), answer(onnxtest.Tensor("x", []int64{3}, float32(1), 2, 3)), disagree)
	check(t, compare.Tensors, answer(x), answer(onnxtest.Tensor("x", []int64{2}, float64(1), 2)), disagree)
	check(t, compare.Tensors, nil, nil, compare.Difference{})
	words := func(all ...string) []scoring.Tensor { return answer(onnxtest.Strings("s", []int64{2}, all...)) }
	check(t, compare.Tensors, words("a", "b"), words("a", "b"), compare.Difference{})
	check(t, compare.Tensors, words("a", "b"), words("a", "B"), disagree)
	// The drift of one output is told beside the disagreement of another.
	check(t, compare.Tensors, answer(x, named), answer(onnxtest.Tensor("x", []int64{2}, float32(1), 2.125), y), compare.Difference{Disagrees: true, Max: 0.125})
}

// FuzzTensors holds the properties against any numbers of any datatype.
func FuzzTensors(f *testing.F) {
	f.Add([]byte{0, 0, 0x80, 0x3f, 0, 0, 0, 0}, []byte{0, 0, 0, 0, 0, 0, 0x80, 0x3f}, byte(scoring.FP32), byte(2))
	f.Add([]byte{0, 0x7c, 0, 0x7e}, []byte{0, 0xfc, 0, 0}, byte(scoring.FP16), byte(2))
	f.Add([]byte{0xff, 0xff}, []byte{1, 0}, byte(scoring.Int16), byte(1))
	f.Fuzz(func(t *testing.T, a, b []byte, datatype, width byte) {
		d := scoring.Datatype(datatype%byte(scoring.FP64)) + scoring.Bool
		size, w := d.Size(), max(1, int(width))
		rows := min(len(a), len(b)) / size / w
		shape := []int64{int64(rows), int64(w)}
		x := answer(scoring.Tensor{Name: "y", Datatype: d, Shape: shape, Data: a[:rows*w*size]})
		y := answer(scoring.Tensor{Name: "y", Datatype: d, Shape: shape, Data: b[:rows*w*size]})
		ab, ba := compare.Tensors(x, y), compare.Tensors(y, x)
		if ab != ba {
			t.Errorf("got %+v one way and %+v the other", ab, ba)
		}
		if math.IsNaN(ab.Max) || math.IsInf(ab.Max, 0) || ab.Max < 0 {
			t.Errorf("got a distance of %v", ab.Max)
		}
		if self := compare.Tensors(x, x); self != (compare.Difference{}) {
			t.Errorf("an answer and itself: got %+v", self)
		}
	})
}

func BenchmarkTensors(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 2))
	x, y := tensor(scoring.FP32, []int64{32, 1000}, numbers(random, 32000)...), tensor(scoring.FP32, []int64{32, 1000}, numbers(random, 32000)...)
	b.SetBytes(int64(len(x[0].Data)))
	b.ReportAllocs()
	for b.Loop() {
		compare.Tensors(x, y)
	}
}
