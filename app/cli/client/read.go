package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/onda-serving/onda/app/catalog"
)

// Model is a model's document without its history, and what the replica that answered does
// with it.
type Model struct {
	catalog.Model

	// Serving is what the replica does; nil where it does not say.
	Serving *Serving `json:"serving"`
}

// Serving is what a replica does with a model.
type Serving struct {
	// Revision of the document that the replica follows.
	Revision int64 `json:"revision"`
	// InSync says that the replica does what the newest document asks for.
	InSync bool `json:"in_sync"`
	// Reason why it does not.
	Reason string `json:"reason"`
	// Labels as the replica resolves them.
	Labels map[string]int64 `json:"labels"`
	// Versions that the replica knows of.
	Versions []ServedVersion `json:"versions"`
}

// ServedVersion is what a replica does with a version.
type ServedVersion struct {
	// Version number.
	Version int64 `json:"version"`
	// State is "available", "loading", "failed", "cold" or "unloaded".
	State string `json:"state"`
	// Reason of a failure.
	Reason string `json:"reason"`
	// MemoryBytes that it takes now.
	MemoryBytes int64 `json:"memory_bytes"`
}

// Evidence is what the judge of a rollout has seen.
type Evidence struct {
	// Rollout is the ID of the rollout that the numbers are of.
	Rollout string `json:"rollout"`
	// Step is the index of the step that they are of.
	Step int `json:"step"`
	// Candidate and Baseline count requests.
	Candidate Sample `json:"candidate"`
	// Baseline is what the candidate is measured against.
	Baseline Sample `json:"baseline"`
	// Compared counts the answers of both that were compared.
	Compared int64 `json:"compared"`
	// Disagreed counts those that were not the same.
	Disagreed int64 `json:"disagreed"`
	// MaxDifference is the largest difference of two numbers in them.
	MaxDifference float64 `json:"max_difference"`
	// Decision is what the judge makes of it.
	Decision Decision `json:"decision"`
}

// Sample counts the requests that a version answered in a step.
type Sample struct {
	// Requests in all.
	Requests int64 `json:"requests"`
	// Errors among them.
	Errors int64 `json:"errors"`
	// P99 is the 99th percentile of their latencies, in milliseconds.
	P99 float64 `json:"p99_ms"`
}

// Decision of a judge.
type Decision struct {
	// Action that follows, such as "wait".
	Action string `json:"action"`
	// Reason for it, with the numbers.
	Reason string `json:"reason"`
}

// Status is how a replica stands.
type Status struct {
	// Replica is another for each.
	Replica string `json:"replica"`
	// InSync says that it does what all documents ask for.
	InSync bool `json:"in_sync"`
	// Store is the state store with the documents.
	Store struct {
		Reachable bool      `json:"reachable"`
		Since     time.Time `json:"since"`
		Error     string    `json:"error"`
	} `json:"store"`
	// Revision of the index that it has seen.
	Revision int64 `json:"revision"`
	// Models by name.
	Models map[string]ModelStatus `json:"models"`
	// Memory of the loaded versions, in bytes; a budget of 0 is none.
	Memory struct {
		Budget int64 `json:"budget"`
		Used   int64 `json:"used"`
	} `json:"memory"`
}

// ModelStatus is how a model stands on a replica.
type ModelStatus struct {
	// Revision of the document that the replica follows.
	Revision int64 `json:"revision"`
	// InSync says that the replica does what it asks for.
	InSync bool `json:"in_sync"`
	// Reason why it does not.
	Reason string `json:"reason"`
}

// Models lists all models. raw is the answer as it came, as it is with all other calls.
func (c *Client) Models(ctx context.Context) (models []Model, raw []byte, err error) {
	var answer struct {
		Models []Model `json:"models"`
	}
	raw, err = c.do(ctx, call{method: http.MethodGet, path: registry("models")}, &answer)
	return answer.Models, raw, err
}

// Model gives a model.
func (c *Client) Model(ctx context.Context, name string) (*Model, []byte, error) {
	return get[Model](ctx, c, call{path: registry("models", name)})
}

// History lists at most so many of a model's changes, newest first.
func (c *Client) History(ctx context.Context, name string, limit int) (entries []catalog.Entry, raw []byte, err error) {
	var answer struct {
		Entries []catalog.Entry `json:"entries"`
	}
	query := url.Values{"limit": {strconv.Itoa(limit)}}
	raw, err = c.do(ctx, call{method: http.MethodGet, path: registry("models", name, "history"), query: query}, &answer)
	return answer.Entries, raw, err
}

// Evidence gives what the judge of a model's rollout has seen.
func (c *Client) Evidence(ctx context.Context, name string) (*Evidence, error) {
	evidence, _, err := get[Evidence](ctx, c, call{path: registry("models", name, "evidence")})
	return evidence, err
}

// Status says how the replica that answers stands.
func (c *Client) Status(ctx context.Context) (*Status, []byte, error) {
	return get[Status](ctx, c, call{path: registry("status")})
}

func get[T any](ctx context.Context, c *Client, call call) (*T, []byte, error) {
	call.method = http.MethodGet
	answer := new(T)
	raw, err := c.do(ctx, call, answer)
	if err != nil {
		return nil, nil, err
	}
	return answer, raw, nil
}
