package grpcapi

import (
	"fmt"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	protobuf "google.golang.org/protobuf/proto"

	"github.com/onda-serving/onda/app/ingress/inferencepb"
)

// maxFields bounds the inputs, outputs, parameters and raw contents of a request taken
// together. No model comes near it, and an empty input takes two bytes on the wire but
// more than a hundred in memory: a message of the size that is allowed could take all
// memory without it.
const maxFields = 16384

// codec is gRPC's own codec for protocol buffers with [maxFields] checked first.
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
	fields := 0
	for rest := data; len(rest) > 0; fields++ {
		if fields == maxFields {
			return fmt.Errorf("more than %d inputs, outputs and parameters", maxFields)
		}
		_, _, n := protowire.ConsumeField(rest)
		if n < 0 {
			return protowire.ParseError(n)
		}
		rest = rest[n:]
	}
	return protobuf.Unmarshal(data, into)
}
