package e2e_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/onda-serving/onda/app/onnx/onnxtest"
	"github.com/onda-serving/onda/app/scoring"
)

// The models of the registry's tests take one number a row, "INPUT", and give one, "OUTPUT".
// A version whose factor is its own number shows in its answers which version they are of.

// times multiplies with a factor.
func times(factor float32) []byte { return onnxtest.MatMul(1, 1, []float32{factor}) }

// limit is the number above which [bent] and [brittle] are other than they look.
const limit = 10

// bent gives numbers back as they are up to the limit, and larger ones multiplied.
func bent(factor float32) []byte {
	return graph([]onnxtest.Node{
		{Op: "Greater", Inputs: []string{"INPUT", "limit"}, Outputs: []string{"large"}},
		{Op: "Mul", Inputs: []string{"INPUT", "factor"}, Outputs: []string{"product"}},
		{Op: "Where", Inputs: []string{"large", "product", "INPUT"}, Outputs: []string{"OUTPUT"}},
	}, onnxtest.Tensor[float32]("limit", []int64{1}, limit), onnxtest.Tensor("factor", []int64{1}, factor))
}

// brittle gives whole numbers back, below the limit, and fails for larger ones.
func brittle() []byte { return table(limit, 1) }

// table multiplies whole numbers with a factor by looking the product up, so that the model is
// as large as a table of so many products. It fails for what is not in the table.
func table(size int, factor float32) []byte {
	const float, int64s = 1, 7 // in ONNX
	products := make([]float32, size)
	for i := range products {
		products[i] = float32(i) * factor
	}
	return graph([]onnxtest.Node{
		{Op: "Cast", Inputs: []string{"INPUT"}, Outputs: []string{"index"}, Attributes: []onnxtest.Attribute{onnxtest.Int("to", int64s)}},
		{Op: "Gather", Inputs: []string{"products", "index"}, Outputs: []string{"found"}},
		{Op: "Cast", Inputs: []string{"found"}, Outputs: []string{"OUTPUT"}, Attributes: []onnxtest.Attribute{onnxtest.Int("to", float)}},
	}, onnxtest.Tensor("products", []int64{int64(size)}, products...))
}

// renamed is times(1) with another name for its output.
func renamed() []byte {
	row := []int64{-1, 1}
	return onnxtest.Graph{
		Nodes:   []onnxtest.Node{{Op: "Identity", Inputs: []string{"INPUT"}, Outputs: []string{"RESULT"}}},
		Inputs:  []scoring.TensorSpec{{Name: "INPUT", Datatype: scoring.FP32, Shape: row}},
		Outputs: []scoring.TensorSpec{{Name: "RESULT", Datatype: scoring.FP32, Shape: row}},
	}.Model()
}

func graph(nodes []onnxtest.Node, weights ...scoring.Tensor) []byte {
	row := []int64{-1, 1}
	return onnxtest.Graph{
		Nodes: nodes, Weights: weights,
		Inputs:  []scoring.TensorSpec{{Name: "INPUT", Datatype: scoring.FP32, Shape: row}},
		Outputs: []scoring.TensorSpec{{Name: "OUTPUT", Datatype: scoring.FP32, Shape: row}},
	}.Model()
}

// padded makes an ONNX file of exactly so many bytes, by a comment in it.
func padded(t *testing.T, model []byte, size int) []byte {
	t.Helper()
	for comment := size - len(model) - 2; comment >= 0; comment-- {
		// doc_string, field 6 of the file's outermost message.
		longer := append(slices.Clone(model), 6<<3|2)
		length := comment
		for ; length >= 0x80; length >>= 7 {
			longer = append(longer, byte(length)|0x80)
		}
		longer = append(longer, byte(length))
		if longer = append(longer, strings.Repeat("x", comment)...); len(longer) == size {
			return longer
		}
	}
	t.Fatalf("a model of %d bytes cannot be padded to %d", len(model), size)
	return nil
}

// modelFiles are the files of a version without a manifest.
func modelFiles(model []byte) map[string][]byte { return map[string][]byte{"model.onnx": model} }

// goldenFiles are the files of a version with a manifest and one golden input: for x it must
// give y.
func goldenFiles(t *testing.T, name string, version int64, model []byte, x, y float64) map[string][]byte {
	t.Helper()
	row := func(name string, v float64) []tensor {
		return []tensor{{Name: name, Datatype: "FP32", Shape: []int64{1, 1}, Data: []float64{v}}}
	}
	files := modelFiles(model)
	files["golden.json"] = asJSON(t, map[string]any{
		"tolerance": 0.001, "cases": []map[string]any{{"inputs": row("INPUT", x), "outputs": row("OUTPUT", y)}},
	})
	var sums, listed strings.Builder
	for _, file := range sortedBySum(files) {
		fmt.Fprintf(&sums, "%s  %s\n", sumOfFile(files[file]), file)
		fmt.Fprintf(&listed, "  %s: %s\n", file, sumOfFile(files[file]))
	}
	files["model.yaml"] = fmt.Appendf(nil, "schema: onda/v1\nname: %s\nversion: %d\nfiles:\n%sdigest: sha256:%x\n",
		name, version, listed.String(), sha256.Sum256([]byte(sums.String())))
	return files
}

func sumOfFile(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// addFiles puts a version into a models folder.
func addFiles(t *testing.T, models, model string, version int64, files map[string][]byte) {
	t.Helper()
	dir := filepath.Join(models, model, strconv.FormatInt(version, 10))
	makeDir(t, dir)
	for name, data := range files {
		write(t, filepath.Join(dir, name), data)
	}
}

// scored is an answer of one of these models.
type scored struct {
	version int64
	y       float64
}

// ask asks a model about a number. The path is "times", or "times/labels/live" and so on.
func ask(c *http.Client, w way, path string, x float64, headers ...string) (scored, error) {
	return askRow(c, w, path, []float64{x}, headers...)
}

func askRow(c *http.Client, w way, path string, row []float64, headers ...string) (s scored, err error) {
	body, err := json.Marshal(map[string]any{"inputs": []tensor{{Name: "INPUT", Datatype: "FP32", Shape: []int64{1, int64(len(row))}, Data: row}}})
	if err != nil {
		return s, err
	}
	r := request{path: "/v2/models/" + path + "/infer", contentType: "application/json", body: body, header: map[string]string{}}
	for i := 0; i+1 < len(headers); i += 2 {
		r.header[headers[i]] = headers[i+1]
	}
	got := r.sendOver(c, w)
	if err := wants(http.StatusOK, got); err != nil {
		return s, err
	}
	return readScored([]byte(got.body))
}

// readScored reads the answer of infer, over HTTP or in an event.
func readScored(body []byte) (s scored, err error) {
	var a struct {
		Version string `json:"model_version"`
		Outputs []struct {
			Data []float64 `json:"data"`
		} `json:"outputs"`
	}
	if err := json.Unmarshal(body, &a); err != nil {
		return s, fmt.Errorf("%w: %s", err, clip(string(body)))
	}
	if len(a.Outputs) != 1 || len(a.Outputs[0].Data) == 0 {
		return s, fmt.Errorf("no number in the answer: %s", clip(string(body)))
	}
	s.y = a.Outputs[0].Data[0]
	s.version, err = strconv.ParseInt(a.Version, 10, 64)
	return s, err
}

// asked is ask for a test that needs the answer.
func asked(t *testing.T, w way, path string, x float64, headers ...string) scored {
	t.Helper()
	got, err := ask(client, w, path, x, headers...)
	if err != nil {
		t.Fatalf("%s %s: %s", path, w.name, err)
	}
	return got
}
