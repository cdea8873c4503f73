package grpcapi

import (
	"encoding/binary"
	"runtime"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/onda-serving/onda/app/ingress/inferencepb"
	"github.com/onda-serving/onda/app/scoring"
)

// inputOf is a request on the wire with one input, "x", whose fields are these.
func inputOf(fields ...[]byte) []byte {
	in := protowire.AppendTag(nil, inputName, protowire.BytesType)
	in = protowire.AppendString(in, "x")
	return protowire.AppendBytes(protowire.AppendTag(nil, requestInputs, protowire.BytesType), slices.Concat(append([][]byte{in}, fields...)...))
}

// fieldOf is a field with a length.
func fieldOf(number protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), value)
}

func TestScan(t *testing.T) {
	t.Parallel()
	one, two := fieldOf(inputShape, []byte{1}), fieldOf(inputShape, []byte{2})
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"a shape of 32", inputOf(fieldOf(inputShape, slices.Repeat([]byte{1}, 32))), ""},
		{"a shape of 33", inputOf(fieldOf(inputShape, slices.Repeat([]byte{1}, 33))), `input "x": a shape of 33 dimensions: at most 32 are allowed`},
		{"a shape of 33 one by one", inputOf(slices.Repeat([]byte{inputShape << 3, 1}, 33)), `input "x": a shape of 33 dimensions: at most 32 are allowed`},
		{"a shape in two", inputOf(fieldOf(inputShape, slices.Repeat([]byte{1}, 20)), fieldOf(inputShape, slices.Repeat([]byte{1}, 20))), `input "x": a shape of 40 dimensions: at most 32 are allowed`},
		{"half a dimension", inputOf(fieldOf(inputShape, []byte{0x80})), "unexpected EOF"},
		{"negative", inputOf(fieldOf(inputShape, protowire.AppendVarint(nil, 1<<64-1))), `input "x": shape [-1]: want dimensions of 0 or more, and a product that fits 64 bits`},
		{"as many values", inputOf(two, fieldOf(inputContents, slices.Repeat(fieldOf(contentsBytes, nil), 2))), ""},
		{"fewer values", inputOf(two, fieldOf(inputContents, fieldOf(contentsBytes, nil))), ""},
		{"strings", inputOf(two, fieldOf(inputContents, slices.Repeat(fieldOf(contentsBytes, nil), 3))), `input "x" has 3 values, its shape [2] wants 2`},
		{"contents before the shape", inputOf(fieldOf(inputContents, slices.Repeat(fieldOf(contentsBytes, nil), 3)), two), `input "x" has 3 values, its shape [2] wants 2`},
		{"contents in two", inputOf(one, slices.Repeat(fieldOf(inputContents, fieldOf(contentsBytes, nil)), 2)), `input "x" has 2 values, its shape [1] wants 1`},
		{"a scalar", inputOf(fieldOf(inputContents, slices.Repeat(fieldOf(contentsBytes, nil), 2))), `input "x" has 2 values, its shape [] wants 1`},
		{"packed INT64", inputOf(one, fieldOf(inputContents, fieldOf(contentsInt64s, []byte{0x80, 1, 2}))), `input "x" has 2 values, its shape [1] wants 1`},
		{"INT64 one by one", inputOf(one, fieldOf(inputContents, slices.Repeat([]byte{contentsInt64s << 3, 1}, 2))), `input "x" has 2 values, its shape [1] wants 1`},
		{"FP32", inputOf(one, fieldOf(inputContents, fieldOf(contentsFP32s, make([]byte, 8)))), `input "x" has 2 values, its shape [1] wants 1`},
		{"FP64", inputOf(one, fieldOf(inputContents, fieldOf(contentsFP64s, make([]byte, 24)))), `input "x" has 3 values, its shape [1] wants 1`},
		{"unknown contents", inputOf(one, fieldOf(inputContents, fieldOf(100, make([]byte, 24)))), ""},
		{"too many strings", inputOf(fieldOf(inputShape, protowire.AppendVarint(nil, maxStrings+1)), fieldOf(inputContents, slices.Repeat(fieldOf(contentsBytes, nil), maxStrings+1))), "more than 1048576 values in bytes_contents"},
		{"many parameters of an input", inputOf(slices.Repeat(fieldOf(inputParameters, nil), maxFields)), "more than 16384 inputs, outputs and parameters"},
		{"many parameters of an output", fieldOf(requestOutputs, slices.Repeat(fieldOf(outputParameters, nil), maxFields)), "more than 16384 inputs, outputs and parameters"},
		{"a parameter many times", fieldOf(requestParameters, fieldOf(entryValue, slices.Repeat(fieldOf(3, nil), maxFields))), "more than 16384 inputs, outputs and parameters"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var message inferencepb.ModelInferRequest
			err := unmarshal(c.data, &message)
			if c.want == "" {
				if err != nil {
					t.Errorf("got %v, want no error", err)
				}
				return
			}
			if err == nil || err.Error() != c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

// TestScanAllocatesLittle is not parallel: it measures the memory of the whole process.
func TestScanAllocatesLittle(t *testing.T) {
	const size = 8 << 20
	shape := protowire.AppendVarint(nil, 1<<40)
	for _, c := range []struct {
		name string
		data []byte
	}{
		{"shape", inputOf(fieldOf(inputShape, slices.Repeat([]byte{1}, size)))},
		{"shape one by one", inputOf(slices.Repeat([]byte{inputShape << 3, 1}, size/2))},
		{"strings", inputOf(fieldOf(inputShape, []byte{1}), fieldOf(inputContents, slices.Repeat(fieldOf(contentsBytes, nil), size/2)))},
		{"strings that the shape wants", inputOf(fieldOf(inputShape, shape), fieldOf(inputContents, slices.Repeat(fieldOf(contentsBytes, nil), size/2)))},
		{"numbers", inputOf(fieldOf(inputShape, []byte{1}), fieldOf(inputContents, fieldOf(contentsInt64s, make([]byte, size))))},
		{"parameters", inputOf(slices.Repeat(fieldOf(inputParameters, nil), size/2))},
	} {
		t.Run(c.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			var message inferencepb.ModelInferRequest
			err := unmarshal(c.data, &message)
			runtime.ReadMemStats(&after)
			if err == nil {
				t.Error("got no error")
			}
			if got := after.TotalAlloc - before.TotalAlloc; got > size {
				t.Errorf("%d bytes were allocated for a message of %d: want no more than that", got, len(c.data))
			} else {
				t.Logf("%.4f times the message", float64(got)/size)
			}
		})
	}
}

// TestScanKeepsWholeRequests: what is no attack is not refused.
func TestScanKeepsWholeRequests(t *testing.T) {
	t.Parallel()
	text := []byte(strings.Repeat("a", 10))
	req := request(&input{Name: "x", Datatype: "BYTES", Shape: []int64{200, 100}, Contents: &contents{BytesContents: slices.Repeat([][]byte{text}, 20_000)}})
	data, err := proto.Marshal(req)
	if err != nil {
		t.Fatal(err)
	}
	var message inferencepb.ModelInferRequest
	if err := unmarshal(data, &message); err != nil || !proto.Equal(&message, req) {
		t.Errorf("20,000 strings: %v", err)
	}
	raw := slices.Repeat(append(binary.LittleEndian.AppendUint32(nil, 10), text...), 20_000)
	decoded, _, err := decodeInfer(request(&input{Name: "x", Datatype: "BYTES", Shape: []int64{200, 100}}, raw), false)
	if err != nil || len(decoded.Inputs[0].Strings) != 20_000 || decoded.Inputs[0].Datatype != scoring.Bytes {
		t.Errorf("20,000 raw strings: %v", err)
	}
}
