package grpcapi

import (
	"encoding/binary"

	"github.com/onda-serving/onda/app/scoring"
)

// lengthSize is the size of the length in front of each element of raw BYTES.
const lengthSize = 4

// decodeRaw reads raw contents. They are not copied: they are in our order already, and the
// message belongs to this request alone.
func decodeRaw(t *scoring.Tensor, data []byte, want int64) error {
	if t.Datatype == scoring.Bytes {
		return decodeRawBytes(t, data, want)
	}
	size := int64(t.Datatype.Size())
	// Divided, because the product of elements and size could overflow.
	if have := int64(len(data)); have%size != 0 || have/size != want {
		return scoring.Errorf(scoring.Invalid, "input %q has %d bytes of raw contents, its shape %s of %s wants %d values of %d bytes", clip(t.Name), have, scoring.FormatShape(t.Shape), t.Datatype, want, size)
	}
	if t.Datatype == scoring.Bool {
		for i, b := range data {
			if b > 1 {
				return scoring.Errorf(scoring.Invalid, "input %q: value %d of BOOL is the byte %d: want 0 or 1", clip(t.Name), i, b)
			}
		}
	}
	t.Data = data
	return nil
}

// decodeRawBytes reads elements that each have a length of 4 bytes in front.
func decodeRawBytes(t *scoring.Tensor, data []byte, want int64) error {
	// The claim of the shape is not trusted with memory: each element takes a length.
	t.Strings = make([][]byte, 0, min(want, int64(len(data)/lengthSize)))
	for at := 0; at < len(data); {
		rest := data[at:]
		if len(rest) < lengthSize {
			return scoring.Errorf(scoring.Invalid, "input %q: %d bytes are left after value %d: want a length of 4 bytes, or nothing", clip(t.Name), len(rest), len(t.Strings))
		}
		size := int64(binary.LittleEndian.Uint32(rest))
		rest = rest[lengthSize:]
		if size > int64(len(rest)) {
			return scoring.Errorf(scoring.Invalid, "input %q: value %d says that it is %d bytes long, and %d are left", clip(t.Name), len(t.Strings), size, len(rest))
		}
		if int64(len(t.Strings)) == want {
			return scoring.Errorf(scoring.Invalid, "input %q has more values than the %d that its shape %s wants", clip(t.Name), want, scoring.FormatShape(t.Shape))
		}
		t.Strings = append(t.Strings, rest[:size:size])
		at += lengthSize + int(size)
	}
	if int64(len(t.Strings)) != want {
		return countError(t, int64(len(t.Strings)), want)
	}
	return nil
}

// encodeRaw gives the raw contents of t.
func encodeRaw(t *scoring.Tensor) []byte {
	if t.Datatype != scoring.Bytes {
		return t.Data
	}
	size := 0
	for _, s := range t.Strings {
		size += lengthSize + len(s)
	}
	data := make([]byte, 0, size)
	for _, s := range t.Strings {
		data = binary.LittleEndian.AppendUint32(data, uint32(len(s)))
		data = append(data, s...)
	}
	return data
}
