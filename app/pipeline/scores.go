package pipeline

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/onda-serving/onda/app/scoring"
)

// scoreOutput is an output that holds one score for each of a list of classes. Its shape
// is [N, classes], where further axes of length 1 may stand anywhere after the first:
// models that end in a convolution give [N, classes, 1, 1].
type scoreOutput struct {
	name    string
	classes int
	softmax bool
	topK    int
}

// newScoreOutput checks the output in the signature against the number of classes, which
// came from the file under the manifest key file.
func newScoreOutput(spec scoring.TensorSpec, key, file string, classes int) (scoreOutput, error) {
	if spec.Datatype != scoring.FP32 && spec.Datatype != scoring.FP16 {
		return scoreOutput{}, fmt.Errorf("%s: output %q is %s: it must be FP32 or FP16", key, spec.Name, spec.Datatype)
	}
	if len(spec.Shape) < 2 || !fitsClasses(spec.Shape[1:], int64(classes)) {
		return scoreOutput{}, fmt.Errorf("%s: output %q has the shape %v: with the %d entries of %s it must be [rows, %d]",
			key, spec.Name, spec.Shape, classes, file, classes)
	}
	return scoreOutput{name: spec.Name, classes: classes}, nil
}

// fitsClasses says whether the axes after the first can hold classes scores: one axis has
// that length or is open, the others are 1 or open.
func fitsClasses(axes []int64, classes int64) bool {
	found := classes == 1
	for _, d := range axes {
		switch {
		case d == classes && classes != 1:
			if found {
				return false
			}
			found = true
		case d != 1 && d >= 0:
			return false
		}
	}
	return found || slices.Contains(axes, -1)
}

// best calls each with the best classes of every row, best first.
func (o scoreOutput) best(outputs []scoring.Tensor, n int, params scoring.Parameters, each func([]scored)) error {
	k := params.TopK
	if k < 0 {
		return scoring.Errorf(scoring.Invalid, "parameters.top_k is %d: use 1 or more", k)
	}
	if k == 0 {
		k = o.topK
	}
	tensor, err := o.tensor(outputs, n)
	if err != nil {
		return err
	}
	row := make([]float32, o.classes)
	for i := range n {
		if !readRow(row, tensor, i) {
			return scoring.Errorf(scoring.Internal, "model output %q holds NaN or an infinity in row %d", o.name, i)
		}
		if o.softmax {
			softmax(row)
		}
		each(topK(row, k))
	}
	return nil
}

// tensor finds the output and checks that it is what the signature promised: the model
// ran outside of Go, so nothing else guards the reads that follow.
func (o scoreOutput) tensor(outputs []scoring.Tensor, n int) (scoring.Tensor, error) {
	i := slices.IndexFunc(outputs, func(t scoring.Tensor) bool { return t.Name == o.name })
	if i < 0 {
		return scoring.Tensor{}, scoring.Errorf(scoring.Internal, "the model gave no output %q", o.name)
	}
	t := outputs[i]
	if t.Datatype != scoring.FP32 && t.Datatype != scoring.FP16 {
		return t, scoring.Errorf(scoring.Internal, "model output %q is %s, not FP32 or FP16", o.name, t.Datatype)
	}
	elements, ok := scoring.Elements(t.Shape)
	if !ok || len(t.Shape) < 2 || t.Shape[0] != int64(n) || !fitsClasses(t.Shape[1:], int64(o.classes)) {
		return t, scoring.Errorf(scoring.Internal, "model output %q has the shape %v, not [%d, %d]", o.name, t.Shape, n, o.classes)
	}
	if int64(len(t.Data)) != elements*int64(t.Datatype.Size()) {
		return t, scoring.Errorf(scoring.Internal, "model output %q has %d bytes for the shape %v", o.name, len(t.Data), t.Shape)
	}
	return t, nil
}

// readRow copies row i of t into row and reports whether all of it is finite.
func readRow(row []float32, t scoring.Tensor, i int) bool {
	ok := true
	size := t.Datatype.Size()
	data := t.Data[i*len(row)*size:]
	for j := range row {
		if size == 2 {
			row[j] = scoring.Float16(binary.LittleEndian.Uint16(data[2*j:]))
		} else {
			row[j] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*j:]))
		}
		ok = ok && finite(float64(row[j]))
	}
	return ok
}

// softmax replaces logits by probabilities. The largest logit is subtracted first, which
// changes nothing in theory and keeps exp from overflowing; sums are taken in 64 bits.
func softmax(row []float32) {
	largest := float64(slices.Max(row))
	sum := 0.0
	for _, v := range row {
		sum += math.Exp(float64(v) - largest)
	}
	for i, v := range row {
		row[i] = float32(math.Exp(float64(v)-largest) / sum)
	}
}
