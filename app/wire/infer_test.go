package wire_test

import (
	"bytes"
	le "encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/wire"
)

// input makes the body of a request with one input.
func input(datatype, shape, data string) []byte {
	return []byte(`{"inputs": [{"name": "x", "datatype": "` + datatype + `", "shape": ` + shape + `, "data": ` + data + `}]}`)
}

// elements writes numbers as a tensor holds them.
func elements(t *testing.T, values any) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := le.Write(&b, le.LittleEndian, values); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func sameTensor(t *testing.T, got, want scoring.Tensor) {
	t.Helper()
	if got.Name != want.Name || got.Datatype != want.Datatype || !slices.Equal(got.Shape, want.Shape) {
		t.Errorf("got %q %s %v, want %q %s %v", got.Name, got.Datatype, got.Shape, want.Name, want.Datatype, want.Shape)
	}
	if !bytes.Equal(got.Data, want.Data) {
		t.Errorf("data: got % x, want % x", got.Data, want.Data)
	}
	if !slices.EqualFunc(got.Strings, want.Strings, bytes.Equal) {
		t.Errorf("strings: got %q, want %q", got.Strings, want.Strings)
	}
}

func TestDecodeInferDatatypes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		datatype scoring.Datatype
		data     string
		want     []byte
	}{
		{scoring.Bool, `[true, false, 1, 0]`, []byte{1, 0, 1, 0}},
		{scoring.Uint8, `[0, 255]`, []byte{0, 255}},
		{scoring.Uint16, `[0, 65535]`, elements(t, []uint16{0, math.MaxUint16})},
		{scoring.Uint32, `[0, 4294967295]`, elements(t, []uint32{0, math.MaxUint32})},
		{scoring.Uint64, `[0, 18446744073709551615]`, elements(t, []uint64{0, math.MaxUint64})},
		{scoring.Int8, `[-128, 127, -0]`, []byte{0x80, 0x7f, 0}},
		{scoring.Int16, `[-32768, 32767]`, elements(t, []int16{math.MinInt16, math.MaxInt16})},
		{scoring.Int32, `[-2147483648, 2147483647]`, elements(t, []int32{math.MinInt32, math.MaxInt32})},
		{scoring.Int64, `[-9223372036854775808, 9223372036854775807]`, elements(t, []int64{math.MinInt64, math.MaxInt64})},
		{scoring.FP32, `[0, -0, 1.5, 3.4028235e38, 1E-45, 0.1, 1e-60]`, elements(t, []float32{0, float32(math.Copysign(0, -1)), 1.5, math.MaxFloat32, math.SmallestNonzeroFloat32, .1, 0})},
		{scoring.FP64, `[1.7976931348623157e308, 5e-324, 0.1, 3]`, elements(t, []float64{math.MaxFloat64, math.SmallestNonzeroFloat64, .1, 3})},
	}
	for _, test := range tests {
		t.Run(test.datatype.String(), func(t *testing.T) {
			t.Parallel()
			shape := []int64{int64(len(test.want) / test.datatype.Size())}
			text, err := json.Marshal(shape)
			if err != nil {
				t.Fatal(err)
			}
			req, _, err := wire.DecodeInfer(input(test.datatype.String(), string(text), test.data))
			if err != nil {
				t.Fatal(err)
			}
			sameTensor(t, req.Inputs[0], scoring.Tensor{Name: "x", Datatype: test.datatype, Shape: shape, Data: test.want})
		})
	}
}

