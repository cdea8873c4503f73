package batch_test

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onda-serving/onda/app/batch"
	"github.com/onda-serving/onda/app/scoring"
)

func TestDelayOfOneShapeDoesNotHideTheBudgetOfAnother(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := call(t, rig(&model{fixed: ms}, 2, batch.Config{MaxRows: 8, Delay: 100 * ms}))
		c.send(t.Context(), batch.Request{Inputs: tensor([]int32{1, 1})})
		time.Sleep(ms)
		ctx, cancel := context.WithTimeout(t.Context(), 20*ms)
		defer cancel()
		c.send(ctx, one(2))
		c.checkOwn()
	})
}

func TestFullBatchDoesNotWaitForTheDelayOfAnotherShape(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := call(t, rig(&model{fixed: ms}, 2, batch.Config{MaxRows: 2, Delay: 100 * ms}))
		c.send(t.Context(), batch.Request{Inputs: tensor([]int32{1, 1})})
		synctest.Wait()
		c.send(t.Context(), one(2))
		c.send(t.Context(), one(3))
		c.checkOwn()
		if took := c.answers[2].took; took != ms {
			t.Errorf("the full batch took %s, want its run", took)
		}
	})
}

func TestPiecesOfAModelThatDoesNotKeepRowsAreRunWhole(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &model{outcome: func(o []scoring.Tensor) []scoring.Tensor {
			o[0].Shape, o[0].Data = []int64{1, 1}, o[0].Data[:4]
			return o
		}}
		b := rig(m, 2, batch.Config{MaxRows: 2})
		result, err := b.Run(t.Context(), batch.Request{Inputs: tensor([]int32{1}, []int32{2}, []int32{3}, []int32{4}, []int32{5})})
		if err != nil || result.Outputs[0].Shape[0] != 1 || slices.Max(m.seen()) != 5 {
			t.Errorf("got %+v, %v after runs of %v rows", result.Outputs, err, m.seen())
		}
	})
}

func TestPoisonDoesNotCostItsNeighboursTheQueueTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := call(t, rig(&model{fixed: 50 * ms, poison: 666}, 1, batch.Config{MaxRows: 8, Timeout: 60 * ms}))
		c.send(t.Context(), one(1))
		synctest.Wait()
		for _, v := range []int32{2, 3, 666} {
			c.send(t.Context(), one(v))
		}
		c.wait.Wait()
		delete(c.answers, 666)
		c.checkOwn()
	})
}

func TestQueueTimeoutIsNoticedWhenItIsOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := call(t, rig(&model{fixed: 10 * time.Second}, 1, batch.Config{MaxRows: 8, Timeout: 50 * ms}))
		c.send(t.Context(), one(1))
		synctest.Wait()
		c.send(t.Context(), one(2))
		c.wait.Wait()
		if a := c.answers[2]; codeOf(a.err) != scoring.Expired || a.took != 50*ms {
			t.Errorf("got %v after %s, want Expired after 50ms", a.err, a.took)
		}
	})
}

func TestSmallBudgetsAreNotLockedOutByLargeRuns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := rig(&model{perRow: 10 * ms}, 1, batch.Config{MaxRows: 64})
		large := batch.Request{Inputs: tensor(slices.Repeat([][]int32{{7}}, 64)...)}
		for range 20 {
			if _, err := b.Run(t.Context(), large); err != nil {
				t.Fatal(err)
			}
		}
		c := call(t, b)
		c.wait.Go(func() {
			if _, err := b.Run(t.Context(), large); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 700*ms) // 60ms are left when its turn comes
		defer cancel()
		c.send(ctx, one(1))
		c.checkOwn()
	})
}

func TestInteractiveDoesNotWaitForBulkBesideAFreeSlot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := rig(&model{fixed: 100 * ms, perRow: 10 * ms}, 2, batch.Config{MaxRows: 64})
		c := call(t, b)
		for v := range int32(300) { // so that runs are crowded, and long
			c.send(t.Context(), bulk(1000+v))
		}
		c.wait.Wait()
		for v := range int32(64) {
			c.send(t.Context(), bulk(2000+v))
		}
		time.Sleep(120 * ms) // the short run is over, the long one goes on
		c.send(t.Context(), one(1))
		c.checkOwn()
		if took := c.answers[1].took; took > 230*ms {
			t.Errorf("it took %s, want little more than the 110ms of its own run", took)
		}
	})
}

