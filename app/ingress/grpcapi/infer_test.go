package grpcapi

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/onda-serving/onda/app/ingress/inferencepb"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/wire"
)

type (
	input    = inferencepb.ModelInferRequest_InferInputTensor
	output   = inferencepb.ModelInferRequest_InferRequestedOutputTensor
	contents = inferencepb.InferTensorContents
	params   = map[string]*inferencepb.InferParameter
)

// forms are tensors of two elements in both forms of every datatype.
var forms = []struct {
	datatype string
	raw      []byte
	// typed is nil where there is no such form.
	typed *contents
	// json is "" where there is no such form.
	json string
}{
	{"BOOL", []byte{1, 0}, &contents{BoolContents: []bool{true, false}}, "[true,false]"},
	{"UINT8", []byte{0, 255}, &contents{UintContents: []uint32{0, 255}}, "[0,255]"},
	{"UINT16", []byte{1, 2, 0xff, 0xff}, &contents{UintContents: []uint32{0x0201, 65535}}, "[513,65535]"},
	{"UINT32", []byte{1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}, &contents{UintContents: []uint32{1, math.MaxUint32}}, "[1,4294967295]"},
	{"UINT64", []byte{1, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255}, &contents{Uint64Contents: []uint64{1, math.MaxUint64}}, "[1,18446744073709551615]"},
	{"INT8", []byte{0x80, 127}, &contents{IntContents: []int32{-128, 127}}, "[-128,127]"},
	{"INT16", []byte{0, 0x80, 0xff, 0x7f}, &contents{IntContents: []int32{-32768, 32767}}, "[-32768,32767]"},
	{"INT32", []byte{0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}, &contents{IntContents: []int32{-2, math.MaxInt32}}, "[-2,2147483647]"},
	{"INT64", []byte{0xfe, 255, 255, 255, 255, 255, 255, 255, 1, 0, 0, 0, 0, 0, 0, 0}, &contents{Int64Contents: []int64{-2, 1}}, "[-2,1]"},
	{"FP16", []byte{0, 0x3c, 0, 0xbc}, nil, ""},
	{"BF16", []byte{0x80, 0x3f, 0x80, 0xbf}, nil, ""},
	{"FP32", []byte{0, 0, 0xc0, 0x3f, 0, 0, 0, 0x80}, &contents{Fp32Contents: []float32{1.5, float32(math.Copysign(0, -1))}}, "[1.5,-0.0]"},
	{"FP64", []byte{0, 0, 0, 0, 0, 0, 0xf8, 0x3f, 0, 0, 0, 0, 0, 0, 0, 0xc0}, &contents{Fp64Contents: []float64{1.5, -2}}, "[1.5,-2]"},
	{"BYTES", []byte("\x02\x00\x00\x00h\xc3\x00\x00\x00\x00"), &contents{BytesContents: [][]byte{[]byte("h\xc3"), {}}}, ""},
	{"BYTES", []byte("\x02\x00\x00\x00\xc3\xa9\x01\x00\x00\x00b"), &contents{BytesContents: [][]byte{[]byte("é"), []byte("b")}}, `["é","b"]`},
}

func TestInferRaw(t *testing.T) {
	t.Parallel()
	f := open(t, echo)
	for _, form := range forms {
		t.Run(form.datatype, func(t *testing.T) {
			resp, err := f.client.ModelInfer(t.Context(), request(&input{Name: "x", Datatype: form.datatype, Shape: []int64{2}}, form.raw))
			if err != nil {
				t.Fatal(err)
			}
			if got := resp.GetRawOutputContents(); len(got) != 1 || !bytes.Equal(got[0], form.raw) {
				t.Errorf("raw contents: got %x, want %x", got, form.raw)
			}
			if c := resp.GetOutputs()[0].GetContents(); c != nil {
				t.Errorf("typed contents beside raw ones: %v", c)
			}
			if got := resp.GetOutputs()[0]; got.GetName() != "x" || got.GetDatatype() != form.datatype || len(got.GetShape()) != 1 || got.GetShape()[0] != 2 {
				t.Errorf("got output %v", got)
			}
		})
	}
}

