package wire_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/wire"
)

// pack puts binary data behind JSON and gives the value of the header, too.
func pack(text string, data ...[]byte) (header string, body []byte) {
	return strconv.Itoa(len(text)), append([]byte(text), bytes.Join(data, nil)...)
}

func TestDecodeInferBinaryDoesNotCopy(t *testing.T) {
	t.Parallel()
	header, body := pack(`{"inputs":[{"parameters":{"binary_data_size":8},"name":"x","datatype":"FP32","shape":[2]},{"name":"s","datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":6}}]}`, elements(t, []float32{1, 2}), []byte("\x02\x00\x00\x00hi"))
	req, _, err := wire.DecodeInferBinary(header, body)
	if err != nil {
		t.Fatal(err)
	}
	sameTensor(t, req.Inputs[0], scoring.Tensor{Name: "x", Datatype: scoring.FP32, Shape: []int64{2}, Data: elements(t, []float32{1, 2})})
	sameTensor(t, req.Inputs[1], scoring.Tensor{Name: "s", Datatype: scoring.Bytes, Shape: []int64{1}, Strings: [][]byte{[]byte("hi")}})
	at := len(body) - 14
	if &req.Inputs[0].Data[0] != &body[at] || &req.Inputs[1].Strings[0][0] != &body[len(body)-2] {
		t.Error("the data was copied: want parts of the body")
	}
	if cap(req.Inputs[0].Data) != 8 || cap(req.Inputs[1].Strings[0]) != 2 {
		t.Error("an append to one tensor would write into the next")
	}
}

// TestAppendInferBinary is the contract of binary answers, byte by byte.
func TestAppendInferBinary(t *testing.T) {
	t.Parallel()
	resp := response(
		scoring.Tensor{Name: "half", Datatype: scoring.FP16, Shape: []int64{2}, Data: []byte{0, 0x3c, 0, 0xbc}},
		scoring.Tensor{Name: "plain", Datatype: scoring.Int8, Shape: []int64{1}, Data: []byte{7}},
		scoring.Tensor{Name: "texts", Datatype: scoring.Bytes, Shape: []int64{2}, Strings: [][]byte{{0xff}, {}}},
		scoring.Tensor{Name: "none", Datatype: scoring.FP32, Shape: []int64{0}},
	)
	answer, err := wire.AppendInfer([]byte("kept:"), resp, &wire.InferOptions{AllBinary: true, Binary: map[string]bool{"plain": false}})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "infer_binary.txt", []byte(strconv.Quote(string(answer.JSON)+string(bytes.Join(answer.Blobs, []byte("|"))))))
	if !answer.Binary || answer.Size() != len(answer.JSON)+4+9 || &answer.Blobs[0][0] != &resp.Outputs[0].Data[0] {
		t.Errorf("got %+v, want a binary answer that refers to the tensors", answer)
	}
}

