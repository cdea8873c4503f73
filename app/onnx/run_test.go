package onnx

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/onda-serving/onda/app/onnx/onnxtest"
	"github.com/onda-serving/onda/app/scoring"
)

// sample makes a tensor with a different value in each element. Among the numbers are
// the datatype's largest and smallest bit patterns, but no NaN.
func sample(d scoring.Datatype, shape []int64) scoring.Tensor {
	n, _ := scoring.Elements(shape)
	t := scoring.Tensor{Name: "INPUT", Datatype: d, Shape: shape}
	for i := range n {
		bits := uint64(i+1) * 0x2f1d_3b59_8a67_c4e1 &^ (0x4000_4000_4000_4000)
		var element [8]byte
		binary.LittleEndian.PutUint64(element[:], bits)
		switch d {
		case scoring.Bytes:
			t.Strings = append(t.Strings, []byte(strings.Repeat("größe 尺 ", int(i%4))))
		case scoring.Bool:
			t.Data = append(t.Data, byte(i%2))
		default:
			t.Data = append(t.Data, element[8-d.Size():]...)
		}
	}
	return t
}

// TestRoundTrip sends each datatype through a model that gives back what it gets, in
// every way to declare and to give a shape.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for d := scoring.Bool; d <= scoring.Bytes; d++ {
		for _, declared := range [][]int64{{-1, 2}, {3, 2}, {-1}, {}, nil} {
			t.Run(fmt.Sprintf("%s/%s", d, formatShape(declared)), func(t *testing.T) {
				t.Parallel()
				if len(declared) == 0 && declared != nil && !scalars[d] {
					t.Skip("refused at load: see TestLoadRefusals")
				}
				s := load(t, onnxtest.Identity(d, declared))
				for _, given := range [][]int64{{3, 2}, {0, 2}, {1, 2}, {5}, {0}, {1, 1, 2, 1}, {}} {
					if !shapeFits(given, declared) || len(given) == 0 && !scalars[d] {
						continue
					}
					roundTrip(t, s, sample(d, given))
				}
			})
		}
	}
}

func roundTrip(t *testing.T, s *Session, in scoring.Tensor) {
	t.Helper()
	out, err := s.Run(t.Context(), []scoring.Tensor{in}, nil)
	if err != nil {
		t.Errorf("shape %v: %v", in.Shape, err)
		return
	}
	want := in
	want.Name = "OUTPUT"
	if got := out[0]; !sameTensor(got, want) {
		t.Errorf("shape %v: got %v, want %v", in.Shape, got, want)
	}
}

// sameTensor compares all but the difference between nil and empty.
func sameTensor(a, b scoring.Tensor) bool {
	return a.Name == b.Name && a.Datatype == b.Datatype && slices.Equal(a.Shape, b.Shape) &&
		slices.Equal(a.Data, b.Data) && slices.EqualFunc(a.Strings, b.Strings, slices.Equal[[]byte])
}

// TestEveryHalf sends every bit pattern of the 2-byte floats through a model. They pass
// through FP32 on the way back, which must not change any; a NaN stays a NaN.
func TestEveryHalf(t *testing.T) {
	t.Parallel()
	isNaN := map[scoring.Datatype]func(uint16) bool{
		scoring.FP16: func(h uint16) bool { return h&0x7fff > 0x7c00 },
		scoring.BF16: func(h uint16) bool { return h&0x7fff > 0x7f80 },
	}
	for d, nan := range isNaN {
		t.Run(d.String(), func(t *testing.T) {
			t.Parallel()
			s := load(t, onnxtest.Identity(d, []int64{-1}))
			in := scoring.Tensor{Name: "INPUT", Datatype: d, Shape: []int64{1 << 16}}
			for h := range 1 << 16 {
				in.Data = binary.LittleEndian.AppendUint16(in.Data, uint16(h))
			}
			out, err := s.Run(t.Context(), []scoring.Tensor{in}, nil)
			if err != nil {
				t.Fatal(err)
			}
			for h := range 1 << 16 {
				got := binary.LittleEndian.Uint16(out[0].Data[2*h:])
				if got != uint16(h) && !(nan(got) && nan(uint16(h))) {
					t.Fatalf("got %#04x, want %#04x", got, h)
				}
			}
		})
	}
}

