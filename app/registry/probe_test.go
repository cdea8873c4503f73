package registry_test

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/onda-serving/onda/app/onnx/onnxtest"
	"github.com/onda-serving/onda/app/registry"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/triton"
)

// floats is a signature of one FP32 input and output of these shapes.
func floats(input, output []int64, inputAxis, outputAxis string) scoring.Signature {
	spec := func(name string, shape []int64, axis string) scoring.TensorSpec {
		s := scoring.TensorSpec{Name: name, Datatype: scoring.FP32, Shape: shape}
		if axis != "" {
			s.Axes = make([]string, len(shape))
			s.Axes[0] = axis
		}
		return s
	}
	return scoring.Signature{
		Inputs:  []scoring.TensorSpec{spec("x", input, inputAxis)},
		Outputs: []scoring.TensorSpec{spec("y", output, outputAxis)},
	}
}

// each makes a model of fn, which computes the output of all rows of 2.
func each(fn func(rows [][2]float32) [][2]float32) func(context.Context, []scoring.Tensor, []string) ([]scoring.Tensor, error) {
	return func(_ context.Context, inputs []scoring.Tensor, _ []string) ([]scoring.Tensor, error) {
		le := binary.LittleEndian
		read := func(at int) float32 { return math.Float32frombits(le.Uint32(inputs[0].Data[4*at:])) }
		rows := make([][2]float32, inputs[0].Shape[0])
		for i := range rows {
			rows[i] = [2]float32{read(2 * i), read(2*i + 1)}
		}
		out := scoring.Tensor{Name: "y", Datatype: scoring.FP32}
		results := fn(rows)
		for _, row := range results {
			for _, v := range row {
				out.Data = le.AppendUint32(out.Data, math.Float32bits(v))
			}
		}
		out.Shape = []int64{int64(len(results)), 2}
		return []scoring.Tensor{out}, nil
	}
}

// TestUndescribedModelsAreTriedBeforeTheyAreBatched shows that the name of the first axis is
// not taken for a promise.
func TestUndescribedModelsAreTriedBeforeTheyAreBatched(t *testing.T) {
	t.Parallel()
	own := each(func(rows [][2]float32) [][2]float32 {
		for i, r := range rows {
			rows[i] = [2]float32{r[0] * 2, r[1] - r[0]}
		}
		return rows
	})
	free := []int64{-1, 2}
	tests := []struct {
		name string
		sig  scoring.Signature
		run  func(context.Context, []scoring.Tensor, []string) ([]scoring.Tensor, error)
		want int
	}{
		{"rows for themselves", floats(free, free, "batch", "batch"), own, 32},
		{"without names", floats(free, free, "", ""), own, 32},
		{"a first axis that does not vary", floats([]int64{4, 2}, []int64{4, 2}, "", ""), own, 0},
		{"an output without rows", floats(free, []int64{2}, "", ""), own, 0},
		{"other names", floats(free, free, "time", "steps"), own, 0},
		{"a sum over the rows so far", floats(free, free, "n", "n"), each(func(rows [][2]float32) [][2]float32 {
			for i := 1; i < len(rows); i++ {
				rows[i][0] += rows[i-1][0]
			}
			return rows
		}), 0},
		{"normalised over all rows", floats(free, free, "n", "n"), each(func(rows [][2]float32) [][2]float32 {
			sum := float32(0)
			for _, r := range rows {
				sum += r[0]
			}
			for i := range rows {
				rows[i][0] /= sum
			}
			return rows
		}), 0},
		{"one row for all", floats(free, free, "n", "n"), each(func(rows [][2]float32) [][2]float32 { return rows[:1] }), 0},
		{"rows in another order", floats(free, free, "n", "n"), each(func(rows [][2]float32) [][2]float32 {
			rows[0], rows[len(rows)-1] = rows[len(rows)-1], rows[0]
			return rows
		}), 0},
		{"a threshold far out", floats(free, free, "n", "n"), each(func(rows [][2]float32) [][2]float32 {
			high := float32(0)
			for _, r := range rows {
				high = max(high, r[0]-1000)
			}
			for i := range rows {
				rows[i][1] += high
			}
			return rows
		}), 0},
		{"small numbers that depend on each other", floats(free, free, "n", "n"), each(func(rows [][2]float32) [][2]float32 {
			sum := float32(0)
			for _, r := range rows {
				sum += r[0]
			}
			for i := range rows {
				rows[i] = [2]float32{1e-6 * sum * rows[i][0], 1e-6 * rows[i][1]}
			}
			return rows
		}), 0},
		{"the same for every row", floats(free, free, "n", "n"), each(func(rows [][2]float32) [][2]float32 {
			return make([][2]float32, len(rows))
		}), 0},
		{"one axis", floats([]int64{-1}, []int64{-1}, "n", "n"), own, 0},
		{"an axis called by another name", floats(free, free, "sequence", "sequence"), own, 0},
		{"fails on drawn numbers", floats(free, free, "n", "n"), func(context.Context, []scoring.Tensor, []string) ([]scoring.Tensor, error) {
			return nil, scoring.Errorf(scoring.Invalid, "no")
		}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			loader := registry.Loader{MaxRows: 32, Open: func([]byte, triton.Settings) (registry.Session, error) {
				return &onnxtest.Fake{Spec: tt.sig, RunFunc: tt.run}, nil
			}}
			v, err := loader.Load(t.Context(), place(t, t.TempDir(), "m", 1, ""), nil)
			if err != nil {
				t.Fatal(err)
			}
			if v.MaxRows != tt.want {
				t.Errorf("batches of %d rows, want %d", v.MaxRows, tt.want)
			}
			if got := v.Config.GetMaxBatchSize(); int(got) != tt.want {
				t.Errorf("the configuration says %d rows, want %d", got, tt.want)
			}
		})
	}
}

