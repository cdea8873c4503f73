package batch_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onda-serving/onda/app/admit"
	"github.com/onda-serving/onda/app/batch"
	"github.com/onda-serving/onda/app/scoring"
)

const ms = time.Millisecond

// rig makes a batcher on slots slots.
func rig(m *model, slots int, config batch.Config) *batch.Batcher {
	if config.MaxQueue == 0 {
		config.MaxQueue = 1000
	}
	return batch.New(m, config, batch.Parts{Scheduler: batch.NewScheduler(slots, 0)})
}

func TestIdleServerAddsNoDelay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &model{fixed: 10 * ms}
		b := rig(m, 1, batch.Config{MaxRows: 8})
		for v := range int32(5) {
			start := time.Now()
			result, err := b.Run(t.Context(), one(v))
			if err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); took != 10*ms || result.Queue != 0 || result.Run != 10*ms || result.Rows != 1 {
				t.Errorf("took %s, answer %+v, want the 10ms of the run and nothing else", took, result)
			}
			time.Sleep(ms)
		}
	})
}

func TestRequestsThatWaitRunTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &model{fixed: 10 * ms}
		b := rig(m, 1, batch.Config{MaxRows: 8})
		c := call(t, b)
		for v := range int32(5) {
			c.send(t.Context(), one(v))
			synctest.Wait()
		}
		c.checkOwn()
		if got, want := m.seen(), []int64{1, 4}; !slices.Equal(got, want) {
			t.Errorf("runs of %v rows, want %v: four wait for the first", got, want)
		}
		if a := c.answers[4]; a.Rows != 4 || a.Queue != 10*ms || a.took != 20*ms {
			t.Errorf("got %+v, want 4 rows after a wait of 10ms", a)
		}
	})
}

func TestBatchClosesWhenFull(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &model{fixed: 10 * ms}
		b := rig(m, 1, batch.Config{MaxRows: 4})
		c := call(t, b)
		for v := range int32(10) {
			c.send(t.Context(), one(v))
			synctest.Wait()
		}
		c.checkOwn()
		if got, want := m.seen(), []int64{1, 4, 4, 1}; !slices.Equal(got, want) {
			t.Errorf("runs of %v rows, want %v", got, want)
		}
	})
}

func TestFixedDelayHoldsUntilItIsOverOrTheBatchIsFull(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &model{fixed: ms}
		b := rig(m, 1, batch.Config{MaxRows: 3, Delay: 5 * ms})
		c := call(t, b)
		c.send(t.Context(), one(1))
		time.Sleep(2 * ms)
		c.send(t.Context(), one(2))
		c.checkOwn()
		if a := c.answers[1]; a.took != 6*ms || a.Rows != 2 {
			t.Errorf("got %+v, want 2 rows after 5ms of delay and 1ms of run", a)
		}
		for v := range int32(3) {
			c.send(t.Context(), one(v))
		}
		c.checkOwn()
		if a := c.answers[0]; a.took != ms || a.Rows != 3 {
			t.Errorf("got %+v, want a full batch at once", a)
		}
	})
}

func TestFixedDelayClosesForTheTightestBudget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &model{fixed: 10 * ms}
		b := rig(m, 1, batch.Config{MaxRows: 8, Delay: time.Second})
		for v := range int32(10) { // it learns how long a run takes
			if _, err := b.Run(t.Context(), one(v)); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*ms)
		defer cancel()
		c := call(t, b)
		c.send(t.Context(), one(100))
		c.send(ctx, one(101))
		c.checkOwn()
		if a := c.answers[100]; a.Rows != 2 || a.took >= 100*ms {
			t.Errorf("got %+v, want both to run within the budget of 100ms, long before the delay of 1s", a)
		}
	})
}

