package artifact

import (
	"cmp"
	"time"

	"github.com/onda-serving/onda/app/triton"
)

// Plan is how the files of a version want it served: what model.yaml says, and where that
// says nothing, what config.pbtxt says. Zero values leave it to the server.
type Plan struct {
	// MaxRows is the most rows of one run that requests of several callers may share; 1
	// keeps them apart.
	MaxRows int
	// Alone says that every request runs alone and whole, however many rows it has: the
	// model has no batch axis, or nobody asked for batches. MaxRows is then 0.
	Alone bool
	// Delay is how long a batch that is not full waits for more rows.
	Delay time.Duration
	// Pad lists the axes that requests may differ in and still run together.
	Pad []Pad
	// MaxRequests is the most requests that may wait.
	MaxRequests int
	// Timeout bounds the wait of a request.
	Timeout time.Duration
	// PriorityLevels is the number of priorities that requests may name, 1 first.
	PriorityLevels uint64
	// Priority is that of requests which name none.
	Priority uint64
	// Cache says that answers are kept and given again.
	Cache bool
	// CacheTTL is how long an answer is kept.
	CacheTTL time.Duration
	// WarmUpRows lists the row counts that are run once on zeros after loading.
	WarmUpRows []int
	// WarmUp lists the requests that are run after loading: see [Artifact.WarmUpInputs].
	WarmUp []triton.WarmUp
}

// Plan puts model.yaml and config.pbtxt together.
func (a *Artifact) Plan() Plan {
	manifest, config := a.Manifest, a.Settings
	p := Plan{
		MaxRows:        manifest.Batching.MaxRows,
		Delay:          cmp.Or(manifest.Batching.Delay, config.Delay),
		Pad:            manifest.Batching.Pad,
		MaxRequests:    config.Queue.MaxRequests,
		PriorityLevels: config.PriorityLevels,
		Priority:       config.DefaultPriority,
		Cache:          manifest.Cache.TTL > 0 || config.Cache,
		CacheTTL:       manifest.Cache.TTL,
		WarmUpRows:     manifest.WarmUp,
	}
	if len(manifest.WarmUp) == 0 {
		p.WarmUp = config.WarmUp
	}
	if !config.Queue.Delay { // such requests are not refused for waiting
		p.Timeout = config.Queue.Timeout
	}
	if p.MaxRows == 0 && !config.Auto {
		p.MaxRows, p.Alone = config.MaxRows, !config.Batching
		if p.Alone {
			p.MaxRows = 0
		}
	}
	return p
}
