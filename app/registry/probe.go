package registry

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/onda-serving/onda/app/scoring"
)

// independentRows says whether a model that nobody described can be batched: whether its
// first axis is one of rows that do not know of each other. reason says why not. The error
// is ctx's.
//
// An axis that may vary is not yet such an axis: it can be that of time, or of the nodes of
// a graph, and then rows of two callers in one run would give both a wrong answer, with no
// error. So the names of the axis must not speak against it, and the model itself is asked:
// rows run together, in any company and order, must give what each gives alone. That is a
// test and no proof, so what cannot be told apart counts as a no.
func independentRows(ctx context.Context, s Session, most int) (yes bool, reason string, err error) {
	sig := s.Signature()
	if reason := oneFreeAxis(sig); reason != "" {
		return false, reason, nil
	}
	tried := false
	for _, d := range draws {
		ran, reason := tryRows(ctx, s, d, most)
		if err := ctx.Err(); err != nil {
			return false, "", err
		}
		if reason != "" {
			return false, reason, nil
		}
		tried = tried || ran
	}
	if !tried {
		return false, "nothing that was drawn shows whether its rows know of each other: it does not take the numbers, or gives all of them the same answer", nil
	}
	return true, "", nil
}

// kinds is how many different rows a test draws.
const kinds = 4

// tryRows runs drawn rows alone and together. ran is false where that tells nothing: the
// model does not take the numbers (an index may be too large for it), or gives different
// rows the same answer.
func tryRows(ctx context.Context, s Session, d drawing, most int) (ran bool, reason string) {
	rows, alone := make([][]scoring.Tensor, kinds), make([][]scoring.Tensor, kinds)
	for i := range rows {
		inputs, err := drawRow(s.Signature(), d, i)
		if err != nil {
			return true, err.Error()
		}
		rows[i] = inputs
		if alone[i], err = s.Run(ctx, inputs, nil); err != nil {
			return false, ""
		}
	}
	for i := 1; i < kinds; i++ {
		if differs(alone[i], alone[0]) == "" {
			return false, "" // they would also if they knew of each other
		}
	}
	full := make([]int, min(max(most, 2), mostTried))
	for i := range full {
		full[i] = i % kinds
	}
	for _, order := range [][]int{{0, 1}, {1, 0}, {3, 2, 1, 0, 1, 2}, full} {
		together, err := s.Run(ctx, pick(rows, order), nil)
		if err != nil {
			return true, "it does not run on several rows: " + scoring.AsError(err).Message
		}
		if reason := differs(together, pick(alone, order)); reason != "" {
			return true, reason
		}
	}
	return true, ""
}

// mostTried bounds the rows of a test: a large model must not take seconds to load for it.
const mostTried = 16

// oneFreeAxis says why the first axes are not those of rows, as far as the file tells.
func oneFreeAxis(sig scoring.Signature) string {
	name := ""
	for _, specs := range [][]scoring.TensorSpec{sig.Inputs, sig.Outputs} {
		for _, s := range specs {
			if len(s.Shape) == 0 || s.Shape[0] >= 0 {
				return fmt.Sprintf("%q has shape %s, whose first axis does not vary", s.Name, scoring.FormatShape(s.Shape))
			}
			if len(s.Axes) == 0 || s.Axes[0] == "" || strings.HasPrefix(s.Axes[0], "unk_") {
				continue // no name, or one that a converter made up
			}
			if name != "" && s.Axes[0] != name {
				return fmt.Sprintf("the first axis of %q is called %q, and another's %q", s.Name, s.Axes[0], name)
			}
			name = s.Axes[0]
		}
	}
	if name != "" && !batchName(name) {
		return fmt.Sprintf("the first axis is called %q: batch, N and the like are names of rows", name)
	}
	for _, s := range sig.Inputs {
		if len(s.Shape) == 1 && !strings.Contains(strings.ToLower(name), "batch") {
			return fmt.Sprintf("input %q has one axis only, and it is not called batch: it may be one of time", s.Name)
		}
	}
	return ""
}

// batchName says whether a name of an axis is one that exporters and people give to rows.
func batchName(name string) bool {
	name = strings.ToLower(name)
	return strings.Contains(name, "batch") || slices.Contains([]string{"n", "b", "bs", "rows", "samples", "none"}, name)
}

// drawing says which numbers a test draws: floats of both signs up to scale, and whole
// numbers below most.
type drawing struct {
	scale float64
	most  int
}

// draws are the tests: ordinary numbers and large ones, as a model may have a threshold
// somewhere, and whole numbers that an index of few or many can be.
var draws = []drawing{{1, 2}, {1, 16}, {10_000, 1000}}

// drawRow makes one row of inputs, the same for the same kind, and different for different
// ones: the first whole number of a row counts the kinds, as far as most lets it. Free axes
// but the first are 5.
func drawRow(sig scoring.Signature, d drawing, kind int) ([]scoring.Tensor, error) {
	const free = 5
	return drawLong(sig, d, kind, free)
}