func TestBatchStaysSmallEnoughForItsTightestBudget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &model{perRow: 10 * ms}
		b := rig(m, 1, batch.Config{MaxRows: 64})
		learn(t, b)
		c := call(t, b)
		c.send(t.Context(), one(1)) // 10ms
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 55*ms) // 45ms are left when its turn comes
		defer cancel()
		c.send(ctx, one(2))
		for v := range int32(10) {
			c.send(t.Context(), one(10+v))
			synctest.Wait()
		}
		c.checkOwn()
		if a := c.answers[2]; a.Rows < 2 || a.Rows > 4 {
			t.Errorf("the tight request ran among %d rows, want 2 to 4: five rows take 50ms", a.Rows)
		}
	})
}

// learn runs requests of several sizes, so that the batcher knows its model.
func learn(t *testing.T, b *batch.Batcher) {
	t.Helper()
	for range 10 {
		for _, rows := range []int{1, 2, 4} {
			row := slices.Repeat([][]int32{{0}}, rows)
			if _, err := b.Run(t.Context(), batch.Request{Inputs: tensor(row...)}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestUnderLoadSmallRunsWaitForTheRunUnderWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		// Runs cost 10ms, rows nearly nothing: a second run beside the first is a waste.
		m := &model{fixed: 10 * ms, perRow: 100 * time.Microsecond}
		b := rig(m, 4, batch.Config{MaxRows: 32})
		learn(t, b)
		c := call(t, b)
		for v := range int32(400) {
			c.send(t.Context(), one(v))
			time.Sleep(200 * time.Microsecond)
		}
		c.checkOwn()
		late := m.seen()[len(m.seen())-5:]
		if slices.Min(late[:4]) < 20 {
			t.Errorf("the last runs had %v rows, want more than 20 each: one run at a time", late)
		}
		// With 4 slots and 4 requests at a time there is no reason to wait.
		for v := range int32(200) {
			c.send(t.Context(), one(1000+v))
			time.Sleep(20 * ms)
		}
		c.checkOwn()
		if a := c.answers[1199]; a.Queue != 0 {
			t.Errorf("a request to a version that is idle again waited %s", a.Queue)
		}
	})
}

func TestExpensiveRowsUseEverySlot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &model{perRow: 10 * ms}
		b := rig(m, 4, batch.Config{MaxRows: 8})
		learn(t, b)
		m.peak()
		c := call(t, b)
		for v := range int32(100) {
			c.send(t.Context(), one(v))
			time.Sleep(3 * ms)
		}
		c.checkOwn()
		if most := m.peak(); most != 4 {
			t.Errorf("at most %d runs went on at once, want 4: rows that cost as much together as apart need not wait for each other", most)
		}
	})
}

func TestOnlyEqualShapesRunTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &model{fixed: 10 * ms}
		b := rig(m, 1, batch.Config{MaxRows: 8})
		c := call(t, b)
		c.send(t.Context(), one(1))
		synctest.Wait()
		for v := range int32(6) {
			row := make([]int32, 2+v%2)
			row[0] = 10 + v
			c.send(t.Context(), batch.Request{Inputs: tensor(row)})
			synctest.Wait()
		}
		c.checkOwn()
		if got, want := m.shapes, [][]int64{{1, 1}, {3, 2}, {3, 3}}; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("runs of shapes %v, want %v", got, want)
		}
	})
}

func TestMixedLengthsArePaddedAndCutBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &model{fixed: 10 * ms}
		seen := &observer{}
		b := batch.New(m, batch.Config{MaxRows: 8, MaxQueue: 100, Pad: []batch.Pad{{
			Input: "x", Axis: 1, Value: -7, Buckets: []int{4, 16}, Outputs: []batch.PadOutput{{Output: "y", Axis: 1}},
		}}}, batch.Parts{Scheduler: batch.NewScheduler(1, 0), Observer: seen})
		c := call(t, b)
		c.send(t.Context(), one(1))
		synctest.Wait()
		rows := [][]int32{{10}, {20, 21}, {30, 31, 32}, {40, 41, 42, 43, 44}}
		for _, row := range rows {
			c.send(t.Context(), batch.Request{Inputs: tensor(row)})
			synctest.Wait()
		}
		c.checkOwn()
		if got, want := m.shapes, [][]int64{{1, 1}, {3, 3}, {1, 5}}; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("runs of shapes %v, want %v: as long as the longest, 5 in a bucket of its own", got, want)
		}
		for _, row := range rows {
			a := c.answers[row[0]]
			if shape := a.Outputs[0].Shape; shape[1] != int64(len(row)) {
				t.Errorf("the answer for %v has shape %v", row, shape)
			}
			for i, got := range numbers(a.Outputs[0].Data) {
				if got != row[i]+1 {
					t.Errorf("element %d for %v is %d", i, row, got)
				}
			}
		}
		if sum := numbers(c.answers[10].Outputs[1].Data)[0]; sum != 10-7-7 {
			t.Errorf("the sum over a padded row is %d, want %d: padding of -7", sum, 10-7-7)
		}
		if r := seen.runs[1]; r.Padded != 3 || r.Elements != 9 {
			t.Errorf("observed %+v, want 3 of 9 elements of padding", r)
		}
	})
}

func TestInteractiveGoesBeforeBulkAndBulkFillsUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &model{fixed: 10 * ms}
		b := rig(m, 1, batch.Config{MaxRows: 4})
		learn(t, b)
		before := len(m.seen())
		c := call(t, b)
		c.send(t.Context(), one(1))
		synctest.Wait()
		for v := range int32(4) {
			c.send(t.Context(), bulk(10+v))
			synctest.Wait()
		}
		for v := range int32(2) {
			c.send(t.Context(), one(20+v))
			synctest.Wait()
		}
		c.checkOwn()
		if got, want := m.begun()[before:], []int32{1, 20, 12}; !slices.Equal(got, want) {
			t.Errorf("runs began with %v, want %v", got, want)
		}
		if got, want := m.seen()[before:], []int64{1, 4, 2}; !slices.Equal(got, want) {
			t.Errorf("runs of %v rows, want %v: two interactive rows leave room for two of bulk", got, want)
		}
	})
}

func TestBulkDoesNotMakeInteractiveRunsLonger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &model{perRow: 10 * ms}
		b := rig(m, 1, batch.Config{MaxRows: 64})
		learn(t, b)
		c := call(t, b)
		for v := range int32(100) {
			c.send(t.Context(), bulk(1000+v))
		}
		synctest.Wait()
		for v := range int32(10) {
			time.Sleep(50 * ms)
			c.send(t.Context(), one(v))
		}
		c.checkOwn()
		for v := range int32(10) {
			if a := c.answers[v]; v > 0 && a.took > 35*ms {
				t.Errorf("interactive request %d took %s beside a backlog of bulk, want at most a short run's wait", v, a.took)
			}
		}
	})
}

func TestPriorities(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &model{fixed: 10 * ms}
		b := rig(m, 1, batch.Config{MaxRows: 1, Priority: 2})
		c := call(t, b)
		c.send(t.Context(), one(1))
		synctest.Wait()
		for i, priority := range []uint64{3, 0, 1, 2, 1} {
			r := one(int32(10 + i))
			r.Schedule.Priority = priority
			c.send(t.Context(), r)
			synctest.Wait()
		}
		c.checkOwn()
		if got, want := m.begun(), []int32{1, 12, 14, 11, 13, 10}; !slices.Equal(got, want) {
			t.Errorf("runs began with %v, want %v: 1 before 2, which is the default, before 3", got, want)
		}
	})
}

func TestVersionsTakeTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := batch.NewScheduler(1, 0)
		busy, quiet := &model{fixed: 10 * ms}, &model{fixed: 10 * ms}
		config := batch.Config{MaxRows: 1, MaxQueue: 1000}
		flood, drop := call(t, batch.New(busy, config, batch.Parts{Scheduler: s})), call(t, batch.New(quiet, config, batch.Parts{Scheduler: s}))
		for v := range int32(50) {
			flood.send(t.Context(), one(v))
		}
		synctest.Wait()
		drop.send(t.Context(), one(1))
		drop.checkOwn()
		if took := drop.answers[1].took; took > 30*ms {
			t.Errorf("a request to a quiet version took %s beside a flooded one, want no more than the run under way, one more and its own", took)
		}
		flood.checkOwn()
	})
}

