package batch_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onda-serving/onda/app/admit"
	"github.com/onda-serving/onda/app/batch"
	"github.com/onda-serving/onda/app/scoring"
)

// drawn is a request of the property test: rows of equal width, each of which begins with
// a number that no other row has.
type drawn struct {
	rows   [][]int32
	poison bool
	// budget ends the request after a while; 0 does not. leaves does so as a caller that
	// goes away.
	budget time.Duration
	leaves bool
	answer answer
	count  int
}

// TestEveryRequestGetsItsOwnAnswer draws arrivals, shapes, failures and cancellations: each
// request must get exactly one answer, and it must be its own, or an error that it deserves.
func TestEveryRequestGetsItsOwnAnswer(t *testing.T) {
	t.Parallel()
	seeds := 400
	if testing.Short() {
		seeds = 50
	}
	for seed := range seeds {
		t.Run(strconv.Itoa(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { randomLoad(t, uint64(seed)) })
		})
	}
}

func randomLoad(t *testing.T, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 7))
	const poison = -666
	m := &yielder{model: model{
		fixed: time.Duration(random.IntN(20)) * ms, perRow: time.Duration(random.IntN(3000)) * time.Microsecond, poison: poison,
	}}
	config := batch.Config{MaxRows: 1 + random.IntN(16), MaxQueue: 10_000}
	if random.IntN(3) == 0 {
		config.Delay = time.Duration(random.IntN(10)) * ms
	}
	pads := random.IntN(2) == 0
	if pads {
		config.Pad = []batch.Pad{{Input: "x", Axis: 1, Outputs: []batch.PadOutput{{Output: "y", Axis: 1}}}}
	}
	bytes := admit.NewBytes(1 << 20)
	b := batch.New(m, config, batch.Parts{Scheduler: batch.NewScheduler(1+random.IntN(3), random.IntN(3)), Bytes: bytes})
	requests := make([]*drawn, 60)
	var wait sync.WaitGroup
	for i := range requests {
		r := draw(random, int32(1000*(i+1)), poison)
		requests[i] = r
		schedule := scoring.Schedule{Lane: scoring.Lane(random.IntN(2)), Priority: uint64(random.IntN(3))}
		wait.Go(func() { send(t, b, r, schedule) })
		if random.IntN(3) == 0 {
			time.Sleep(time.Duration(random.IntN(8000)) * time.Microsecond)
		}
	}
	wait.Wait()
	synctest.Wait()
	for _, r := range requests {
		r.check(t)
	}
	stats := b.Stats()
	if stats.Running != 0 || stats.Waiting != [2]int{} || stats.Rows != [2]int{} || bytes.Used() != 0 {
		t.Errorf("left behind: %+v and %d bytes", stats, bytes.Used())
	}
	if most := slices.Max(m.seen()); most > int64(config.MaxRows) {
		t.Errorf("a run of %d rows, where at most %d are allowed", most, config.MaxRows)
	}
}

// draw makes a request whose rows begin with first, first+1 and so on.
func draw(random *rand.Rand, first, poison int32) *drawn {
	r := &drawn{}
	width := 1 + random.IntN(4)
	for i := range 1 + random.IntN(6)*random.IntN(2) {
		row := make([]int32, width)
		for c := range row {
			row[c] = random.Int32N(100)
		}
		row[0] = first + int32(i)
		r.rows = append(r.rows, row)
	}
	if random.IntN(12) == 0 {
		r.poison = true
		last := r.rows[len(r.rows)-1]
		last[width-1] = poison
	}
	if random.IntN(4) == 0 {
		r.budget = time.Duration(1+random.IntN(60)) * ms
		r.leaves = random.IntN(2) == 0
	}
	return r
}

func send(t *testing.T, b *batch.Batcher, r *drawn, schedule scoring.Schedule) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	switch {
	case r.leaves:
		time.AfterFunc(r.budget, cancel)
	case r.budget > 0:
		ctx, cancel = context.WithTimeout(ctx, r.budget)
		defer cancel()
	}
	leave, err := b.Admit(ctx, schedule, len(r.rows))
	if err != nil {
		r.answer.err = err
		r.count++
		return
	}
	defer leave()
	inputs := tensor(r.rows...)
	result, err := b.Run(ctx, batch.Request{Inputs: inputs, Schedule: schedule})
	// What the batcher must not look at any more is spoilt.
	clear(inputs[0].Data)
	inputs[0].Shape[0], inputs[0].Shape[1] = 0, 0
	r.answer = answer{Result: result, err: err}
	r.count++
}

// check fails unless r has the answer that it deserves.
func (r *drawn) check(t *testing.T) {
	t.Helper()
	if r.count != 1 {
		t.Errorf("%d answers for request %d", r.count, r.rows[0][0])
	}
	if err := r.answer.err; err != nil {
		switch code := codeOf(err); {
		case code == scoring.Invalid && r.poison:
		case (code == scoring.Canceled || code == scoring.Expired || code == scoring.Overloaded) && r.budget > 0:
		default:
			t.Errorf("request %d (poison %t, budget %s) failed: %v", r.rows[0][0], r.poison, r.budget, err)
		}
		return
	}
	if r.poison {
		t.Errorf("the poison %d was answered", r.rows[0][0])
	}
	y, sum := r.answer.Outputs[0], r.answer.Outputs[1]
	if !slices.Equal(y.Shape, []int64{int64(len(r.rows)), int64(len(r.rows[0]))}) {
		t.Fatalf("request %d got an answer of shape %v", r.rows[0][0], y.Shape)
	}
	got, sums := numbers(y.Data), numbers(sum.Data)
	for i, row := range r.rows {
		total := int32(0)
		for c, v := range row {
			total += v
			if got[i*len(row)+c] != v+1 {
				t.Errorf("request %d got the answer of another: row %d is %v", r.rows[0][0], i, got)
			}
		}
		if sums[i] != total {
			t.Errorf("request %d, row %d: sum %d, want %d", r.rows[0][0], i, sums[i], total)
		}
	}
}
