package capacity_test

import (
	"strings"
	"testing"

	"github.com/onda-serving/onda/deploy/capacity"
)

// TestInputs holds that every input has a unit and a source, and that prices say how little they are worth.
func TestInputs(t *testing.T) {
	t.Parallel()
	assumptions, err := capacity.Assumptions()
	if err != nil {
		t.Fatal(err)
	}
	if got := assumptions.Of("schedule", "sandbox"); got != 3 {
		t.Errorf("a sum of two inputs is %v, not 3", got)
	}
	prices, err := capacity.Prices()
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range prices {
		if p.Value <= 0 || !strings.Contains(p.Source, "list price") || !strings.Contains(p.Source, "to be checked") {
			t.Errorf("%s: %+v", name, p)
		}
	}
}