func TestQueueIsBoundedByRows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &model{perRow: 100 * ms}
		b := rig(m, 1, batch.Config{MaxRows: 1, MaxQueue: 3})
		var leaves []func()
		for range 4 { // one runs and three wait
			leave, err := b.Admit(t.Context(), scoring.Schedule{}, 1)
			if err != nil {
				t.Fatal(err)
			}
			leaves = append(leaves, leave)
		}
		_, err := b.Admit(t.Context(), scoring.Schedule{}, 1)
		if codeOf(err) != scoring.Overloaded || scoring.AsError(err).RetryAfter < time.Second {
			t.Errorf("got %v, want Overloaded with a time to try again", err)
		}
		if _, err := b.Admit(t.Context(), scoring.Schedule{Lane: scoring.Bulk}, 1); err != nil {
			t.Errorf("bulk has room of its own, got %v", err)
		}
		leaves[0]()
		leaves[0]() // a second call must not make room twice
		if err := b.HasRoom(t.Context(), scoring.Schedule{}, 2); codeOf(err) != scoring.Overloaded {
			t.Errorf("room for 2 where 1 left: %v", err)
		}
		if err := b.HasRoom(t.Context(), scoring.Schedule{}, 1); err != nil {
			t.Errorf("no room for 1 where 1 left: %v", err)
		}
	})
}

func TestRequestLargerThanTheRoomIsAdmittedAlone(t *testing.T) {
	t.Parallel()
	b := rig(&model{}, 1, batch.Config{MaxRows: 1, MaxQueue: 3})
	leave, err := b.Admit(t.Context(), scoring.Schedule{}, 64)
	if err != nil {
		t.Fatalf("it would never be admitted: %v", err)
	}
	leave()
}

func TestRetryAfterIsWhenTheQueueIsThrough(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &model{perRow: time.Second}
		b := rig(m, 1, batch.Config{MaxRows: 1, MaxQueue: 9})
		for v := range int32(20) { // it learns its pace: a row a second
			leave, err := b.Admit(t.Context(), scoring.Schedule{}, 1)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := b.Run(t.Context(), one(v)); err != nil {
				t.Fatal(err)
			}
			leave()
		}
		for range 10 {
			if _, err := b.Admit(t.Context(), scoring.Schedule{}, 1); err != nil {
				t.Fatal(err)
			}
		}
		_, err := b.Admit(t.Context(), scoring.Schedule{}, 1)
		if got := scoring.AsError(err).RetryAfter; got < 9*time.Second || got > 11*time.Second {
			t.Errorf("told to try again in %s, want about 10s: ten rows at one a second", got)
		}
	})
}

func TestRequestThatWouldWaitBeyondItsBudgetIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &model{perRow: 100 * ms}
		b := rig(m, 1, batch.Config{MaxRows: 1, MaxQueue: 100})
		c := call(t, b)
		serve := func(ctx context.Context, v int32) error {
			leave, err := b.Admit(ctx, scoring.Schedule{}, 1)
			if err != nil {
				return err
			}
			c.wait.Go(func() {
				defer leave()
				if _, err := b.Run(ctx, one(v)); err != nil {
					t.Error(err)
				}
			})
			return nil
		}
		for v := range int32(20) {
			if err := serve(t.Context(), v); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(1050 * ms) // ten are through, ten wait for a second
		tight, cancel := context.WithTimeout(t.Context(), 500*ms)
		defer cancel()
		if err := serve(tight, 100); codeOf(err) != scoring.Overloaded {
			t.Errorf("got %v, want Overloaded: the wait is a second and the budget half of that", err)
		}
		wide, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if err := serve(wide, 101); err != nil {
			t.Errorf("got %v for a budget that is long enough", err)
		}
		c.wait.Wait()
	})
}

