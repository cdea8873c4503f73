package engine

import (
	"bytes"
	"slices"

	"github.com/onda-serving/onda/app/cache"
	"github.com/onda-serving/onda/app/registry"
	"github.com/onda-serving/onda/app/scoring"
)

// question is a request in either of its forms: exactly one of the fields is set.
type question struct {
	predict *scoring.PredictRequest
	infer   *scoring.InferRequest
}

// answer is what a version gave for a question: predictions or outputs.
type answer struct {
	predictions []scoring.Prediction
	outputs     []scoring.Tensor
	// scores are the outputs before some of them were replaced by their best classes, whose
	// texts differ when the least digit of a score does; nil where none were.
	scores []scoring.Tensor
}

// want says which version the question is for.
func (q question) want() registry.Want {
	if q.infer != nil {
		return registry.Want{Ref: q.infer.Model, Caller: q.infer.Caller}
	}
	return registry.Want{Ref: q.predict.Model, Caller: q.predict.Caller}
}

// lane that the question came in.
func (q question) lane() scoring.Lane {
	if q.infer != nil {
		return q.infer.Schedule.Lane
	}
	return q.predict.Schedule.Lane
}

// rows of the question, which others wait for.
func (q question) rows() int {
	if q.infer != nil {
		return rowsOf(q.infer.Inputs)
	}
	return len(q.predict.Instances)
}

// key says which other questions have the same answer.
func (q question) key(v *registry.Version) cache.Key {
	if q.infer != nil {
		return cache.InferKey(v.Identity(), q.infer)
	}
	return cache.PredictKey(v.Identity(), q.predict)
}

// own gives a question that does not share memory with its caller, who may leave before
// the answer.
func (q question) own() question {
	if q.infer != nil {
		copied := *q.infer
		copied.Inputs = cloneAll(copied.Inputs)
		copied.Outputs = slices.Clone(copied.Outputs)
		return question{infer: &copied}
	}
	copied := *q.predict
	copied.Instances = slices.Clone(copied.Instances)
	for i := range copied.Instances {
		copied.Instances[i].Data = bytes.Clone(copied.Instances[i].Data)
	}
	return question{predict: &copied}
}

// anonymous gives a copy for asking again on nobody's behalf: it has forgotten who asked, and
// gives way to all others.
func (q question) anonymous() question {
	q = q.own()
	if q.infer != nil {
		q.infer.ID, q.infer.Caller, q.infer.Schedule = "", scoring.Caller{}, scoring.Schedule{Lane: scoring.Bulk}
	} else {
		q.predict.ID, q.predict.Caller, q.predict.Schedule = "", scoring.Caller{}, scoring.Schedule{Lane: scoring.Bulk}
	}
	return q
}

// size is the memory of a copy, roughly, in bytes.
func (q question) size() int64 {
	if q.infer != nil {
		return sizeOfTensors(q.infer.Inputs)
	}
	n := int64(0)
	for i := range q.predict.Instances {
		n += textHead + int64(len(q.predict.Instances[i].Data))
	}
	return n
}

// tensors are the outputs to compare with those of another version.
func (a answer) tensors() []scoring.Tensor {
	if a.scores != nil {
		return a.scores
	}
	return a.outputs
}

// own gives an answer that does not keep the whole outputs of a batch in memory, nor those
// of a request: an output can be a part of either. Predictions are nobody's to change.
func (a answer) own() answer {
	return answer{predictions: a.predictions, outputs: cloneAll(a.outputs), scores: cloneAll(a.scores)}
}

// size is the memory of an answer, roughly, in bytes.
func (a answer) size() int64 {
	return sizeOf(a.predictions) + sizeOfTensors(a.outputs) + sizeOfTensors(a.scores)
}

// Sizes of what goes with the bytes of questions and answers, roughly, in bytes.
const (
	tensorHead = 160
	textHead   = 32
	classHead  = 48
)

// sizeOf estimates the memory of predictions.
func sizeOf(predictions []scoring.Prediction) int64 {
	n := int64(0)
	for _, p := range predictions {
		n += classHead
		switch p := p.(type) {
		case scoring.Classes:
			for _, c := range p.Classes {
				n += classHead + int64(len(c.Label))
			}
		case scoring.Matches:
			for _, m := range p.Matches {
				n += 2*classHead + int64(len(m.ID)+len(m.Question)+len(m.Answer))
			}
		}
	}
	return n
}

// sizeOfTensors estimates the memory of tensors.
func sizeOfTensors(tensors []scoring.Tensor) int64 {
	n := int64(0)
	for i := range tensors {
		n += tensorHead + int64(len(tensors[i].Data))
		for _, s := range tensors[i].Strings {
			n += textHead + int64(len(s))
		}
	}
	return n
}

// cloneAll copies tensors with their elements.
func cloneAll(tensors []scoring.Tensor) []scoring.Tensor {
	all := slices.Clone(tensors)
	for i := range all {
		t := &all[i]
		t.Shape, t.Data = slices.Clone(t.Shape), bytes.Clone(t.Data)
		t.Strings = slices.Clone(t.Strings)
		for j := range t.Strings {
			t.Strings[j] = bytes.Clone(t.Strings[j])
		}
	}
	return all
}
