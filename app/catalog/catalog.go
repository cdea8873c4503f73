// Package catalog is the registry's documents: which versions of a model are registered,
// which of them answers, and how that came about.
//
// There is one document for each model, under [ModelKey], and an index of all of them under
// [IndexKey]. What a change does is a function on the document without any input or output
// ([Model.SetLabel], [Model.Advance] and so on); [Book] reads and writes documents in a state
// store, one writer at a time by ETags. A document holds its own newest history, so that a
// change and its history entry are written together or not at all; older entries move to
// documents of their own, which never change again.
package catalog

import (
	"strconv"
	"time"

	"github.com/onda-serving/onda/app/scoring"
)

// Schema is the version of the documents' form.
const Schema = 1

// Model is the document of a model. Versions are immutable; State moves.
type Model struct {
	// Schema of the document: [Schema].
	Schema int `json:"schema"`
	// Name of the model.
	Name string `json:"name"`
	// Revision counts the changes; it is that of the newest history entry.
	Revision int64 `json:"revision"`
	// Versions that were registered, by number.
	Versions map[int64]Version `json:"versions"`

	State

	// History holds the newest entries, in rising order of their revisions.
	History []Entry `json:"history"`
	// Archived is the revision of the newest entry that is not in History any more, but in
	// the documents under [HistoryKey]; 0 while there is none.
	Archived int64 `json:"archived,omitempty"`
}

// State is the part of a document that moves.
type State struct {
	// Labels maps each label to the version that it names. Without the label "live" the
	// model is not managed: each replica answers with the newest version that it has loaded.
	Labels map[string]int64 `json:"labels"`
	// Previous is the version that "live" named before; 0 for none.
	Previous int64 `json:"previous,omitempty"`
	// Traffic splits the requests that name neither version nor label; nil gives all of
	// them to the label "live".
	Traffic *Traffic `json:"traffic,omitempty"`
	// Shadow copies requests to a version whose answers nobody gets; nil for none.
	Shadow *Shadow `json:"shadow,omitempty"`
	// Rollout is the newest canary, running or ended; nil if there never was one.
	Rollout *Rollout `json:"rollout,omitempty"`
	// Standing holds what is known against versions; one that is not in it is fine.
	Standing map[int64]Standing `json:"standing,omitempty"`
	// Pinned keeps the versions that answer in memory, whatever else needs room.
	Pinned bool `json:"pinned,omitempty"`
}

// Standing is what is known against a version.
type Standing string

// What can be known against a version.
const (
	// Retired versions were taken out of use by an operator and answer nobody.
	Retired Standing = "retired"
	// RolledBack versions failed as a candidate: a label moves to one only if that is
	// confirmed by name.
	RolledBack Standing = "rolled_back"
)

// Where the files of a version are.
const (
	// InModelsFolder is the location of a version that came with the app: it is in the models
	// folder of the replicas, or of some of them.
	InModelsFolder = "models:"
	// InStore is the location of a version whose files are in the artifact store, each under
	// its own SHA-256: see package blobs.
	InStore = "store:"
)

// Version is what is known about a version. It never changes.
type Version struct {
	// Version number.
	Version int64 `json:"version"`
	// Digest of its artifact: see artifact.Digest.
	Digest string `json:"digest"`
	// Location of the files: [InModelsFolder], [InStore], or the URL of the folder that holds
	// them, such as "azblob://models/faq/3" or "file:///srv/models/faq/3".
	Location string `json:"location"`
	// Files lists every file by its path below Location, model.yaml and config.pbtxt
	// included; empty for [InModelsFolder].
	Files map[string]File `json:"files,omitempty"`
	// SizeBytes of all files.
	SizeBytes int64 `json:"size_bytes"`
	// MemoryBytes that the loaded version was measured to take; 0 if it was not measured.
	MemoryBytes int64 `json:"memory_bytes,omitempty"`
	// Inputs and Outputs are the signature.
	Inputs []Tensor `json:"inputs"`
	// Outputs of the model.
	Outputs []Tensor `json:"outputs"`
	// Pipeline is "image", "text" or "none".
	Pipeline string `json:"pipeline"`
	// Golden counts the golden inputs that were replayed when it was registered.
	Golden int `json:"golden,omitempty"`
	// Framework that the model was made with, and its exporter.
	Framework string `json:"framework,omitempty"`
	// Description in a sentence.
	Description string `json:"description,omitempty"`
	// Licence as an SPDX expression.
	Licence string `json:"licence,omitempty"`
	// Source says what the version was made of.
	Source Source `json:"source,omitzero"`
	// Metrics measured when it was made, by name.
	Metrics map[string]float64 `json:"metrics,omitempty"`
	// Tags are the operators' own words, by name.
	Tags map[string]string `json:"tags,omitempty"`
	// RegisteredBy and RegisteredAt say who registered it, and when.
	RegisteredBy string `json:"registered_by"`
	// RegisteredAt in UTC.
	RegisteredAt time.Time `json:"registered_at"`
}

