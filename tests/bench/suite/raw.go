package suite

import (
	"context"
	"path/filepath"
	"time"

	"github.com/onda-serving/onda/tests/bench/load"
	"github.com/onda-serving/onda/tests/bench/raw"
	"github.com/onda-serving/onda/tests/bench/stats"
	"github.com/onda-serving/onda/tests/bench/testmodel"
)

// rawWindow is how long each measurement of the part takes.
const rawWindow = time.Second

// The connections of the closed loops: as many as keep a server busy, and many more.
const (
	fewConnections  = 16
	manyConnections = 64
	// batchConnections send batches: more would have more rows wait than the queue takes.
	batchConnections = 4
)

// raw measures throughput beside ONNX Runtime itself and beside servers that do nothing.
func (b *Bench) raw(ctx context.Context) (r Result, err error) {
	onda, err := b.startOnda(ctx, "onda-raw", b.models[testmodel.Adaptive.Name])
	if err != nil {
		return r, err
	}
	defer onda.Stop()
	r.Facts = map[string]float64{}
	var all []variant
	for _, model := range []string{"mlp-32", "mlp-512", "conv-256", testmodel.Image, testmodel.FAQ} {
		batch, lanes, err := b.bestBatch(ctx, model)
		if err != nil {
			return r, err
		}
		r.Facts["best batch of "+model] = float64(batch)
		all = append(all, b.rawVariants(model, batch, lanes)...)
		asked := b.ondaVariants(ctx, onda, model, batch)
		all = append(all, asked...)
	}
	echoes, stop, err := b.echoVariants(ctx, onda)
	defer stop()
	if err != nil {
		return r, err
	}
	r.Cells, err = b.rounds(ctx, b.rounded, append(all, echoes...))
	return r, err
}

// rawJob is a job for a model: two lanes of a thread each, or what else uses two cores.
func (b *Bench) rawJob(model string, batch, lanes int, preprocess bool, window time.Duration) raw.Job {
	job := raw.Job{
		Folder: filepath.Join(b.models[testmodel.Off.Name], model, "1"), Batch: batch, Preprocess: preprocess,
		Lanes: lanes, Threads: max(1, machine().Cores/lanes),
	}
	switch model {
	case testmodel.Image:
		job.Instance = b.photo
	case testmodel.FAQ:
		job.Instance = []byte(question)
	}
	job.WarmUp, job.Window = b.window(window)
	return job
}

// bestBatch finds the batch, and the way to share the cores, that score the most rows.
func (b *Bench) bestBatch(ctx context.Context, model string) (batch, lanes int, err error) {
	type try struct {
		batch, lanes int
		rows         float64
	}
	var tries []try
	for _, batch := range []int{4, 16, 64} {
		for _, lanes := range []int{machine().Cores, 1} {
			r, err := b.rawRun(ctx, b.rawJob(model, batch, lanes, false, 500*time.Millisecond))
			if err != nil {
				return 0, 0, err
			}
			tries = append(tries, try{batch, lanes, float64(r.Rows) / r.Seconds})
		}
	}
	best, _ := stats.Best(tries, func(t try) float64 { return t.rows })
	return best.batch, best.lanes, nil
}

// rawVariants are the model alone: single rows, the best batch, and with the
// pre-processing of the server where there is one.
func (b *Bench) rawVariants(model string, batch, lanes int) []variant {
	cores := machine().Cores
	all := []variant{
		b.rawVariant(model, "raw, single rows", b.rawJob(model, 1, cores, false, rawWindow)),
		b.rawVariant(model, "raw, best batch", b.rawJob(model, batch, lanes, false, rawWindow)),
	}
	if model == testmodel.Image || model == testmodel.FAQ {
		all = append(all, b.rawVariant(model, "raw with pre-processing", b.rawJob(model, 1, cores, true, rawWindow)))
	}
	return all
}

func (b *Bench) rawVariant(model, name string, job raw.Job) variant {
	return variant{keys: keys("model", model, "server", name, "rows", itoa(job.Batch)), measure: func(ctx context.Context) (values, error) {
		r, err := b.rawRun(ctx, job)
		if err != nil {
			return nil, err
		}
		v := values{"rows_per_s": float64(r.Rows) / r.Seconds, "run_us": r.RunSeconds * 1e6, "server_cores": r.CPU / r.Seconds}
		if r.CPU > 0 {
			v["rows_per_cpu"] = float64(r.Rows) / r.CPU
		}
		return v, nil
	}}
}

// ondaVariants are Onda over all wires that carry the model.
func (b *Bench) ondaVariants(ctx context.Context, onda *server, model string, batch int) []variant {
	s, synthetic := testmodel.ByName(model)
	if !synthetic {
		return []variant{b.wire(ctx, onda, model, "Onda, encoded input", b.ask(onda.address, model), fewConnections, 1)}
	}
	concurrency := []int{fewConnections}
	if s.Name == testmodel.Synthetics[0].Name {
		concurrency = append(concurrency, manyConnections) // where the wire is all there is
	}
	all := []variant{}
	for _, connections := range concurrency {
		all = append(all,
			b.wire(ctx, onda, model, "Onda, HTTP JSON", oipJSON(onda.address, s), connections, 1),
			b.wire(ctx, onda, model, "Onda, HTTP binary", oipBinary(onda.address, s, 1), connections, 1),
			b.wire(ctx, onda, model, "Onda, gRPC", oipGRPC(onda.address, s, 1), connections, 1),
		)
	}
	rows := min(batch, 64)
	return append(all, b.wire(ctx, onda, model, "Onda, gRPC, batches", oipGRPC(onda.address, s, rows), batchConnections, rows))
}

// wire is a closed loop of one request, if the server answers it at all.
func (b *Bench) wire(ctx context.Context, s *server, model, name string, r load.Request, connections, rows int) variant {
	v := variant{keys: keys("model", model, "server", name, "rows", itoa(rows), "concurrency", itoa(connections))}
	if _, _, v.unable = probe(ctx, r); v.unable == nil {
		v.measure = func(ctx context.Context) (values, error) {
			return b.closed(ctx, r, connections, rows, rawWindow, s.pids)
		}
	}
	return v
}

// echoVariants are servers that do nothing, with the bytes of the smallest model.
func (b *Bench) echoVariants(ctx context.Context, onda *server) (all []variant, stop func(), err error) {
	var started []*server
	stop = func() {
		for _, s := range started {
			s.Stop()
		}
	}
	s := testmodel.Synthetics[0]
	for _, e := range []struct {
		name, file string
		request    load.Request
	}{
		{"echo, HTTP JSON", "echo-json", oipJSON(onda.address, s)},
		{"echo, HTTP binary", "echo-binary", oipBinary(onda.address, s, 1)},
		{"echo, gRPC", "echo-grpc", oipGRPC(onda.address, s, 1)},
	} {
		for _, connections := range []int{fewConnections, manyConnections} {
			v := variant{keys: keys("model", s.Name, "server", e.name, "rows", "1", "concurrency", itoa(connections))}
			if _, _, v.unable = probe(ctx, e.request); v.unable == nil {
				echo, err := b.startEcho(ctx, e.file, e.request)
				if err != nil {
					return nil, stop, err
				}
				started = append(started, echo)
				r := e.request
				r.Address = echo.address
				v.measure = func(ctx context.Context) (values, error) {
					return b.closed(ctx, r, connections, 1, rawWindow, echo.pids)
				}
			}
			all = append(all, v)
		}
	}
	return all, stop, nil
}
