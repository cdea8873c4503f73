package grpcapi

import (
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	protobuf "google.golang.org/protobuf/proto"

	"github.com/onda-serving/onda/app/ingress/inferencepb"
	"github.com/onda-serving/onda/app/scoring"
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

// codec is gRPC's own codec for protocol buffers, but messages are read into an [envelope]:
// they are decompressed within bounds and checked first.
type codec struct{ encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2(proto.Name)} }

// Marshal implements encoding.CodecV2.
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	answer, ok := v.(*inferAnswer)
	if !ok {
		return c.CodecV2.Marshal(v)
	}
	if parts, ok := answer.plain(); ok {
		return parts, nil
	}
	return c.CodecV2.Marshal(answer.message())
}

// Unmarshal implements encoding.CodecV2. What is wrong with a message is noted in its
// envelope.
func (c codec) Unmarshal(data mem.BufferSlice, into any) error {
	e, ok := into.(*envelope)
	if !ok {
		return c.CodecV2.Unmarshal(data, into)
	}
	e.err = e.decode(owned(data))
	return nil
}

// owned gives the bytes of a message for good: tensors refer to them, and a batch can
// outlast the caller who gave up waiting for it. A message in one piece is not copied; its
// memory never goes back to gRPC's pool.
func owned(data mem.BufferSlice) []byte {
	if len(data) == 1 {
		data[0].Ref()
		return data[0].ReadOnlyData()
	}
	return data.Materialize()
}

// decode makes the envelope's message of the bytes that arrived.
func (e *envelope) decode(data []byte) (err error) {
	if e.arrival.compressed {
		if data, err = e.decompress(data); err != nil {
			return err
		}
	}
	if m, ok := e.message.(*inferMessage); ok {
		err = m.decode(data)
	} else {
		err = unmarshal(data, e.message.(protobuf.Message))
	}
	if err != nil {
		return scoring.Errorf(scoring.Invalid, "the message of %s cannot be read: %s", e.call.method.name, err.Error())
	}
	return nil
}

// unmarshal reads a message. The errors are for the caller.
func unmarshal(data []byte, into protobuf.Message) error {
	if _, ok := into.(*inferencepb.ModelInferRequest); ok {
		if err := scan(data); err != nil {
			return err
		}
	}
	return protobuf.Unmarshal(data, into)
}
