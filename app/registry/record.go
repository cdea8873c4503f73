package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/rs/zerolog"

	"github.com/onda-serving/onda/app/artifact"
	"github.com/onda-serving/onda/app/scoring"
)

// IndexKey is the key of the document that lists the models: a state store cannot list
// its keys.
const IndexKey = "models"

// ModelKey is the key of a model's document. A slash would be the obvious separator, but
// the sidecar's HTTP API takes it for a part of the path, and Cosmos DB refuses it.
func ModelKey(name string) string { return "model:" + name }

// Store keeps documents with ETags: see sidecar.Client, which implements it.
type Store interface {
	// Get reads a document; both results are empty where there is none.
	Get(ctx context.Context, key string) (value []byte, etag string, err error)
	// Save writes a document if its ETag is still etag, "" for one that must be new;
	// otherwise the error's code is Conflict.
	Save(ctx context.Context, key string, value []byte, etag string) error
}

// Index is the document under [IndexKey].
type Index struct {
	// Models by name, in order.
	Models []string `json:"models"`
}

// Record is the document under [ModelKey]: what is known about a model.
type Record struct {
	// Name of the model.
	Name string `json:"name"`
	// Labels maps each label to the version it names.
	Labels map[string]int64 `json:"labels"`
	// Versions by number, as decimal digits.
	Versions map[string]VersionRecord `json:"versions"`
}

// VersionRecord is what is known about a version.
type VersionRecord struct {
	// Version number.
	Version int64 `json:"version"`
	// Digest of its artifact.
	Digest string `json:"digest"`
	// Description in a sentence.
	Description string `json:"description,omitempty"`
	// Licence as an SPDX expression.
	Licence string `json:"licence,omitempty"`
	// Provenance says where it came from.
	Provenance artifact.Provenance `json:"provenance"`
	// Pipeline is "image", "text" or "none".
	Pipeline string `json:"pipeline"`
	// Inputs of the model.
	Inputs []TensorRecord `json:"inputs"`
	// Outputs of the model.
	Outputs []TensorRecord `json:"outputs"`
	// SizeBytes of its files.
	SizeBytes int64 `json:"size_bytes"`
	// Metrics measured when it was made.
	Metrics map[string]float64 `json:"metrics,omitempty"`
	// RegisteredAt is when it was first seen.
	RegisteredAt time.Time `json:"registered_at"`
}

// TensorRecord describes an input or output.
type TensorRecord struct {
	// Name of the tensor.
	Name string `json:"name"`
	// Datatype as the Open Inference Protocol names it.
	Datatype string `json:"datatype"`
	// Shape with -1 for a dimension that may vary.
	Shape []int64 `json:"shape"`
}

// Recorder writes what a registry knows into a state store.
type Recorder struct {
	// Store to write to.
	Store Store
	// Log warns about versions that changed although versions must not.
	Log zerolog.Logger
}

// RecordAll writes every loaded model's document and the index. Replicas that start
// together write the same; whoever comes second reads again and finds nothing to do.
func (w Recorder) RecordAll(ctx context.Context, models []Model) error {
	var names []string
	for _, m := range models {
		if !m.anyAvailable() {
			continue
		}
		names = append(names, m.Name)
		if err := w.update(ctx, ModelKey(m.Name), func(old []byte) ([]byte, error) { return w.merge(old, m) }); err != nil {
			return err
		}
	}
	return w.update(ctx, IndexKey, func(old []byte) ([]byte, error) { return mergeIndex(old, names) })
}

// update reads, changes and writes a document until nobody else wrote in between. It
// writes nothing where change gives back what was there.
func (w Recorder) update(ctx context.Context, key string, change func(old []byte) ([]byte, error)) error {
	const tries = 10
	for range tries {
		old, etag, err := w.Store.Get(ctx, key)
		if err != nil {
			return err
		}
		value, err := change(old)
		if err != nil {
			return fmt.Errorf("document %q in the state store: %w", key, err)
		}
		if bytes.Equal(value, old) {
			return nil
		}
		err = w.Store.Save(ctx, key, value, etag)
		if scoring.CodeOf(err) != scoring.Conflict {
			return err
		}
	}
	return scoring.Errorf(scoring.Conflict, "document %q changed %d times while it was being written", key, tries)
}

