// Package statistics counts what becomes of a version's requests and runs: [Recorder] for the
// protocol's statistics extension, [Tally] for those who judge whether a version is any good.
package statistics

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/onda-serving/onda/app/scoring"
)

// Recorder counts for one version. The zero value is ready to use, and safe for concurrent
// use.
type Recorder struct {
	// Tally counts the same requests, in the terms of those who judge a version.
	Tally Tally

	mu      sync.Mutex
	now     scoring.Statistics
	batches map[int]*scoring.BatchStatistics
}

// Request counts a request, with its time from admission to answer.
func (r *Recorder) Request(rows int, timing scoring.Timing, took time.Duration, err error) {
	r.Tally.Request(timing, took, err)
	r.Copy(rows, timing, took, err)
}

// Copy counts a copy of a request that another version answered. It is work of the version
// like any other, and says nothing to those who judge it: copies wait behind requests.
func (r *Recorder) Copy(rows int, timing scoring.Timing, took time.Duration, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.now.Fail.Add(took)
		return
	}
	r.now.LastInference = time.Now()
	r.now.Success.Add(took)
	if timing.Cached {
		r.now.CacheHit.Add(took)
		return
	}
	r.now.Inferences += uint64(rows)
	r.now.Queue.Add(timing.Queue)
	r.now.Input.Add(timing.Preprocess)
	r.now.Infer.Add(timing.Run)
	r.now.Output.Add(timing.Postprocess)
}

// Compared counts an answer that was compared with another version's: see [Tally.Compared].
func (r *Recorder) Compared(disagrees, failed bool, largest float64) {
	r.Tally.Compared(disagrees, failed, largest)
}

// Miss counts a request that was not in the answer cache, and how long its answer took.
func (r *Recorder) Miss(took time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now.CacheMiss.Add(took)
}

// Run counts a run. input, infer and output are the times to put it together,
// to run it, and to take it apart.
func (r *Recorder) Run(rows int, input, infer, output time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now.Executions++
	if r.batches == nil {
		r.batches = map[int]*scoring.BatchStatistics{}
	}
	b := r.batches[rows]
	if b == nil {
		if len(r.batches) >= mostSizes {
			return
		}
		b = &scoring.BatchStatistics{Rows: rows}
		r.batches[rows] = b
	}
	b.Input.Add(input)
	b.Infer.Add(infer)
	b.Output.Add(output)
}

// mostSizes bounds the list of batch sizes: callers choose the rows of a request to a model
// that is not batched.
const mostSizes = 1024

// Snapshot gives the counters so far, without what only the registry knows: the model and
// its bytes.
func (r *Recorder) Snapshot() scoring.Statistics {
	r.mu.Lock()
	defer r.mu.Unlock()
	snapshot := r.now
	for _, rows := range slices.Sorted(maps.Keys(r.batches)) {
		snapshot.Batches = append(snapshot.Batches, *r.batches[rows])
	}
	return snapshot
}
