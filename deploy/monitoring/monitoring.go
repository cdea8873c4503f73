// Package monitoring turns the readable sources of Onda's dashboards and alert rules into the
// files that Grafana, Prometheus, Azure Monitor and the chart take. `go run
// ./deploy/monitoring/generate` writes them; a test holds them to their sources.
package monitoring

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"path"
	"time"

	"go.yaml.in/yaml/v3"
)

//go:embed boards/*.yaml rules.yaml
var sources embed.FS

// Board is a dashboard as people write it: see boards/.
type Board struct {
	// UID names it in URLs and for Grafana's updates.
	UID, Title, Description string
	Rows                    []Row
}

// Row is a heading with the panels below it.
type Row struct {
	Title  string
	Panels []Panel
}

// Panel is one picture.
type Panel struct {
	Title, Description string
	// Kind is timeseries, stat or table; "" means timeseries.
	Kind string
	// Unit is one of Grafana's, such as s, bytes, reqps or percentunit.
	Unit string
	// Width and Height are in Grafana's grid of 24 columns; a height of 0 means the usual one.
	Width, Height int
	// Min and Max bound the axis.
	Min, Max *float64
	// Stack puts the series on top of each other.
	Stack bool
	// Text is what a stat shows beside the value: "name", or "" for the value alone.
	Text       string
	Thresholds []Threshold
	Queries    []Query
}

// Threshold is the value from which a colour holds; the first has none.
type Threshold struct {
	Value *float64 `json:"value"`
	Color string   `json:"color"`
}

// Query is an expression of PromQL, in which $pods and $models stand for matchers: see [Expand].
type Query struct {
	Expr, Legend string
}

// Rules is a file of Prometheus rules.
type Rules struct {
	Groups []Group
}

// Group is evaluated together.
type Group struct {
	Name     string
	Interval string
	Rules    []Rule
}

// Rule records or alerts.
type Rule struct {
	Record, Alert, Expr, For string
	Labels, Annotations      map[string]string
}

// Boards reads the sources of the dashboards, in the order of their names.
func Boards() ([]Board, error) {
	entries, err := sources.ReadDir("boards")
	if err != nil {
		return nil, fmt.Errorf("list the boards: %w", err)
	}
	var boards []Board
	for _, e := range entries {
		var b Board
		if err := read(path.Join("boards", e.Name()), &b); err != nil {
			return nil, err
		}
		boards = append(boards, b)
	}
	return boards, nil
}

// ReadRules reads rules.yaml.
func ReadRules() (Rules, error) {
	var r Rules
	err := read("rules.yaml", &r)
	return r, err
}

// read refuses keys that nobody knows: a misspelt one would be a setting without effect.
func read(name string, to any) error {
	text, err := sources.ReadFile(name)
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(to); err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	return nil
}

// Files gives everything that is generated, by its path below deploy/.
func Files() (map[string][]byte, error) {
	boards, err := Boards()
	if err != nil {
		return nil, err
	}
	rules, err := ReadRules()
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, b := range boards {
		text, err := indent(grafana(b))
		if err != nil {
			return nil, err
		}
		files["monitoring/dashboards/"+b.UID+".json"] = text
		files["chart/files/monitoring/dashboards/"+b.UID+".json"] = text
	}
	text, err := sources.ReadFile("rules.yaml")
	if err != nil {
		return nil, fmt.Errorf("read rules.yaml: %w", err)
	}
	files["chart/files/monitoring/rules.yaml"] = append([]byte("# Generated from deploy/monitoring/rules.yaml: change that one.\n"), text...)
	template, err := azure(rules)
	if err != nil {
		return nil, err
	}
	if files["monitoring/azure/rules.json"], err = indent(template); err != nil {
		return nil, err
	}
	return files, nil
}

func indent(v any) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(v); err != nil {
		return nil, fmt.Errorf("write JSON: %w", err)
	}
	return out.Bytes(), nil
}

// iso8601 is a duration as Azure writes it, such as PT5M; text is as Prometheus does, such as 5m.
func iso8601(text string) (string, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		return "", fmt.Errorf("a rule's duration: %w", err)
	}
	return fmt.Sprintf("PT%dM", int(d.Minutes())), nil
}
