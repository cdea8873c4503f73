package plan

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/onda-serving/onda/deploy/capacity"
	"github.com/onda-serving/onda/deploy/capacity/sim"
)

// Rates are the sizes that are planned, in requests per second.
var Rates = []float64{1e3, 1e5, 1e6}

// page is PLAN.md while it is written, with its charts.
type page struct {
	strings.Builder

	facts *Facts
	found Found
	plots map[string]string // by file name
}

// Files are PLAN.md and its charts, by their names below the folder.
func Files(f *Facts, found Found) (map[string]string, error) {
	p := &page{facts: f, found: found, plots: map[string]string{}}
	p.head()
	p.validation()
	if err := p.settings(); err != nil {
		return nil, err
	}
	p.crowds()
	p.sizes()
	p.breaks()
	p.inputs()
	p.plots["PLAN.md"] = p.String()
	return p.plots, nil
}

// Write writes the files.
func Write(folder string, f *Facts, found Found) error {
	files, err := Files(f, found)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(folder, "charts"), 0o750); err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// say writes a line.
func (p *page) say(format string, values ...any) { fmt.Fprintf(p, format+"\n", values...) }

// row writes a row of a table.
func (p *page) row(cells ...string) { p.say("| %s |", strings.Join(cells, " | ")) }

// header writes the first two rows of a table.
func (p *page) header(cells ...string) {
	p.row(cells...)
	p.say("|%s", strings.Repeat("---|", len(cells)))
}

// plot keeps a chart, and shows it.
func (p *page) plot(name string, c plot) {
	p.plots["charts/"+name] = c.svg()
	p.say("\n![%s](charts/%s)\n", c.title, name)
}

func (p *page) head() {
	f := p.facts
	p.say(`# Capacity plan

Written by %[1]s; a test keeps it up to date. It has three kinds of numbers: what the benchmarks
measured (read from [tests/bench/results](../../tests/bench/results)), what was simulated from that, and assumptions, each of
which is in the last table with its source. **Nothing here was measured in a cluster.** Prices are list prices from memory.

The words: a pod is Onda with %[2]d cores and its sidecar; the saturation is onda_saturation; "bad" is every request that was not
answered within its budget, whether late, refused with 429, or given up.

## What a request costs

| | core time | from |
|---|---|---|`, "`go run ./deploy/capacity/cmd/capacity plan`", f.Cores())
	name := func(what string, seconds float64, from string) {
		p.row(what, fmt.Sprintf("%.3f ms", seconds*1000), from)
	}
	const raw = "raw.json: 1 / requests per CPU second of Onda with encoded input, divided by the derating"
	name("FAQ question, a call", f.Question.Pre+f.Question.Run(1), raw)
	name("picture, a call", f.Picture.Pre+f.Picture.Run(1), raw)
	name("of the picture: outside of the run (JPEG, HTTP)", f.Picture.Pre, "raw.json: the same, less a run of ONNX Runtime alone")
	name("an event, on top of a call", f.EventCost/f.Derate, "events.json: 1 / events per CPU second on Redis, all programs together, less the call, divided by the derating")
	name("Onda's sidecar, a call", f.SidecarCost, "dapr.json at 400/s: CPU of own sidecar less direct, over the rate")
	name("the caller's sidecar, a call", f.CallerCost, "dapr.json at 400/s: CPU of two sidecars less own, over the rate")
	p.say("\nDerating: **%.2f**. The open-loop measurements reach that share of the goodput that the closed-loop cost of a request promises (next section), because the load generator had the same cores. The plan does not count on more.\n\nThe sidecars' numbers are of small bodies at a low rate, where a call costs more than at a high one; what a picture of tens of kilobytes costs a sidecar was not measured.\n", f.Derate)
}

func (p *page) validation() {
	p.say(`## How far the simulation can be trusted

Against queueing theory, it gives the median and the 99th percentile of M/M/1 and of M/D/1, M/D/2 and M/D/4 at 0.5, 0.7 and 0.9 of the
capacity within 4 %% (sim/theory_test.go, a million requests each). Against the benchmark's overload part, with its budget of 100 ms,
one number of each model is fitted: the share of the cores' time that the server got, from the goodput at 1.5 times the capacity. All
else is predicted:
`)
	p.header("model", "offered/s", "goodput/s: simulated", "measured", "error", "p50 ms: simulated", "measured", "error", "p99 ms: simulated", "measured", "error")
	worst := [3]float64{}
	for _, c := range p.facts.Checks {
		cells := []string{c.Model, number(c.Offered)}
		for i := range c.Simulated {
			e := c.Error(i)
			if abs(e) > abs(worst[i]) {
				worst[i] = e
			}
			cells = append(cells, number(c.Simulated[i]), number(c.Measured[i]), percent(e))
		}
		p.row(cells...)
	}
	p.say(`
The greatest errors: goodput %s, p50 %s, p99 %s. The p99 of pictures is far off at half of the capacity: the measured server shares its two
cores with the load generator, the garbage collector and the kernel, and a simulated core is interrupted by nobody. **So take latencies
below saturation from the benchmark, and numbers of pods and shares of refusals from here.**
`, percent(worst[0]), percent(worst[1]), percent(worst[2]))
	p.closedLoop()
	var measured, simulated, xs []float64
	for _, c := range p.facts.Checks[len(loads):] {
		xs = append(xs, c.Offered)
		simulated = append(simulated, c.Simulated[2])
		measured = append(measured, c.Measured[2])
	}
	p.plot("validation.svg", plot{title: "Image classification under overload: p99", unit: "ms", x: "offered, requests/s", xs: xs, lines: []line{{"simulated", simulated, false}, {"measured", measured, true}}})
}

// closedLoop compares the capacity that the cost of a request promises with the throughput of 64 callers
// in the part batching, which nothing is fitted to.
func (p *page) closedLoop() {
	f := p.facts
	p.header("64 callers in a closed loop", "promised/s", "with the derating", "measured", "error without", "with")
	for _, s := range []sim.Service{f.Question, f.Picture} {
		got, err := f.Results.Value("batching", "rps", "model", s.Name, "concurrency", "64", "mode", "adaptive")
		if err != nil {
			continue // the table is a comparison, and there is nothing to compare with
		}
		with := s.Capacity(float64(f.Results["batching"].Machine.Cores), 1)
		p.row(s.Name, number(with/f.Derate), number(with), number(got), percent(with/f.Derate/got-1), percent(with/got-1))
	}
	p.say("")
}

// Error is the relative error of a simulated number: 0 goodput, 1 p50, 2 p99.
func (c Check) Error(i int) float64 { return c.Simulated[i]/c.Measured[i] - 1 }

func abs(v float64) float64 { return max(v, -v) }

func percent(v float64) string { return fmt.Sprintf("%+.0f %%", 100*v) }

func share(v float64) string { return fmt.Sprintf("%.2f %%", 100*v) }

func (p *page) inputs() {
	for _, t := range []struct {
		title  string
		inputs capacity.Inputs
	}{{"Assumptions", p.facts.Inputs}, {"Prices", p.facts.Prices}} {
		p.say("\n## %s\n", t.title)
		p.header("name", "value", "source")
		for _, name := range slices.Sorted(maps.Keys(t.inputs)) {
			i := t.inputs[name]
			p.row(name, fmt.Sprintf("%g %s", i.Value, i.Unit), i.Source)
		}
	}
}