func TestQueueIsBoundedByBytes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &model{fixed: 100 * ms}
		bytes := admit.NewBytes(40)
		b := batch.New(m, batch.Config{MaxRows: 8, MaxQueue: 100}, batch.Parts{Scheduler: batch.NewScheduler(1, 0), Bytes: bytes})
		c := call(t, b)
		for v := range int32(12) { // one runs, ten wait with 4 bytes each, one is too many
			c.send(t.Context(), one(v))
			synctest.Wait()
		}
		c.wait.Wait()
		if a := c.answers[11]; codeOf(a.err) != scoring.Overloaded || a.took != 0 {
			t.Errorf("got %+v, want Overloaded at once", a)
		}
		delete(c.answers, 11)
		c.checkOwn()
		if bytes.Used() != 0 {
			t.Errorf("%d bytes are still booked", bytes.Used())
		}
	})
}

func TestExpiredWorkNeverRuns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &model{fixed: 100 * ms}
		b := rig(m, 1, batch.Config{MaxRows: 1})
		c := call(t, b)
		c.send(t.Context(), one(1))
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 50*ms)
		defer cancel()
		c.send(ctx, one(2))
		c.wait.Wait()
		if a := c.answers[2]; codeOf(a.err) != scoring.Expired || a.took != 50*ms {
			t.Errorf("got %+v, want Expired after 50ms", a)
		}
		if got := m.begun(); !slices.Equal(got, []int32{1}) {
			t.Errorf("runs began with %v: the expired request ran", got)
		}
	})
}

func TestWorkThatWouldComeTooLateNeverRuns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &model{fixed: 100 * ms}
		b := rig(m, 1, batch.Config{MaxRows: 1})
		for v := range int32(10) {
			if _, err := b.Run(t.Context(), one(v)); err != nil {
				t.Fatal(err)
			}
		}
		c := call(t, b)
		c.send(t.Context(), one(100))
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 150*ms) // its turn comes after 100ms
		defer cancel()
		c.send(ctx, one(200))
		c.wait.Wait()
		if a := c.answers[200]; codeOf(a.err) != scoring.Expired || a.took != 100*ms {
			t.Errorf("got %+v, want Expired when its turn came", a)
		}
		if slices.Contains(m.begun(), 200) {
			t.Error("it ran, for nobody")
		}
	})
}

func TestModelsQueueTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &model{fixed: 100 * ms}
		b := rig(m, 1, batch.Config{MaxRows: 1, Timeout: 150 * ms})
		c := call(t, b)
		for v := range int32(3) {
			c.send(t.Context(), one(v))
			synctest.Wait()
		}
		c.wait.Wait()
		if c.answers[0].err != nil || c.answers[1].err != nil || codeOf(c.answers[2].err) != scoring.Expired {
			t.Errorf("got %v, %v, %v, want the third to expire: it waited 200ms", c.answers[0].err, c.answers[1].err, c.answers[2].err)
		}
	})
}

func TestCallerThatLeavesFreesItsPlace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &model{fixed: 100 * ms}
		bytes := admit.NewBytes(1000)
		b := batch.New(m, batch.Config{MaxRows: 4, MaxQueue: 100}, batch.Parts{Scheduler: batch.NewScheduler(1, 0), Bytes: bytes})
		c := call(t, b)
		c.send(t.Context(), one(1))
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		for v := range int32(3) {
			c.send(ctx, one(10+v))
		}
		c.send(t.Context(), one(20))
		synctest.Wait()
		cancel()
		synctest.Wait()
		if waiting := b.Stats().Waiting[scoring.Interactive]; waiting != 1 || bytes.Used() != 4 {
			t.Errorf("%d requests wait and hold %d bytes, want 1 with 4", waiting, bytes.Used())
		}
		c.wait.Wait()
		for v := range int32(3) {
			if a := c.answers[10+v]; codeOf(a.err) != scoring.Canceled {
				t.Errorf("request %d: %v, want Canceled", 10+v, a.err)
			}
		}
		if got := m.seen(); !slices.Equal(got, []int64{1, 1}) {
			t.Errorf("runs of %v rows, want two of 1", got)
		}
	})
}

