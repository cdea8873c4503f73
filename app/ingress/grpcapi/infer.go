package grpcapi

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/onda-serving/onda/app/ingress/inferencepb"
	"github.com/onda-serving/onda/app/scoring"
)

// ModelInfer runs a model on tensors: decode, budget, run, encode.
func (v service) ModelInfer(ctx context.Context, in *inferencepb.ModelInferRequest) (*inferencepb.ModelInferResponse, error) {
	req, timeout, err := decodeInfer(in)
	if err != nil {
		return nil, err
	}
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	decoded := time.Since(callOf(ctx).start)
	resp, err := v.s.parts.Scorer.Infer(ctx, &req)
	if err != nil {
		return nil, err
	}
	resp.Timing.Decode = decoded
	return encodeInfer(resp, len(in.GetRawInputContents()) > 0), nil
}

// decodeInfer reads a request. timeout is the budget of its parameters; 0 for none.
func decodeInfer(in *inferencepb.ModelInferRequest) (req scoring.InferRequest, timeout time.Duration, err error) {
	if req.Model, err = reference(in.GetModelName(), in.GetModelVersion()); err != nil {
		return req, 0, err
	}
	if req.ID, err = requestID(in.GetId()); err != nil {
		return req, 0, err
	}
	if timeout, err = decodeTimeout(in.GetParameters()["timeout"]); err != nil {
		return req, 0, err
	}
	for _, output := range in.GetOutputs() {
		if err := checkOutput(output); err != nil {
			return req, 0, err
		}
		req.Outputs = append(req.Outputs, scoring.Output{Name: output.GetName()})
	}
	req.Inputs, err = decodeInputs(in)
	return req, timeout, err
}

// requestID bounds the id, which the answer repeats.
func requestID(id string) (string, error) {
	const most = 256
	if len(id) > most {
		return "", scoring.Errorf(scoring.Invalid, "the request's id is %d bytes long: at most %d are allowed", len(id), most)
	}
	return id, nil
}

// decodeTimeout reads the protocol's timeout, in microseconds; 0 means none.
func decodeTimeout(parameter *inferencepb.InferParameter) (time.Duration, error) {
	const most = uint64(24 * time.Hour / time.Microsecond)
	micros := uint64(0)
	switch value := parameter.GetParameterChoice().(type) {
	case nil:
	case *inferencepb.InferParameter_Int64Param:
		if value.Int64Param < 0 {
			return 0, scoring.Errorf(scoring.Invalid, "parameter timeout is %d: want a whole number of microseconds, 0 or more", value.Int64Param)
		}
		micros = uint64(value.Int64Param)
	case *inferencepb.InferParameter_Uint64Param:
		micros = value.Uint64Param
	default:
		return 0, scoring.Errorf(scoring.Invalid, "parameter timeout: want a whole number of microseconds, as int64_param or uint64_param")
	}
	return time.Duration(min(micros, most)) * time.Microsecond, nil
}

// checkOutput refuses what would change the form of an output and is not offered: to
// pass it over would be a wrong answer.
func checkOutput(output *inferencepb.ModelInferRequest_InferRequestedOutputTensor) error {
	if _, ok := output.GetParameters()["classification"]; ok {
		return scoring.Errorf(scoring.Unimplemented, "output %q: classification is not offered: ask for the tensor, or use :predict over HTTP", clip(output.GetName()))
	}
	return checkSharedMemory("output", output.GetName(), output.GetParameters())
}

// checkSharedMemory refuses tensors that are not in the message.
func checkSharedMemory(kind, name string, parameters map[string]*inferencepb.InferParameter) error {
	for parameter := range parameters {
		if strings.HasPrefix(parameter, "shared_memory_") {
			return scoring.Errorf(scoring.Unimplemented, "%s %q: shared memory is not offered: tensors travel in the message", kind, clip(name))
		}
	}
	return nil
}

// encodeInfer makes the answer. It is raw where the request was, and typed otherwise;
// yet one output of FP16 or BF16 makes it raw in any case, because those have no typed
// contents and one message cannot mix the two forms.
func encodeInfer(resp *scoring.InferResponse, raw bool) *inferencepb.ModelInferResponse {
	raw = raw || slices.ContainsFunc(resp.Outputs, func(t scoring.Tensor) bool {
		return t.Datatype == scoring.FP16 || t.Datatype == scoring.BF16
	})
	out := &inferencepb.ModelInferResponse{
		ModelName:    resp.Model.Name,
		ModelVersion: strconv.FormatInt(resp.Model.Version, 10),
		Id:           resp.ID,
		Parameters: map[string]*inferencepb.InferParameter{
			"digest": {ParameterChoice: &inferencepb.InferParameter_StringParam{StringParam: resp.Model.Digest}},
		},
	}
	for i := range resp.Outputs {
		t := &resp.Outputs[i]
		tensor := &inferencepb.ModelInferResponse_InferOutputTensor{Name: t.Name, Datatype: t.Datatype.String(), Shape: t.Shape}
		if raw {
			out.RawOutputContents = append(out.RawOutputContents, encodeRaw(t))
		} else {
			tensor.Contents = encodeTyped(t)
		}
		out.Outputs = append(out.Outputs, tensor)
	}
	return out
}