func TestFilesDecideOnBatching(t *testing.T) {
	t.Parallel()
	sum := each(func(rows [][2]float32) [][2]float32 { return rows[:1] }) // never to be tried
	loader := registry.Loader{MaxRows: 32, MaxQueue: 5, CacheTTL: 60, Open: func([]byte, triton.Settings) (registry.Session, error) {
		return &onnxtest.Fake{Spec: floats([]int64{-1, 2}, []int64{-1, 2}, "", ""), RunFunc: sum}, nil
	}}
	v, err := loader.Load(t.Context(), place(t, t.TempDir(), "m", 1, "batching: {max_rows: 7, delay: 1ms}\ncache: {ttl: 2m}\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if v.MaxRows != 7 || v.CacheTTL.String() != "2m0s" || v.Statistics == nil || v.Batcher == nil {
		t.Errorf("got %d rows and %s", v.MaxRows, v.CacheTTL)
	}
	_, err = loader.Load(t.Context(), place(t, t.TempDir(), "m", 1, "batching: {max_rows: 7, pad: [{input: z, axis: 1}]}\n"), nil)
	if want := `load m@1: batching.pad: the model has no input "z"`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// tokens is a model of whole numbers: fn sums up a row, given all rows.
func tokens(fn func(rows [][]int64, i int) int64) *onnxtest.Fake {
	sig := scoring.Signature{
		Inputs:  []scoring.TensorSpec{{Name: "x", Datatype: scoring.Int64, Shape: []int64{-1, -1}}},
		Outputs: []scoring.TensorSpec{{Name: "y", Datatype: scoring.Int64, Shape: []int64{-1}}},
	}
	return &onnxtest.Fake{Spec: sig, RunFunc: func(_ context.Context, inputs []scoring.Tensor, _ []string) ([]scoring.Tensor, error) {
		n, width := inputs[0].Shape[0], int(inputs[0].Shape[1])
		rows := make([][]int64, n)
		for i := range rows {
			for c := range width {
				rows[i] = append(rows[i], int64(binary.LittleEndian.Uint64(inputs[0].Data[8*(i*width+c):])))
			}
		}
		out := scoring.Tensor{Name: "y", Datatype: scoring.Int64, Shape: []int64{n}}
		for i := range rows {
			out.Data = binary.LittleEndian.AppendUint64(out.Data, uint64(fn(rows, i)))
		}
		return []scoring.Tensor{out}, nil
	}}
}

func sumOf(row []int64) int64 {
	total := int64(0)
	for at, v := range row {
		total += int64(at+1) * v
	}
	return total
}

func TestWholeNumbersAreToldApart(t *testing.T) {
	t.Parallel()
	own := tokens(func(rows [][]int64, i int) int64 { return sumOf(rows[i]) })
	running := tokens(func(rows [][]int64, i int) int64 {
		total := int64(0)
		for _, row := range rows[:i+1] {
			total += row[0]
		}
		return total
	})
	for _, tt := range []struct {
		name  string
		model *onnxtest.Fake
		want  int
	}{{"rows for themselves", own, 32}, {"a sum over the rows so far", running, 0}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			loader := registry.Loader{MaxRows: 32, Open: func([]byte, triton.Settings) (registry.Session, error) { return tt.model, nil }}
			v, err := loader.Load(t.Context(), place(t, t.TempDir(), "m", 1, ""), nil)
			if err != nil || v.MaxRows != tt.want {
				t.Errorf("batches of %d rows (%v), want %d", v.MaxRows, err, tt.want)
			}
		})
	}
}

func TestPaddingIsTriedBeforeItIsBelieved(t *testing.T) {
	t.Parallel()
	const pad = "batching: {max_rows: 8, pad: [{input: x, axis: 1}]}\n"
	sum := tokens(func(rows [][]int64, i int) int64 { return sumOf(rows[i]) })
	length := tokens(func(rows [][]int64, i int) int64 { return int64(len(rows[i])) })
	for _, tt := range []struct {
		name  string
		model *onnxtest.Fake
		want  string
	}{
		{"zeros add nothing", sum, ""},
		{"the length counts", length, "the answer for a row is another when it is padded"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			loader := registry.Loader{Open: func([]byte, triton.Settings) (registry.Session, error) { return tt.model, nil }}
			_, err := loader.Load(t.Context(), place(t, t.TempDir(), "m", 1, pad), nil)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestLoadThatIsCutShortIsNoVersionWithoutBatches(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	model := tokens(func(rows [][]int64, i int) int64 { cancel(); return sumOf(rows[i]) })
	loader := registry.Loader{MaxRows: 32, Open: func([]byte, triton.Settings) (registry.Session, error) { return model, nil }}
	if v, err := loader.Load(ctx, place(t, t.TempDir(), "m", 1, ""), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %+v, %v", v, err)
	}
}