func TestDecodeInferBytes(t *testing.T) {
	t.Parallel()
	body := input("BYTES", "[2, 3]", `[["", "a\"b\\", "]"], ["\u00e9", "\ud83d\ude00", "[1, 2]"]]`)
	req, _, err := wire.DecodeInfer(body)
	if err != nil {
		t.Fatal(err)
	}
	want := scoring.Tensor{Name: "x", Datatype: scoring.Bytes, Shape: []int64{2, 3}}
	for _, s := range []string{"", `a"b\`, "]", "é", "😀", "[1, 2]"} {
		want.Strings = append(want.Strings, []byte(s))
	}
	sameTensor(t, req.Inputs[0], want)
}

// TestDecodeInferEscapes holds the reading of strings against encoding/json's.
func TestDecodeInferEscapes(t *testing.T) {
	t.Parallel()
	parts := []string{"", "a", "é", "😀", `\"`, `\\`, `\/`, `\b`, `\f`, `\n`, `\r`, `\t`, `\u0000`, `\u001f`, `\u0041`, `\u00e9`, `\u20AC`, `\uffff`, `\ud83d\ude00`, `\uDBFF\uDFFF`, `\\u0041`, `\\\"`}
	var texts []string
	for _, a := range parts {
		for _, b := range parts {
			texts = append(texts, `"`+a+b+`"`, `"`+b+"x"+a+`"`)
		}
	}
	list := "[" + strings.Join(texts, ",") + "]"
	var want []string
	if err := json.Unmarshal([]byte(list), &want); err != nil {
		t.Fatal(err)
	}
	shape, err := json.Marshal([]int{len(want)})
	if err != nil {
		t.Fatal(err)
	}
	req, _, err := wire.DecodeInfer(input("BYTES", string(shape), list))
	if err != nil {
		t.Fatal(err)
	}
	for i, got := range req.Inputs[0].Strings {
		if string(got) != want[i] {
			t.Errorf("%s: got %q, want %q", texts[i], got, want[i])
		}
	}
}

func TestDecodeInferShapes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, shape, data string
		want              []int64
		values            []int32
	}{
		{"spaces in the shape", "[ 2 ,\n2\t]", "[1, 2, 3, 4]", []int64{2, 2}, []int32{1, 2, 3, 4}},
		{"a space for a shape", "[ ]", "[7]", []int64{}, []int32{7}},
		{"flat", "[2, 2]", "[1, 2, 3, 4]", []int64{2, 2}, []int32{1, 2, 3, 4}},
		{"nested", "[2, 2]", "[[1, 2], [3, 4]]", []int64{2, 2}, []int32{1, 2, 3, 4}},
		{"no spaces", "[2,2]", "[[1,2],[3,4]]", []int64{2, 2}, []int32{1, 2, 3, 4}},
		{"every space", "[2,2]", "[\n[ 1\t,\r\n2\n]\n,\t[3 , 4 ] ]", []int64{2, 2}, []int32{1, 2, 3, 4}},
		{"scalar", "[]", "[7]", []int64{}, []int32{7}},
		{"most dimensions", "[1" + strings.Repeat(",1", 31) + "]", "[7]", slices.Repeat([]int64{1}, 32), []int32{7}},
		{"empty batch", "[0, 4]", "[]", []int64{0, 4}, nil},
		{"empty batch, nested", "[2, 0]", "[[], []]", []int64{2, 0}, nil},
		{"deepest", "[1]", strings.Repeat("[", 32) + "7" + strings.Repeat("]", 32), []int64{1}, []int32{7}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			req, _, err := wire.DecodeInfer(input("INT32", test.shape, test.data))
			if err != nil {
				t.Fatal(err)
			}
			sameTensor(t, req.Inputs[0], scoring.Tensor{Name: "x", Datatype: scoring.Int32, Shape: test.want, Data: elements(t, test.values)})
		})
	}
}

