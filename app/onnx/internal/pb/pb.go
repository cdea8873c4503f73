// Package pb reads and writes the wire format of Protocol Buffers, as far as ONNX files
// need it. It knows no schema: callers walk the fields of a message by number. That is
// enough to read a model's inputs and outputs without copying its weights, and to build
// small models in tests, and it spares a generated package of several thousand lines.
package pb

import (
	"encoding/binary"
	"errors"
	"iter"
	"math"
)

// ErrMalformed means that the bytes are not a message.
var ErrMalformed = errors.New("malformed protocol buffer")

// wireType says how a field's value is laid out.
type wireType uint8

const (
	varint  wireType = 0
	fixed64 wireType = 1
	lengthy wireType = 2
	fixed32 wireType = 5
)

// Field is one field of a message.
type Field struct {
	// Number is the field's number in the schema.
	Number int
	// Uint is the value of a varint or fixed-size field, and 0 for others.
	Uint uint64
	// Bytes is the value of a string, bytes or message field, and nil for others. It
	// is a part of the message that was read, not a copy.
	Bytes []byte
}

// Fields walks the fields of message in their order. It yields [ErrMalformed] at most
// once, as its last pair.
func Fields(message []byte) iter.Seq2[Field, error] {
	return func(yield func(Field, error) bool) {
		for len(message) > 0 {
			f, n := next(message)
			if n == 0 {
				yield(Field{}, ErrMalformed)
				return
			}
			if !yield(f, nil) {
				return
			}
			message = message[n:]
		}
	}
}

// next reads the first field of b and says how many bytes it took, or 0 for a malformed
// one. Groups (wire types 3 and 4) are obsolete, ONNX has none, and they count as
// malformed.
func next(b []byte) (Field, int) {
	tag, n := binary.Uvarint(b)
	if n <= 0 || tag>>3 == 0 || tag>>3 > math.MaxInt32 {
		return Field{}, 0
	}
	f := Field{Number: int(tag >> 3)}
	rest := b[n:]
	switch wireType(tag & 7) {
	case varint:
		v, m := binary.Uvarint(rest)
		if m <= 0 {
			return Field{}, 0
		}
		f.Uint = v
		return f, n + m
	case fixed64:
		if len(rest) < 8 {
			return Field{}, 0
		}
		f.Uint = binary.LittleEndian.Uint64(rest)
		return f, n + 8
	case fixed32:
		if len(rest) < 4 {
			return Field{}, 0
		}
		f.Uint = uint64(binary.LittleEndian.Uint32(rest))
		return f, n + 4
	case lengthy:
		size, m := binary.Uvarint(rest)
		if m <= 0 || size > uint64(len(rest)-m) {
			return Field{}, 0
		}
		f.Bytes = rest[m : m+int(size) : m+int(size)]
		return f, n + m + int(size)
	default:
		return Field{}, 0
	}
}

// AppendInt appends an int32, int64 or enum field. Negative numbers take ten bytes, as
// the format has it.
func AppendInt(b []byte, number int, v int64) []byte {
	b = appendTag(b, number, varint)
	return binary.AppendUvarint(b, uint64(v))
}

// AppendFloat appends a float field.
func AppendFloat(b []byte, number int, v float32) []byte {
	b = appendTag(b, number, fixed32)
	return binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
}

// AppendBytes appends a string, bytes or message field.
func AppendBytes[T ~string | ~[]byte](b []byte, number int, v T) []byte {
	b = appendTag(b, number, lengthy)
	b = binary.AppendUvarint(b, uint64(len(v)))
	return append(b, v...)
}

func appendTag(b []byte, number int, t wireType) []byte {
	return binary.AppendUvarint(b, uint64(number)<<3|uint64(t))
}
