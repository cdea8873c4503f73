// Package measured reads what the benchmarks of tests/bench left in their results, and makes of it
// what the simulation and the plan need. Nothing is copied by hand: a new run of the benchmarks
// changes the plan.
package measured

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/onda-serving/onda/deploy/capacity/sim"
	"github.com/onda-serving/onda/tests/bench/stats"
)

// Results are the parts of the benchmark by name.
type Results map[string]Part

// Part is the result of one part: see tests/bench/suite.Result.
type Part struct {
	Commit  string             `json:"commit"`
	Date    string             `json:"date"`
	Quick   bool               `json:"quick"`
	Facts   map[string]float64 `json:"facts"`
	Cells   []Cell             `json:"cells"`
	Machine struct {
		CPU   string `json:"cpu"`
		Cores int    `json:"cores"`
	} `json:"machine"`
}

// Cell is one measurement.
type Cell struct {
	Keys   map[string]string       `json:"keys"`
	Values map[string]stats.Spread `json:"values"`
}

// Load reads the parts that are needed from a folder. The error names the file that is missing or
// cannot be read, and those of a quick run, which shows only that the bench works.
func Load(dir string) (Results, error) {
	r := Results{}
	for _, name := range []string{"raw", "batching", "overload", "dapr", "events", "peers"} {
		text, err := os.ReadFile(filepath.Join(dir, name+".json")) //nolint:gosec // the results of the bench
		if err != nil {
			return nil, fmt.Errorf("the plan needs the results of `make bench`: %w", err)
		}
		var p Part
		if err := json.Unmarshal(text, &p); err != nil {
			return nil, fmt.Errorf("%s.json: %w", name, err)
		}
		if p.Quick {
			return nil, fmt.Errorf("%s.json is of a quick run, whose numbers mean nothing: run make bench", name)
		}
		r[name] = p
	}
	return r, nil
}

// Value is the median of a measurement: the value of that name in the cell of that part with those
// keys, which are pairs of name and value.
func (r Results) Value(part, value string, keys ...string) (float64, error) {
	for _, c := range r[part].Cells {
		if !c.is(keys) {
			continue
		}
		v, ok := c.Values[value]
		if !ok {
			return 0, fmt.Errorf("%s.json: no value %q in the cell %v", part, value, keys)
		}
		return v.Median, nil
	}
	return 0, fmt.Errorf("%s.json: no cell with %v", part, keys)
}

func (c Cell) is(keys []string) bool {
	for i := 0; i+1 < len(keys); i += 2 {
		if c.Keys[keys[i]] != keys[i+1] {
			return false
		}
	}
	return true
}

// Service makes the cost of a request from what the part raw measured: a run of n rows costs a
// straight line through single rows and the best batch, in core seconds of ONNX Runtime alone,
// and what a request of Onda's costs on top of a run of one row is its own. Where a batch costs
// more than its rows by themselves, nothing is fixed.
func (r Results) Service(model, server string) (sim.Service, error) {
	s := sim.Service{Name: model}
	rows := int(r["raw"].Facts["best batch of "+model])
	single, err := r.Value("raw", "rows_per_cpu", "model", model, "server", "raw, single rows")
	if err != nil {
		return s, err
	}
	best, err := r.Value("raw", "rows_per_cpu", "model", model, "server", "raw, best batch", "rows", strconv.Itoa(rows))
	if err != nil {
		return s, err
	}
	whole, err := r.Value("raw", "rows_per_cpu", "model", model, "server", server, "concurrency", "16")
	if err != nil {
		return s, err
	}
	one, many := 1/single, float64(rows)/best
	s.PerRow = min((many-one)/float64(rows-1), one)
	s.Fixed = one - s.PerRow
	s.Pre = max(1/whole-one, 0)
	return s, nil
}

// MustPositive is an error where a measurement that divides is not above 0.
func MustPositive(name string, v float64) error {
	if v <= 0 {
		return fmt.Errorf("%s is %v: the results of the bench cannot be used", name, v)
	}
	return nil
}
