package httpapi_test

import (
	"encoding/binary"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/onda-serving/onda/app/artifact"
	"github.com/onda-serving/onda/app/onnx/onnxtest"
	"github.com/onda-serving/onda/app/registry"
	"github.com/onda-serving/onda/app/scoring"
)

// floats writes numbers as a tensor holds them.
func floats(values ...float32) string {
	var data []byte
	for _, v := range values {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(v))
	}
	return string(data)
}

// withHeader makes a binary request: the JSON, the data behind it and the header.
func withHeader(text, data string) (body, header string) {
	return text + data, "inference-header-content-length: " + strconv.Itoa(len(text))
}

func TestInferBinary(t *testing.T) {
	t.Parallel()
	const head = `{"model_name":"m","model_version":"2","id":"i","parameters":{"digest":"sha256:2"},"outputs":[`
	const one = `{"name":"a","shape":[2],"datatype":"FP32","parameters":{"binary_data_size":8}}`
	const two = `{"name":"b","shape":[2],"datatype":"BYTES","parameters":{"binary_data_size":11}}`
	const texts = "\x03\x00\x00\x00\xff\x00a\x00\x00\x00\x00"
	tests := []struct{ name, request, data, want, blobs string }{
		{"binary to JSON", `{"id":"i","inputs":[` + one + `]}`, floats(1, -2), head + `{"name":"a","datatype":"FP32","shape":[2],"data":[1,-2]}]}`, ""},
		{"all binary", `{"id":"i","inputs":[` + one + `,` + two + `],"parameters":{"binary_data_output":true}}`, floats(1, -2) + texts, head + `{"name":"a","datatype":"FP32","shape":[2],"parameters":{"binary_data_size":8}},{"name":"b","datatype":"BYTES","shape":[2],"parameters":{"binary_data_size":11}}]}`, floats(1, -2) + texts},
		{"one output of two", `{"id":"i","inputs":[` + two + `,` + one + `],"outputs":[{"name":"a","parameters":{"binary_data":false}},{"name":"b","parameters":{"binary_data":true}}]}`, texts + floats(1, -2), head + `{"name":"b","datatype":"BYTES","shape":[2],"parameters":{"binary_data_size":11}},{"name":"a","datatype":"FP32","shape":[2],"data":[1,-2]}]}`, texts},
		{"the output's word counts", `{"id":"i","inputs":[` + one + `],"outputs":[{"name":"a","parameters":{"binary_data":false}}],"parameters":{"binary_data_output":true}}`, floats(1, -2), head + `{"name":"a","datatype":"FP32","shape":[2],"data":[1,-2]}]}`, ""},
		{"JSON and binary inputs", `{"id":"i","inputs":[{"name":"j","shape":[1],"datatype":"INT8","data":[7]},` + one + `],"parameters":{"binary_data_output":true}}`, floats(1, -2), head + `{"name":"j","datatype":"INT8","shape":[1],"parameters":{"binary_data_size":1}},{"name":"a","datatype":"FP32","shape":[2],"parameters":{"binary_data_size":8}}]}`, "\x07" + floats(1, -2)},
		{"FP16", `{"id":"i","inputs":[{"name":"h","shape":[1,2],"datatype":"FP16","parameters":{"binary_data_size":4}}],"parameters":{"binary_data_output":true}}`, "\x00\x3c\x00\xbc", head + `{"name":"h","datatype":"FP16","shape":[1,2],"parameters":{"binary_data_size":4}}]}`, "\x00\x3c\x00\xbc"},
		{"nothing", `{"id":"i","inputs":[{"name":"z","shape":[0,4],"datatype":"FP32","parameters":{"binary_data_size":0}}],"parameters":{"binary_data_output":true}}`, "", head + `{"name":"z","datatype":"FP32","shape":[0,4],"parameters":{"binary_data_size":0}}]}`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := start(t)
			body, header := withHeader(tt.request, tt.data)
			got := r.call(t, "POST", "/v2/models/m/infer", body, header, "Content-Type: application/octet-stream")
			expect(t, got, 200, tt.want+tt.blobs)
			wantType, wantLength := "application/json", ""
			if strings.Contains(tt.want, "binary_data_size") {
				wantType, wantLength = "application/octet-stream", strconv.Itoa(len(tt.want))
			}
			if got.header.Get("Content-Type") != wantType || got.header.Get("Inference-Header-Content-Length") != wantLength {
				t.Errorf("got %q and the length %q, want %q and %q", got.header.Get("Content-Type"), got.header.Get("Inference-Header-Content-Length"), wantType, wantLength)
			}
		})
	}
}