func TestRunThatNobodyWaitsForIsTerminated(t *testing.T) {
	t.Parallel()
	for _, members := range []int32{1, 3} {
		t.Run(strconv.Itoa(int(members)), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := &model{fixed: time.Second}
				b := rig(m, 1, batch.Config{MaxRows: 8, Delay: ms})
				c := call(t, b)
				ctx, cancel := context.WithCancel(t.Context())
				for v := range members {
					c.send(ctx, one(v))
				}
				time.Sleep(10 * ms)
				cancel()
				c.wait.Wait()
				synctest.Wait()
				if n := m.terminated(); n != 1 {
					t.Errorf("%d runs were terminated, want 1", n)
				}
				if took := c.answers[0].took; took != 10*ms {
					t.Errorf("the caller waited %s, want 10ms", took)
				}
			})
		})
	}
}

func TestOneThatLeavesDoesNotEndTheRunOfOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &model{fixed: time.Second}
		b := rig(m, 1, batch.Config{MaxRows: 8, Delay: ms})
		c := call(t, b)
		ctx, cancel := context.WithCancel(t.Context())
		c.send(ctx, one(1))
		c.send(t.Context(), one(2))
		time.Sleep(10 * ms)
		cancel()
		c.wait.Wait()
		if a := c.answers[1]; codeOf(a.err) != scoring.Canceled || a.took != 10*ms {
			t.Errorf("who left got %+v, want Canceled at once", a)
		}
		if a := c.answers[2]; a.err != nil || numbers(a.Outputs[0].Data)[0] != 3 {
			t.Errorf("who stayed got %+v", a)
		}
	})
}

func TestPoisonFailsAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &model{fixed: 10 * ms, poison: 666}
		b := rig(m, 1, batch.Config{MaxRows: 64, Delay: ms})
		c := call(t, b)
		for v := range int32(64) {
			if v == 37 {
				v = 666
			}
			c.send(t.Context(), one(v))
		}
		c.wait.Wait()
		if a := c.answers[666]; codeOf(a.err) != scoring.Invalid {
			t.Errorf("the poison got %+v, want Invalid", a)
		}
		delete(c.answers, 666)
		c.checkOwn()
		if len(c.answers) != 63 {
			t.Errorf("%d others were answered, want 63", len(c.answers))
		}
		if extra := len(m.seen()) - 1; extra > 2*6+1 {
			t.Errorf("%d more runs, want at most 13: halves of halves", extra)
		}
	})
}

func TestFailureOfTheModelItselfIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &model{fixed: 10 * ms, poison: 1, failure: scoring.Errorf(scoring.Unavailable, "unloaded")}
		b := rig(m, 1, batch.Config{MaxRows: 64, Delay: ms})
		c := call(t, b)
		for v := range int32(8) {
			c.send(t.Context(), one(v))
		}
		c.wait.Wait()
		for v, a := range c.answers {
			if codeOf(a.err) != scoring.Unavailable {
				t.Errorf("request %d: %v", v, a.err)
			}
		}
		if n := len(m.seen()); n != 1 {
			t.Errorf("%d runs, want 1", n)
		}
	})
}

func TestPanicInARunIsAnErrorAndFreesTheSlot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &model{fixed: ms, panics: true}
		b := rig(m, 1, batch.Config{MaxRows: 8})
		c := call(t, b)
		for v := range int32(5) {
			c.send(t.Context(), one(v))
		}
		c.wait.Wait()
		for v, a := range c.answers {
			if codeOf(a.err) != scoring.Internal {
				t.Errorf("request %d: %v, want Internal", v, a.err)
			}
		}
		m.panics = false
		if _, err := b.Run(t.Context(), one(1)); err != nil {
			t.Errorf("after the panic: %v", err)
		}
	})
}