func TestDecodeInferWholeRequest(t *testing.T) {
	t.Parallel()
	req, opts, err := wire.DecodeInfer([]byte(`{
		"id": "q-1", "parameters": {"timeout": 1500, "sequence_id": "", "binary_data_output": false, "custom": [1]}, "unknown": {"a": [1]},
		"inputs": [
			{"name": "a", "shape": [1], "datatype": "INT8", "data": [1], "parameters": {"content_type": "np"}},
			{"name": "b", "shape": [0], "datatype": "FP16", "data": []}
		],
		"outputs": [{"name": "y", "parameters": {"binary_data": false}}, {"name": "z"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if req.ID != "q-1" || !slices.Equal(req.Outputs, []scoring.Output{{Name: "y"}, {Name: "z"}}) || opts.Timeout != 1500*time.Microsecond {
		t.Errorf("got id %q, outputs %v, timeout %s, want q-1, [y z], 1.5ms", req.ID, req.Outputs, opts.Timeout)
	}
	if len(req.Inputs) != 2 {
		t.Fatalf("got %d inputs, want 2", len(req.Inputs))
	}
	sameTensor(t, req.Inputs[0], scoring.Tensor{Name: "a", Datatype: scoring.Int8, Shape: []int64{1}, Data: []byte{1}})
	sameTensor(t, req.Inputs[1], scoring.Tensor{Name: "b", Datatype: scoring.FP16, Shape: []int64{0}})
}

func TestDecodeInferTimeout(t *testing.T) {
	t.Parallel()
	const wrong = "parameter timeout: want a whole number of microseconds, 0 or more"
	tests := []struct {
		name, parameters string
		want             time.Duration
		err              string
	}{
		{"none", `{}`, 0, ""},
		{"no parameters", `null`, 0, ""},
		{"null", `{"timeout": null}`, 0, ""},
		{"0 means none", `{"timeout": 0}`, 0, ""},
		{"one", `{"timeout": 1}`, time.Microsecond, ""},
		{"a second", `{"timeout": 1000000}`, time.Second, ""},
		{"a day at most", `{"timeout": 9223372036854775807}`, 24 * time.Hour, ""},
		{"negative", `{"timeout": -1}`, 0, wrong},
		{"fraction", `{"timeout": 1.5}`, 0, wrong},
		{"string", `{"timeout": "1000"}`, 0, wrong},
		{"the largest", `{"timeout": 18446744073709551615}`, 24 * time.Hour, ""},
		{"overflow", `{"timeout": 18446744073709551616}`, 0, wrong},
		{"object", `{"timeout": {}}`, 0, wrong},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			body := `{"parameters": ` + test.parameters + `, "inputs": [{"name": "x", "shape": [1], "datatype": "INT8", "data": [1]}]}`
			_, opts, err := wire.DecodeInfer([]byte(body))
			if test.err != "" {
				refused(t, err, scoring.Invalid, test.err)
				return
			}
			if err != nil || opts.Timeout != test.want {
				t.Errorf("got %s, %v, want %s", opts.Timeout, err, test.want)
			}
		})
	}
}

func TestDecodeInferRefuses(t *testing.T) {
	t.Parallel()
	const datatypes = ": want one of BOOL, UINT8, UINT16, UINT32, UINT64, INT8, INT16, INT32, INT64, FP16, BF16, FP32, FP64, BYTES"
	one := func(fields string) string { return `{"inputs": [{` + fields + `}]}` }
	deep := strings.Repeat("[", 100_000)
	tests := []struct {
		name, body, want string
	}{
		{"empty", "", `the body is empty: send {"inputs": [...]}`},
		{"not JSON", "inputs", "the body is not valid JSON: invalid character 'i' looking for beginning of value at offset 1"},
		{"cut off", `{"inputs": [`, "the body is not valid JSON: it ends before the value does"},
		{"more after the value", `{} {}`, "the body is not valid JSON: invalid character '{' after top-level value at offset 4"},
		{"array", `[]`, "the body is a JSON array: want an object"},
		{"invalid UTF-8", "{\"\xff\": 1}", "the body is not valid UTF-8 (byte 0xff at offset 2)"},
		{"no inputs", `{}`, `"inputs" is missing or empty: want {"inputs": [{"name", "shape", "datatype", "data"}]}`},
		{"null", `null`, `"inputs" is missing or empty: want {"inputs": [{"name", "shape", "datatype", "data"}]}`},
		{"empty inputs", `{"inputs": []}`, `"inputs" is missing or empty: want {"inputs": [{"name", "shape", "datatype", "data"}]}`},
		{"inputs is an object", `{"inputs": {}}`, `the body: "inputs" is a JSON object: want an array`},
		{"input is a number", `{"inputs": [1]}`, `the body: "inputs" is a JSON number: want an object`},
		{"inputs twice", `{"inputs": [{"name": "a", "shape": [1], "datatype": "INT8", "data": [1]}], "inputs": [{"name": "b"}]}`, `the body has the key "inputs" twice in one object: want it once`},
		{"id is a number", `{"id": 1, "inputs": []}`, `the body: "id" is a JSON number: want a string`},
		{"null input", `{"inputs": [null]}`, `an input has no "name"`},
		{"no name", one(`"shape": [1], "datatype": "INT8", "data": [1]`), `an input has no "name"`},
		{"no shape", one(`"name": "x", "datatype": "INT8", "data": [1]`), `input "x" has no "shape"`},
		{"null shape", one(`"name": "x", "shape": null, "datatype": "INT8", "data": [1]`), `input "x" has no "shape"`},
		{"no datatype", one(`"name": "x", "shape": [1], "data": [1]`), `input "x": datatype ""` + datatypes},
		{"unknown datatype", one(`"name": "x", "shape": [1], "datatype": "float32", "data": [1]`), `input "x": datatype "float32"` + datatypes},
		{"no data", one(`"name": "x", "shape": [1], "datatype": "INT8"`), `input "x" has no "data"`},
		{"null data", one(`"name": "x", "shape": [1], "datatype": "INT8", "data": null`), `input "x": "data": want an array`},
		{"data is a number", one(`"name": "x", "shape": [1], "datatype": "INT8", "data": 1`), `input "x": "data": want an array`},
		{"data is an object", one(`"name": "x", "shape": [1], "datatype": "INT8", "data": {}`), `input "x": "data": want an array`},
		{"shape is a number", one(`"name": "x", "shape": 1, "datatype": "INT8", "data": [1]`), `the body: "inputs.shape" is a JSON number: want an array`},
		{"fraction in the shape", one(`"name": "x", "shape": [1.5], "datatype": "INT8", "data": [1]`), `the body: "inputs.shape" is a JSON number 1.5: want a whole number`},
		{"shape overflows int64", one(`"name": "x", "shape": [9223372036854775808], "datatype": "INT8", "data": [1]`), `the body: "inputs.shape" is a JSON number 9223372036854775808: want a whole number`},
		{"string in the shape", one(`"name": "x", "shape": [1, "2,3"], "datatype": "INT8", "data": [1]`), `the body: "inputs.shape" is a JSON string: want a whole number`},
		{"null in the shape", one(`"name": "x", "shape": [null], "datatype": "INT8", "data": []`), `the body: "inputs.shape" is a JSON null: want a whole number`},
		{"literal in the shape", one(`"name": "x", "shape": [true], "datatype": "INT8", "data": [1]`), `the body: "inputs.shape" is a JSON bool: want a whole number`},
		{"nested shape", one(`"name": "x", "shape": [[1, 2]], "datatype": "INT8", "data": [1]`), `the body: "inputs.shape" is a JSON array: want a whole number`},
		{"object in the shape", one(`"name": "x", "shape": [{"a": 1}], "datatype": "INT8", "data": [1]`), `the body: "inputs.shape" is a JSON object: want a whole number`},
		{"shape is a string", one(`"name": "x", "shape": "[1]", "datatype": "INT8", "data": [1]`), `the body: "inputs.shape" is a JSON string: want an array`},
		{"long number in the shape", one(`"name": "x", "shape": [` + strings.Repeat("9", 1000) + `], "datatype": "INT8", "data": [1]`), `the body: "inputs.shape" is a JSON number ` + strings.Repeat("9", 73) + `...: want a whole number`},
		{"negative dimension", one(`"name": "x", "shape": [-1, 2], "datatype": "INT8", "data": [1, 2]`), `input "x": shape [-1,2]: want dimensions of 0 or more, and a product that fits 64 bits`},
		{"two negative dimensions", one(`"name": "x", "shape": [-2, -1], "datatype": "INT8", "data": [1, 2]`), `input "x": shape [-2,-1]: want dimensions of 0 or more, and a product that fits 64 bits`},
		{"product overflows", one(`"name": "x", "shape": [4294967296, 4294967296], "datatype": "INT8", "data": []`), `input "x": shape [4294967296,4294967296]: want dimensions of 0 or more, and a product that fits 64 bits`},
		{"too many dimensions", one(`"name": "x", "shape": [1` + strings.Repeat(",1", 32) + `], "datatype": "INT8", "data": [1]`), `input "x": shape has 33 dimensions: at most 32 are allowed`},
		{"too few", one(`"name": "x", "shape": [2, 2], "datatype": "INT8", "data": [1, 2, 3]`), `input "x" has 3 values, its shape [2,2] wants 4`},
		{"too many", one(`"name": "x", "shape": [1], "datatype": "BYTES", "data": ["a", "b"]`), `input "x" has 2 values, its shape [1] wants 1`},
		{"too many numbers", one(`"name": "x", "shape": [2], "datatype": "FP64", "data": [1, 2, 3, 4, 5]`), `input "x" has 5 values, its shape [2] wants 2`},
		{"too many for an empty shape", one(`"name": "x", "shape": [0], "datatype": "BYTES", "data": ["a", "\n"]`), `input "x" has 2 values, its shape [0] wants 0`},
		{"huge shape without data", one(`"name": "x", "shape": [1000000000000], "datatype": "FP64", "data": []`), `input "x" has 0 values, its shape [1000000000000] wants 1000000000000`},
		{"scalar without a value", one(`"name": "x", "shape": [], "datatype": "INT8", "data": []`), `input "x" has 0 values, its shape [] wants 1`},
		{"second input", `{"inputs": [{"name": "a", "shape": [1], "datatype": "INT8", "data": [1]}, {"name": "b", "shape": [1], "datatype": "INT8", "data": [300]}]}`, `input "b": "data": does not fit into INT8 at value 0`},
		{"long name", one(`"name": "` + strings.Repeat("n", 1000) + `", "datatype": "INT8", "data": [1]`), `input "` + strings.Repeat("n", 80) + `..." has no "shape"`},
		{"deep nesting", one(`"name": "x", "shape": [1], "datatype": "INT8", "data": ` + deep + strings.Repeat("]", 100_000)), `input "x": "data": nested too deeply at value 0`},
		{"deep nesting never closed", deep, "the body is not valid JSON: invalid character '[' exceeded max depth at offset 10001"},
		{"nested more than any tensor", one(`"name": "x", "shape": [1], "datatype": "INT8", "data": ` + deep[:33] + "1" + strings.Repeat("]", 33)), `input "x": "data": nested too deeply at value 0`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, _, err := wire.DecodeInfer([]byte(test.body))
			refused(t, err, scoring.Invalid, test.want)
		})
	}
}

func TestDecodeInferRefusesValues(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, datatype, data, want string
	}{
		{"BOOL 2", "BOOL", "[2]", "want true or false at value 0"},
		{"BOOL null", "BOOL", "[null]", "want true or false at value 0"},
		{"BOOL string", "BOOL", `["true"]`, "want BOOL, got a string at value 0"},
		{"UINT8 256", "UINT8", "[0, 256]", "does not fit into UINT8 at value 1"},
		{"UINT8 -1", "UINT8", "[-1]", "want UINT8 at value 0"},
		{"UINT16 65536", "UINT16", "[65536]", "does not fit into UINT16 at value 0"},
		{"UINT32 4294967296", "UINT32", "[4294967296]", "does not fit into UINT32 at value 0"},
		{"UINT64 18446744073709551616", "UINT64", "[18446744073709551616]", "does not fit into UINT64 at value 0"},
		{"INT8 128", "INT8", "[128]", "does not fit into INT8 at value 0"},
		{"INT8 -129", "INT8", "[-129]", "does not fit into INT8 at value 0"},
		{"INT16 32768", "INT16", "[32768]", "does not fit into INT16 at value 0"},
		{"INT16 -32769", "INT16", "[-32769]", "does not fit into INT16 at value 0"},
		{"INT32 2147483648", "INT32", "[2147483648]", "does not fit into INT32 at value 0"},
		{"INT32 -2147483649", "INT32", "[-2147483649]", "does not fit into INT32 at value 0"},
		{"INT64 9223372036854775808", "INT64", "[9223372036854775808]", "does not fit into INT64 at value 0"},
		{"INT64 -9223372036854775809", "INT64", "[-9223372036854775809]", "does not fit into INT64 at value 0"},
		{"INT64 1.0", "INT64", "[1.0]", "want INT64 at value 0"},
		{"INT64 1e3", "INT64", "[1e3]", "want INT64 at value 0"},
		{"INT64 true", "INT64", "[1, true]", "want INT64 at value 1"},
		{"FP32 1e39", "FP32", "[1e39]", "does not fit into FP32 at value 0"},
		{"FP32 -1e39", "FP32", "[[0], [-1e39]]", "does not fit into FP32 at value 1"},
		{"FP32 null", "FP32", "[null]", "want FP32 at value 0"},
		{"FP32 false", "FP32", "[false]", "want FP32 at value 0"},
		{"FP32 NaN as a string", "FP32", `["NaN"]`, "want FP32, got a string at value 0"},
		{"FP32 object", "FP32", `[1, {"a": 1}]`, "want numbers, got an object at value 1"},
		{"FP64 1e309", "FP64", "[1e309]", "does not fit into FP64 at value 0"},
		{"FP16", "FP16", "[1]", "FP16 has no JSON form: send binary data (binary_data_size and the header Inference-Header-Content-Length) at value 0"},
		{"BF16", "BF16", "[1]", "BF16 has no JSON form: send binary data (binary_data_size and the header Inference-Header-Content-Length) at value 0"},
		{"BYTES number", "BYTES", `["a", 5]`, "want strings, got 5 at value 1"},
		{"BYTES long number", "BYTES", "[" + strings.Repeat("5", 1000) + "]", "want strings, got " + strings.Repeat("5", 80) + "... at value 0"},
		{"BYTES null", "BYTES", "[null]", "want strings, got null at value 0"},
		{"BYTES lone surrogate", "BYTES", `["a", "\udc00"]`, `the text has half of a surrogate pair (\uD800 to \uDFFF without its partner): it is not valid Unicode at value 1`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, _, err := wire.DecodeInfer(input(test.datatype, "[1]", test.data))
			refused(t, err, scoring.Invalid, `input "x": "data": `+test.want)
		})
	}
}

// TestDecodeInferAllocatesLittle is not parallel: it measures the memory of the whole
// process. A body of mebibytes must not become gibibytes on the way to its refusal, nor to
// an answer.
func TestDecodeInferAllocatesLittle(t *testing.T) {
	const size = 4 << 20
	list := func(item string) string {
		return "[" + strings.Repeat(item+",", size/(len(item)+1)-1) + item + "]"
	}
	count := func(item string) string { return fmt.Sprintf("[%d]", size/(len(item)+1)) }
	tests := []struct {
		name string
		body []byte
		want string // nothing where it is accepted
	}{
		{"shape", input("INT8", list("1"), "[1]"), `input "x": shape has 2097152 dimensions: at most 32 are allowed`},
		{"empty strings", input("BYTES", count(`""`), list(`""`)), "the body has more than 1048576 strings: split the request"},
		{"many strings for a small shape", input("BYTES", "[1]", list(`"1234567"`)), `input "x" has 419430 values, its shape [1] wants 1`},
		{"many escapes for a small shape", input("BYTES", "[1]", list(`"\n\n\n1"`)), `input "x" has 419430 values, its shape [1] wants 1`},
		{"many strings", input("BYTES", count(`"1234567"`), list(`"1234567"`)), ""},
		{"many escapes", input("BYTES", count(`"\n\n\n1"`), list(`"\n\n\n1"`)), ""},
		{"numbers for a small shape", input("FP64", "[1]", list("0")), `input "x" has 2097152 values, its shape [1] wants 1`},
		{"numbers", input("FP64", count("0"), list("0")), ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, _, err := wire.DecodeInfer(test.body)
			runtime.ReadMemStats(&after)
			if got := after.TotalAlloc - before.TotalAlloc; got > 6*size {
				t.Errorf("%d bytes were allocated for a body of %d: want at most 6 times as many", got, len(test.body))
			} else {
				t.Logf("%.2f times the body", float64(got)/size)
			}
			if test.want == "" && err != nil || test.want != "" && scoring.AsError(err).Message != test.want {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// response makes an answer of outputs.
func response(outputs ...scoring.Tensor) *scoring.InferResponse {
	return &scoring.InferResponse{Model: scoring.ModelID{Name: "m", Version: 3, Digest: "sha256:00"}, ID: "q-1", Outputs: outputs}
}

// randomTensor makes a tensor of random bits. Floats are finite: JSON has no other.
func randomTensor(r *rand.Rand, d scoring.Datatype) scoring.Tensor {
	t := scoring.Tensor{Name: "t", Datatype: d, Shape: []int64{r.Int64N(4), 1 + r.Int64N(5)}}
	for range t.Shape[0] * t.Shape[1] {
		bits := r.Uint64()
		switch d {
		case scoring.Bool:
			t.Data = append(t.Data, byte(bits&1))
		case scoring.FP32:
			for f := math.Float32frombits(uint32(bits)); f != f || math.IsInf(float64(f), 0); f = math.Float32frombits(uint32(bits)) {
				bits = r.Uint64()
			}
			t.Data = le.LittleEndian.AppendUint32(t.Data, uint32(bits))
		case scoring.FP64:
			for f := math.Float64frombits(bits); math.IsNaN(f) || math.IsInf(f, 0); f = math.Float64frombits(bits) {
				bits = r.Uint64()
			}
			t.Data = le.LittleEndian.AppendUint64(t.Data, bits)
		case scoring.Bytes:
			t.Strings = append(t.Strings, randomText(r))
		default:
			t.Data = append(t.Data, le.LittleEndian.AppendUint64(nil, bits)[:d.Size()]...)
		}
	}
	return t
}

// randomText makes text of characters that JSON escapes, and of any others.
func randomText(r *rand.Rand) []byte {
	special := []rune("\x00\"\\/\b\f\n\r\t<>&\u2028\u2029\ufeff\U0001f600é")
	var text []byte
	for range r.IntN(8) {
		c := special[r.IntN(len(special))]
		if r.IntN(2) == 0 {
			c = rune(r.IntN(utf8.MaxRune))
		}
		text = utf8.AppendRune(text, c) // a surrogate becomes U+FFFD
	}
	return text
}

// roundTrip writes t as an output and reads it back as an input.
func roundTrip(t *testing.T, tensor scoring.Tensor) scoring.Tensor {
	t.Helper()
	encoded, err := wire.EncodeInfer(response(tensor))
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Outputs []json.RawMessage `json:"outputs"`
	}
	if err := json.Unmarshal(encoded, &answer); err != nil || len(answer.Outputs) != 1 {
		t.Fatalf("got %s, %v, want one output", encoded, err)
	}
	req, _, err := wire.DecodeInfer(slices.Concat([]byte(`{"inputs": [`), answer.Outputs[0], []byte(`]}`)))
	if err != nil {
		t.Fatalf("%s: %v", encoded, err)
	}
	return req.Inputs[0]
}

func TestInferRoundTrip(t *testing.T) {
	t.Parallel()
	for d := scoring.Bool; d <= scoring.Bytes; d++ {
		if d == scoring.FP16 || d == scoring.BF16 {
			continue // JSON has no form for them
		}
		t.Run(d.String(), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(1, uint64(d)))
			for range 200 {
				want := randomTensor(r, d)
				sameTensor(t, roundTrip(t, want), want)
			}
		})
	}
}

func TestEncodeInfer(t *testing.T) {
	t.Parallel()
	got, err := wire.EncodeInfer(response(
		scoring.Tensor{Name: "scores", Datatype: scoring.FP32, Shape: []int64{1, 8}, Data: elements(t, []float32{0, float32(math.Copysign(0, -1)), .1, 1e6, 16777216, 1e-7, math.MaxFloat32, math.SmallestNonzeroFloat32})},
		scoring.Tensor{Name: "doubles", Datatype: scoring.FP64, Shape: []int64{3}, Data: elements(t, []float64{.1, 1e21, math.SmallestNonzeroFloat64})},
		scoring.Tensor{Name: "flags", Datatype: scoring.Bool, Shape: []int64{2}, Data: []byte{1, 0}},
		scoring.Tensor{Name: "index", Datatype: scoring.Int64, Shape: nil, Data: elements(t, int64(-1))},
		scoring.Tensor{Name: "bytes", Datatype: scoring.Uint8, Shape: []int64{2}, Data: []byte{0, 255}},
		scoring.Tensor{Name: "texts", Datatype: scoring.Bytes, Shape: []int64{1, 2}, Strings: [][]byte{[]byte(`a && "b"`), []byte("é<\n")}},
		scoring.Tensor{Name: "none", Datatype: scoring.FP32, Shape: []int64{0, 2}},
		scoring.Tensor{Name: "no texts", Datatype: scoring.Bytes, Shape: []int64{0}},
	))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "infer.json", got)
}

func TestEncodeInferWithoutOutputs(t *testing.T) {
	t.Parallel()
	got, err := wire.EncodeInfer(&scoring.InferResponse{Model: scoring.ModelID{Name: "m", Version: 1}})
	if want := `{"model_name":"m","model_version":"1","id":"","parameters":{"digest":""},"outputs":[]}`; err != nil || string(got) != want {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
}

func TestEncodeInferRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		output scoring.Tensor
		want   string
	}{
		{"NaN", scoring.Tensor{Name: "y", Datatype: scoring.FP32, Shape: []int64{2}, Data: elements(t, []float32{1, float32(math.NaN())})}, `output "y": value 1 is not a number (NaN), which has no JSON form: ask for binary data, with the output parameter "binary_data": true or the request parameter "binary_data_output": true`},
		{"infinity", scoring.Tensor{Name: "y", Datatype: scoring.FP32, Shape: []int64{1}, Data: elements(t, float32(math.Inf(1)))}, `output "y": value 0 is infinite, which has no JSON form: ask for binary data, with the output parameter "binary_data": true or the request parameter "binary_data_output": true`},
		{"FP64 infinity", scoring.Tensor{Name: "y", Datatype: scoring.FP64, Shape: []int64{1}, Data: elements(t, math.Inf(-1))}, `output "y": value 0 is infinite, which has no JSON form: ask for binary data, with the output parameter "binary_data": true or the request parameter "binary_data_output": true`},
		{"FP16", scoring.Tensor{Name: "y", Datatype: scoring.FP16, Shape: []int64{1}, Data: []byte{0, 0}}, `output "y" is FP16, which has no JSON form: ask for binary data, with the output parameter "binary_data": true or the request parameter "binary_data_output": true`},
		{"BF16", scoring.Tensor{Name: "y", Datatype: scoring.BF16, Shape: []int64{1}, Data: []byte{0, 0}}, `output "y" is BF16, which has no JSON form: ask for binary data, with the output parameter "binary_data": true or the request parameter "binary_data_output": true`},
		{"bytes that are no text", scoring.Tensor{Name: "y", Datatype: scoring.Bytes, Shape: []int64{1}, Strings: [][]byte{{0xff}}}, `output "y": value 0 holds bytes that are no text, which have no JSON form: ask for binary data, with the output parameter "binary_data": true or the request parameter "binary_data_output": true`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := wire.EncodeInfer(response(test.output))
			refused(t, err, scoring.Unimplemented, test.want)
		})
	}
}

func TestSpecsOf(t *testing.T) {
	t.Parallel()
	got, err := wire.Marshal(wire.SpecsOf([]scoring.TensorSpec{
		{Name: "x", Datatype: scoring.FP32, Shape: []int64{-1, 3}}, {Name: "s", Datatype: scoring.Bytes},
	}))
	if want := `[{"name":"x","datatype":"FP32","shape":[-1,3]},{"name":"s","datatype":"BYTES","shape":[]}]`; err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
	if got, err := wire.Marshal(wire.SpecsOf(nil)); err != nil || string(got) != "[]" {
		t.Errorf("none: got %s, %v, want []", got, err)
	}
}

func FuzzDecodeInfer(f *testing.F) {
	for d := scoring.Bool; d <= scoring.Bytes; d++ {
		f.Add(input(d.String(), "[2]", "[0, 1]"))
		f.Add(input(d.String(), "[1, 2]", `[["a", "\ud83d\ude00"]]`))
		f.Add(input(d.String(), "[0]", "[]"))
	}
	f.Add([]byte(`{"id": "a", "parameters": {"timeout": 5}, "inputs": [{"name": "x", "shape": [], "datatype": "FP32", "data": [1e38]}], "outputs": [{"name": "y"}]}`))
	f.Add([]byte(`{"inputs": [{"name": "x", "shape": [4294967296, 4294967296], "datatype": "INT8", "data": []}]}`))
	f.Add([]byte(`[[[[[`))
	f.Add([]byte(`{"a": 1, "A": 2}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		before := bytes.Clone(body)
		req, opts, err := wire.DecodeInfer(body)
		if !bytes.Equal(body, before) {
			t.Fatal("the body was changed")
		}
		if err != nil {
			if code := scoring.CodeOf(err); code != scoring.Invalid && code != scoring.Unimplemented && code != scoring.TooLarge {
				t.Fatalf("got %v, want a code that blames the request", err)
			}
			if message := scoring.AsError(err).Message; len(message) > 1500 || !utf8.ValidString(message) {
				t.Fatalf("got a message of %d bytes, %q, want short, valid UTF-8", len(message), message)
			}
			return
		}
		if opts.Timeout < 0 || opts.Timeout > 24*time.Hour {
			t.Fatalf("got the timeout %s, want 0 to 24h", opts.Timeout)
		}
		for _, tensor := range req.Inputs {
			n, ok := scoring.Elements(tensor.Shape)
			got := int64(len(tensor.Strings))
			if size := tensor.Datatype.Size(); size > 0 {
				got = int64(len(tensor.Data) / size)
			}
			if !ok || got != n {
				t.Fatalf("%s %v: got %d elements, want %d", tensor.Datatype, tensor.Shape, got, n)
			}
			if again := roundTrip(t, tensor); !bytes.Equal(again.Data, tensor.Data) || !slices.EqualFunc(again.Strings, tensor.Strings, bytes.Equal) {
				t.Fatalf("got %v, want %v back", again, tensor)
			}
		}
	})
}
