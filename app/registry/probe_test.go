package registry_test

import (
	"context"
	"encoding/binary"
	"math"
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