// drawLong is drawRow with another length of the free axes.
func drawLong(sig scoring.Signature, d drawing, kind int, free int64) ([]scoring.Tensor, error) {
	random := rand.New(rand.NewPCG(uint64(kind), 0x9e3779b97f4a7c15)) //nolint:gosec // test data: it must be the same each time
	var inputs []scoring.Tensor
	for _, spec := range sig.Inputs {
		t := scoring.Tensor{Name: spec.Name, Datatype: spec.Datatype, Shape: slices.Clone(spec.Shape)}
		for i := range t.Shape {
			if i == 0 {
				t.Shape[i] = 1
			} else if t.Shape[i] < 0 {
				t.Shape[i] = free
			}
		}
		n, ok := scoring.Elements(t.Shape)
		if !ok || n > maxWarmUp/mostTried {
			return nil, fmt.Errorf("input %q of shape %s is too large to try", spec.Name, scoring.FormatShape(t.Shape))
		}
		draw(&t, int(n), d, kind, random)
		inputs = append(inputs, t)
	}
	return inputs, nil
}

// draw fills t with n elements.
func draw(t *scoring.Tensor, n int, d drawing, kind int, random *rand.Rand) {
	size := t.Datatype.Size()
	t.Data = make([]byte, n*size)
	le := binary.LittleEndian
	for i := range n {
		float := (2*random.Float64() - 1) * d.scale
		whole := random.IntN(d.most)
		if i == 0 {
			whole = kind % d.most
		}
		at := t.Data[i*size:]
		switch t.Datatype {
		case scoring.Bytes:
			t.Strings = append(t.Strings, []byte{byte('a' + (whole+random.IntN(3))%26)})
		case scoring.FP32:
			le.PutUint32(at, math.Float32bits(float32(float)))
		case scoring.FP64:
			le.PutUint64(at, math.Float64bits(float))
		case scoring.FP16:
			le.PutUint16(at, uint16(random.IntN(2))<<15|uint16(0x3400+random.IntN(0x1400))) // 0.25 to 8, of both signs
		case scoring.BF16:
			le.PutUint16(at, uint16(math.Float32bits(float32(float))>>16))
		case scoring.Bool:
			at[0] = byte(whole % 2)
		default:
			at[0] = byte(whole)
			if size > 1 {
				at[1] = byte(whole >> 8)
			}
		}
	}
}

// pick puts rows together in an order.
func pick(rows [][]scoring.Tensor, order []int) []scoring.Tensor {
	together := slices.Clone(rows[order[0]])
	for i := range together {
		t := &together[i]
		t.Shape = slices.Clone(t.Shape)
		t.Shape[0] = 0
		t.Data, t.Strings = nil, nil
		for _, r := range order {
			part := &rows[r][i]
			if len(part.Shape) > 0 {
				t.Shape[0] += part.Shape[0]
			}
			t.Data = append(t.Data, part.Data...)
			t.Strings = append(t.Strings, part.Strings...)
		}
	}
	return together
}

// differs says in what two lists of outputs differ by more than the order of additions
// explains; "" for nothing.
func differs(got, want []scoring.Tensor) string {
	for i := range got {
		g, w := &got[i], &want[i]
		if !slices.Equal(g.Shape, w.Shape) {
			return fmt.Sprintf("output %q has shape %s for several rows, and the rows alone make %s", g.Name, scoring.FormatShape(g.Shape), scoring.FormatShape(w.Shape))
		}
		if !near(g, w) {
			return fmt.Sprintf("output %q of a row depends on the rows beside it", g.Name)
		}
	}
	return ""
}

// near compares elements: numbers with a point up to what the order of additions explains,
// all else exactly.
func near(a, b *scoring.Tensor) bool {
	le := binary.LittleEndian
	var read func([]byte) float64
	tolerance := 1e-3
	switch a.Datatype {
	case scoring.FP32:
		read = func(e []byte) float64 { return float64(math.Float32frombits(le.Uint32(e))) }
	case scoring.FP64:
		read = func(e []byte) float64 { return math.Float64frombits(le.Uint64(e)) }
	case scoring.FP16:
		read, tolerance = func(e []byte) float64 { return float64(scoring.Float16(le.Uint16(e))) }, 2e-2
	case scoring.BF16:
		read, tolerance = func(e []byte) float64 { return float64(math.Float32frombits(uint32(le.Uint16(e)) << 16)) }, 5e-2
	default:
		return slices.Equal(a.Data, b.Data) && slices.EqualFunc(a.Strings, b.Strings, slices.Equal[[]byte])
	}
	return nearFloats(a.Data, b.Data, a.Datatype.Size(), tolerance, read)
}

// nearFloats allows a share of each number, and a hundredth of that share of the largest.
func nearFloats(a, b []byte, size int, tolerance float64, read func([]byte) float64) bool {
	if len(a) != len(b) {
		return false
	}
	largest := 0.0
	for at := 0; at+size <= len(b); at += size {
		if y := math.Abs(read(b[at:])); !math.IsNaN(y) && !math.IsInf(y, 0) {
			largest = max(largest, y)
		}
	}
	for at := 0; at+size <= len(a); at += size {
		x, y := read(a[at:]), read(b[at:])
		if x == y || math.IsNaN(x) && math.IsNaN(y) {
			continue
		}
		if !(math.Abs(x-y) <= tolerance*(math.Max(math.Abs(x), math.Abs(y))+largest/100)) {
			return false
		}
	}
	return true
}
