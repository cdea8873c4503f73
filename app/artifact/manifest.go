// Package artifact reads the files of a model's version: the manifest, the digests that
// prove that they are the files that were meant, and the model itself.
//
// The layout is <models>/<model>/<version>/model.onnx, the one of Triton, KServe and
// OpenVINO Model Server, with a model.yaml beside the model. A version without
// model.yaml is served on tensors alone. A Triton model repository works as it is:
// <models>/<model>/config.pbtxt and the label files beside it are read (see package
// triton), and model.yaml wins where both speak of the same thing.
package artifact

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/onda-serving/onda/app/pipeline"
)

// SchemaV1 is the only schema of model.yaml so far.
const SchemaV1 = "onda/v1"

// Manifest is model.yaml: what a version is, where it came from and how it is served.
type Manifest struct {
	// Schema of the file: [SchemaV1].
	Schema string `yaml:"schema"`
	// Name of the model; the same as its folder's.
	Name string `yaml:"name"`
	// Version; the same as its folder's.
	Version int64 `yaml:"version"`
	// Description in a sentence.
	Description string `yaml:"description"`
	// Licence as an SPDX expression.
	Licence string `yaml:"licence"`
	// Provenance says where the version came from.
	Provenance Provenance `yaml:"provenance"`
	// Files maps each file but model.yaml to its SHA-256 in hexadecimal digits.
	Files map[string]string `yaml:"files"`
	// Digest is the SHA-256 over Files: see [Digest].
	Digest string `yaml:"digest"`
	// Pipeline turns instances into tensors and tensors into predictions; without one
	// the version answers on tensors only.
	Pipeline pipeline.Spec `yaml:"pipeline"`
	// Batching says what is run at once.
	Batching Batching `yaml:"batching"`
	// Cache says which answers are given again.
	Cache Cache `yaml:"cache"`
	// WarmUp lists the row counts that are run once after loading, so that the first
	// caller does not pay for it.
	WarmUp []int `yaml:"warm_up"`
	// Metrics are the numbers measured when the version was made, by name.
	Metrics map[string]float64 `yaml:"metrics"`
}

// Provenance says where a version came from.
type Provenance struct {
	// Source of the weights and data, with versions and digests.
	Source string `json:"source" yaml:"source"`
	// Script that makes the version, as a path in its repository.
	Script string `json:"script" yaml:"script"`
	// Framework and exporter, with versions.
	Framework string `json:"framework" yaml:"framework"`
	// Created is the day, as YYYY-MM-DD.
	Created string `json:"created" yaml:"created"`
}

// ParseManifest reads model.yaml. A key that it does not know is an error: a misspelt
// one would otherwise be a setting that does nothing.
func ParseManifest(data []byte) (Manifest, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	var m Manifest
	if err := decoder.Decode(&m); err != nil {
		if errors.Is(err, io.EOF) {
			return Manifest{}, errors.New("the file is empty")
		}
		return Manifest{}, err
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return Manifest{}, errors.New("the file has more than one YAML document: want one")
	}
	if err := m.validate(); err != nil {
		return Manifest{}, err
	}
	return m, nil
}

func (m Manifest) validate() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if m.Schema != SchemaV1 {
		fail("schema: %q: want %q", m.Schema, SchemaV1)
	}
	if m.Version < 1 {
		fail("version: %d: want a positive whole number", m.Version)
	}
	m.Batching.validate(fail)
	if m.Cache.TTL < 0 {
		fail("cache.ttl: %s: want a time such as 10m, or 0 to keep no answers", m.Cache.TTL)
	}
	for i, rows := range m.WarmUp {
		if rows < 1 || rows > 1024 {
			fail("warm_up[%d]: %d: want a number of rows, 1 to 1024", i, rows)
		}
	}
	if _, err := time.Parse(time.DateOnly, m.Provenance.Created); err != nil && m.Provenance.Created != "" {
		fail("provenance.created: %q: want a day such as 2026-11-23", m.Provenance.Created)
	}
	if m.Pipeline.Image != nil || m.Pipeline.Text != nil {
		if err := m.Pipeline.Validate(); err != nil {
			errs = append(errs, err) // it names the keys from "pipeline" on
		}
	}
	return errors.Join(errs...)
}
