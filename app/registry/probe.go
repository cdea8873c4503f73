package registry

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/onda-serving/onda/app/scoring"
)

// independentRows says whether a model that nobody described can be batched: whether its
// first axis is one of rows that do not know of each other. reason says why not.
//
// An axis that may vary is not yet such an axis: it can be that of time, or of the nodes of
// a graph, and then rows of two callers in one run would give both a wrong answer, with no
// error. So the names of the axis must not speak against it, and the model itself is asked:
// rows run together, in any company and order, must give what each gives alone.
func independentRows(ctx context.Context, s Session) (yes bool, reason string) {
	sig := s.Signature()
	if reason := oneFreeAxis(sig); reason != "" {
		return false, reason
	}
	const kinds = 3
	rows := make([][]scoring.Tensor, kinds)
	alone := make([][]scoring.Tensor, kinds)
	for i := range rows {
		inputs, err := drawRow(sig, uint64(i))
		if err != nil {
			return false, err.Error()
		}
		rows[i] = inputs
		if alone[i], err = s.Run(ctx, inputs, nil); err != nil {
			return false, "it does not run on drawn numbers: " + scoring.AsError(err).Message
		}
	}
	for _, order := range [][]int{{0, 1}, {1, 0}, {2, 1, 0, 1, 2}} {
		together, err := s.Run(ctx, pick(rows, order), nil)
		if err != nil {
			return false, "it does not run on several rows: " + scoring.AsError(err).Message
		}
		if reason := differs(together, pick(alone, order)); reason != "" {
			return false, reason
		}
	}
	return true, ""
}

// oneFreeAxis says why the first axes are not those of rows, as far as the file tells.
func oneFreeAxis(sig scoring.Signature) string {
	name := ""
	for _, specs := range [][]scoring.TensorSpec{sig.Inputs, sig.Outputs} {
		for _, s := range specs {
			if len(s.Shape) == 0 || s.Shape[0] >= 0 {
				return fmt.Sprintf("%q has shape %s, whose first axis does not vary", s.Name, scoring.FormatShape(s.Shape))
			}
			if len(s.Axes) == 0 || s.Axes[0] == "" {
				continue
			}
			if name != "" && s.Axes[0] != name {
				return fmt.Sprintf("the first axis of %q is called %q, and another's %q", s.Name, s.Axes[0], name)
			}
			name = s.Axes[0]
		}
	}
	return ""
}

// drawRow makes one row of inputs, the same for the same seed. Whole numbers are 0 or 1,
// which are valid as indices and as tokens of nearly every model; other free axes are 3.
func drawRow(sig scoring.Signature, seed uint64) ([]scoring.Tensor, error) {
	const free = 3
	random := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // test data, not secrets
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
		if !ok || n > maxWarmUp {
			return nil, fmt.Errorf("input %q of shape %s is too large to try", spec.Name, scoring.FormatShape(t.Shape))
		}
		draw(&t, int(n), random)
		inputs = append(inputs, t)
	}
	return inputs, nil
}

// draw fills t with n elements.
func draw(t *scoring.Tensor, n int, random *rand.Rand) {
	size := t.Datatype.Size()
	t.Data = make([]byte, n*size)
	le := binary.LittleEndian
	for i := range n {
		switch t.Datatype {
		case scoring.Bytes:
			t.Strings = append(t.Strings, []byte{byte('a' + random.IntN(26))})
		case scoring.FP32:
			le.PutUint32(t.Data[i*size:], math.Float32bits(random.Float32()))
		case scoring.FP64:
			le.PutUint64(t.Data[i*size:], math.Float64bits(random.Float64()))
		case scoring.FP16:
			le.PutUint16(t.Data[i*size:], uint16(0x3800+random.IntN(0x400))) // 0.5 to 1
		case scoring.BF16:
			le.PutUint16(t.Data[i*size:], uint16(0x3f00+random.IntN(0x80))) // 0.5 to 1
		default:
			t.Data[i*size] = byte(random.IntN(2))
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

// near compares elements: numbers with a point to about three digits, all else exactly.
func near(a, b *scoring.Tensor) bool {
	le := binary.LittleEndian
	switch a.Datatype {
	case scoring.FP32:
		return nearFloats(a.Data, b.Data, 4, func(e []byte) float64 { return float64(math.Float32frombits(le.Uint32(e))) })
	case scoring.FP64:
		return nearFloats(a.Data, b.Data, 8, func(e []byte) float64 { return math.Float64frombits(le.Uint64(e)) })
	case scoring.FP16, scoring.BF16:
		return true // too coarse to tell; the shapes agree
	default:
		return slices.Equal(a.Data, b.Data) && slices.EqualFunc(a.Strings, b.Strings, slices.Equal[[]byte])
	}
}

func nearFloats(a, b []byte, size int, read func([]byte) float64) bool {
	if len(a) != len(b) {
		return false
	}
	for at := 0; at+size <= len(a); at += size {
		x, y := read(a[at:]), read(b[at:])
		if x == y || math.IsNaN(x) && math.IsNaN(y) {
			continue
		}
		if !(math.Abs(x-y) <= 1e-5+1e-3*math.Max(math.Abs(x), math.Abs(y))) {
			return false
		}
	}
	return true
}
