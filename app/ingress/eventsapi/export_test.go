package eventsapi

import (
	"maps"
	"slices"

	"github.com/onda-serving/onda/app/deadletters"
)

// Patterns lists the routes as http.ServeMux has them.
func Patterns() []string { return slices.Collect(maps.Keys((&Handler{}).routes())) }

// Bodies gives the values with JSON of their own that openapi.yaml describes, all of whose
// fields are set.
func Bodies(filter deadletters.Filter) map[string]any {
	return map[string]any{
		"Failure": failure{"x"}, "Total": total{Error: "x", Status: 1}, "Replays": many{Filter: filter},
	}
}
