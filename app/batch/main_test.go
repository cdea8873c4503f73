package batch_test

import (
	"context"
	"encoding/binary"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/onda-serving/onda/app/batch"
	"github.com/onda-serving/onda/app/scoring"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// model is a model whose runs take a known time: fixed + rows*perRow. Its input "x" is
// INT32 [rows, ...], its output "y" is the input plus 1, its output "sum" the sum of each
// row.
type model struct {
	fixed, perRow time.Duration
	// poison fails a run with a row that begins with it.
	poison int32
	// failure is what a poisoned run gives; an Invalid error if nil.
	failure error
	// outcome changes the outputs of a run, if set.
	outcome func(outputs []scoring.Tensor) []scoring.Tensor
	panics  bool

	mu        sync.Mutex
	runs      []int64 // rows of each run, in the order of their beginnings
	firsts    []int32 // the first element of each run
	shapes    [][]int64
	cancelled int
	now, most int // runs at once
}

func (m *model) Signature() scoring.Signature {
	return scoring.Signature{
		Inputs: []scoring.TensorSpec{{Name: "x", Datatype: scoring.Int32, Shape: []int64{-1, -1}}},
		Outputs: []scoring.TensorSpec{
			{Name: "y", Datatype: scoring.Int32, Shape: []int64{-1, -1}},
			{Name: "sum", Datatype: scoring.Int32, Shape: []int64{-1}},
		},
	}
}

func (m *model) Run(ctx context.Context, inputs []scoring.Tensor, outputs []string) ([]scoring.Tensor, error) {
	x := &inputs[0]
	rows := x.Shape[0]
	values := numbers(x.Data)
	m.begin(x, values)
	defer m.end()
	select {
	case <-time.After(m.fixed + time.Duration(rows)*m.perRow):
	case <-ctx.Done():
		m.mu.Lock()
		defer m.mu.Unlock()
		m.cancelled++
		return nil, ctx.Err()
	}
	if m.panics {
		panic("broken model")
	}
	width := len(values) / int(rows)
	y := scoring.Tensor{Name: "y", Datatype: scoring.Int32, Shape: slices.Clone(x.Shape)}
	sum := scoring.Tensor{Name: "sum", Datatype: scoring.Int32, Shape: []int64{rows}}
	for r := range int(rows) {
		total := int32(0)
		for _, v := range values[r*width : (r+1)*width] {
			if m.poison != 0 && v == m.poison {
				return nil, m.poisoned()
			}
			total += v
			y.Data = binary.LittleEndian.AppendUint32(y.Data, uint32(v+1))
		}
		sum.Data = binary.LittleEndian.AppendUint32(sum.Data, uint32(total))
	}
	all := []scoring.Tensor{y, sum}
	if m.outcome != nil {
		all = m.outcome(all)
	}
	return trim(all, outputs), nil
}

func (m *model) poisoned() error {
	if m.failure != nil {
		return m.failure
	}
	return scoring.Errorf(scoring.Invalid, "poison")
}

func (m *model) begin(x *scoring.Tensor, values []int32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.runs = append(m.runs, x.Shape[0])
	m.shapes = append(m.shapes, slices.Clone(x.Shape))
	m.firsts = append(m.firsts, values[0])
	m.now++
	m.most = max(m.most, m.now)
}

func (m *model) end() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now--
}

// seen are the rows of the runs so far.
func (m *model) seen() []int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.runs)
}

// begun are the first elements of the runs so far.
func (m *model) begun() []int32 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.firsts)
}

// peak is the most runs at once since the last call.
func (m *model) peak() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	most := m.most
	m.most = 0
	return most
}

// terminated counts the runs that were ended before their time.
func (m *model) terminated() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cancelled
}

func trim(all []scoring.Tensor, names []string) []scoring.Tensor {
	if len(names) == 0 {
		return all
	}
	var some []scoring.Tensor
	for _, name := range names {
		at := slices.IndexFunc(all, func(t scoring.Tensor) bool { return t.Name == name })
		some = append(some, all[at])
	}
	return some
}

func numbers(data []byte) []int32 {
	values := make([]int32, len(data)/4)
	for i := range values {
		values[i] = int32(binary.LittleEndian.Uint32(data[4*i:]))
	}
	return values
}

// tensor makes the input "x" of rows of equal width.
func tensor(rows ...[]int32) []scoring.Tensor {
	t := scoring.Tensor{Name: "x", Datatype: scoring.Int32, Shape: []int64{int64(len(rows)), int64(len(rows[0]))}}
	for _, row := range rows {
		for _, v := range row {
			t.Data = binary.LittleEndian.AppendUint32(t.Data, uint32(v))
		}
	}
	return []scoring.Tensor{t}
}

// one makes a request of one row of one number.
func one(v int32) batch.Request { return batch.Request{Inputs: tensor([]int32{v})} }

// bulk is one in the bulk lane.
func bulk(v int32) batch.Request {
	r := one(v)
	r.Schedule.Lane = scoring.Bulk
	return r
}

// observer remembers what it heard.
type observer struct {
	mu     sync.Mutex
	runs   []batch.Run
	reason string
}

func (o *observer) Ran(r batch.Run) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.runs = append(o.runs, r)
}

func (o *observer) Misbatched(reason string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.reason = reason
}

// caller sends requests from goroutines of its own and gathers the answers.
type caller struct {
	t       *testing.T
	b       *batch.Batcher
	wait    sync.WaitGroup
	mu      sync.Mutex
	answers map[int32]answer
}

type answer struct {
	batch.Result
	err  error
	took time.Duration
}

func call(t *testing.T, b *batch.Batcher) *caller {
	t.Helper()
	return &caller{t: t, b: b, answers: map[int32]answer{}}
}

// send sends a request of one row, known by its first number.
func (c *caller) send(ctx context.Context, req batch.Request) {
	c.wait.Go(func() {
		start := time.Now()
		result, err := c.b.Run(ctx, req)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.answers[numbers(req.Inputs[0].Data)[0]] = answer{result, err, time.Since(start)}
	})
}

// checkOwn fails unless each answer is that of its own request.
func (c *caller) checkOwn() {
	c.t.Helper()
	c.wait.Wait()
	for v, a := range c.answers {
		if a.err != nil {
			c.t.Errorf("request %d failed: %v", v, a.err)
			continue
		}
		if got := numbers(a.Outputs[0].Data)[0]; got != v+1 {
			c.t.Errorf("request %d got the answer %d, want %d", v, got, v+1)
		}
	}
}

func codeOf(err error) scoring.Code { return scoring.CodeOf(err) }

// pooled is a model that uses the memory of its outputs again.
type pooled struct {
	model

	released int
}

// Release spoils the outputs, as the next run would.
func (m *pooled) Release(outputs []scoring.Tensor) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.released++
	for i := range outputs {
		clear(outputs[i].Data)
	}
}
