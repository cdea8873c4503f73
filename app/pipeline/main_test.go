package pipeline

import (
	"context"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"go.uber.org/goleak"

	"github.com/onda-serving/onda/app/scoring"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testFiles is a version's folder with every file that the tests name.
var testFiles = fstest.MapFS{
	"labels.txt": {Data: []byte("tench\ngoldfish\ngreat white shark\n")},
	"faq.json": {Data: []byte(`[
		{"id": "a", "question": "How?", "answer": "So."},
		{"id": "b", "question": "When?", "answer": "Now."}]`)},
}

// imageSpec is a valid spec whose tensor holds the values 0 to 255 as they are.
func imageSpec(size int) ImageSpec {
	return ImageSpec{
		Input: "in", Output: "out", Size: size, Crop: 1, Resize: "bilinear", Colour: "rgb", Layout: "nhwc",
		Scale: [3]float64{1, 1, 1}, Labels: "labels.txt",
	}
}

func imageSignature(d scoring.Datatype) scoring.Signature {
	return scoring.Signature{
		Inputs:  []scoring.TensorSpec{{Name: "in", Datatype: d, Shape: []int64{-1, -1, -1, -1}}},
		Outputs: []scoring.TensorSpec{{Name: "out", Datatype: d, Shape: []int64{-1, 3}}},
	}
}

func textSpec(steps ...string) TextSpec {
	return TextSpec{Input: "in", Output: "out", Normalise: steps, Table: "faq.json"}
}

func textSignature() scoring.Signature {
	return scoring.Signature{
		Inputs:  []scoring.TensorSpec{{Name: "in", Datatype: scoring.Bytes, Shape: []int64{-1, 1}}},
		Outputs: []scoring.TensorSpec{{Name: "out", Datatype: scoring.FP32, Shape: []int64{-1, 2}}},
	}
}

func newImage(t testing.TB, spec ImageSpec, limits Limits) Pipeline {
	t.Helper()
	p, err := New(Spec{Image: &spec}, imageSignature(scoring.FP32), testFiles, limits)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func newText(t testing.TB, spec TextSpec, limits Limits) Pipeline {
	t.Helper()
	p, err := New(Spec{Text: &spec}, textSignature(), testFiles, limits)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func binaries(data ...[]byte) []scoring.Instance {
	instances := make([]scoring.Instance, len(data))
	for i, d := range data {
		instances[i] = scoring.Instance{Kind: scoring.Binary, Data: d}
	}
	return instances
}

func texts(data ...string) []scoring.Instance {
	instances := make([]scoring.Instance, len(data))
	for i, d := range data {
		instances[i] = scoring.Instance{Kind: scoring.Text, Data: []byte(d)}
	}
	return instances
}

// pixels runs one picture through p and gives the values of the tensor.
func pixels(t testing.TB, p Pipeline, data []byte) []float32 {
	t.Helper()
	tensors, err := p.Preprocess(context.Background(), binaries(data))
	if err != nil {
		t.Fatal(err)
	}
	return floats(tensors[0])
}

// floats reads a tensor of FP32.
func floats(t scoring.Tensor) []float32 {
	values := make([]float32, len(t.Data)/4)
	for i := range values {
		values[i] = math.Float32frombits(binary.LittleEndian.Uint32(t.Data[4*i:]))
	}
	return values
}

// tensor makes an FP32 tensor.
func tensor(name string, shape []int64, values ...float32) scoring.Tensor {
	data := make([]byte, 0, 4*len(values))
	for _, v := range values {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(v))
	}
	return scoring.Tensor{Name: name, Datatype: scoring.FP32, Shape: shape, Data: data}
}

// refused checks the code of err and that its public text is, or with a final "..."
// begins with, want.
func refused(t *testing.T, err error, code scoring.Code, want string) {
	t.Helper()
	if err == nil {
		t.Fatalf("got no error, want %s: %s", code, want)
	}
	got := scoring.AsError(err)
	prefix, cut := strings.CutSuffix(want, "...")
	if got.Code != code || got.Message != want && !(cut && strings.HasPrefix(got.Message, prefix)) {
		t.Errorf("got  %s: %s\nwant %s: %s", got.Code, got.Message, code, want)
	}
}

func readTestdata(t testing.TB, path ...string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(append([]string{"testdata"}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// samples are the pictures of testdata that are read.
func samples(t testing.TB) []string {
	t.Helper()
	paths, err := filepath.Glob("testdata/pictures/*")
	if err != nil || len(paths) < 20 {
		t.Fatal("testdata/pictures is not complete", err)
	}
	var names []string
	for _, p := range paths {
		if name := filepath.Base(p); name != "webp-animated.webp" {
			names = append(names, name)
		}
	}
	return names
}
