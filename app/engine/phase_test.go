package engine_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/onda-serving/onda/app/admit"
	"github.com/onda-serving/onda/app/engine"
	"github.com/onda-serving/onda/app/scoring"
)

// hearing is an observer that remembers what it heard last.
type hearing struct {
	deaf

	heard scoring.Scored
}

func (h *hearing) Scored(r scoring.Scored) { h.heard = r }

// slowly is a pipeline with a phase that lasts until the budget is spent.
type slowly struct {
	instantly

	phase scoring.Phase
}

func (p slowly) Preprocess(ctx context.Context, instances []scoring.Instance) ([]scoring.Tensor, error) {
	if p.phase == scoring.Preprocess {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return p.instantly.Preprocess(ctx, instances)
}

func (p slowly) Postprocess(outputs []scoring.Tensor, n int, parameters scoring.Parameters) ([]scoring.Prediction, error) {
	if p.phase == scoring.Postprocess {
		return nil, context.DeadlineExceeded
	}
	return p.instantly.Postprocess(outputs, n, parameters)
}

// TestWhereTheBudgetEnds has a budget end in each of the phases.
func TestWhereTheBudgetEnds(t *testing.T) {
	t.Parallel()
	for _, phase := range scoring.Phases() {
		t.Run(phase.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				v := instantVersion()
				if phase == scoring.Run {
					v = version(1, stuck)
				}
				v.Pipeline = slowly{instantly{tensors: tensor(1, 2, 3, 4).Inputs, predictions: []scoring.Prediction{scoring.Classes{}}}, phase}
				observer, lanes := &hearing{}, admit.NewLanes(1)
				e := engine.New(engine.Parts{Flights: admit.NewFlights(), Preprocess: lanes, Models: lent{Version: v}, Observer: observer, Log: zerolog.Nop()})
				if phase == scoring.Queue { // somebody else is being pre-processed
					leave, err := lanes.Enter(t.Context(), scoring.Interactive)
					if err != nil {
						t.Fatal(err)
					}
					defer leave()
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				_, err := e.Predict(ctx, texts("a"))
				if got := observer.heard; scoring.CodeOf(err) != scoring.Expired || got.Timing.At != phase || scoring.CodeOf(got.Err) != scoring.Expired {
					t.Errorf("got %v, heard of %+v, want the budget to end in the phase %s", err, got, phase)
				}
				if phase != scoring.Postprocess && observer.heard.Took != time.Second {
					t.Errorf("took %s, want the budget", observer.heard.Took)
				}
			})
		})
	}
}
