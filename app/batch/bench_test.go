package batch_test

import (
	"context"
	"testing"

	"github.com/onda-serving/onda/app/batch"
	"github.com/onda-serving/onda/app/scoring"
)

// instant is a model that costs nothing: what is measured is the batcher.
type instant struct{ outputs []scoring.Tensor }

func (i instant) Signature() scoring.Signature { return (&model{}).Signature() }

func (i instant) Run(_ context.Context, inputs []scoring.Tensor, _ []string) ([]scoring.Tensor, error) {
	if rows := inputs[0].Shape[0]; rows != 1 {
		return []scoring.Tensor{{Name: "y", Datatype: scoring.Int32, Shape: []int64{rows, 1}, Data: make([]byte, 4*rows)}}, nil
	}
	return i.outputs, nil
}

// BenchmarkIdle is what the batcher adds to a request that runs at once.
func BenchmarkIdle(b *testing.B) {
	batcher := batch.New(instant{}, batch.Config{MaxRows: 32, MaxQueue: 1000}, batch.Parts{})
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	req := one(1)
	b.ReportAllocs()
	for b.Loop() {
		leave, err := batcher.Admit(ctx, req.Schedule, 1)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := batcher.Run(ctx, req); err != nil {
			b.Fatal(err)
		}
		leave()
	}
}

// BenchmarkCrowd is what it adds to each of many requests at once.
func BenchmarkCrowd(b *testing.B) {
	batcher := batch.New(instant{}, batch.Config{MaxRows: 32, MaxQueue: 1000}, batch.Parts{Scheduler: batch.NewScheduler(2, 0)})
	b.SetParallelism(32)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		ctx, cancel := context.WithCancel(b.Context())
		defer cancel()
		req := one(1)
		for pb.Next() {
			if _, err := batcher.Run(ctx, req); err != nil {
				b.Fatal(err)
			}
		}
	})
}
