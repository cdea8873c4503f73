package report

import (
	"fmt"
	"math"
	"strings"

	"github.com/onda-serving/onda/tests/bench/stats"
	"github.com/onda-serving/onda/tests/bench/suite"
)

// peers writes Onda beside other servers.
func (p *page) peers(r suite.Result) {
	p.say("The same model files, the same ONNX Runtime on CPU, each server set up as its documentation advises")
	p.say("([peers](peers)), measured alone, with one worker and with two; the number of workers that did worse on both models in the first")
	p.say("round was not measured further. All answers were compared with Onda's. \"rows\" is the model mlp-32 in OIP JSON. \"picture\" is")
	p.say("image-classification from a JPEG, prepared by Pillow and numpy; a server that takes no JPEG as it is gets base64 in JSON. The start")
	p.say("lasts from the start of the process to the first answer; the memory is that of all its processes after the load (PSS).\n")
	p.peerTable(r, "rows", "requests/s")
	p.peerTable(r, "picture", "requests/s")
	p.say("| server | workers | memory MiB (PSS) | RSS | start to first answer, s |\n|---|---|---|---|---|")
	for _, c := range r.Cells {
		if len(c.Values) > 0 {
			p.say("| %s | %s | %s | %s | %s |", c.Keys["server"], c.Keys["workers"], spread(c.Values["pss_mib"]), spread(c.Values["rss_mib"]), spread(c.Values["start_s"]))
		}
	}
	p.say("")
	for _, plot := range []struct{ file, value, title, unit string }{
		{"peers-rows.svg", "rows c8 rps", "Smallest model, 8 callers", "requests/s"},
		{"peers-picture.svg", "picture c8 rps", "JPEG to classes, 8 callers", "requests/s"},
		{"peers-memory.svg", "pss_mib", "Memory", "MiB"},
		{"peers-start.svg", "start_s", "Start to first answer", "s"},
	} {
		p.plot(plot.file, plot.title, peerChart(r, plot.title, plot.unit, plot.value).svg())
	}
	p.promisePeers(r)
}

// peerTable writes one model.
func (p *page) peerTable(r suite.Result, model, unit string) {
	fmt.Fprintf(p, "| %s | workers | wire |", model)
	for _, n := range suite.PeerConcurrency {
		fmt.Fprintf(p, " %d callers: %s | per CPU s | p50 ms | p99 ms |", n, unit)
	}
	p.say("\n|---|---|---|%s", strings.Repeat("---|---|---|---|", len(suite.PeerConcurrency)))
	for _, c := range r.Cells {
		if len(c.Values) == 0 {
			continue
		}
		p.peerRow(c, model, c.Keys["wire"])
		if c.Is("server", suite.Ours) && model == "picture" {
			p.peerRow(c, "base64 picture", "base64 in JSON")
		}
	}
	p.say("")
}

func (p *page) peerRow(c suite.Cell, model, wire string) {
	if model == "rows" {
		wire = "OIP JSON"
	}
	fmt.Fprintf(p, "| %s | %s | %s |", c.Keys["server"], c.Keys["workers"], wire)
	for _, n := range suite.PeerConcurrency {
		for _, value := range []string{"rps", "rps_per_cpu", "p50_ms", "p99_ms"} {
			fmt.Fprintf(p, " %s |", spread(c.Values[fmt.Sprintf("%s c%d %s", model, n, value)]))
		}
	}
	p.say("")
}

// peerChart shows a value of each server, with the better number of workers.
func peerChart(r suite.Result, title, unit, value string) chart {
	plot := chart{title: title, unit: unit, series: []series{{name: unit}}}
	for _, name := range append([]string{suite.Ours}, suite.PeerNames()...) {
		best := best(r, value, value == "pss_mib" || value == "start_s", func(c suite.Cell) bool { return c.Is("server", name) })
		if len(best.Samples) > 0 {
			plot.groups = append(plot.groups, name)
			plot.series[0].values = append(plot.series[0].values, best)
		}
	}
	return plot
}

// best is the best of a value among the cells that are wanted.
func best(r suite.Result, value string, least bool, wanted func(suite.Cell) bool) (found stats.Spread) {
	for _, c := range r.Cells {
		v := c.Values[value]
		if !wanted(c) || len(v.Samples) == 0 {
			continue
		}
		if len(found.Samples) == 0 || least == (v.Median < found.Median) && v.Median != found.Median {
			found = v
		}
	}
	return found
}

// promisePeers compares with the best of the others in each respect, whichever that is.
func (p *page) promisePeers(r suite.Result) {
	for _, t := range []struct {
		what, value string
		limit       float64
		least       bool
	}{
		{"smallest model, 8 callers: requests/s / best peer's", "rows c8 rps", 10, false},
		{"smallest model, 64 callers: requests/s / best peer's", "rows c64 rps", 10, false},
		{"smallest model, 64 callers: requests per CPU second / best peer's", "rows c64 rps_per_cpu", 10, false},
		{"JPEG, 8 callers: requests/s / best peer's", "picture c8 rps", 1.3, false},
		{"memory / least of the peers'", "pss_mib", 1.0 / 3, true},
		{"start to first answer / shortest of the peers'", "start_s", 0.1, true},
	} {
		ours := best(r, t.value, t.least, func(c suite.Cell) bool { return c.Is("server", suite.Ours) })
		theirs := best(r, t.value, t.least, func(c suite.Cell) bool { return !c.Is("server", suite.Ours) })
		p.promise(target{part: "peers", what: t.what, limit: math.Round(t.limit*100) / 100, atMost: t.least, got: stats.Ratio(ours, theirs)})
	}
}

// preprocess writes the sums of the program that compares with Pillow.
func (p *page) preprocess(r suite.Result) {
	p.say("One thread each, turn by turn, over photos in several sizes, qualities and kinds of JPEG ([preprocess](preprocess)). The ratio is")
	p.say("Onda's time over Pillow's: below 1 is faster. The difference of the tensors is in steps of 1/255.\n")
	p.say("| JPEG | files | Pillow ms | Onda ms | ratio | worst ratio | mean difference | worst |\n|---|---|---|---|---|---|---|---|")
	plot := chart{title: "JPEG to tensor", unit: "ms", series: []series{{name: "Pillow"}, {name: "Onda"}}}
	for _, c := range r.Cells {
		v := func(name string) string { return spread(c.Values[name]) }
		p.say("| %s | %s | %s | %s | %s | %s | %s | %s |", c.Keys["name"], v("cases"), v("pillow_ms"), v("onda_ms"), v("ratio"), v("worst_ratio"), v("mean_difference"), v("worst_difference"))
		if strings.Contains(c.Keys["name"], "baseline") { // the usual kind; the table has all
			plot.groups = append(plot.groups, c.Keys["name"])
			plot.series[0].values = append(plot.series[0].values, c.Values["pillow_ms"])
			plot.series[1].values = append(plot.series[1].values, c.Values["onda_ms"])
		}
	}
	p.say("")
	if len(plot.groups) > 0 {
		p.plot("preprocess.svg", plot.title, plot.svg())
	}
}
