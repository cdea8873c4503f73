package report

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/onda-serving/onda/tests/bench/stats"
	"github.com/onda-serving/onda/tests/bench/suite"
)

// written gives the page of results.
func written(t *testing.T, results ...suite.Result) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "results")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, r.Part+".json"), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := Write(dir); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(filepath.Dir(dir), "RESULTS.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// cell makes a cell with one value in each round.
func cell(keys map[string]string, values map[string][]float64) suite.Cell {
	c := suite.Cell{Keys: keys, Values: map[string]stats.Spread{}}
	for name, samples := range values {
		c.Values[name] = stats.NewSpread(samples...)
	}
	return c
}

func TestEveryPartHasASection(t *testing.T) {
	t.Parallel()
	for _, part := range suite.Parts {
		if sections[part].write == nil {
			t.Errorf("part %s has no section", part)
		}
	}
}

func TestSwap(t *testing.T) {
	t.Parallel()
	looks := func(swaps string, mib float64) suite.Cell {
		return cell(map[string]string{"swaps": swaps}, map[string][]float64{"rss_mib": {mib}})
	}
	page := written(t, suite.Result{
		Part: "swap", Facts: map[string]float64{"swaps": 1000, "loads": 999, "swap_p50_ms": 120},
		Cells: []suite.Cell{
			looks("0", 100), looks("50", 200), looks("100", 260),
			cell(map[string]string{"phase": "quiet"}, map[string][]float64{"p99_ms": {10, 20}, "unanswered": {0, 0}}),
			cell(map[string]string{"phase": "swapping"}, map[string][]float64{"p99_ms": {15, 30}, "unanswered": {0, 3}}),
		},
	})
	for _, want := range []string{
		"1,000 swaps with 999 loads; a swap took 120 ms at p50",
		"| swap | requests that did not get an answer while versions were swapped | ≤ 0 | 3.00 | **missed** |",
		"| swap | p99 while swapping, over p99 without | ≤ 1.20 | 1.50 (1.50–1.50) | **missed** by 25.0% |",
		"| swap | resident memory after the last swap, over that after 50 | ≤ 1.10 | 1.30 | **missed** by 18.2% |",
		"| 50 | 200 |",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
}

func TestModels(t *testing.T) {
	t.Parallel()
	page := written(t, suite.Result{
		Part: "models", Facts: map[string]float64{"models": 1000, "budget_mib": 4, "share_of_most_asked": 0.5},
		Cells: []suite.Cell{
			cell(map[string]string{"concurrency": "1"}, map[string][]float64{"failed": {0}, "memory_mib": {3}, "miss_p99_ms": {12.5}}),
			{Keys: map[string]string{"concurrency": "8"}, Error: "it broke"},
		},
	})
	for _, want := range []string{
		"the 20 that are asked for most get 50.0%",
		"| models | 1 callers, memory of models over the budget | ≤ 1.00 | 0.75 | met |",
		"- not measured: concurrency 8: it broke",
		"12.5",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
}