func TestInferBinaryOutputOfJSONRequest(t *testing.T) {
	t.Parallel()
	got := start(t).call(t, "POST", "/v2/models/m/infer", `{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1.5]}],"parameters":{"binary_data_output":true}}`)
	if length := got.header.Get("Inference-Header-Content-Length"); length != strconv.Itoa(len(got.body)-4) || !strings.HasSuffix(got.body, floats(1.5)) {
		t.Errorf("got the length %q of %q", length, got.body)
	}
}

func TestInferBinaryRefuses(t *testing.T) {
	t.Parallel()
	input := func(shape, datatype, size string) string {
		return `{"inputs":[{"name":"a","shape":` + shape + `,"datatype":"` + datatype + `","parameters":{"binary_data_size":` + size + `}}]}`
	}
	const header = "header Inference-Header-Content-Length is "
	tests := []struct {
		name, length, text, data string
		status                   int
		want                     string
	}{
		{"no number", "x", "{}", "", 400, header + `"x": want the number of bytes of the JSON that the body begins with, at most the 2 bytes of the body`},
		{"negative", "-1", "{}", "", 400, header + `"-1": want the number of bytes of the JSON that the body begins with, at most the 2 bytes of the body`},
		{"larger than the body", "3", "{}", "", 400, header + `"3": want the number of bytes of the JSON that the body begins with, at most the 2 bytes of the body`},
		{"overflow", "99999999999999999999", "{}", "", 400, header + `"99999999999999999999": want the number of bytes of the JSON that the body begins with, at most the 2 bytes of the body`},
		{"too short", "", input("[2]", "FP32", "8"), floats(1), 400, `input "a": binary_data_size is 8, and 4 bytes are left in the body: want as many`},
		{"left over", "", input("[1]", "FP32", "4"), floats(1, 2), 400, "unexpected additional input data: 4 bytes follow the data of the last input"},
		{"shape", "", input("[3]", "FP32", "8"), floats(1, 2), 400, `input "a" has 8 bytes of binary data, its shape [3] of FP32 wants 3 values of 4 bytes`},
		{"half a value", "", input("[1]", "FP32", "3"), "abc", 400, `input "a" has 3 bytes of binary data, its shape [1] of FP32 wants 1 values of 4 bytes`},
		{"BOOL", "", input("[2]", "BOOL", "2"), "\x01\x02", 400, `input "a": value 1 of BOOL is the byte 2: want 0 or 1`},
		{"size", "", input("[1]", "INT8", `"1"`), "a", 400, "parameter binary_data_size of an input: want a whole number of bytes, 0 or more"},
		{"both", "", `{"inputs":[{"name":"a","shape":[1],"datatype":"INT8","data":[1],"parameters":{"binary_data_size":1}}]}`, "a", 400, `input "a" has both "data" and binary_data_size: want one of them`},
		{"strings cut off", "", input("[2]", "BYTES", "8"), "\x04\x00\x00\x00abcd", 400, `input "a": the binary data ends before value 1: its shape [2] wants 2`},
		{"string too long", "", input("[1]", "BYTES", "6"), "\x09\x00\x00\x00ab", 400, `input "a": value 0 says that it is 9 bytes long, and 2 are left`},
		{"strings left over", "", input("[1]", "BYTES", "7"), "\x01\x00\x00\x00abc", 400, `input "a": 2 bytes are left behind its 1 values: want no more than its shape [1]`},
		{"too few bytes for strings", "", input("[3]", "BYTES", "7"), "\x01\x00\x00\x00abc", 400, `input "a" has 7 bytes of binary data, its shape [3] of BYTES wants 3 values with a length of 4 bytes each`},
		{"JSON", "", `{"inputs":`, "", 400, "the JSON part of the body is not valid JSON: it ends before the value does"},
		{"shared memory", "", `{"inputs":[{"name":"a","shape":[1],"datatype":"INT8","parameters":{"shared_memory_region":"r"}}]}`, "", 501, "an input names a shared memory region: shared memory is not offered, tensors travel in the body"},
		{"shared memory for an output", "", `{"inputs":[],"outputs":[{"name":"y","parameters":{"shared_memory_region":"r"}}]}`, "", 501, "an output names a shared memory region: shared memory is not offered, tensors travel in the body"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			body, header := withHeader(tt.text, tt.data)
			if tt.length != "" {
				header = "Inference-Header-Content-Length: " + tt.length
			}
			expect(t, start(t).call(t, "POST", "/v2/models/m/infer", body, header), tt.status, failure(tt.want))
		})
	}
}