// merge adds the loaded versions of m to the document old. Versions that are recorded
// but not loaded here stay: another replica may have them.
func (w Recorder) merge(old []byte, m Model) ([]byte, error) {
	record := Record{Name: m.Name, Versions: map[string]VersionRecord{}}
	if len(old) > 0 {
		if err := json.Unmarshal(old, &record); err != nil {
			return nil, err
		}
	}
	if record.Versions == nil {
		record.Versions = map[string]VersionRecord{}
	}
	record.Labels = m.Labels
	for _, s := range m.Versions {
		if s.State != Available {
			continue
		}
		key := strconv.FormatInt(s.Ref.Version, 10)
		known, ok := record.Versions[key]
		if ok && known.Digest == s.Version.ID.Digest {
			continue
		}
		if ok {
			w.Log.Warn().Str("model", m.Name).Int64("version", s.Ref.Version).Str("recorded", known.Digest).Str("served", s.Version.ID.Digest).
				Msg("this version has other files than when it was recorded: versions must not change, give a changed model a new number")
		}
		record.Versions[key] = describe(s.Version)
	}
	return json.Marshal(record)
}

func mergeIndex(old []byte, names []string) ([]byte, error) {
	var index Index
	if len(old) > 0 {
		if err := json.Unmarshal(old, &index); err != nil {
			return nil, err
		}
	}
	index.Models = append(index.Models, names...)
	slices.Sort(index.Models)
	index.Models = slices.Compact(index.Models)
	return json.Marshal(index)
}

// Read gives the recorded documents of all models, by name. Names of the index that
// have no document are passed over: a writer may be between the two.
func Read(ctx context.Context, store Store) ([]Record, error) {
	value, _, err := store.Get(ctx, IndexKey)
	if err != nil {
		return nil, err
	}
	var index Index
	if len(value) > 0 {
		if err := json.Unmarshal(value, &index); err != nil {
			return nil, fmt.Errorf("document %q in the state store: %w", IndexKey, err)
		}
	}
	records := make([]Record, 0, len(index.Models))
	for _, name := range index.Models {
		record, ok, err := ReadModel(ctx, store, name)
		if err != nil {
			return nil, err
		}
		if ok {
			records = append(records, record)
		}
	}
	return records, nil
}

// ReadModel gives the recorded document of one model; ok is false where there is none.
func ReadModel(ctx context.Context, store Store, name string) (record Record, ok bool, err error) {
	value, _, err := store.Get(ctx, ModelKey(name))
	if err != nil || len(value) == 0 {
		return Record{}, false, err
	}
	if err := json.Unmarshal(value, &record); err != nil {
		return Record{}, false, fmt.Errorf("document %q in the state store: %w", ModelKey(name), err)
	}
	return record, true, nil
}

func describe(v *Version) VersionRecord {
	signature := v.Session.Signature()
	return VersionRecord{
		Version:      v.ID.Version,
		Digest:       v.ID.Digest,
		Description:  v.Manifest.Description,
		Licence:      v.Manifest.Licence,
		Provenance:   v.Manifest.Provenance,
		Pipeline:     v.PipelineKind(),
		Inputs:       tensorRecords(signature.Inputs),
		Outputs:      tensorRecords(signature.Outputs),
		SizeBytes:    v.Size,
		Metrics:      maps.Clone(v.Manifest.Metrics),
		RegisteredAt: time.Now().UTC().Truncate(time.Second),
	}
}

func tensorRecords(specs []scoring.TensorSpec) []TensorRecord {
	all := make([]TensorRecord, 0, len(specs))
	for _, s := range specs {
		all = append(all, TensorRecord{Name: s.Name, Datatype: s.Datatype.String(), Shape: append([]int64{}, s.Shape...)})
	}
	return all
}

// PipelineKind is "image", "text" or, for a version on tensors alone, "none".
func (v *Version) PipelineKind() string {
	switch {
	case v.Manifest.Pipeline.Image != nil:
		return "image"
	case v.Manifest.Pipeline.Text != nil:
		return "text"
	default:
		return "none"
	}
}

func (m Model) anyAvailable() bool {
	return slices.ContainsFunc(m.Versions, func(s Status) bool { return s.State == Available })
}