func TestModelThatDoesNotKeepRowsIsNotBatchedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &model{fixed: 10 * ms, outcome: func(outputs []scoring.Tensor) []scoring.Tensor {
			outputs[1].Shape, outputs[1].Data = []int64{1}, outputs[1].Data[:4]
			return outputs
		}}
		seen := &observer{}
		b := batch.New(m, batch.Config{MaxRows: 8, MaxQueue: 100}, batch.Parts{Scheduler: batch.NewScheduler(1, 0), Observer: seen})
		for range 2 {
			c := call(t, b)
			for v := range int32(4) {
				c.send(t.Context(), one(v))
				synctest.Wait()
			}
			c.checkOwn()
		}
		if got, want := m.seen(), []int64{1, 3, 1, 1, 1, 1, 1, 1, 1}; !slices.Equal(got, want) {
			t.Errorf("runs of %v rows, want %v: together once, then never again", got, want)
		}
		if seen.reason == "" {
			t.Error("nobody was told why")
		}
	})
}

func TestLargeRequestsRunInPieces(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		maxRows int
		rows    int
		want    []int64
	}{
		{"fits", 5, 5, []int64{5}},
		{"pieces", 2, 5, []int64{2, 2, 1}},
		{"one by one", 1, 3, []int64{1, 1, 1}},
		{"rows that are not independent", 0, 5, []int64{5}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := &model{fixed: ms}
				b := rig(m, 1, batch.Config{MaxRows: tt.maxRows})
				var rows [][]int32
				for v := range int32(tt.rows) {
					rows = append(rows, []int32{v, 10 * v})
				}
				result, err := b.Run(t.Context(), batch.Request{Inputs: tensor(rows...), Outputs: []string{"sum", "y"}})
				if err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				got := m.seen()
				slices.SortFunc(got, func(a, b int64) int { return int(b - a) })
				if !slices.Equal(got, tt.want) {
					t.Errorf("runs of %v rows, want %v", got, tt.want)
				}
				for r, sum := range numbers(result.Outputs[0].Data) {
					if sum != int32(11*r) {
						t.Errorf("row %d has the sum %d: every row its own answer", r, sum)
					}
				}
				if y := result.Outputs[1]; y.Name != "y" || y.Shape[0] != int64(tt.rows) {
					t.Errorf("the second output is %s %v", y.Name, y.Shape)
				}
			})
		})
	}
}

func TestFailedPieceFailsTheRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &model{fixed: ms, poison: 3}
		b := rig(m, 1, batch.Config{MaxRows: 1})
		_, err := b.Run(t.Context(), batch.Request{Inputs: tensor([]int32{1}, []int32{2}, []int32{3})})
		if codeOf(err) != scoring.Invalid {
			t.Errorf("got %v, want Invalid", err)
		}
	})
}

func TestOutputsAreThoseAskedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := rig(&model{fixed: 10 * ms}, 1, batch.Config{MaxRows: 8, Delay: ms})
		c := call(t, b)
		r := one(5)
		r.Outputs = []string{"sum"}
		c.send(t.Context(), r)
		c.send(t.Context(), one(6))
		c.wait.Wait()
		if a := c.answers[5]; len(a.Outputs) != 1 || a.Outputs[0].Name != "sum" || numbers(a.Outputs[0].Data)[0] != 5 {
			t.Errorf("got %+v, want the sum alone", a.Outputs)
		}
		if a := c.answers[6]; len(a.Outputs) != 2 || a.Rows != 2 {
			t.Errorf("got %+v, want both outputs", a.Result)
		}
	})
}

func TestEndedContextIsNotRun(t *testing.T) {
	t.Parallel()
	m := &model{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := rig(m, 1, batch.Config{MaxRows: 8}).Run(ctx, one(1))
	if !errors.Is(err, context.Canceled) || codeOf(err) != scoring.Canceled || len(m.seen()) != 0 {
		t.Errorf("got %v and %d runs", err, len(m.seen()))
	}
}
