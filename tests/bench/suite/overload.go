package suite

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/onda-serving/onda/tests/bench/load"
	"github.com/onda-serving/onda/tests/bench/stats"
	"github.com/onda-serving/onda/tests/bench/testmodel"
)

const (
	// budget is how long the callers of the part wait, and say so.
	budget = 100 * time.Millisecond
	// overloadWindow is how long each measurement of the part takes.
	overloadWindow = 2500 * time.Millisecond
	// mostConnections bounds the callers that wait at once.
	mostConnections = 1024
)

// offered are the loads, as multiples of the capacity.
var offered = []float64{0.5, 0.75, 1, 1.5, 2, 3}

// overload offers more than the server can do, in an open loop.
func (b *Bench) overload(ctx context.Context) (r Result, err error) {
	onda, err := b.startOnda(ctx, "onda-overload", b.models[testmodel.Adaptive.Name])
	if err != nil {
		return r, err
	}
	defer onda.Stop()
	r.Facts = map[string]float64{"budget_ms": budget.Seconds() * 1e3}
	var all []variant
	for _, model := range []string{"conv-256", testmodel.Image} {
		request := b.ask(onda.address, model)
		if _, _, err := probe(ctx, request); err != nil {
			return r, fmt.Errorf("%s: %w", model, err)
		}
		capacity, err := b.capacity(ctx, request, onda)
		if err != nil {
			return r, err
		}
		r.Facts["capacity of "+model] = capacity
		say("  %s: capacity %.1f requests/s", model, capacity)
		request.Headers["x-request-timeout-ms"] = strconv.FormatInt(budget.Milliseconds(), 10)
		for _, times := range offered {
			all = append(all, variant{
				keys: keys("model", model, "load", strconv.FormatFloat(times, 'g', -1, 64)),
				measure: func(ctx context.Context) (values, error) {
					return b.open(ctx, request, times*capacity, budget, overloadWindow, onda.pids)
				},
			})
		}
	}
	r.Cells, err = b.rounds(ctx, b.rounded, all)
	return r, err
}

// capacity is the throughput of a closed loop that keeps the server busy.
func (b *Bench) capacity(ctx context.Context, request load.Request, onda *server) (float64, error) {
	var rates []float64
	for range 3 {
		v, err := b.closed(ctx, request, fewConnections, 1, 2*time.Second, onda.pids)
		if err != nil {
			return 0, err
		}
		rates = append(rates, v["rps"])
	}
	return stats.Median(rates), nil
}

// open measures an open loop: how many answers came in time, what became of the others,
// and latencies from when each request was due.
func (b *Bench) open(ctx context.Context, request load.Request, rate float64, budget, measured time.Duration, pids []int) (values, error) {
	warmUp, window := b.window(measured)
	r, err := b.load(ctx, load.Job{
		Request: request, Rate: rate, Connections: mostConnections, WarmUp: warmUp, Window: window, Budget: budget, Watch: pids,
		Seed: uint64(rate * 1000), // the same times in every round: rounds differ in the machine alone
	})
	if err != nil {
		return nil, err
	}
	l, refused := r.Latency["ok"], r.Latency["refused"]
	v := values{
		"offered_rps": float64(r.Total()) / r.Seconds, "goodput_rps": float64(r.Good) / r.Seconds,
		"ok_rps": float64(r.Counts["ok"]) / r.Seconds, "refused_rps": float64(r.Counts["refused"]) / r.Seconds,
		"expired_rps": float64(r.Counts["expired"]) / r.Seconds, "failed": float64(r.Counts["failed"]),
		"p50_ms": l.P50, "p90_ms": l.P90, "p95_ms": l.P95, "p99_ms": l.P99,
		"refused_p50_ms": refused.P50, "refused_p99_ms": refused.P99, "lag_p99_ms": r.Lag.P99,
		"server_cores": r.ServerCPU / r.Seconds, "client_cores": r.ClientCPU / r.Seconds,
	}
	return v, deliveries(v, r)
}