// Source says what a version was made of.
type Source struct {
	// Commit of the training code.
	Commit string `json:"commit,omitempty"`
	// Dataset that it was trained on.
	Dataset string `json:"dataset,omitempty"`
	// Origin of the weights and data, with versions and digests.
	Origin string `json:"origin,omitempty"`
	// Script that makes the version, as a path in its repository.
	Script string `json:"script,omitempty"`
	// Created is the day, as YYYY-MM-DD.
	Created string `json:"created,omitempty"`
}

// File is a file of a version.
type File struct {
	// SHA256 in hexadecimal digits.
	SHA256 string `json:"sha256"`
	// Size in bytes.
	Size int64 `json:"size"`
}

// Tensor describes an input or output.
type Tensor struct {
	// Name of the tensor.
	Name string `json:"name"`
	// Datatype as the Open Inference Protocol names it.
	Datatype string `json:"datatype"`
	// Shape with -1 for a dimension that may vary.
	Shape []int64 `json:"shape"`
}

// Traffic splits requests over versions.
type Traffic struct {
	// Weights of the versions, each positive; a version's share is its weight by the sum.
	Weights map[int64]int `json:"weights"`
	// Sticky says what keeps a caller on one version: [StickyKey] or [StickyCaller].
	Sticky string `json:"sticky"`
}

// What keeps a caller on one version.
const (
	// StickyKey is the key that the caller gives with each request. Requests without one are
	// dealt at random.
	StickyKey = "key"
	// StickyCaller is the key or, for requests without one, the caller's app id.
	StickyCaller = "caller"
)

// Shadow copies requests to a version whose answers nobody gets.
type Shadow struct {
	// Version that gets the copies.
	Version int64 `json:"version"`
	// Share of the requests that are copied, above 0 and at most 1.
	Share float64 `json:"share"`
}

// LabelCanary names the candidate of a running rollout.
const LabelCanary = "canary"

// The states of a rollout.
const (
	// Running rollouts are judged.
	Running = "running"
	// Promoted rollouts ended well: the candidate is live.
	Promoted = "promoted"
	// WasRolledBack rollouts ended badly: the baseline is live.
	WasRolledBack = "rolled_back"
)

// Rollout gives a candidate a growing share of a model's requests, as long as it keeps the
// rule.
type Rollout struct {
	// ID is another for each rollout of a model: "r" and the revision that began it.
	ID string `json:"id"`
	// Candidate takes over from Baseline.
	Candidate int64 `json:"candidate"`
	// Baseline is what was live when the rollout began.
	Baseline int64 `json:"baseline"`
	// Steps are the candidate's shares in percent, rising; after the last one comes all.
	Steps []int `json:"steps"`
	// Step is the index of the current share in Steps.
	Step int `json:"step"`
	// StepSince is when the current step began or, of a rollout that ended, when it ended; in
	// UTC.
	StepSince time.Time `json:"step_since"`
	// Rule that the candidate must keep.
	Rule Rule `json:"rule"`
	// Sticky is that of [Traffic].
	Sticky string `json:"sticky"`
	// Status is [Running], [Promoted] or [WasRolledBack].
	Status string `json:"status"`
	// Verdict says why it stands as it does, with the numbers.
	Verdict string `json:"verdict,omitempty"`
}

