package suite

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/onda-serving/onda/tests/bench/stats"
)

// Cell is one thing that was measured, over all rounds.
type Cell struct {
	// Keys say what: the model, the server, the concurrency and so on.
	Keys map[string]string `json:"keys"`
	// Values by name, such as "rps" and "p99_ms".
	Values map[string]stats.Spread `json:"values"`
	// Error is why there are none, or fewer than the rounds.
	Error string `json:"error,omitempty"`
}

// Is says whether the cell has these keys: pairs of name and value.
func (c Cell) Is(pairs ...string) bool {
	for i := 0; i+1 < len(pairs); i += 2 {
		if c.Keys[pairs[i]] != pairs[i+1] {
			return false
		}
	}
	return true
}

// Find gives the first cell with these keys that has values.
func Find(cells []Cell, pairs ...string) (Cell, bool) {
	i := slices.IndexFunc(cells, func(c Cell) bool { return c.Is(pairs...) && len(c.Values) > 0 })
	if i < 0 {
		return Cell{}, false
	}
	return cells[i], true
}

// values are what one round measured.
type values map[string]float64

// variant is one cell to measure.
type variant struct {
	keys    map[string]string
	measure func(context.Context) (values, error)
	// unable is why it cannot be measured at all.
	unable error
}

// keys makes a map of pairs.
func keys(pairs ...string) map[string]string {
	m := map[string]string{}
	for i := 0; i+1 < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return m
}

// rounds measures all variants in turn, again and again: what disturbs the machine for a
// while disturbs them all alike. A variant that fails is left out from then on.
func (b *Bench) rounds(ctx context.Context, n int, all []variant) ([]Cell, error) {
	cells := make([]Cell, len(all))
	samples := make([]map[string][]float64, len(all))
	for i, v := range all {
		cells[i].Keys, samples[i] = v.keys, map[string][]float64{}
		if v.unable != nil {
			cells[i].Error = v.unable.Error()
			say("  not measured: %s: %s", label(v.keys), v.unable)
		}
	}
	for round := range n {
		for i, v := range all {
			if cells[i].Error != "" {
				continue
			}
			got, err := v.measure(ctx)
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if err != nil {
				cells[i].Error = err.Error()
				say("  failed: %s: %s", label(v.keys), err)
				continue
			}
			for name, value := range got {
				samples[i][name] = append(samples[i][name], value)
			}
			say("  %d/%d %s: %s", round+1, n, label(v.keys), brief(got))
		}
	}
	for i := range cells {
		cells[i].Values = map[string]stats.Spread{}
		for name, s := range samples[i] {
			cells[i].Values[name] = stats.NewSpread(s...)
		}
	}
	return cells, nil
}

// label writes keys for the log.
func label(keys map[string]string) string {
	var parts []string
	for _, name := range []string{"model", "server", "mode", "path", "load", "workers", "concurrency"} {
		if value := keys[name]; value != "" {
			parts = append(parts, value)
		}
	}
	return strings.Join(parts, " ")
}

// brief writes a round's values for the log.
func brief(v values) string {
	names := make([]string, 0, len(v))
	for name := range v {
		names = append(names, name)
	}
	slices.SortFunc(names, cmp.Compare)
	var b strings.Builder
	for _, name := range names {
		if v[name] != 0 {
			fmt.Fprintf(&b, "%s=%.4g ", name, v[name])
		}
	}
	return b.String()
}

// say tells how far the bench is.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}