func TestInferTyped(t *testing.T) {
	t.Parallel()
	f := open(t, echo)
	for _, form := range forms {
		if form.typed == nil {
			continue
		}
		t.Run(form.datatype, func(t *testing.T) {
			resp, err := f.client.ModelInfer(t.Context(), request(&input{Name: "x", Datatype: form.datatype, Shape: []int64{2}, Contents: form.typed}))
			if err != nil {
				t.Fatal(err)
			}
			if len(resp.GetRawOutputContents()) != 0 {
				t.Errorf("raw contents: got %x, want none", resp.GetRawOutputContents())
			}
			if got := resp.GetOutputs()[0].GetContents(); !proto.Equal(got, form.typed) {
				t.Errorf("got %v, want %v", got, form.typed)
			}
		})
	}
}

// TestFormsAgree holds the three forms of a tensor against each other: raw, typed, JSON.
func TestFormsAgree(t *testing.T) {
	t.Parallel()
	for _, form := range forms {
		t.Run(form.datatype, func(t *testing.T) {
			t.Parallel()
			fromRaw, _, err := decodeInfer(request(&input{Name: "x", Datatype: form.datatype, Shape: []int64{2}}, form.raw), false)
			if err != nil {
				t.Fatal(err)
			}
			if form.typed != nil {
				typed, _, err := decodeInfer(request(&input{Name: "x", Datatype: form.datatype, Shape: []int64{2}, Contents: form.typed}), false)
				if err != nil {
					t.Fatal(err)
				}
				sameTensor(t, &typed.Inputs[0], &fromRaw.Inputs[0])
			}
			if form.json != "" {
				body := fmt.Sprintf(`{"inputs":[{"name":"x","datatype":%q,"shape":[2],"data":%s}]}`, form.datatype, form.json)
				fromJSON, _, err := wire.DecodeInfer([]byte(body))
				if err != nil {
					t.Fatal(err)
				}
				sameTensor(t, &fromJSON.Inputs[0], &fromRaw.Inputs[0])
			}
		})
	}
}

func sameTensor(t *testing.T, got, want *scoring.Tensor) {
	t.Helper()
	if got.Name != want.Name || got.Datatype != want.Datatype || !bytes.Equal(got.Data, want.Data) ||
		!bytes.Equal(bytes.Join(got.Strings, []byte("|")), bytes.Join(want.Strings, []byte("|"))) || len(got.Strings) != len(want.Strings) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestInferAnswer(t *testing.T) {
	t.Parallel()
	var asked scoring.InferRequest
	f := open(t, func(ctx context.Context, req *scoring.InferRequest) (*scoring.InferResponse, error) {
		asked = *req
		resp, err := echo(ctx, req)
		resp.ID = "made"
		return resp, err
	})
	req := floats()
	req.ModelVersion, req.Id, req.Outputs = "7", "mine", []*output{{Name: "b"}, {Name: "a"}}
	resp, err := f.client.ModelInfer(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := asked.Model, (scoring.ModelRef{Name: "iris", Version: 7}); got != want {
		t.Errorf("asked for %v, want %v", got, want)
	}
	if asked.ID != "mine" || !slices.Equal(asked.Outputs, []scoring.Output{{Name: "b"}, {Name: "a"}}) {
		t.Errorf("asked with id %q and outputs %v", asked.ID, asked.Outputs)
	}
	if resp.GetModelName() != "iris" || resp.GetModelVersion() != "7" || resp.GetId() != "made" || resp.GetParameters()["digest"].GetStringParam() != "sha256:0123" {
		t.Errorf("got %v", resp)
	}
	if got, want := f.observer.heard(t), (answer{"grpc", "infer", 0}); got != want {
		t.Errorf("observer heard %v, want %v", got, want)
	}
}

// TestInferHalfPrecisionAnswersRaw: FP16 has no typed contents, so a typed request gets
// all of its answer raw.
func TestInferHalfPrecisionAnswersRaw(t *testing.T) {
	t.Parallel()
	f := open(t, func(context.Context, *scoring.InferRequest) (*scoring.InferResponse, error) {
		return &scoring.InferResponse{Outputs: []scoring.Tensor{
			{Name: "a", Datatype: scoring.Bytes, Shape: []int64{1}, Strings: [][]byte{[]byte("hi")}},
			{Name: "b", Datatype: scoring.FP16, Shape: []int64{1}, Data: []byte{0, 0x3c}},
		}}, nil
	})
	resp, err := f.client.ModelInfer(t.Context(), floats())
	if err != nil {
		t.Fatal(err)
	}
	raw := resp.GetRawOutputContents()
	if len(raw) != 2 || string(raw[0]) != "\x02\x00\x00\x00hi" || string(raw[1]) != "\x00\x3c" || resp.GetOutputs()[0].GetContents() != nil {
		t.Errorf("got %v", resp)
	}
}

func TestInferShapes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		in   *input
		raw  [][]byte
	}{
		{"scalar", &input{Name: "x", Datatype: "INT64", Contents: &contents{Int64Contents: []int64{3}}}, nil},
		{"empty, typed", &input{Name: "x", Datatype: "FP32", Shape: []int64{0, 4}}, nil},
		{"empty, raw", &input{Name: "x", Datatype: "FP32", Shape: []int64{0, 4}}, [][]byte{{}}},
		{"no strings, raw", &input{Name: "x", Datatype: "BYTES", Shape: []int64{0}}, [][]byte{{}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			req, _, err := decodeInfer(request(c.in, c.raw...), false)
			if err != nil {
				t.Fatal(err)
			}
			if req.Inputs[0].Shape == nil {
				t.Error("the shape is nil: want an empty one")
			}
		})
	}
}

