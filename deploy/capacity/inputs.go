// Package capacity holds the inputs of the simulation and of the plan that nobody measured here:
// times that clusters take, limits and prices of Azure. Each has its unit and its source.
package capacity

import (
	_ "embed"
	"encoding/json"
	"fmt"
)

//go:embed assumptions.json
var assumptionsText []byte

//go:embed prices.json
var pricesText []byte

// Input is a number that was not measured by the project's own benchmarks.
type Input struct {
	// Value in that unit.
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	// Source of it: where it is documented or was read, or that it is an assumption.
	Source string `json:"source"`
}

// Inputs by name.
type Inputs map[string]Input

// Assumptions are the times and limits.
func Assumptions() (Inputs, error) { return read("assumptions.json", assumptionsText) }

// Prices are the list prices, in US dollars.
func Prices() (Inputs, error) { return read("prices.json", pricesText) }

func read(file string, text []byte) (Inputs, error) {
	var in Inputs
	if err := json.Unmarshal(text, &in); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	for name, i := range in {
		if i.Unit == "" || i.Source == "" {
			return nil, fmt.Errorf("%s: %s needs a unit and a source", file, name)
		}
	}
	return in, nil
}

// Of gives the sum of inputs by their names. It panics at a name that is not in the file: names are
// in the program, and a test goes over all of them.
func (in Inputs) Of(names ...string) float64 {
	sum := 0.0
	for _, name := range names {
		i, ok := in[name]
		if !ok {
			panic("capacity: no input " + name) //nolint:forbidigo // a name that the program misspells
		}
		sum += i.Value
	}
	return sum
}
