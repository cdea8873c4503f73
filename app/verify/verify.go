// Package verify checks the files of a version in a process of its own: whether they load,
// run and give the golden answers, how long that takes and how much memory.
//
// A model is a program that ONNX Runtime runs without a fence around it. A file that is made
// to harm, or only badly exported, can end the process with a segmentation fault, eat all of
// the memory or never come back, and none of that is an error that Go could catch. So
// whoever serves starts [Child.Check], which runs the same program again with another
// command, and that command calls [Main]: what happens there ends that process alone.
//
// The two speak JSON: a request on standard input, one line with a [Report] or an error on
// standard output.
package verify

import (
	"encoding/json"

	"github.com/onda-serving/onda/app/artifact"
	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/golden"
)

// Report is what is known of a version whose files are sound.
type Report struct {
	// Digest of the artifact: see artifact.Digest.
	Digest string `json:"digest"`
	// SizeBytes of all files.
	SizeBytes int64 `json:"size_bytes"`
	// MemoryBytes that the process took more after the version was loaded and had run than
	// before; 0 where the system does not tell.
	MemoryBytes int64 `json:"memory_bytes"`
	// Inputs of the model, read from its file.
	Inputs []catalog.Tensor `json:"inputs"`
	// Outputs of the model.
	Outputs []catalog.Tensor `json:"outputs"`
	// Pipeline is "image", "text" or "none".
	Pipeline string `json:"pipeline"`
	// Framework that the model was made with, and its exporter.
	Framework string `json:"framework,omitempty"`
	// Description in a sentence.
	Description string `json:"description,omitempty"`
	// Licence as an SPDX expression.
	Licence string `json:"licence,omitempty"`
	// Provenance says where the version came from.
	Provenance artifact.Provenance `json:"provenance"`
	// Metrics that were measured when it was made, by name.
	Metrics map[string]float64 `json:"metrics,omitempty"`
	// Golden says how it did on its golden inputs; without any, there are 0 cases.
	Golden golden.Result `json:"golden"`
	// LoadMS is how long it took to load and warm up, in milliseconds.
	LoadMS float64 `json:"load_ms"`
	// RunMS is how long a golden input took, the median of all, or a row of zeros where there
	// are none; 0 where that does not run. In milliseconds.
	RunMS float64 `json:"run_ms"`
	// Warnings name what is not wrong, and yet may not be meant: one sentence each.
	Warnings []string `json:"warnings,omitempty"`
}

// request is what the parent wants to know.
type request struct {
	Name    string `json:"name"`
	Version int64  `json:"version"`
	Dir     string `json:"dir"`
	// TimeoutMS is when the parent will end the check, in milliseconds.
	TimeoutMS int64 `json:"timeout_ms"`
	// Settings are for whoever makes the [Loader].
	Settings json.RawMessage `json:"settings,omitempty"`
}

// maxMessage bounds a request and an answer, in bytes.
const maxMessage = 1 << 20

// answer is the line that the child writes: a report, or an error with its code.
type answer struct {
	*Report

	Error string `json:"error,omitempty"`
	Code  string `json:"code,omitempty"`
}