func TestInferRefuses(t *testing.T) {
	t.Parallel()
	f := open(t, echo)
	for _, c := range []struct {
		name  string
		req   *inferencepb.ModelInferRequest
		code  codes.Code
		parts []string
	}{
		{"no model", &inferencepb.ModelInferRequest{}, codes.InvalidArgument, []string{"model name is empty"}},
		{"bad version", &inferencepb.ModelInferRequest{ModelName: "iris", ModelVersion: "1x"}, codes.InvalidArgument, []string{`"1x"`, "positive whole number"}},
		{"bad label", &inferencepb.ModelInferRequest{ModelName: "iris", ModelVersion: "a/b"}, codes.InvalidArgument, []string{`label "a/b"`}},
		{"long id", &inferencepb.ModelInferRequest{ModelName: "iris", Id: strings.Repeat("a", 257)}, codes.InvalidArgument, []string{"257", "256"}},
		{"no inputs", &inferencepb.ModelInferRequest{ModelName: "iris"}, codes.InvalidArgument, []string{`"inputs" is empty`}},
		{"no name", request(&input{Datatype: "FP32"}), codes.InvalidArgument, []string{"name"}},
		{"unknown datatype", request(&input{Name: "x", Datatype: "float"}), codes.InvalidArgument, []string{`"x"`, `"float"`, "FP32"}},
		{"negative dimension", request(&input{Name: "x", Datatype: "FP32", Shape: []int64{-1}}), codes.InvalidArgument, []string{`"x"`, "[-1]"}},
		{"shape overflow", request(&input{Name: "x", Datatype: "FP32", Shape: []int64{1 << 32, 1 << 32}}, []byte{}), codes.InvalidArgument, []string{`"x"`, "64 bits"}},
		{"byte count overflow", request(&input{Name: "x", Datatype: "FP64", Shape: []int64{1 << 61}}, []byte{}), codes.InvalidArgument, []string{`"x"`, "0 bytes", "2305843009213693952 values of 8 bytes"}},
		{"string count overflow", request(&input{Name: "x", Datatype: "BYTES", Shape: []int64{1 << 61}}, []byte{0, 0, 0, 0}), codes.InvalidArgument, []string{`"x" has 1 values`, "wants 2305843009213693952"}},
		{"too many dimensions", request(&input{Name: "x", Datatype: "FP32", Shape: make([]int64, 33)}), codes.InvalidArgument, []string{`"x"`, "33", "32"}},
		{"too few values", request(&input{Name: "x", Datatype: "FP32", Shape: []int64{2, 2}, Contents: &contents{Fp32Contents: []float32{1}}}), codes.InvalidArgument, []string{`"x" has 1 values`, "[2,2] wants 4"}},
		{"no values", request(&input{Name: "x", Datatype: "FP32", Shape: []int64{1}}), codes.InvalidArgument, []string{`"x" has 0 values`, "wants 1"}},
		{"other field", request(&input{Name: "x", Datatype: "FP32", Shape: []int64{1}, Contents: &contents{Fp64Contents: []float64{1}}}), codes.InvalidArgument, []string{`"x" of FP32`, "fp64_contents", "want them in fp32_contents"}},
		{"two fields", request(&input{Name: "x", Datatype: "FP32", Shape: []int64{1}, Contents: &contents{Fp32Contents: []float32{1}, BytesContents: [][]byte{{}}}}), codes.InvalidArgument, []string{"bytes_contents"}},
		{"typed FP16", request(&input{Name: "x", Datatype: "FP16", Shape: []int64{1}, Contents: &contents{Fp32Contents: []float32{1}}}), codes.InvalidArgument, []string{"FP16 has no typed contents", "raw_input_contents"}},
		{"INT8 too large", request(&input{Name: "x", Datatype: "INT8", Shape: []int64{1}, Contents: &contents{IntContents: []int32{128}}}), codes.InvalidArgument, []string{"value 0 is 128", "INT8 (-128 to 127)"}},
		{"INT16 too small", request(&input{Name: "x", Datatype: "INT16", Shape: []int64{2}, Contents: &contents{IntContents: []int32{0, -32769}}}), codes.InvalidArgument, []string{"value 1 is -32769"}},
		{"UINT8 too large", request(&input{Name: "x", Datatype: "UINT8", Shape: []int64{1}, Contents: &contents{UintContents: []uint32{256}}}), codes.InvalidArgument, []string{"UINT8 (0 to 255)"}},
		{"UINT16 too large", request(&input{Name: "x", Datatype: "UINT16", Shape: []int64{1}, Contents: &contents{UintContents: []uint32{65536}}}), codes.InvalidArgument, []string{"UINT16 (0 to 65535)"}},
		{"raw and typed", request(&input{Name: "x", Datatype: "FP32", Shape: []int64{1}, Contents: &contents{Fp32Contents: []float32{1}}}, make([]byte, 4)), codes.InvalidArgument, []string{`"x"`, "fp32_contents", "one of the two"}},
		{"raw for another input", request(&input{Name: "x", Datatype: "FP32", Shape: []int64{1}}, make([]byte, 4), make([]byte, 4)), codes.InvalidArgument, []string{"1 inputs", "2 entries"}},
		{"raw too short", request(&input{Name: "x", Datatype: "FP32", Shape: []int64{2}}, make([]byte, 7)), codes.InvalidArgument, []string{`"x" has 7 bytes`, "2 values of 4 bytes"}},
		{"raw too long", request(&input{Name: "x", Datatype: "FP16", Shape: []int64{2}}, make([]byte, 6)), codes.InvalidArgument, []string{"6 bytes", "2 values of 2 bytes"}},
		{"raw BOOL of 2", request(&input{Name: "x", Datatype: "BOOL", Shape: []int64{2}}, []byte{1, 2}), codes.InvalidArgument, []string{"value 1 of BOOL", "0 or 1"}},
		{"raw BYTES cut off", request(&input{Name: "x", Datatype: "BYTES", Shape: []int64{1}}, []byte{9, 0, 0, 0, 'a'}), codes.InvalidArgument, []string{"value 0 says that it is 9 bytes long, and 1 are left"}},
		{"raw BYTES without length", request(&input{Name: "x", Datatype: "BYTES", Shape: []int64{2}}, []byte{0, 0, 0, 0, 1, 0}), codes.InvalidArgument, []string{"2 bytes are left after value 1"}},
		{"raw BYTES too many", request(&input{Name: "x", Datatype: "BYTES", Shape: []int64{1}}, make([]byte, 8)), codes.InvalidArgument, []string{"more values than the 1"}},
		{"raw BYTES too few", request(&input{Name: "x", Datatype: "BYTES", Shape: []int64{2}}, make([]byte, 4)), codes.InvalidArgument, []string{`"x" has 1 values`, "wants 2"}},
		{"negative timeout", withParams(params{"timeout": {ParameterChoice: &inferencepb.InferParameter_Int64Param{Int64Param: -1}}}), codes.InvalidArgument, []string{"timeout", "microseconds", "-1"}},
		{"timeout as text", withParams(params{"timeout": {ParameterChoice: &inferencepb.InferParameter_StringParam{StringParam: "1"}}}), codes.InvalidArgument, []string{"timeout", "int64_param or uint64_param"}},
		{"classification as text", &inferencepb.ModelInferRequest{ModelName: "iris", Outputs: []*output{{Name: "y", Parameters: params{"classification": textParam("3")}}}}, codes.InvalidArgument, []string{"classification", "whole number"}},
		{"negative classification", &inferencepb.ModelInferRequest{ModelName: "iris", Outputs: []*output{{Name: "y", Parameters: params{"classification": intParam(-1)}}}}, codes.InvalidArgument, []string{"classification", "-1"}},
		{"negative priority", withParams(params{"priority": intParam(-1)}), codes.InvalidArgument, []string{"priority", "0 or more", "-1"}},
		{"priority as text", withParams(params{"priority": textParam("1")}), codes.InvalidArgument, []string{"priority", "whole number"}},
		{"lane as number", withParams(params{"lane": intParam(1)}), codes.InvalidArgument, []string{"lane", "interactive or bulk"}},
		{"unknown lane", withParams(params{"lane": textParam("slow")}), codes.InvalidArgument, []string{`lane "slow"`, "interactive or bulk"}},
		{"sequence by number", withParams(params{"sequence_id": intParam(7)}), codes.Unimplemented, []string{"sequences are not offered"}},
		{"sequence by name", withParams(params{"sequence_id": textParam("a")}), codes.Unimplemented, []string{"sequences are not offered"}},
		{"reserved name", withParams(params{"triton_final_response": markFinal()}), codes.InvalidArgument, []string{"triton_", "reserved"}},
		{"parameter of streams", withParams(params{"triton_enable_empty_final_response": markFinal()}), codes.InvalidArgument, []string{"ModelStreamInfer"}},
		{"output in shared memory", &inferencepb.ModelInferRequest{ModelName: "iris", Outputs: []*output{{Name: "y", Parameters: params{"shared_memory_region": {}}}}}, codes.Unimplemented, []string{`output "y"`, "shared memory"}},
		{"input in shared memory", request(&input{Name: "x", Parameters: params{"shared_memory_region": {}}}), codes.Unimplemented, []string{`input "x"`, "shared memory"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := f.client.ModelInfer(t.Context(), c.req)
			wantStatus(t, err, c.code, c.parts...)
		})
	}
}