func TestDecodeInferOptions(t *testing.T) {
	t.Parallel()
	req, opts, err := wire.DecodeInfer([]byte(`{"parameters": {"binary_data_output": true, "lane": "\u0062ulk", "priority": 9, "timeout": 7}, "inputs": [{"name": "x", "shape": [1], "datatype": "INT8", "data": [1]}],
		"outputs": [{"name": "a", "parameters": {"binary_data": false, "classification": 3}}, {"name": "b", "parameters": null}, {"name": "c", "parameters": {"binary_data": true, "classification": 99999999999}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if want := []scoring.Output{{Name: "a", Classes: 3}, {Name: "b"}, {Name: "c", Classes: 1<<31 - 1}}; !slices.Equal(req.Outputs, want) {
		t.Errorf("got %v, want %v", req.Outputs, want)
	}
	if req.Schedule != (scoring.Schedule{Lane: scoring.Bulk, Priority: 9}) || !opts.HasLane || !opts.AllBinary || opts.Binary["a"] || !opts.Binary["c"] || len(opts.Binary) != 2 {
		t.Errorf("got %+v and %+v", req.Schedule, opts)
	}
}

func TestDecodeInferRefusesParameters(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, parameters, outputs string
		code                      scoring.Code
		want                      string
	}{
		{"not an object", `[]`, ``, scoring.Invalid, `the body: "parameters" is a JSON array: want an object`},
		{"priority", `{"priority": -1}`, ``, scoring.Invalid, "parameter priority: want a whole number, 0 or more"},
		{"priority fraction", `{"priority": 1.0}`, ``, scoring.Invalid, "parameter priority: want a whole number, 0 or more"},
		{"lane", `{"lane": "fast"}`, ``, scoring.Invalid, `lane "fast": want interactive or bulk`},
		{"lane kind", `{"lane": 1}`, ``, scoring.Invalid, "parameter lane: want the string interactive or bulk"},
		{"binary_data_output", `{"binary_data_output": 1}`, ``, scoring.Invalid, "parameter binary_data_output: want true or false"},
		{"sequence kind", `{"sequence_id": true}`, ``, scoring.Invalid, `parameter sequence_id: want a whole number or a string, and here 0, "" or nothing, because sequences are not offered`},
		{"sequence_start", `{"sequence_start": 1}`, ``, scoring.Invalid, "parameter sequence_start: want true or false"},
		{"sequence", `{"sequence_id": "1"}`, ``, scoring.Unimplemented, "sequences are not offered: send each request without sequence_id"},
		{"triton_", `{"triton_": 1}`, ``, scoring.Invalid, `parameter "triton_": names that start with triton_ are reserved: choose another`},
		{"binary_data", `{}`, `{"binary_data": "yes"}`, scoring.Invalid, "parameter binary_data of an output: want true or false"},
		{"classification", `{}`, `{"classification": "3"}`, scoring.Invalid, "parameter classification of an output: want a whole number of classes, 0 or more"},
		{"output's parameters", `{}`, `1`, scoring.Invalid, `the body: "outputs.parameters" is a JSON number: want an object`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			outputs := ""
			if test.outputs != "" {
				outputs = `, "outputs": [{"name": "y", "parameters": ` + test.outputs + `}]`
			}
			_, _, err := wire.DecodeInfer([]byte(`{"parameters": ` + test.parameters + outputs + `, "inputs": [{"name": "x", "shape": [1], "datatype": "INT8", "data": [1]}]}`))
			refused(t, err, test.code, test.want)
		})
	}
}

func TestStatisticsOf(t *testing.T) {
	t.Parallel()
	got, err := wire.Marshal(wire.StatisticsOf(&scoring.Statistics{
		Model: scoring.ModelID{Name: "m", Version: 3}, LastInference: time.UnixMilli(1_767_225_600_123), Inferences: 12, Executions: 4,
		Success: scoring.Total{Count: 5, Time: 6}, Fail: scoring.Total{Count: 1, Time: 7}, Queue: scoring.Total{Count: 5, Time: 8}, Input: scoring.Total{Count: 5, Time: 9},
		Infer: scoring.Total{Count: 5, Time: 10}, Output: scoring.Total{Count: 5, Time: 11}, CacheHit: scoring.Total{Count: 2, Time: 12}, CacheMiss: scoring.Total{Count: 3, Time: 13},
		Batches: []scoring.BatchStatistics{{Rows: 3, Input: scoring.Total{Count: 4, Time: 1}, Infer: scoring.Total{Count: 4, Time: 2}, Output: scoring.Total{Count: 4, Time: 3}}}, Bytes: 331,
	}))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "statistics.json", got)
}

// FuzzDecodeInferBinary checks that every tensor has as many elements as its shape, and
// that what is written as binary data is read back as the same.
func FuzzDecodeInferBinary(f *testing.F) {
	for d := scoring.Bool; d <= scoring.Bytes; d++ {
		text := `{"inputs":[{"name":"x","datatype":"` + d.String() + `","shape":[2],"parameters":{"binary_data_size":8}}]}`
		header, body := pack(text, []byte("\x00\x00\x00\x00\x01\x00\x00\x00"))
		f.Add(header, body)
	}
	f.Add("2", []byte(`{}abc`))
	f.Add("0", []byte(`abcd`))
	f.Fuzz(func(t *testing.T, header string, body []byte) {
		before := bytes.Clone(body)
		req, opts, err := wire.DecodeInferBinary(header, body)
		if !bytes.Equal(body, before) {
			t.Fatal("the body was changed")
		}
		if err != nil {
			if code := scoring.CodeOf(err); code != scoring.Invalid && code != scoring.Unimplemented && code != scoring.TooLarge {
				t.Fatalf("got %v, want a code that blames the request", err)
			}
			return
		}
		opts.AllBinary, opts.Binary = true, nil
		answer, err := wire.AppendInfer(nil, response(req.Inputs...), &opts)
		if err != nil {
			t.Fatal(err)
		}
		var head struct{ Outputs json.RawMessage }
		if err := json.Unmarshal(answer.JSON, &head); err != nil {
			t.Fatal(err)
		}
		header, body = pack(`{"inputs":`+string(head.Outputs)+`}`, answer.Blobs...)
		again, _, err := wire.DecodeInferBinary(header, body)
		if err != nil {
			if strings.Contains(err.Error(), "no \"name\"") {
				return
			}
			t.Fatalf("%s: %v", body, err)
		}
		for i, want := range req.Inputs {
			sameTensor(t, again.Inputs[i], want)
		}
	})
}

// FuzzDecodeInferRaw checks that a shape is deduced that fits the body, or none.
func FuzzDecodeInferRaw(f *testing.F) {
	f.Add([]byte("12345678"), byte(scoring.FP32), int64(-1), int64(2))
	f.Add([]byte("text"), byte(scoring.Bytes), int64(-1), int64(1))
	f.Fuzz(func(t *testing.T, body []byte, datatype byte, a, b int64) {
		d := scoring.Bool + scoring.Datatype(datatype)%scoring.Bytes
		req, _, err := wire.DecodeInferRaw(body, scoring.Signature{Inputs: []scoring.TensorSpec{{Name: "x", Datatype: d, Shape: []int64{a, b}}}})
		if err != nil {
			return
		}
		n, ok := scoring.Elements(req.Inputs[0].Shape)
		if count := len(req.Inputs[0].Data) / max(d.Size(), 1); !ok || d != scoring.Bytes && int64(count) != n || d == scoring.Bytes && n != 1 {
			t.Fatalf("%s %v: got %v for %d bytes", d, []int64{a, b}, req.Inputs[0].Shape, len(body))
		}
	})
}

// FuzzRepository feeds the decoders of the repository calls.
func FuzzRepository(f *testing.F) {
	f.Add([]byte(`{"parameters":{"config":"{}","file:1/model.onnx":"AA=="}}`))
	f.Add([]byte(`{"ready":true}`))
	f.Add([]byte(`{"parameters":{"unload_dependents":null}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		req, err := wire.DecodeLoad("m", body)
		if err == nil && len(req.Files) > 0 && req.Config == "" {
			t.Fatal("files without a config passed")
		}
		_, indexErr := wire.DecodeIndex(body)
		for _, err := range []error{err, indexErr, wire.CheckUnload(body)} {
			if code := scoring.CodeOf(err); err != nil && code != scoring.Invalid && code != scoring.TooLarge {
				t.Fatalf("got %v, want a code that blames the request", err)
			}
		}
	})
}
