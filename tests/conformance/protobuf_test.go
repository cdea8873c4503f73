package conformance_test

import (
	"fmt"
	"iter"

	"google.golang.org/protobuf/encoding/protowire"
)

// field is one field of a Protocol Buffers message. The files of the corpus are read
// field by field, with nothing of Onda's own reader, so that a mistake there shows.
type field struct {
	number int
	// bits hold a number, bytes everything else.
	bits  uint64
	bytes []byte
	kind  protowire.Type
}

// fields walks a message. It stops after an error.
func fields(message []byte) iter.Seq2[field, error] {
	return func(yield func(field, error) bool) {
		for len(message) > 0 {
			number, kind, n := protowire.ConsumeTag(message)
			if n < 0 {
				yield(field{}, protowire.ParseError(n))
				return
			}
			f, size, err := value(number, kind, message[n:])
			if !yield(f, err) || err != nil {
				return
			}
			message = message[n+size:]
		}
	}
}

// value reads what stands behind a tag.
func value(number protowire.Number, kind protowire.Type, rest []byte) (f field, size int, err error) {
	f = field{number: int(number), kind: kind}
	switch kind {
	case protowire.VarintType:
		f.bits, size = protowire.ConsumeVarint(rest)
	case protowire.Fixed32Type:
		var v uint32
		v, size = protowire.ConsumeFixed32(rest)
		f.bits = uint64(v)
	case protowire.Fixed64Type:
		f.bits, size = protowire.ConsumeFixed64(rest)
	case protowire.BytesType:
		f.bytes, size = protowire.ConsumeBytes(rest)
	default:
		return f, 0, fmt.Errorf("field %d is of wire type %d", number, kind)
	}
	if size < 0 {
		return f, 0, protowire.ParseError(size)
	}
	return f, size, nil
}

// numbers gives the values of a repeated field of numbers, whether they are packed into
// one field or not. each is the wire type of one of them.
func (f field) numbers(each protowire.Type) ([]uint64, error) {
	if f.kind != protowire.BytesType {
		return []uint64{f.bits}, nil
	}
	var all []uint64
	for rest := f.bytes; len(rest) > 0; {
		one, size, err := value(protowire.Number(f.number), each, rest)
		if err != nil {
			return nil, err
		}
		all = append(all, one.bits)
		rest = rest[size:]
	}
	return all, nil
}