// Rule says when a candidate has failed, and when a step is done. In a rule that an operator
// gives, 0 stands for the default: see [Rule.WithDefaults].
type Rule struct {
	// MaxErrorRate is how much larger than the baseline's the candidate's share of failed
	// requests may be: 0.01 is one request in a hundred.
	MaxErrorRate float64 `json:"max_error_rate"`
	// MaxP99Ratio is how many times the baseline's 99th percentile of latency the
	// candidate's may be. To not look at it, give 1000, the most.
	MaxP99Ratio float64 `json:"max_p99_ratio"`
	// MaxDivergence is the largest share of compared answers that may disagree with the
	// baseline's, of 1; 1 does not look at it.
	MaxDivergence float64 `json:"max_divergence"`
	// MinSamples is how many requests the candidate must have answered in a step.
	MinSamples int `json:"min_samples"`
	// MinCompared is how many of its answers must have been compared with the baseline's.
	MinCompared int `json:"min_compared"`
	// StepTime is the least time of a step.
	StepTime Duration `json:"step_time"`
	// Compare is the share of the candidate's requests that are also asked of the baseline.
	Compare float64 `json:"compare"`
}

// Entry is a change in a model's history.
type Entry struct {
	// Revision of the document that the change made.
	Revision int64 `json:"revision"`
	// ID is another for each change.
	ID string `json:"id"`
	// At is when it was made, in UTC.
	At time.Time `json:"at"`
	// Actor who made it: a person, an app, or "onda" itself.
	Actor string `json:"actor"`
	// Action is what was done: one of the Action constants.
	Action string `json:"action"`
	// Reason why, in the actor's words, or with the numbers that decided.
	Reason string `json:"reason,omitempty"`
	// Version that the change is about; 0 if it is about none.
	Version int64 `json:"version,omitempty"`
	// Registered is the version that [ActionRegister] added.
	Registered *Version `json:"registered,omitempty"`
	// Before and After are the document's state around the change.
	Before State `json:"before"`
	// After the change.
	After State `json:"after"`
}

// The actions of history entries.
const (
	ActionRegister = "register"
	ActionLabel    = "label"
	ActionUnlabel  = "unlabel"
	ActionTraffic  = "traffic"
	ActionShadow   = "shadow"
	ActionRollout  = "rollout"
	ActionStep     = "step"
	ActionPromote  = "promote"
	ActionRollback = "rollback"
	ActionRetire   = "retire"
	ActionPin      = "pin"
)

// Index is the document under [IndexKey]: what a replica polls.
type Index struct {
	// Revision counts the changes of the index.
	Revision int64 `json:"revision"`
	// Models maps each model to the newest revision of its document that was announced. The
	// document can be ahead of it, where its writer died in between: see [Book.Repair].
	Models map[string]int64 `json:"models"`
}

// IndexKey is the key of the document that lists the models. Names of models hold no colon,
// so that no two documents share a key. A slash would be the obvious separator, but the
// sidecar's HTTP API takes it for a part of the path, and Cosmos DB refuses it.
const IndexKey = "registry:index"

// ModelKey is the key of a model's document.
func ModelKey(name string) string { return "registry:model:" + name }

// HistoryKey is the key of an archived segment of a model's history, counted from 1. Segment
// n holds the entries with the revisions 32(n-1)+1 to 32n.
func HistoryKey(name string, segment int64) string {
	return "registry:history:" + name + ":" + strconv.FormatInt(segment, 10)
}

// EvidenceKey is the key of what the replicas have seen of a model's rollout: see package judge.
func EvidenceKey(name string) string { return "registry:evidence:" + name }

// New gives the document of a model that nothing is known of yet.
func New(name string) *Model {
	return &Model{
		Schema:   Schema,
		Name:     name,
		Versions: map[int64]Version{},
		State:    State{Labels: map[string]int64{}, Standing: map[int64]Standing{}},
		History:  []Entry{},
	}
}

// Managed says whether an operator decides which version answers.
func (m *Model) Managed() bool { return m != nil && m.Labels[scoring.LabelLive] != 0 }

// Running gives the rollout that is under way; nil if none is.
func (s *State) Running() *Rollout {
	if s.Rollout == nil || s.Rollout.Status != Running {
		return nil
	}
	return s.Rollout
}

// Duration is a time.Duration that documents and answers hold as "30s".
type Duration time.Duration

// MarshalText writes the form "30s".
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads the form "30s".
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = Duration(parsed)
	return err
}
