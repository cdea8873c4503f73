package grpcapi

import (
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	protobuf "google.golang.org/protobuf/proto"

	"github.com/onda-serving/onda/app/ingress/inferencepb"
)

const (
	// maxFields bounds the fields of a request and of its inputs, outputs and parameters
	// taken together: no model comes near it, and an empty input takes two bytes on the wire
	// but more than a hundred in memory. A message of the size that is allowed could take all
	// memory without it.
	maxFields = 16384
	// maxStrings bounds the values in bytes_contents, for the same reason. A shape may ask
	// for as many as it likes.
	maxStrings = 1 << 20
	// maxRank bounds the dimensions of a shape: ONNX Runtime knows no tensor of more axes,
	// and shapes are repeated in errors.
	maxRank = 32
)

// codec is gRPC's own codec for protocol buffers with the message checked first: see [scan].
type codec struct{ encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2(proto.Name)} }

// Unmarshal implements encoding.CodecV2.
func (c codec) Unmarshal(data mem.BufferSlice, into any) error {
	req, ok := into.(*inferencepb.ModelInferRequest)
	if !ok {
		return c.CodecV2.Unmarshal(data, into)
	}
	buffer := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer buffer.Free()
	return unmarshalInfer(buffer.ReadOnlyData(), req)
}

// unmarshalInfer reads the message of ModelInfer. The errors are for the caller.
func unmarshalInfer(data []byte, into *inferencepb.ModelInferRequest) error {
	if err := scan(data); err != nil {
		return err
	}
	return protobuf.Unmarshal(data, into)
}
