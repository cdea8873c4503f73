package suite

import (
	"context"
	"time"

	"github.com/onda-serving/onda/tests/bench/testmodel"
)

// batching measures what the batcher gives and takes, beside none and beside one that
// waits a fixed time. All three servers are up all the time: an idle one costs nothing.
func (b *Bench) batching(ctx context.Context) (r Result, err error) {
	var all []variant
	for _, mode := range []testmodel.Mode{testmodel.Off, testmodel.Delay, testmodel.Adaptive} {
		onda, err := b.startOnda(ctx, "onda-"+mode.Name, b.models[mode.Name])
		if err != nil {
			all = append(all, variant{keys: keys("mode", mode.Name), unable: err})
			continue
		}
		defer onda.Stop()
		for _, model := range []string{"mlp-32", "mlp-128", "mlp-768", testmodel.Image, testmodel.FAQ} {
			for _, connections := range []int{1, 8, 64} {
				all = append(all, b.batchVariant(ctx, onda, mode.Name, model, connections))
			}
		}
	}
	r.Cells, err = b.rounds(ctx, b.rounded, interleave(all))
	return r, err
}

func (b *Bench) batchVariant(ctx context.Context, onda *server, mode, model string, connections int) variant {
	request := b.ask(onda.address, model)
	v := variant{keys: keys("mode", mode, "model", model, "concurrency", itoa(connections))}
	if _, _, v.unable = probe(ctx, request); v.unable != nil {
		return v
	}
	window := 800 * time.Millisecond
	if model == testmodel.Image {
		window = 1600 * time.Millisecond // it has fewer answers to count
	}
	v.measure = func(ctx context.Context) (values, error) {
		return b.closed(ctx, request, connections, 1, window, onda.pids)
	}
	return v
}

// interleave orders variants so that those that differ in the mode alone are neighbours.
func interleave(all []variant) []variant {
	var ordered []variant
	taken := make([]bool, len(all))
	for i := range all {
		for j := i; j < len(all); j++ {
			if !taken[j] && all[i].keys["model"] == all[j].keys["model"] && all[i].keys["concurrency"] == all[j].keys["concurrency"] {
				taken[j] = true
				ordered = append(ordered, all[j])
			}
		}
	}
	return ordered
}