func TestBulkOfOneVersionLeavesRoomForAnother(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		parts := batch.Parts{Scheduler: batch.NewScheduler(1, 0)}
		config := batch.Config{MaxRows: 64, MaxQueue: 10_000}
		slow := call(t, batch.New(&model{perRow: 20 * ms}, config, parts))
		fast := call(t, batch.New(&model{fixed: 5 * ms}, config, parts))
		for v := range int32(500) {
			slow.send(t.Context(), bulk(v))
		}
		synctest.Wait()
		for v := range int32(20) {
			time.Sleep(3 * ms)
			fast.send(t.Context(), one(v))
			fast.checkOwn()
			if took := fast.answers[v].took; took > 100*ms {
				t.Errorf("an interactive request took %s beside bulk of another version", took)
			}
		}
		slow.checkOwn()
	})
}

func TestOutputThatNobodyAskedForDoesNotEndBatching(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &model{fixed: 10 * ms, outcome: func(o []scoring.Tensor) []scoring.Tensor {
			o[1].Shape, o[1].Data = []int64{1}, o[1].Data[:4]
			return o
		}}
		c := call(t, rig(m, 1, batch.Config{MaxRows: 8}))
		for v := range int32(5) {
			r := one(v)
			r.Outputs = []string{"y"}
			c.send(t.Context(), r)
			synctest.Wait()
		}
		c.checkOwn()
		if got := m.seen(); !slices.Equal(got, []int64{1, 4}) {
			t.Errorf("runs of %v rows, want 1 and 4", got)
		}
	})
}

func TestManyPiecesTakeTurnsWithOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := rig(&model{fixed: ms}, 1, batch.Config{MaxRows: 1})
		rows := make([][]int32, 5000)
		for i := range rows {
			rows[i] = []int32{int32(i)}
		}
		c := call(t, b)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		c.send(ctx, batch.Request{Inputs: tensor(rows...)})
		synctest.Wait()
		if n := runtime.NumGoroutine(); n > 2000 {
			t.Errorf("%d goroutines for one request", n)
		}
		c.send(t.Context(), one(-5))
		time.Sleep(10 * ms)
		cancel()
		c.wait.Wait()
		if a := c.answers[-5]; a.err != nil || a.took > 5*ms {
			t.Errorf("another caller got %v after %s", a.err, a.took)
		}
	})
}

// words is a model of strings: its output is the first byte of each.
type words struct{}

func (words) Signature() scoring.Signature {
	return scoring.Signature{
		Inputs:  []scoring.TensorSpec{{Name: "x", Datatype: scoring.Bytes, Shape: []int64{-1}}},
		Outputs: []scoring.TensorSpec{{Name: "y", Datatype: scoring.Uint8, Shape: []int64{-1}}},
	}
}

func (words) Run(_ context.Context, inputs []scoring.Tensor, _ []string) ([]scoring.Tensor, error) {
	time.Sleep(50 * ms)
	out := scoring.Tensor{Name: "y", Datatype: scoring.Uint8, Shape: inputs[0].Shape}
	for _, s := range inputs[0].Strings {
		out.Data = append(out.Data, s[0])
	}
	return []scoring.Tensor{out}, nil
}

// TestStringsOfACallerThatLeftAreNotRead needs the race detector to fail.
func TestStringsOfACallerThatLeftAreNotRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := batch.New(words{}, batch.Config{MaxRows: 8, MaxQueue: 100}, batch.Parts{})
		word := func(s []byte) batch.Request {
			return batch.Request{Inputs: []scoring.Tensor{{Name: "x", Datatype: scoring.Bytes, Shape: []int64{1}, Strings: [][]byte{s}}}}
		}
		var wait sync.WaitGroup
		send := func(ctx context.Context, s string, spoil bool) {
			body := []byte(s)
			wait.Go(func() {
				result, err := b.Run(ctx, word(body))
				if spoil {
					body[0] = 'X' // the memory is another request's now
				} else if err != nil || result.Outputs[0].Data[0] != s[0] {
					t.Errorf("%s: %v, %v", s, result.Outputs, err)
				}
			})
			synctest.Wait()
		}
		ctx, cancel := context.WithTimeout(t.Context(), 60*ms)
		defer cancel()
		send(t.Context(), "a", false)
		send(t.Context(), "b", false)
		send(ctx, "c", true)
		wait.Wait()
	})
}

