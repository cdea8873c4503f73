package onnx

import "github.com/onda-serving/onda/app/scoring"

// Check says whether [Session.Run] would take these inputs and outputs, by what the model's
// file declares. The error is the one that Run would give.
func (s *Session) Check(inputs []scoring.Tensor, outputs []string) error {
	// Room on the stack for all but rare models.
	var order, wanted [16]int
	if n := len(s.inputs); n > len(order) {
		return s.check(inputs, outputs, make([]int, n), nil)
	}
	return s.check(inputs, outputs, order[:len(s.inputs)], wanted[:0])
}

func (s *Session) check(inputs []scoring.Tensor, outputs []string, order, wanted []int) error {
	if err := s.checkInputs(inputs, order); err != nil {
		return err
	}
	_, err := s.checkOutputs(outputs, wanted)
	return err
}
