package wire

import (
	"strconv"
	"time"

	"github.com/onda-serving/onda/app/scoring"
)

// duration is the protocol's count and total time of something.
type duration struct {
	Count uint64 `json:"count"`
	NS    int64  `json:"ns"`
}

func durationOf(t scoring.Total) duration { return duration{t.Count, t.Time.Nanoseconds()} }

// ModelStatistics are the counters of a version, as the protocol's statistics extension
// has them.
type ModelStatistics struct {
	// Name of the model.
	Name string `json:"name"`
	// Version as decimal digits.
	Version string `json:"version"`
	// LastInference in milliseconds since 1970; 0 if there was none.
	LastInference int64 `json:"last_inference"`
	// InferenceCount counts rows, ExecutionCount runs of the model.
	InferenceCount uint64 `json:"inference_count"`
	ExecutionCount uint64 `json:"execution_count"`

	Inference inferenceStatistics `json:"inference_stats"`
	// Responses are the statistics of models with several responses to a request, of
	// which there are none here.
	Responses struct{}          `json:"response_stats"`
	Batches   []batchStatistics `json:"batch_stats"`
	Memory    []memoryUsage     `json:"memory_usage"`
}

type inferenceStatistics struct {
	Success   duration `json:"success"`
	Fail      duration `json:"fail"`
	Queue     duration `json:"queue"`
	Input     duration `json:"compute_input"`
	Infer     duration `json:"compute_infer"`
	Output    duration `json:"compute_output"`
	CacheHit  duration `json:"cache_hit"`
	CacheMiss duration `json:"cache_miss"`
}

type batchStatistics struct {
	Rows   int      `json:"batch_size"`
	Input  duration `json:"compute_input"`
	Infer  duration `json:"compute_infer"`
	Output duration `json:"compute_output"`
}

type memoryUsage struct {
	Type  string `json:"type"`
	ID    int64  `json:"id"`
	Bytes int64  `json:"byte_size"`
}

// StatisticsOf makes the wire form of s.
func StatisticsOf(s *scoring.Statistics) ModelStatistics {
	out := ModelStatistics{
		Name: s.Model.Name, Version: strconv.FormatInt(s.Model.Version, 10),
		InferenceCount: s.Inferences, ExecutionCount: s.Executions,
		Inference: inferenceStatistics{
			Success: durationOf(s.Success), Fail: durationOf(s.Fail), Queue: durationOf(s.Queue),
			Input: durationOf(s.Input), Infer: durationOf(s.Infer), Output: durationOf(s.Output),
			CacheHit: durationOf(s.CacheHit), CacheMiss: durationOf(s.CacheMiss),
		},
		Batches: make([]batchStatistics, 0, len(s.Batches)),
		Memory:  []memoryUsage{},
	}
	if s.LastInference.After(time.Time{}) {
		out.LastInference = s.LastInference.UnixMilli()
	}
	for _, b := range s.Batches {
		out.Batches = append(out.Batches, batchStatistics{b.Rows, durationOf(b.Input), durationOf(b.Infer), durationOf(b.Output)})
	}
	if s.Bytes > 0 {
		out.Memory = append(out.Memory, memoryUsage{Type: "CPU", Bytes: s.Bytes})
	}
	return out
}