func TestInferNeedsBinary(t *testing.T) {
	t.Parallel()
	r := start(t)
	expect(t, r.call(t, "POST", "/v2/models/m/infer", `{"inputs":[{"name":"a","shape":[1],"datatype":"FP16","data":[1]}]}`), 400,
		failure(`input "a": "data": FP16 has no JSON form: send binary data (binary_data_size and the header Inference-Header-Content-Length) at value 0`))
	expect(t, r.call(t, "POST", "/v2/models/m/infer", `{"inputs":[{"name":"a","shape":[1],"datatype":"FP16","parameters":{"binary_data_size":2}}]}`), 400,
		failure(`input "a" has binary_data_size, and the request has no binary data: send it behind the JSON, and the length of the JSON in the header Inference-Header-Content-Length`))
	body, header := withHeader(`{"inputs":[{"name":"a","shape":[1],"datatype":"BF16","parameters":{"binary_data_size":2}}]}`, "ab")
	expect(t, r.call(t, "POST", "/v2/models/m/infer", body, header), 501,
		failure(`output "a" is BF16, which has no JSON form: ask for binary data, with the output parameter "binary_data": true or the request parameter "binary_data_output": true`))
}

// addRaw loads a model with the given inputs.
func addRaw(t *testing.T, r *rig, name string, inputs ...scoring.TensorSpec) {
	t.Helper()
	v := &registry.Version{ID: scoring.ModelID{Name: name, Version: 1}, Session: &onnxtest.Fake{Spec: scoring.Signature{Inputs: inputs}}}
	if err := r.models.Add(artifact.Ref{Name: name, Version: 1}, v); err != nil {
		t.Fatal(err)
	}
}

func TestInferRaw(t *testing.T) {
	t.Parallel()
	r := start(t, func(r *rig) {
		addRaw(t, r, "text", scoring.TensorSpec{Name: "s", Datatype: scoring.Bytes, Shape: []int64{1}})
		addRaw(t, r, "texts", scoring.TensorSpec{Name: "INPUT0", Datatype: scoring.Bytes, Shape: []int64{-1, 2}})
		addRaw(t, r, "open", scoring.TensorSpec{Name: "INPUT0", Datatype: scoring.FP16, Shape: []int64{-1, -1}})
		addRaw(t, r, "any", scoring.TensorSpec{Name: "INPUT0", Datatype: scoring.FP16})
		addRaw(t, r, "many", scoring.TensorSpec{Name: "a", Datatype: scoring.FP32, Shape: []int64{1}}, scoring.TensorSpec{Name: "b", Datatype: scoring.FP32, Shape: []int64{1}})
	})
	const head = `{"model_name":"m","model_version":"2","id":"","parameters":{"digest":"sha256:2"},"outputs":[`
	tests := []struct {
		name, model, body string
		status            int
		want              string
	}{
		{"rows", "m", floats(1, 2, 3, 4, 5, 6, 7, 8), 200, head + `{"name":"x","datatype":"FP32","shape":[2,4],"parameters":{"binary_data_size":32}}]}` + floats(1, 2, 3, 4, 5, 6, 7, 8)},
		{"no rows", "m", "", 200, head + `{"name":"x","datatype":"FP32","shape":[0,4],"parameters":{"binary_data_size":0}}]}`},
		{"half a row", "m", floats(1, 2, 3, 4, 5), 400, failure(`input "x" has 20 bytes of binary data, its shape [1,4] of FP32 wants 4 values of 4 bytes`)},
		{"text", "text", "427", 200, head + `{"name":"s","datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":7}}]}` + "\x03\x00\x00\x00427"},
		{"texts", "texts", "427", 400, failure(`for BYTES datatype raw input "INPUT0", the model must have input shape [1], and it has [-1,2]: send the JSON part`)},
		{"two open dimensions", "open", "1234", 400, failure(`the shape of the raw input "INPUT0" can not be deduced because there are more than one variable-sized dimension in [-1,-1]: send the JSON part that gives the shape`)},
		{"any shape", "any", "1234", 400, failure(`the shape of the raw input "INPUT0" can not be deduced because the model does not say it: send the JSON part that does`)},
		{"two inputs", "many", "1234", 400, failure("raw request must only have 1 input to be deduced, and the model has 2 inputs: send the JSON part that names them")},
		{"loading", "empty", "1234", 503, failure("model empty@1 is not ready: GET /v1/models/empty says why")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			expect(t, r.call(t, "POST", "/v2/models/"+tt.model+"/infer", tt.body, "Inference-Header-Content-Length: 0", "Content-Type: application/octet-stream"), tt.status, tt.want)
		})
	}
}
