package report

import (
	"fmt"

	"github.com/onda-serving/onda/tests/bench/stats"
	"github.com/onda-serving/onda/tests/bench/suite"
)

// overload writes what becomes of more than the server can do.
func (p *page) overload(r suite.Result) {
	p.say("The capacity is the throughput of 16 callers in a closed loop. The load is offered in an open loop with Poisson arrivals;")
	p.say("each caller waits %.0f ms, and says so (`x-request-timeout-ms`). Goodput counts the answers within that time only.\n", r.Facts["budget_ms"])
	p.say("| model | offered / capacity | offered/s | goodput/s | of peak | refused/s | refused p99 ms | expired/s | answered p50 ms | p99 ms | generator late p99 ms |")
	p.say("|---|---|---|---|---|---|---|---|---|---|---|")
	loads := []string{"0.5", "0.75", "1", "1.5", "2", "3"}
	plot := chart{title: "Goodput under overload, as a share of its peak", unit: "of peak", groups: loads, lines: true, x: "offered load, in multiples of the capacity", line: 0.95}
	for _, model := range []string{"conv-256", "image-classification"} {
		var cells []suite.Cell
		for _, load := range loads {
			if c, ok := suite.Find(r.Cells, "model", model, "load", load); ok {
				cells = append(cells, c)
			}
		}
		peak, _ := stats.Best(cells, func(c suite.Cell) float64 { return c.Values["goodput_rps"].Median })
		curve := series{name: model}
		for _, c := range cells {
			share := stats.Ratio(c.Values["goodput_rps"], peak.Values["goodput_rps"])
			curve.values = append(curve.values, share)
			v := c.Values
			p.say("| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |", model, c.Keys["load"], spread(v["offered_rps"]), spread(v["goodput_rps"]), spread(share),
				spread(v["refused_rps"]), spread(v["refused_p99_ms"]), spread(v["expired_rps"]), spread(v["p50_ms"]), spread(v["p99_ms"]), spread(v["lag_p99_ms"]))
			if load := c.Keys["load"]; load == "2" || load == "3" {
				p.promise(target{part: "overload", what: fmt.Sprintf("%s, goodput at %s times the capacity, of its peak", model, load), limit: 0.95, got: share})
				refusal := target{part: "overload", what: fmt.Sprintf("%s, p99 of refusals at %s times the capacity", model, load), limit: 5, unit: " ms", atMost: true}
				if v["refused_rps"].Max > 0 {
					refusal.got = v["refused_p99_ms"]
				}
				p.promise(refusal)
			}
		}
		plot.series = append(plot.series, curve)
	}
	p.say("")
	p.plot("overload.svg", plot.title, plot.svg())
}

// published are Dapr's own figures for service invocation over two sidecars.
const published = "Dapr's own documentation gives, for HTTP service invocation over two sidecars at 1000 requests/s, +1.40 ms at p90 and +2.10 ms at p99\n" +
	"with 0.48 vCPU a sidecar (version 1.0 of the documentation, by fortio). A user's report on gRPC proxying (dapr/dapr issue 4866)\n" +
	"comes to about +0.8 ms a call. Their machines are others: the figures show the size to expect, not a rival.\n"

// dapr writes what sidecars add.
func (p *page) dapr(r suite.Result) {
	p.say("The smallest model, asked in an open loop at a fixed mean rate: over HTTP in JSON, over gRPC in binary. \"Added\" is relative to")
	p.say("the direct way of the same wire, round by round. All programs, the load generator among them, share the cores.\n")
	p.say("%s", published)
	p.say("| requests/s | way | p50 ms | p90 ms | p99 ms | added p50 | added p90 | added p99 | CPU ms a request |\n|---|---|---|---|---|---|---|---|---|")
	plot := chart{title: "Latency added by Dapr", unit: "ms", series: []series{{name: "p50"}, {name: "p90"}, {name: "p99"}}}
	last := ""
	for _, c := range r.Cells {
		last = c.Keys["load"]
	}
	for _, c := range r.Cells {
		if len(c.Values) == 0 {
			continue
		}
		way, load := c.Keys["path"], c.Keys["load"]
		direct, _ := suite.Find(r.Cells, "path", way[:4]+", direct", "load", load)
		if way[:4] == "gRPC" {
			direct, _ = suite.Find(r.Cells, "path", "gRPC, direct", "load", load)
		}
		added := make([]stats.Spread, 3)
		for i, q := range []string{"p50_ms", "p90_ms", "p99_ms"} {
			added[i] = stats.Difference(c.Values[q], direct.Values[q])
		}
		isDirect := way == "HTTP, direct" || way == "gRPC, direct"
		texts := []string{"", "", ""}
		if !isDirect {
			for i := range added {
				texts[i] = spread(added[i])
			}
		}
		cost := stats.Ratio(c.Values["server_cores"], c.Values["offered_rps"])
		p.say("| %s | %s | %s | %s | %s | %s | %s | %s | %s |", load, way, spread(c.Values["p50_ms"]), spread(c.Values["p90_ms"]), spread(c.Values["p99_ms"]),
			texts[0], texts[1], texts[2], short(cost.Median*1e3))
		if load == last && !isDirect {
			plot.groups = append(plot.groups, shortWay(way))
			for i := range added {
				plot.series[i].values = append(plot.series[i].values, added[i])
			}
		}
	}
	plot.title += " at " + last + " requests/s"
	p.say("")
	p.plot("dapr.svg", plot.title, plot.svg())
}

// shortWay fits under a group of bars.
func shortWay(way string) string {
	return map[string]string{
		"HTTP, own sidecar": "HTTP, one", "HTTP, two sidecars": "HTTP, two", "HTTP, two sidecars with mTLS": "HTTP, mTLS",
		"gRPC, own sidecar": "gRPC, one", "gRPC, two sidecars": "gRPC, two", "gRPC, two sidecars with mTLS": "gRPC, mTLS",
	}[way]
}
