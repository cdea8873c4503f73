package golden

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/onda-serving/onda/app/compare"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/wire"
)

// rawTensor is an element of "inputs" or "outputs", as the Open Inference Protocol has it.
type rawTensor struct {
	Name     string          `json:"name"`
	Shape    []int64         `json:"shape"`
	Datatype string          `json:"datatype"`
	Data     json.RawMessage `json:"data"`
}

// tensorCase reads a case on tensors.
func tensorCase(raw rawCase) (g golden, err error) {
	switch {
	case raw.Classes != nil || raw.Matches != nil:
		return g, errors.New(`there is "classes" or "matches" beside "inputs": want "outputs"`)
	case len(raw.Inputs) == 0 || len(raw.Outputs) == 0:
		return g, errors.New(`want "inputs" and "outputs", none of them empty`)
	}
	if g.inputs, err = tensors("inputs", raw.Inputs); err != nil {
		return g, err
	}
	g.outputs, err = tensors("outputs", raw.Outputs)
	return g, err
}

func tensors(key string, raws []rawTensor) ([]scoring.Tensor, error) {
	var all []scoring.Tensor
	for i, raw := range raws {
		t, err := raw.tensor()
		if err != nil {
			return nil, fmt.Errorf("%s[%d]: %w", key, i, err)
		}
		all = append(all, t)
	}
	return all, nil
}

// tensor reads a tensor as the door for requests would. FP16 and BF16 have no form in the
// protocol's JSON; here they are written as numbers, too, and rounded.
func (r rawTensor) tensor() (scoring.Tensor, error) {
	datatype, err := scoring.ParseDatatype(r.Datatype)
	if err != nil {
		return scoring.Tensor{}, errors.New(scoring.AsError(err).Message)
	}
	half := datatype == scoring.FP16 || datatype == scoring.BF16
	if half {
		r.Datatype = scoring.FP32.String()
	}
	body, err := json.Marshal(map[string][]rawTensor{"inputs": {r}})
	if err != nil {
		return scoring.Tensor{}, err
	}
	req, _, err := wire.DecodeInfer(body)
	if err != nil {
		// The place is named already, and to wire all tensors are inputs.
		return scoring.Tensor{}, errors.New(strings.TrimPrefix(scoring.AsError(err).Message, "input "))
	}
	t := req.Inputs[0]
	if half {
		return halved(t, datatype)
	}
	return t, nil
}

// halved makes a tensor of FP16 or BF16 of one of FP32.
func halved(t scoring.Tensor, to scoring.Datatype) (scoring.Tensor, error) {
	n := len(t.Data) / t.Datatype.Size()
	half := scoring.Tensor{Name: t.Name, Datatype: to, Shape: t.Shape, Data: make([]byte, 0, 2*n)}
	for i := range n {
		number := float32(compare.Number(&t, i))
		bits := scoring.ToFloat16(number)
		if to == scoring.BF16 {
			bits = toBFloat16(number)
		}
		half.Data = binary.LittleEndian.AppendUint16(half.Data, bits)
		if math.IsInf(compare.Number(&half, i), 0) {
			return half, fmt.Errorf("%q has the value %v, which is too large for %s", t.Name, number, to)
		}
	}
	return half, nil
}

// toBFloat16 rounds a finite number to BF16, the upper half of float32, to nearest and ties
// to even. One that is too large becomes an infinity.
func toBFloat16(f float32) uint16 {
	bits := math.Float32bits(f)
	return uint16((bits + 0x7fff + bits>>16&1) >> 16)
}
