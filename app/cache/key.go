package cache

import (
	"cmp"
	"crypto/sha256"
	"slices"

	"github.com/onda-serving/onda/app/scoring"
)

// Key names the answer to a request: two requests have the same answer if their keys name
// the same one. It is made by [InferKey] and [PredictKey]; the zero value names nothing.
//
// A Key keeps no part of the request alive.
type Key struct {
	answer answer
	// lane is no part of the answer's name: it decides which computations a caller may
	// wait for. See [Cache.Do].
	lane scoring.Lane
}

// answer is the identity of an answer. The digest is in the sum as well; it stands here a
// second time so that the answers of a version can be found.
type answer struct {
	digest string
	sum    [sha256.Size]byte
}

// The domains keep a request on tensors and a request for predictions apart, whatever
// their bytes are. The number changes with the encoding below.
const (
	inferDomain   = "onda answer 1: infer"
	predictDomain = "onda answer 1: predict"
)

// InferKey names the answer of the version with this digest to req. It covers name,
// datatype, shape and elements of every input, and the outputs asked for, in their order
// and with their numbers of classes. Inputs are told apart by name, so their order does
// not matter. It leaves out who asks and how urgently: Model, for which the digest stands,
// ID and Schedule.
//
// The digest must be that of all that decides on the version's answers: a configuration
// that is not among the files that were hashed (a pipeline, labels, a default) belongs
// into it as well. InferKey panics without one: all versions would share their answers.
func InferKey(digest string, req *scoring.InferRequest) Key {
	e := begin(inferDomain, digest)
	defer e.free()
	e.number(uint64(len(req.Inputs)))
	if slices.IsSortedFunc(req.Inputs, byName) {
		for i := range req.Inputs {
			e.tensor(&req.Inputs[i])
		}
	} else {
		// Stable, so that a request that gives a name twice has one encoding as well. The
		// request itself is not ours to reorder.
		sorted := slices.Clone(req.Inputs)
		slices.SortStableFunc(sorted, byName)
		for i := range sorted {
			e.tensor(&sorted[i])
		}
	}
	e.number(uint64(len(req.Outputs)))
	for _, o := range req.Outputs {
		e.text(o.Name)
		e.number(uint64(o.Classes))
	}
	return Key{answer: answer{digest: digest, sum: e.sum()}, lane: req.Schedule.Lane}
}

// PredictKey names the answer of the version with this digest to req. It covers kind and
// bytes of every instance, in their order, and the parameters. It leaves out Model, for
// which the digest stands, ID and Schedule.
//
// The digest is as [InferKey] has it. It panics without one: all versions would share their
// answers.
func PredictKey(digest string, req *scoring.PredictRequest) Key {
	e := begin(predictDomain, digest)
	defer e.free()
	e.number(uint64(len(req.Instances)))
	for i := range req.Instances {
		e.number(uint64(req.Instances[i].Kind))
		e.bytes(req.Instances[i].Data)
	}
	e.number(uint64(req.Parameters.TopK))
	return Key{answer: answer{digest: digest, sum: e.sum()}, lane: req.Schedule.Lane}
}

func byName(a, b scoring.Tensor) int { return cmp.Compare(a.Name, b.Name) }
