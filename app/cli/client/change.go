package client

import (
	"context"
	"maps"
	"net/http"
	"strconv"

	"github.com/onda-serving/onda/app/catalog"
)

// Change is something to do to a model: see the functions that make one.
type Change struct {
	// Model that changes.
	Model string

	method string
	path   []string
	body   map[string]any
	long   bool
}

// SetLabel moves a label to a version.
func SetLabel(model, label string, version int64) Change {
	return Change{model, http.MethodPut, []string{"labels", label}, map[string]any{"version": version}, true}
}

// RemoveLabel takes a label away.
func RemoveLabel(model, label string) Change {
	return Change{model, http.MethodDelete, []string{"labels", label}, nil, false}
}

// SetTraffic splits the requests that name neither version nor label. An empty Sticky leaves
// it to the server.
func SetTraffic(model string, t catalog.Traffic) Change {
	body := map[string]any{"weights": t.Weights}
	if t.Sticky != "" {
		body["sticky"] = t.Sticky
	}
	return Change{model, http.MethodPut, []string{"traffic"}, body, true}
}

// ClearTraffic gives all requests to the label "live".
func ClearTraffic(model string) Change {
	return Change{model, http.MethodDelete, []string{"traffic"}, nil, false}
}

// SetShadow copies requests to a version whose answers nobody gets.
func SetShadow(model string, s catalog.Shadow) Change {
	return Change{model, http.MethodPut, []string{"shadow"}, map[string]any{"version": s.Version, "share": s.Share}, true}
}

// ClearShadow ends that.
func ClearShadow(model string) Change {
	return Change{model, http.MethodDelete, []string{"shadow"}, nil, false}
}

// Rollout is how a candidate shall take over. What is left out is for the server to choose.
type Rollout struct {
	// Candidate that shall become live.
	Candidate int64
	// Steps are its shares in percent, rising.
	Steps []int
	// Rule holds the parts of a [catalog.Rule] that are given, by their names in JSON.
	Rule map[string]any
	// Sticky is that of [catalog.Traffic].
	Sticky string
}

// BeginRollout begins a rollout.
func BeginRollout(model string, r Rollout) Change {
	body := map[string]any{"version": r.Candidate}
	if len(r.Steps) > 0 {
		body["steps"] = r.Steps
	}
	if len(r.Rule) > 0 {
		body["rule"] = r.Rule
	}
	if r.Sticky != "" {
		body["sticky"] = r.Sticky
	}
	return Change{model, http.MethodPost, []string{"rollout"}, body, true}
}

// Promote ends the running rollout well. With a version, and no rollout, that becomes live.
func Promote(model string, version int64) Change {
	body := map[string]any{}
	if version != 0 {
		body["version"] = version
	}
	return Change{model, http.MethodPost, []string{"promote"}, body, true}
}

// RollBack ends the running rollout badly, or makes live what was live before.
func RollBack(model string) Change {
	return Change{model, http.MethodPost, []string{"rollback"}, nil, true}
}

// Retire takes a version out of use.
func Retire(model string, version int64) Change {
	return Change{model, http.MethodPost, []string{"versions", strconv.FormatInt(version, 10), "retire"}, nil, false}
}

// Pin keeps the versions that answer in memory, or lets them go where others need room.
func Pin(model string, pinned bool) Change {
	return Change{model, http.MethodPut, []string{"pin"}, map[string]any{"pinned": pinned}, false}
}

// Changed is what a change made.
type Changed struct {
	Model

	// Report of the comparison with what is live; nil where nothing was compared.
	Report *CompareReport `json:"report"`
}

// CompareReport says how the answers of two versions differ.
type CompareReport struct {
	// Text is a sentence for people.
	Text string `json:"text"`
}

// Change changes a model.
func (c *Client) Change(ctx context.Context, change Change, terms Terms) (*Changed, []byte, error) {
	body := map[string]any{} // reason and accept go in, whatever the change
	maps.Copy(body, change.body)
	answer := new(Changed)
	raw, err := c.do(ctx, call{
		method: change.method, path: registry(append([]string{"models", change.Model}, change.path...)...),
		body: body, long: change.long, terms: terms,
	}, answer)
	if err != nil {
		return nil, nil, err
	}
	return answer, raw, nil
}

// Registration describes a version to register. What is left out comes from its model.yaml.
type Registration struct {
	// Version number; 0 takes the next one.
	Version int64 `json:"version"`
	// Location of the files: see [catalog.Version].
	Location string `json:"location"`
	// Files by their paths, for files that were uploaded.
	Files map[string]catalog.File `json:"files,omitempty"`
	// Description in a sentence.
	Description string `json:"description,omitempty"`
	// Licence as an SPDX expression.
	Licence string `json:"licence,omitempty"`
	// Framework that the model was made with.
	Framework string `json:"framework,omitempty"`
	// Source says what the version was made of; nil where nothing is given.
	Source *catalog.Source `json:"source,omitempty"`
	// Metrics measured when it was made.
	Metrics map[string]float64 `json:"metrics,omitempty"`
	// Tags are the operators' own words.
	Tags map[string]string `json:"tags,omitempty"`
}

// Registered is a version that was registered.
type Registered struct {
	// Model that it belongs to.
	Model string `json:"model"`
	// Version as it stands in the document.
	Version catalog.Version `json:"version"`
	// Report of the checks; nil where there were none.
	Report *CheckReport `json:"report"`
}

// CheckReport says what a version showed when it was tried.
type CheckReport struct {
	// SizeBytes of its files.
	SizeBytes int64 `json:"size_bytes"`
	// MemoryBytes that it took.
	MemoryBytes int64 `json:"memory_bytes"`
	// Golden are the recorded answers that it was held against.
	Golden struct {
		Cases         int     `json:"cases"`
		MaxDifference float64 `json:"max_difference"`
	} `json:"golden"`
	// LoadMS and RunMS are the times of loading and of one run, in milliseconds.
	LoadMS float64 `json:"load_ms"`
	// RunMS of one run.
	RunMS float64 `json:"run_ms"`
	// Warnings, a sentence each.
	Warnings []string `json:"warnings"`
}

// Register registers a version of a model.
func (c *Client) Register(ctx context.Context, model string, r Registration, terms Terms) (*Registered, []byte, error) {
	body, err := fields(r)
	if err != nil {
		return nil, nil, err
	}
	answer := new(Registered)
	raw, err := c.do(ctx, call{
		method: http.MethodPost, path: registry("models", model, "versions"), body: body, long: true, terms: terms,
	}, answer)
	if err != nil {
		return nil, nil, err
	}
	return answer, raw, nil
}
