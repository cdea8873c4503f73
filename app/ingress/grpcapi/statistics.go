package grpcapi

import (
	"context"
	"strconv"

	"github.com/onda-serving/onda/app/ingress/inferencepb"
	"github.com/onda-serving/onda/app/registry"
	"github.com/onda-serving/onda/app/scoring"
)

// ModelStatistics gives the counters of the versions that are loaded: of all models, of
// those of one, or of one version.
func (v service) ModelStatistics(ctx context.Context, req *inferencepb.ModelStatisticsRequest) (*inferencepb.ModelStatisticsResponse, error) {
	versions, err := v.s.counted(ctx, req.GetName(), req.GetVersion())
	if err != nil {
		return nil, err
	}
	resp := &inferencepb.ModelStatisticsResponse{}
	for _, status := range versions {
		if status.State != registry.Available {
			continue
		}
		statistics, err := v.s.parts.Models.Statistics(scoring.ModelRef{Name: status.Ref.Name, Version: status.Ref.Version})
		if err != nil {
			return nil, err
		}
		resp.ModelStats = append(resp.ModelStats, statisticsOf(&statistics))
	}
	return resp, nil
}

// counted finds the versions whose counters are wanted.
func (s *Server) counted(ctx context.Context, name, version string) ([]registry.Status, error) {
	switch {
	case name == "" && version == "":
		var all []registry.Status
		for _, model := range s.parts.Models.Models() {
			all = append(all, model.Versions...)
		}
		return all, nil
	case version == "":
		ref, err := reference(name, "")
		if err != nil {
			return nil, err
		}
		model, err := s.parts.Models.Model(ref.Name)
		return model.Versions, err
	default:
		status, err := s.available(ctx, name, version)
		return []registry.Status{status}, err
	}
}

// statisticsOf makes the wire form of s.
func statisticsOf(s *scoring.Statistics) *inferencepb.ModelStatistics {
	out := &inferencepb.ModelStatistics{
		Name: s.Model.Name, Version: strconv.FormatInt(s.Model.Version, 10),
		InferenceCount: s.Inferences, ExecutionCount: s.Executions,
		InferenceStats: &inferencepb.InferStatistics{
			Success: durationOf(s.Success), Fail: durationOf(s.Fail), Queue: durationOf(s.Queue),
			ComputeInput: durationOf(s.Input), ComputeInfer: durationOf(s.Infer), ComputeOutput: durationOf(s.Output),
			CacheHit: durationOf(s.CacheHit), CacheMiss: durationOf(s.CacheMiss),
		},
	}
	if !s.LastInference.IsZero() {
		out.LastInference = uint64(max(s.LastInference.UnixMilli(), 0))
	}
	for _, b := range s.Batches {
		out.BatchStats = append(out.BatchStats, &inferencepb.InferBatchStatistics{
			BatchSize: uint64(b.Rows), ComputeInput: durationOf(b.Input), ComputeInfer: durationOf(b.Infer), ComputeOutput: durationOf(b.Output),
		})
	}
	if s.Bytes > 0 {
		out.MemoryUsage = []*inferencepb.MemoryUsage{{Type: "CPU", ByteSize: uint64(s.Bytes)}}
	}
	return out
}

func durationOf(t scoring.Total) *inferencepb.StatisticDuration {
	return &inferencepb.StatisticDuration{Count: t.Count, Ns: uint64(max(t.Time.Nanoseconds(), 0))}
}
