package registry

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/onda-serving/onda/app/admit"
	"github.com/onda-serving/onda/app/artifact"
	"github.com/onda-serving/onda/app/batch"
	"github.com/onda-serving/onda/app/pipeline"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/statistics"
	"github.com/onda-serving/onda/app/triton/configpb"
)

// Session runs a loaded model: see onnx.Session, which implements it.
type Session interface {
	// Signature of the model.
	Signature() scoring.Signature
	// Check says whether Run would take inputs and outputs.
	Check(inputs []scoring.Tensor, outputs []string) error
	// Run computes outputs, by name; all of them if outputs is empty.
	Run(ctx context.Context, inputs []scoring.Tensor, outputs []string) ([]scoring.Tensor, error)
	// Close frees the model.
	Close() error
}

// Version is a version that is loaded and can answer. Its fields do not change.
type Version struct {
	// ID says which version it is.
	ID scoring.ModelID
	// Manifest of the version.
	Manifest artifact.Manifest
	// Size of its files, in bytes.
	Size int64
	// Memory that it takes while it is loaded, in bytes: measured where that can be, else Size.
	Memory int64
	// Session is the loaded model.
	Session Session
	// Batcher runs requests on it.
	Batcher *batch.Batcher
	// MaxRows is the most rows of a run: see batch.Config.
	MaxRows int
	// Config is the version's configuration in Triton's form, complete.
	Config *configpb.ModelConfig
	// Statistics counts what becomes of its requests.
	Statistics *statistics.Recorder
	// CacheTTL is how long its answers are kept; 0 keeps none.
	CacheTTL time.Duration
	// Serial is another for each version that is loaded: two loads of the same files with
	// another manifest or configuration answer differently.
	Serial uint64
	// Pipeline of the version; nil where its manifest has none.
	Pipeline pipeline.Pipeline
	// Ahead bounds the requests that are pre-processed and not run yet: the tensor of a
	// picture is many times as large as the picture. Each lane has its own bound, so that
	// nobody waits for bulk that waits for everybody. nil sets none.
	Ahead [2]*admit.Gate
	// Labels names the classes of outputs, by output: the n-th label is for index n. Only
	// outputs with a label file are in it.
	Labels map[string][]string
	// LoadedAt is when it became ready.
	LoadedAt time.Time

	leases sync.WaitGroup
	// used is when it was last leased, in nanoseconds of Unix time.
	used atomic.Int64
	// wanted says that it was loaded, or asked for by number, since requests were last dealt
	// out to it: somebody may be about to use it.
	wanted atomic.Bool
	// held counts those who keep it in memory: see [Registry.Hold].
	held atomic.Int32
}

// LastUsed is when the version was last leased, or became ready.
func (v *Version) LastUsed() time.Time { return time.Unix(0, v.used.Load()) }

// lease counts a lease. The caller holds the registry's lock, so that whoever takes the
// version away afterwards waits for this lease too.
func (v *Version) lease() {
	v.leases.Add(1)
	v.used.Store(time.Now().UnixNano())
}

// Retain leases a version that the caller has a lease of, for work that can outlast the
// caller's. release ends it; it must be called exactly once.
func (v *Version) Retain() (release func()) {
	v.leases.Add(1)
	return v.leases.Done
}

// Identity names the version among all that were ever loaded, for keys of what it answered.
func (v *Version) Identity() string { return v.ID.Digest + "/" + strconv.FormatUint(v.Serial, 10) }

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
