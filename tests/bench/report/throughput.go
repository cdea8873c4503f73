package report

import (
	"github.com/onda-serving/onda/tests/bench/stats"
	"github.com/onda-serving/onda/tests/bench/suite"
)

// The models in the order of the page.
var (
	rawModels   = []string{"mlp-32", "mlp-512", "conv-256", "image-classification", "faq-matching"}
	batchModels = []string{"mlp-32", "mlp-128", "mlp-768", "image-classification", "faq-matching"}
)

// find gives values of a cell, or nothing.
func find(r suite.Result, value string, pairs ...string) stats.Spread {
	c, _ := suite.Find(r.Cells, pairs...)
	return c.Values[value]
}

// raw writes the throughput beside ONNX Runtime's.
func (p *page) raw(r suite.Result) {
	p.say("Raw is `session.Run` from Go with tensors bound once, a run on each core at a time. Its client is itself; Onda's shares")
	p.say("the cores. \"Of raw\" is relative to raw with single rows, and with the same pre-processing where there is one.\n")
	p.say("| model | what | callers | rows/s | rows per CPU second | of raw, by the clock | of raw, by CPU time | p50 ms | p99 ms |")
	p.say("|---|---|---|---|---|---|---|---|---|")
	for _, model := range rawModels {
		base := "raw, single rows"
		if find(r, "rows_per_s", "model", model, "server", "raw with pre-processing").Samples != nil {
			base = "raw with pre-processing"
		}
		for _, c := range r.Cells {
			if !c.Is("model", model) || len(c.Values) == 0 {
				continue
			}
			p.say("| %s | %s | %s | %s | %s | %s | %s | %s | %s |", model, c.Keys["server"], c.Keys["concurrency"],
				spread(c.Values["rows_per_s"]), spread(c.Values["rows_per_cpu"]),
				spread(stats.Ratio(c.Values["rows_per_s"], find(r, "rows_per_s", "model", model, "server", base))),
				spread(stats.Ratio(c.Values["rows_per_cpu"], find(r, "rows_per_cpu", "model", model, "server", base))),
				spread(c.Values["p50_ms"]), spread(c.Values["p99_ms"]))
		}
		p.promiseRaw(r, model, base)
	}
	p.say("")
	p.say("Echo servers (net/http, grpc-go) read the same request and answer with the same bytes, and do nothing else.\n")
	p.say("| wire | callers | Onda requests/s | echo requests/s | Onda per CPU second | echo per CPU second | of echo, by the clock | of echo, by CPU time |")
	p.say("|---|---|---|---|---|---|---|---|")
	chart := chart{title: "Onda's smallest model beside an echo of the same bytes", unit: "requests per second of server CPU", series: []series{{name: "Onda"}, {name: "echo"}}}
	for _, wire := range []string{"HTTP JSON", "HTTP binary", "gRPC"} {
		for _, callers := range []string{"16", "64"} {
			onda, ok := suite.Find(r.Cells, "model", "mlp-32", "server", "Onda, "+wire, "concurrency", callers)
			echo, echoOK := suite.Find(r.Cells, "model", "mlp-32", "server", "echo, "+wire, "concurrency", callers)
			byCPU := stats.Ratio(onda.Values["rps_per_cpu"], echo.Values["rps_per_cpu"])
			p.promise(target{part: "raw", what: "smallest model of a bare echo, " + wire + ", " + callers + " callers, by CPU time", limit: 0.8, got: byCPU})
			if !ok || !echoOK {
				continue
			}
			p.say("| %s | %s | %s | %s | %s | %s | %s | %s |", wire, callers, spread(onda.Values["rps"]), spread(echo.Values["rps"]),
				spread(onda.Values["rps_per_cpu"]), spread(echo.Values["rps_per_cpu"]), spread(stats.Ratio(onda.Values["rps"], echo.Values["rps"])), spread(byCPU))
			chart.groups = append(chart.groups, wire+", "+callers)
			chart.series[0].values = append(chart.series[0].values, onda.Values["rps_per_cpu"])
			chart.series[1].values = append(chart.series[1].values, echo.Values["rps_per_cpu"])
		}
	}
	p.say("")
	p.plot("raw-echo.svg", chart.title, chart.svg())
}

// promiseRaw adds the target for a model whose run takes over a millisecond.
func (p *page) promiseRaw(r suite.Result, model, base string) {
	if find(r, "run_us", "model", model, "server", "raw, single rows").Median < 1000 {
		return
	}
	for _, by := range []struct{ value, name string }{{"rows_per_s", "by the clock"}, {"rows_per_cpu", "by CPU time"}} {
		best, ok := stats.Spread{}, false
		for _, c := range r.Cells {
			// Single rows over any wire: batches that the client makes are another matter.
			if c.Is("model", model, "rows", "1") && c.Keys["concurrency"] != "" && c.Values[by.value].Median > best.Median {
				best, ok = c.Values[by.value], true
			}
		}
		if ok {
			p.promise(target{part: "raw", what: model + " of " + base + ", " + by.name, limit: 0.95, got: stats.Ratio(best, find(r, by.value, "model", model, "server", base))})
		}
	}
}

// batching writes what the batcher gives.
func (p *page) batching(r suite.Result) {
	p.say("Off is `max_rows: 1`, fixed delay `max_rows: 64, delay: 2ms`, adaptive `max_rows: 64`. All are measured in a closed loop.\n")
	p.say("| model | callers | off: requests/s | p95 ms | fixed delay: requests/s | p95 ms | adaptive: requests/s | p95 ms | adaptive / off |")
	p.say("|---|---|---|---|---|---|---|---|---|")
	plot := chart{title: "Throughput with 64 callers, as a multiple of that without batching", unit: "times", series: []series{{name: "fixed delay"}, {name: "adaptive"}}, line: 1}
	for _, model := range batchModels {
		for _, callers := range []string{"1", "8", "64"} {
			value := func(mode, name string) stats.Spread {
				return find(r, name, "mode", mode, "model", model, "concurrency", callers)
			}
			gain := stats.Ratio(value("adaptive", "rps"), value("off", "rps"))
			p.say("| %s | %s | %s | %s | %s | %s | %s | %s | %s |", model, callers, spread(value("off", "rps")), spread(value("off", "p95_ms")),
				spread(value("delay", "rps")), spread(value("delay", "p95_ms")), spread(value("adaptive", "rps")), spread(value("adaptive", "p95_ms")), spread(gain))
			if callers != "64" {
				continue
			}
			plot.groups = append(plot.groups, model)
			plot.series[0].values = append(plot.series[0].values, stats.Ratio(value("delay", "rps"), value("off", "rps")))
			plot.series[1].values = append(plot.series[1].values, gain)
			if model == batchModels[0] {
				p.promise(target{part: "batching", what: model + ", 64 callers: throughput of adaptive / off", limit: 5, got: gain})
				p.promise(target{part: "batching", what: model + ", 64 callers: p95 of adaptive / off", limit: 1, atMost: true, got: stats.Ratio(value("adaptive", "p95_ms"), value("off", "p95_ms"))})
			}
		}
	}
	p.say("")
	p.plot("batching.svg", plot.title, plot.svg())
}
