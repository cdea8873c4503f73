package scoring

import "time"

// Total is a number of things and the time that they took together.
type Total struct {
	// Count of the things.
	Count uint64
	// Time that they took together.
	Time time.Duration
}

// Add counts one more thing that took d.
func (t *Total) Add(d time.Duration) {
	t.Count++
	t.Time += d
}

// Statistics are the counters of one version since it was loaded, in the terms of the
// protocol's statistics extension.
type Statistics struct {
	// Model that they are of.
	Model ModelID
	// LastInference is when the latest request was scored; zero if none was.
	LastInference time.Time
	// Inferences counts rows, Executions runs of the model: their ratio is the mean batch.
	Inferences, Executions uint64
	// Success and Fail count requests, with their whole time from admission on.
	Success, Fail Total
	// Queue, Input, Infer and Output are the phases of successful requests: the wait, the
	// making of input tensors (pre-processing among it), the run and the making of outputs.
	Queue, Input, Infer, Output Total
	// CacheHit and CacheMiss count requests to a version with an answer cache.
	CacheHit, CacheMiss Total
	// Batches are the runs by number of rows, in rising order of rows.
	Batches []BatchStatistics
	// Bytes is the size of the version's files, the best that is known of its memory.
	Bytes int64
}

// BatchStatistics are the runs of one number of rows.
type BatchStatistics struct {
	// Rows of each of the runs.
	Rows int
	// Input, Infer and Output are the phases of a run: putting its rows together, the run
	// itself, and taking the rows apart.
	Input, Infer, Output Total
}
