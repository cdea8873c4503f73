package engine_test

import (
	"context"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/onda-serving/onda/app/admit"
	"github.com/onda-serving/onda/app/compare"
	"github.com/onda-serving/onda/app/engine"
	"github.com/onda-serving/onda/app/pipeline"
	"github.com/onda-serving/onda/app/registry"
	"github.com/onda-serving/onda/app/scoring"
)

// instantly gives the same tensors every time: what is measured is the engine.
type instantly struct {
	pipeline.Pipeline

	tensors     []scoring.Tensor
	predictions []scoring.Prediction
}

func (instantly) Outputs() []string { return []string{"y"} }

func (p instantly) Preprocess(context.Context, []scoring.Instance) ([]scoring.Tensor, error) {
	return p.tensors, nil
}

func (p instantly) Postprocess([]scoring.Tensor, int, scoring.Parameters) ([]scoring.Prediction, error) {
	return p.predictions, nil
}

// deaf is an observer that does nothing.
type deaf struct{}

func (deaf) Scored(scoring.Scored)                                                         {}
func (deaf) Panicked()                                                                     {}
func (deaf) Mirrored(_, _ scoring.ModelID, _ compare.Difference, _ time.Duration, _ error) {}
func (deaf) MirrorDropped(scoring.ModelID, string)                                         {}

// instantVersion is a model that costs nothing.
func instantVersion() *registry.Version {
	outputs := []scoring.Tensor{{Name: "y", Datatype: scoring.Uint8, Shape: []int64{1, 4}, Data: []byte{1, 2, 3, 4}}}
	v := version(1, func(context.Context, []scoring.Tensor) ([]scoring.Tensor, error) { return outputs, nil })
	v.Pipeline = instantly{tensors: tensor(1, 2, 3, 4).Inputs, predictions: []scoring.Prediction{scoring.Classes{}}}
	return v
}

// instant makes an engine on a model that costs nothing.
func instant() *engine.Engine {
	v := instantVersion()
	return engine.New(engine.Parts{
		Flights: admit.NewFlights(), Preprocess: admit.NewLanes(2), Models: lent{Version: v}, Observer: deaf{}, Log: zerolog.Nop(),
		Mirrors: 4, RecentRequests: 32, RecentBytes: 8 << 20,
	})
}

// ways are both ways through an engine.
func ways(t testing.TB, e *engine.Engine) map[string]func() {
	t.Helper()
	infer, predict := tensor(1, 2, 3, 4), texts("a")
	infer.Outputs = []scoring.Output{{Name: "y"}}
	return map[string]func(){
		"infer": func() {
			if _, err := e.Infer(t.Context(), infer); err != nil {
				t.Fatal(err)
			}
		},
		"predict": func() {
			if _, err := e.Predict(t.Context(), predict); err != nil {
				t.Fatal(err)
			}
		},
	}
}

// BenchmarkPath is what the engine and an idle batcher add to a request.
func BenchmarkPath(b *testing.B) {
	e := instant()
	for name, way := range ways(b, e) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				way()
			}
		})
	}
}

// TestAllocations keeps requests that nobody mirrors cheap, with recent ones being kept.
func TestAllocations(t *testing.T) { // not parallel: allocations are counted over the whole process
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	e := instant()
	most := map[string]float64{"infer": 7, "predict": 8}
	for name, way := range ways(t, e) {
		if got := testing.AllocsPerRun(1000, way); got > most[name] {
			t.Errorf("%s makes %v allocations, want at most %v", name, got, most[name])
		}
	}
	if err := e.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}
