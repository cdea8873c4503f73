package conformance_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/onda-serving/onda/app/ingress/inferencepb"
)

// rpcClient speaks the Open Inference Protocol over gRPC.
type rpcClient struct {
	stub inferencepb.GRPCInferenceServiceClient
}

// raw sends the tensors as bytes.
func (c *rpcClient) raw(ctx context.Context, model string, inputs []tensor) ([]tensor, error) {
	request := &inferencepb.ModelInferRequest{ModelName: model}
	for _, in := range inputs {
		request.Inputs = append(request.Inputs, &inferencepb.ModelInferRequest_InferInputTensor{Name: in.name, Datatype: in.datatype, Shape: in.shape})
		request.RawInputContents = append(request.RawInputContents, in.data)
	}
	return c.infer(ctx, request)
}

// typed sends the tensors in the fields of their datatypes.
func (c *rpcClient) typed(ctx context.Context, model string, inputs []tensor) ([]tensor, error) {
	request := &inferencepb.ModelInferRequest{ModelName: model}
	for _, in := range inputs {
		contents, err := contentsOf(in)
		if err != nil {
			return nil, err
		}
		request.Inputs = append(request.Inputs, &inferencepb.ModelInferRequest_InferInputTensor{Name: in.name, Datatype: in.datatype, Shape: in.shape, Contents: contents})
	}
	return c.infer(ctx, request)
}

func (c *rpcClient) infer(ctx context.Context, request *inferencepb.ModelInferRequest) ([]tensor, error) {
	response, err := c.stub.ModelInfer(ctx, request, grpc.WaitForReady(true))
	if err != nil {
		failure := status.Convert(err)
		fault := failure.Code() == codes.Internal || failure.Code() == codes.Unknown
		return nil, &refusal{code: failure.Code().String(), fault: fault, text: failure.Message()}
	}
	isRaw := len(response.GetRawOutputContents()) > 0
	if isRaw && len(response.GetRawOutputContents()) != len(response.GetOutputs()) {
		return nil, fmt.Errorf("%d raw contents for %d outputs", len(response.GetRawOutputContents()), len(response.GetOutputs()))
	}
	outputs := make([]tensor, 0, len(response.GetOutputs()))
	for i, out := range response.GetOutputs() {
		t := tensor{name: out.GetName(), datatype: out.GetDatatype(), shape: slices.Concat([]int64{}, out.GetShape())}
		if isRaw {
			t.data = response.GetRawOutputContents()[i]
		} else {
			t.data = dataOf(t.datatype, out.GetContents())
		}
		outputs = append(outputs, t)
	}
	return outputs, nil
}

// contentsOf puts elements into the field of their datatype.
func contentsOf(t tensor) (*inferencepb.InferTensorContents, error) {
	c := &inferencepb.InferTensorContents{}
	switch t.datatype {
	case "BOOL":
		c.BoolContents = make([]bool, t.elements())
		return c, read(t, c.GetBoolContents())
	case "INT8":
		c.IntContents = widen[int8, int32](t)
	case "INT16":
		c.IntContents = widen[int16, int32](t)
	case "INT32":
		c.IntContents = widen[int32, int32](t)
	case "INT64":
		c.Int64Contents = widen[int64, int64](t)
	case "UINT8":
		c.UintContents = widen[uint8, uint32](t)
	case "UINT16":
		c.UintContents = widen[uint16, uint32](t)
	case "UINT32":
		c.UintContents = widen[uint32, uint32](t)
	case "UINT64":
		c.Uint64Contents = widen[uint64, uint64](t)
	case "FP32":
		c.Fp32Contents = make([]float32, t.elements())
		return c, read(t, c.GetFp32Contents())
	case "FP64":
		c.Fp64Contents = make([]float64, t.elements())
		return c, read(t, c.GetFp64Contents())
	case "BYTES":
		all, err := t.strings()
		c.BytesContents = all
		return c, err
	default:
		return nil, fmt.Errorf("%s has no typed contents", t.datatype)
	}
	return c, nil
}

// read reads the elements into values.
func read(t tensor, values any) error {
	return binary.Read(bytes.NewReader(t.data), binary.LittleEndian, values)
}

// widen reads elements of type From into the wider type of their field.
func widen[From, To int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64](t tensor) []To {
	narrow := make([]From, t.elements())
	_ = read(t, narrow) // elements and shape agree: see readTensor
	wide := make([]To, len(narrow))
	for i, v := range narrow {
		wide[i] = To(v)
	}
	return wide
}

// dataOf is the way back from the field of a datatype. A field holds values as wide as the
// datatype or wider, of which the low bytes count.
func dataOf(datatype string, c *inferencepb.InferTensorContents) []byte {
	switch datatype {
	case "BYTES":
		return join(c.GetBytesContents())
	case "BOOL":
		return written(c.GetBoolContents())
	case "FP32":
		return written(c.GetFp32Contents())
	case "FP64":
		return written(c.GetFp64Contents())
	case "INT64":
		return written(c.GetInt64Contents())
	case "UINT64":
		return written(c.GetUint64Contents())
	}
	var data []byte
	for _, v := range c.GetIntContents() {
		data = append(data, binary.LittleEndian.AppendUint32(nil, uint32(v))[:sizeOf(datatype)]...)
	}
	for _, v := range c.GetUintContents() {
		data = append(data, binary.LittleEndian.AppendUint32(nil, v)[:sizeOf(datatype)]...)
	}
	return data
}

func written(values any) []byte {
	data, _ := binary.Append(nil, binary.LittleEndian, values) // slices of numbers cannot fail
	return data
}
