package grpcapi

import (
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/onda-serving/onda/app/scoring"
)

// The numbers of the fields that [inferMessage.plain] reads, beside those of [scan].
const (
	requestModel, requestVersion, requestOwnID, requestRaw = 1, 2, 3, 7
	inputDatatype, wantedName                              = 2, 1
)

// plainFields bounds the inputs and outputs of a message that is read by [inferMessage.plain].
const plainFields = 64

// plain reads the message of a request with raw tensors and without parameters, which is
// what clients of tensors send, straight from its bytes and without copying them. Anything
// else, and anything wrong, is for the generated code: it reports false then, and a test
// holds the two against each other.
func (m *inferMessage) plain(data []byte) bool {
	var p plainRequest
	if !fields(data, p.take) || len(p.raw) == 0 || len(p.raw) != len(p.inputs) || !utf8.Valid(p.id) || len(p.id) > maxID {
		return false
	}
	model, err := reference(string(p.model), string(p.version))
	if err != nil {
		return false
	}
	for i, raw := range p.raw {
		want, err := elements(&p.inputs[i])
		if err != nil || decodeRaw(&p.inputs[i], raw, want) != nil {
			return false
		}
	}
	m.raw, m.id = true, string(p.id)
	m.req = scoring.InferRequest{Model: model, ID: m.id, Inputs: p.inputs, Outputs: p.outputs}
	return true
}

// plainRequest are the parts of a request, as they are on the wire.
type plainRequest struct {
	model, version, id []byte
	inputs             []scoring.Tensor
	outputs            []scoring.Output
	raw                [][]byte
}

// fields calls take for each field of a message, all of which must have a length. It stops
// where take reports false.
func fields(data []byte, take func(number protowire.Number, value []byte) bool) bool {
	for len(data) > 0 {
		number, kind, head := protowire.ConsumeTag(data)
		if head < 0 || kind != protowire.BytesType {
			return false
		}
		value, size := protowire.ConsumeBytes(data[head:])
		if size < 0 || !take(number, value) {
			return false
		}
		data = data[head+size:]
	}
	return true
}

func (p *plainRequest) take(number protowire.Number, value []byte) bool {
	switch number {
	case requestModel:
		p.model = value
	case requestVersion:
		p.version = value
	case requestOwnID:
		p.id = value
	case requestInputs:
		return p.input(value)
	case requestOutputs:
		return p.output(value)
	case requestRaw:
		p.raw = append(p.raw, value)
	default:
		return false
	}
	return true
}

func (p *plainRequest) input(data []byte) bool {
	t := scoring.Tensor{Shape: make([]int64, 0, 4)}
	ok := fields(data, func(number protowire.Number, value []byte) bool {
		switch number {
		case inputName:
			t.Name = string(value)
			return utf8.Valid(value)
		case inputDatatype:
			t.Datatype = datatypes[string(value)]
			return true
		case inputShape:
			return appendShape(&t.Shape, value)
		default:
			return false
		}
	})
	p.inputs = append(p.inputs, t)
	return ok && t.Name != "" && t.Datatype != 0 && len(p.inputs) <= plainFields
}

func appendShape(shape *[]int64, packed []byte) bool {
	for len(packed) > 0 {
		dimension, size := protowire.ConsumeVarint(packed)
		if size < 0 || len(*shape) == maxRank {
			return false
		}
		*shape = append(*shape, int64(dimension))
		packed = packed[size:]
	}
	return true
}

func (p *plainRequest) output(data []byte) bool {
	var name string
	ok := fields(data, func(number protowire.Number, value []byte) bool {
		name = string(value)
		return number == wantedName && utf8.Valid(value)
	})
	p.outputs = append(p.outputs, scoring.Output{Name: name})
	return ok && len(p.outputs) <= plainFields
}

// datatypes are the datatypes by name.
var datatypes = func() map[string]scoring.Datatype {
	all := map[string]scoring.Datatype{}
	for d := scoring.Bool; d <= scoring.Bytes; d++ {
		all[d.String()] = d
	}
	return all
}()