func intParam(n int64) *inferencepb.InferParameter {
	return &inferencepb.InferParameter{ParameterChoice: &inferencepb.InferParameter_Int64Param{Int64Param: n}}
}

func uintParam(n uint64) *inferencepb.InferParameter {
	return &inferencepb.InferParameter{ParameterChoice: &inferencepb.InferParameter_Uint64Param{Uint64Param: n}}
}

func textParam(s string) *inferencepb.InferParameter {
	return &inferencepb.InferParameter{ParameterChoice: &inferencepb.InferParameter_StringParam{StringParam: s}}
}

func withParams(p params) *inferencepb.ModelInferRequest {
	req := floats()
	req.Parameters = p
	return req
}

func TestInferTimeoutParameter(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name      string
		parameter *inferencepb.InferParameter
		want      time.Duration
	}{
		{"none", nil, 0},
		{"unset", &inferencepb.InferParameter{}, 0},
		{"int64", &inferencepb.InferParameter{ParameterChoice: &inferencepb.InferParameter_Int64Param{Int64Param: 1500}}, 1500 * time.Microsecond},
		{"uint64", &inferencepb.InferParameter{ParameterChoice: &inferencepb.InferParameter_Uint64Param{Uint64Param: 2}}, 2 * time.Microsecond},
		{"for ever", &inferencepb.InferParameter{ParameterChoice: &inferencepb.InferParameter_Uint64Param{Uint64Param: math.MaxUint64}}, 24 * time.Hour},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, options, err := decodeInfer(withParams(params{"timeout": c.parameter}), false)
			if err != nil || options.timeout != c.want {
				t.Errorf("got %v, %v, want %v", options.timeout, err, c.want)
			}
		})
	}
}