func TestInputsAndOutputsInAnyOrder(t *testing.T) {
	t.Parallel()
	s := load(t, onnxtest.AddSub())
	a, b := slices.Repeat([]int32{7}, 32), slices.Repeat([]int32{3}, 32)
	in := []scoring.Tensor{onnxtest.Tensor("INPUT1", []int64{2, 16}, b...), onnxtest.Tensor("INPUT0", []int64{2, 16}, a...)}
	value := map[string]int32{"OUTPUT0": 10, "OUTPUT1": 4}
	for _, wanted := range [][]string{nil, {"OUTPUT1"}, {"OUTPUT1", "OUTPUT0"}, {"OUTPUT0"}} {
		out, err := s.Run(t.Context(), in, wanted)
		if err != nil {
			t.Fatal(err)
		}
		if wanted == nil {
			wanted = []string{"OUTPUT0", "OUTPUT1"}
		}
		for i, name := range wanted {
			want := onnxtest.Tensor(name, []int64{2, 16}, slices.Repeat([]int32{value[name]}, 32)...)
			if len(out) != len(wanted) || !reflect.DeepEqual(out[i], want) {
				t.Errorf("outputs %v: got %v, want %v", wanted, out, want)
			}
		}
	}
}

func TestConcat(t *testing.T) {
	t.Parallel()
	s := load(t, onnxtest.Concat())
	in := []scoring.Tensor{onnxtest.Strings("LEFT", []int64{3}, "a", "", "ü"), onnxtest.Strings("RIGHT", []int64{3}, "b", "", "尺")}
	out, err := s.Run(t.Context(), in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := onnxtest.Strings("OUTPUT", []int64{3}, "ab", "", "ü尺"); !sameTensor(out[0], want) {
		t.Errorf("got %q, want %q", out[0].Strings, want.Strings)
	}
}

// TestUnaligned reads elements from every address a tensor can begin at inside a body.
func TestUnaligned(t *testing.T) {
	t.Parallel()
	for _, d := range []scoring.Datatype{scoring.FP64, scoring.FP32, scoring.FP16, scoring.Int8} {
		s := load(t, onnxtest.Identity(d, nil))
		for _, shape := range [][]int64{{3}, {}} {
			if len(shape) == 0 && !scalars[d] {
				continue
			}
			for offset := range 8 {
				in := sample(d, shape)
				body := make([]byte, offset+len(in.Data))
				in.Data = body[offset:][:copy(body[offset:], in.Data)]
				roundTrip(t, s, in)
			}
		}
	}
}

// TestOutputsOutliveTheRun sees to it that results are no views of memory that a later
// run uses.
func TestOutputsOutliveTheRun(t *testing.T) {
	t.Parallel()
	s := load(t, onnxtest.AddSub())
	first, err := s.Run(t.Context(), addSubInputs(4), nil)
	if err != nil {
		t.Fatal(err)
	}
	before := slices.Clone(first[0].Data)
	for range 100 {
		in := []scoring.Tensor{onnxtest.Tensor("INPUT0", []int64{4, 16}, make([]int32, 64)...), onnxtest.Tensor("INPUT1", []int64{4, 16}, make([]int32, 64)...)}
		if _, err := s.Run(t.Context(), in, nil); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(first[0].Data, before) {
		t.Error("a later run changed an earlier result")
	}
}

func TestConcurrentRuns(t *testing.T) {
	t.Parallel()
	s := load(t, onnxtest.MatMul(2, 1, []float32{1, 100}))
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 200 {
				rows := int64(1 + (g+i)%5)
				var numbers []float32
				for r := range rows {
					numbers = append(numbers, float32(g), float32(r))
				}
				out, err := s.Run(t.Context(), []scoring.Tensor{onnxtest.Tensor("INPUT", []int64{rows, 2}, numbers...)}, nil)
				if err != nil {
					t.Error(err)
					return
				}
				for r, got := range onnxtest.Values[float32](out[0]) {
					if want := float32(g + 100*r); got != want {
						t.Errorf("got %v, want %v", got, want)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}

// waitForRuns returns once n runs are under way.
func waitForRuns(t *testing.T, s *Session, n int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		s.mu.Lock()
		runs := s.runs
		s.mu.Unlock()
		if runs >= n {
			return
		}
	}
	t.Fatal("no run began")
}

// TestCancel ends a run that would take minutes.
func TestCancel(t *testing.T) {
	t.Parallel()
	s := load(t, onnxtest.Slow(100_000_000))
	row := []scoring.Tensor{onnxtest.Tensor("INPUT", []int64{1, 16}, make([]float32, 16)...)}
	tests := []struct {
		name string
		ctx  func() (context.Context, context.CancelFunc)
		want error
	}{
		{"canceled", func() (context.Context, context.CancelFunc) { return context.WithCancel(context.Background()) }, context.Canceled},
		{"deadline", func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(context.Background(), 50*time.Millisecond)
		}, context.DeadlineExceeded},
	}
	for _, tt := range tests {
		ctx, cancel := tt.ctx()
		defer cancel()
		result := make(chan error, 1)
		go func() {
			_, err := s.Run(ctx, row, nil)
			result <- err
		}()
		waitForRuns(t, s, 1)
		if tt.want == context.Canceled {
			cancel()
		}
		select {
		case err := <-result:
			if err != tt.want {
				t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%s: the run went on", tt.name)
		}
	}
}

// TestRunAfterCancel sees to it that a stopped run leaves the session, and the run options
// it used, fit for the next.
func TestRunAfterCancel(t *testing.T) {
	t.Parallel()
	s := load(t, onnxtest.Slow(3_000))
	row := []scoring.Tensor{onnxtest.Tensor("INPUT", []int64{1, 16}, slices.Repeat([]float32{2}, 16)...)}
	var stopped int
	for i := range 60 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i%6)*time.Millisecond)
		out, err := s.Run(ctx, row, nil)
		cancel()
		switch {
		case err == nil && !slices.Equal(out[0].Data, row[0].Data):
			t.Errorf("got %v, want the input", out[0])
		case err != nil:
			stopped++
		}
		ctx, cancel = context.WithCancel(context.Background())
		if _, err := s.Run(ctx, row, nil); err != nil {
			t.Errorf("the run after: %v", err)
		}
		cancel()
	}
	if stopped == 0 {
		t.Error("no run was stopped: the test tests nothing")
	}
}

func TestRunWithEndedContext(t *testing.T) {
	t.Parallel()
	s := load(t, onnxtest.AddSub())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Run(ctx, addSubInputs(1), nil); err != context.Canceled {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

// TestModelFailures are failures that only the model itself can see.
func TestModelFailures(t *testing.T) {
	t.Parallel()
	matrix, list := spec("a", scoring.FP32, -1, -1), spec("b", scoring.Int64, -1)
	second := spec("b", scoring.FP32, -1, -1)
	a23 := onnxtest.Tensor("a", []int64{2, 3}, make([]float32, 6)...)
	b23 := onnxtest.Tensor("b", []int64{2, 3}, make([]float32, 6)...)
	b22 := onnxtest.Tensor("b", []int64{2, 2}, make([]float32, 4)...)
	ints := func(v ...int64) scoring.Tensor { return onnxtest.Tensor("b", []int64{int64(len(v))}, v...) }
	out := spec("y", scoring.FP32, -1, -1)
	const rejects = "the model rejects inputs of these shapes or values: "
	tests := []struct {
		name, op string
		in       []scoring.Tensor
		specs    []scoring.TensorSpec
		out      scoring.TensorSpec
		code     scoring.Code
		want     string
	}{
		{"matrices that do not fit", "MatMul", []scoring.Tensor{a23, b23}, []scoring.TensorSpec{matrix, second}, out, scoring.Invalid, rejects + `"a" FP32 [2,3], "b" FP32 [2,3]`},
		{"no broadcast", "Add", []scoring.Tensor{a23, b22}, []scoring.TensorSpec{matrix, second}, out, scoring.Invalid, rejects + `"a" FP32 [2,3], "b" FP32 [2,2]`},
		{"product that does not fit", "Gemm", []scoring.Tensor{a23, b23}, []scoring.TensorSpec{matrix, second}, out, scoring.Invalid, rejects + `"a" FP32 [2,3], "b" FP32 [2,3]`},
		{"reshape", "Reshape", []scoring.Tensor{a23, ints(4, 5)}, []scoring.TensorSpec{matrix, list}, out, scoring.Invalid, rejects + `"a" FP32 [2,3], "b" INT64 [2]`},
		{"index", "Gather", []scoring.Tensor{a23, ints(9)}, []scoring.TensorSpec{matrix, list}, out, scoring.Invalid, rejects + `"a" FP32 [2,3], "b" INT64 [1]`},
		{"expand", "Expand", []scoring.Tensor{a23, ints(7, 7)}, []scoring.TensorSpec{matrix, list}, out, scoring.Invalid, rejects + `"a" FP32 [2,3], "b" INT64 [2]`},
		{"memory", "Expand", []scoring.Tensor{onnxtest.Tensor("a", []int64{1, 1}, float32(1)), ints(4e6, 5e6)}, []scoring.TensorSpec{matrix, list}, out, scoring.Internal, "the model failed; the server's log has the details"},
		{"shape misdeclared", "ReduceSum", []scoring.Tensor{a23, ints(0, 1)}, []scoring.TensorSpec{matrix, list}, out, scoring.Internal, `output "y" of the model has no dimensions, but its file declares [-1,-1]: declare the true shape in the model`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := oneNode(tt.op, tt.specs, tt.out)
			if tt.op == "ReduceSum" {
				g = oneNode(tt.op, tt.specs, tt.out, onnxtest.Int("keepdims", 0))
			}
			s := load(t, g.Model())
			_, err := s.Run(t.Context(), tt.in, nil)
			if e := scoring.AsError(err); err == nil || e.Code != tt.code || e.Message != tt.want {
				t.Fatalf("got %v, want %v: %s", err, tt.code, tt.want)
			}
			if errors.Unwrap(err) == nil {
				t.Error("the library's own text is lost to the log")
			}
		})
	}
}

func TestFloat16(t *testing.T) {
	t.Parallel()
	tests := []struct {
		in     float64
		fp, bf uint16
	}{
		{0, 0, 0}, {math.Copysign(0, -1), 0x8000, 0x8000}, {1, 0x3c00, 0x3f80}, {-2, 0xc000, 0xc000},
		{65504, 0x7bff, 0x4780}, {65519, 0x7bff, 0x4780}, {65520, 0x7c00, 0x4780}, {math.Inf(1), 0x7c00, 0x7f80}, {math.Inf(-1), 0xfc00, 0xff80},
		{0x1p-24, 1, 0x3380}, {0x1p-25, 0, 0x3300}, {0x1.8p-25, 1, 0x3340}, {0x1.8p-24, 2, 0x33c0}, {0x1p-14, 0x400, 0x3880}, {0x1.ffcp-15, 0x3ff + 1, 0x3880},
		{1 + 0x1p-11, 0x3c00, 0x3f80}, {1 + 0x3p-11, 0x3c02, 0x3f80}, {1 + 0x1p-8, 0x3c04, 0x3f80}, {1 + 0x3p-8, 0x3c0c, 0x3f82},
	}
	for _, tt := range tests {
		if got := toFloat16(float32(tt.in)); got != tt.fp {
			t.Errorf("FP16 of %v: got %#04x, want %#04x", tt.in, got, tt.fp)
		}
		if got := toBFloat16(float32(tt.in)); got != tt.bf {
			t.Errorf("BF16 of %v: got %#04x, want %#04x", tt.in, got, tt.bf)
		}
	}
	nan := math.Float32frombits(0x7f800001)
	if fp, bf := toFloat16(nan), toBFloat16(nan); fp&0x7fff <= 0x7c00 || bf&0x7fff <= 0x7f80 {
		t.Errorf("NaN: got %#04x and %#04x, want NaNs", fp, bf)
	}
}
