package engine_test

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/onda-serving/onda/app/admit"
	"github.com/onda-serving/onda/app/batch"
	"github.com/onda-serving/onda/app/compare"
	"github.com/onda-serving/onda/app/engine"
	"github.com/onda-serving/onda/app/registry"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/statistics"
)

// run is a session that is one function.
type run func(ctx context.Context, inputs []scoring.Tensor) ([]scoring.Tensor, error)

func (run) Signature() scoring.Signature           { return (&fakeSession{}).Signature() }
func (run) Check([]scoring.Tensor, []string) error { return nil }
func (run) Close() error                           { return nil }

func (r run) Run(ctx context.Context, inputs []scoring.Tensor, _ []string) ([]scoring.Tensor, error) {
	return r(ctx, inputs)
}

// plus adds n to every byte of its first input.
func plus(n byte) run {
	return func(_ context.Context, inputs []scoring.Tensor) ([]scoring.Tensor, error) {
		out := scoring.Tensor{Name: "y", Datatype: scoring.Uint8, Shape: inputs[0].Shape}
		for _, b := range inputs[0].Data {
			out.Data = append(out.Data, b+n)
		}
		return []scoring.Tensor{out}, nil
	}
}

// stuck never answers.
func stuck(ctx context.Context, _ []scoring.Tensor) ([]scoring.Tensor, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// firsts is a pipeline that makes a row of each instance's first byte, and a class of each
// output, which is better the larger it is. It is safe for concurrent use.
type firsts struct {
	// before is called for each request; nil does nothing.
	before func() error
}

func (firsts) Kind() scoring.InstanceKind { return scoring.Text }
func (firsts) MaxRows() int               { return 8 }
func (firsts) Outputs() []string          { return []string{"y"} }

func (p firsts) Preprocess(_ context.Context, instances []scoring.Instance) ([]scoring.Tensor, error) {
	if p.before != nil {
		if err := p.before(); err != nil {
			return nil, err
		}
	}
	t := scoring.Tensor{Name: "x", Datatype: scoring.Uint8, Shape: []int64{int64(len(instances)), 1}}
	for _, instance := range instances {
		t.Data = append(t.Data, instance.Data[0])
	}
	return []scoring.Tensor{t}, nil
}

func (firsts) Postprocess(outputs []scoring.Tensor, n int, _ scoring.Parameters) ([]scoring.Prediction, error) {
	var predictions []scoring.Prediction
	for i := range n {
		best := outputs[0].Data[i]
		predictions = append(predictions, scoring.Classes{Classes: []scoring.Class{{Index: int(best), Label: string(best), Score: float32(best) / 256}}})
	}
	return predictions, nil
}

// version makes a version of "m" with a pipeline, which runs 8 rows at once and lets 8 wait.
func version(number int64, session run) *registry.Version {
	return &registry.Version{
		ID:      scoring.ModelID{Name: "m", Version: number, Digest: "sha256:" + strconv.FormatInt(number, 10)},
		Session: session, Pipeline: firsts{}, Statistics: &statistics.Recorder{},
		Batcher: batch.New(session, batch.Config{MaxRows: 8, MaxQueue: 8}, batch.Parts{Scheduler: batch.NewScheduler(1, 0)}),
	}
}

// lent are models that have one lease for everybody.
type lent registry.Lease

func (l lent) Use(_ context.Context, _ registry.Want, fn func(registry.Lease) error) error {
	return fn(registry.Lease(l))
}

// mirrored is what an observer hears of a mirror. What is measured is not in it.
type mirrored struct {
	answered, mirror int64
	difference       compare.Difference
	code             scoring.Code
	// dropped is why there was none; nothing else but answered is set then.
	dropped string
}

// listener is an observer of mirrors. It is safe for concurrent use.
type listener struct {
	mu             sync.Mutex
	scored, panics int
	took           []time.Duration
	heard          chan mirrored
}

func (l *listener) Scored(scoring.Scored) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.scored++
}

func (l *listener) Panicked() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.panics++
}

func (l *listener) Mirrored(answered, mirror scoring.ModelID, difference compare.Difference, took time.Duration, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.took = append(l.took, took)
	l.heard <- mirrored{answered: answered.Version, mirror: mirror.Version, difference: difference, code: scoring.CodeOf(err)}
}

func (l *listener) MirrorDropped(answered scoring.ModelID, reason string) {
	l.heard <- mirrored{answered: answered.Version, dropped: reason}
}

// mirrors is an engine whose model has a mirror.
type mirrors struct {
	*engine.Engine

	listener *listener
	copies   *admit.Bytes
}

// mirroring makes an engine in which v answers and mirror gets the copies; change may change
// its parts first.
func mirroring(t *testing.T, v, mirror *registry.Version, change ...func(*engine.Parts)) mirrors {
	t.Helper()
	m := mirrors{listener: &listener{heard: make(chan mirrored, 100)}, copies: admit.NewBytes(64 << 20)}
	parts := engine.Parts{
		Flights: admit.NewFlights(), Preprocess: admit.NewLanes(2), Models: lent{Version: v, Mirror: mirror},
		Mirrors: 4, Copies: m.copies, Observer: m.listener, Log: zerolog.Nop(),
	}
	for _, c := range change {
		c(&parts)
	}
	m.Engine = engine.New(parts)
	t.Cleanup(func() {
		if err := m.Close(context.Background()); err != nil {
			t.Errorf("Close: %v", err)
		}
		if used := m.copies.Used(); used != 0 {
			t.Errorf("%d bytes of copies are still booked", used)
		}
	})
	return m
}

// tensor is a request on one input.
func tensor(data ...byte) *scoring.InferRequest {
	return &scoring.InferRequest{
		Model: scoring.ModelRef{Name: "m"}, ID: "id-1", Caller: scoring.Caller{Key: "k"},
		Inputs: []scoring.Tensor{{Name: "x", Datatype: scoring.Uint8, Shape: []int64{1, int64(len(data))}, Data: data}},
	}
}
