package plan

import (
	"encoding/json"
	"fmt"
	"os"

	"go.yaml.in/yaml/v3"

	"github.com/onda-serving/onda/deploy/capacity/search"
)

// Found is what the search left in its file.
type Found struct {
	// BestCalls and BestEvents are the best, Calls and Events all that were tried, in their order.
	BestCalls  search.Outcome   `json:"best_calls"`
	BestEvents search.Outcome   `json:"best_events"`
	Calls      []search.Outcome `json:"calls"`
	Events     []search.Outcome `json:"events"`
}

// Search tries settings for calls and for events. It takes minutes.
func (f *Facts) Search() Found {
	calls := f.CallSearcher()
	events := f.EventSearcher()
	found := Found{BestCalls: calls.Descend(search.Start(), search.CallDimensions())}
	found.BestEvents = events.Descend(search.EventStart(), search.EventDimensions())
	found.Calls, found.Events = calls.Tried, events.Tried
	return found
}

// CallSearcher and EventSearcher play the traffic of the search.
func (f *Facts) CallSearcher() *search.Searcher {
	return &search.Searcher{Cluster: f.Cluster(), Traffic: search.Calls(f.Picture), Seed: 1}
}

// EventSearcher is the one for events.
func (f *Facts) EventSearcher() *search.Searcher {
	return &search.Searcher{Cluster: f.Cluster(), Traffic: search.Events(f.AsEvents(f.Question), f.AsEvents(f.Picture)), Seed: 1}
}

// Save writes what was found.
func (s Found) Save(file string) error {
	text, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o600)
}

// LoadFound reads what the search found.
func LoadFound(file string) (s Found, err error) {
	text, err := os.ReadFile(file) //nolint:gosec // the file of the search
	if err != nil {
		return s, fmt.Errorf("%w: run `go run ./deploy/capacity/cmd/capacity search` first", err)
	}
	return s, json.Unmarshal(text, &s)
}

// Chosen are the settings for the chart.
func (s Found) Chosen() Autoscaling {
	calls, events := s.BestCalls.Settings, s.BestEvents.Settings
	return Autoscaling{
		Min: calls.Min, TargetSaturation: calls.Target,
		Behavior: Behavior{DownWindow: calls.DownWindow, DownPercent: calls.DownPercent, UpPercent: calls.UpPercent, UpPods: calls.UpPods},
		KEDA:     KEDA{Poll: events.Poll, Cooldown: events.Cooldown, PerReplica: events.PerReplica, Activation: events.Activation},
	}
}

// YAML of the settings, as they belong into values.yaml.
func (a Autoscaling) YAML() (string, error) {
	text, err := yaml.Marshal(map[string]Autoscaling{"autoscaling": a})
	return string(text), err
}