func TestOutputsOfABatchAreReleasedOnceEachJobHasItsCopy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &pooled{model: model{fixed: 10 * ms}}
		c := call(t, batch.New(m, batch.Config{MaxRows: 8, MaxQueue: 100}, batch.Parts{}))
		for v := range int32(6) {
			c.send(t.Context(), one(v))
			synctest.Wait()
		}
		c.checkOwn()
		synctest.Wait()
		if m.released != 1 {
			t.Errorf("%d releases, want 1: for the run of five, and not for that of one, whose outputs are its caller's", m.released)
		}
	})
}

func TestBatchIsNoLargerThanPays(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		model *model
		most  int64
	}{
		{"rows cost as much together", &model{perRow: 10 * ms}, 8},
		{"runs cost more than rows", &model{fixed: 10 * ms, perRow: 100 * time.Microsecond}, 64},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := rig(tt.model, 1, batch.Config{MaxRows: 64})
				learn(t, b)
				before := len(tt.model.seen())
				c := call(t, b)
				for v := range int32(640) {
					c.send(t.Context(), one(v))
				}
				c.checkOwn()
				runs := tt.model.seen()[before:]
				if got := slices.Max(runs); got != tt.most {
					t.Errorf("runs of %v rows, want %d at most, and once at least", runs, tt.most)
				}
			})
		})
	}
}

// TestLimitGrowsWhenLargerRunsBeginToPay shows that a version does not stay with small runs
// because all of its runs were small.
func TestLimitGrowsWhenLargerRunsBeginToPay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &model{fixed: 10 * ms, perRow: 100 * time.Microsecond}
		b := rig(m, 1, batch.Config{MaxRows: 64})
		for v := range int32(50) { // nothing but single rows to learn from
			if _, err := b.Run(t.Context(), one(v)); err != nil {
				t.Fatal(err)
			}
		}
		c := call(t, b)
		for v := range int32(5000) {
			c.send(t.Context(), one(v))
			if v%100 == 99 {
				time.Sleep(20 * ms)
			}
		}
		c.checkOwn()
		runs := m.seen()
		if got := slices.Max(runs[len(runs)-20:]); got != 64 {
			t.Errorf("the last runs had %v rows, want full ones", runs[len(runs)-20:])
		}
	})
}

func TestRequestForTooManyPiecesIsRefused(t *testing.T) {
	t.Parallel()
	b := rig(&model{}, 1, batch.Config{MaxRows: 1})
	claim := []scoring.Tensor{{Name: "x", Datatype: scoring.Int32, Shape: []int64{1 << 40, 0}}}
	if _, err := b.Run(t.Context(), batch.Request{Inputs: claim}); codeOf(err) != scoring.TooLarge {
		t.Errorf("got %v, want TooLarge", err)
	}
}

func TestPiecesEndWithTheBudget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &model{fixed: 10 * ms}
		ctx, cancel := context.WithTimeout(t.Context(), 25*ms)
		defer cancel()
		start := time.Now()
		_, err := rig(m, 1, batch.Config{MaxRows: 1}).Run(ctx, batch.Request{Inputs: tensor(slices.Repeat([][]int32{{7}}, 1000)...)})
		synctest.Wait()
		if codeOf(err) != scoring.Expired || time.Since(start) != 25*ms || len(m.seen()) > 4 {
			t.Errorf("got %v after %s and %d runs", err, time.Since(start), len(m.seen()))
		}
	})
}

func TestFirstAxisThatIsNotRowsTakesOnePlace(t *testing.T) {
	t.Parallel()
	b := rig(&model{}, 1, batch.Config{MaxQueue: 2})
	for range 3 {
		if _, err := b.Admit(t.Context(), scoring.Schedule{}, 16_000); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.Admit(t.Context(), scoring.Schedule{}, 1); codeOf(err) != scoring.Overloaded {
		t.Errorf("got %v, want Overloaded: one runs and two wait", err)
	}
}

func TestSpentBudgetIsExpiredAndNotOverloaded(t *testing.T) {
	t.Parallel()
	b := rig(&model{}, 1, batch.Config{MaxRows: 1, MaxQueue: 1})
	for range 2 {
		if _, err := b.Admit(t.Context(), scoring.Schedule{}, 1); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	if _, err := b.Admit(ctx, scoring.Schedule{}, 1); codeOf(err) != scoring.Expired {
		t.Errorf("got %v, want Expired", err)
	}
}

func TestQueueTimeoutClosesABatchBeforeItsDelay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := call(t, rig(&model{fixed: ms}, 1, batch.Config{MaxRows: 8, Delay: 300 * ms, Timeout: 100 * ms}))
		c.send(t.Context(), one(1))
		c.checkOwn()
	})
}
