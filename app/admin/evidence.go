package admin

import (
	"context"
	"time"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/judge"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/statistics"
)

// Evidence is what the replicas have seen of a rollout's current step or, of one that ended,
// of its last one.
type Evidence struct {
	// Rollout is its ID.
	Rollout string `json:"rollout"`
	// Step is the index of the step.
	Step int `json:"step"`
	// Candidate is what the candidate answered.
	Candidate Seen `json:"candidate"`
	// Baseline is what the baseline answered in the same time.
	Baseline Seen `json:"baseline"`
	// Compared answers of the candidate, and how many of them disagreed with the baseline's.
	Compared uint64 `json:"compared"`
	// Disagreed is a part of Compared.
	Disagreed uint64 `json:"disagreed"`
	// MaxDifference is the largest between two numbers that were compared.
	MaxDifference float64 `json:"max_difference"`
	// Decision that the evidence leads to or, of a rollout that ended, how it ended.
	Decision judge.Decision `json:"decision"`
}

// Seen is what a version answered in a step.
type Seen struct {
	// Requests that it got.
	Requests uint64 `json:"requests"`
	// Errors among them.
	Errors uint64 `json:"errors"`
	// P99 is the 99th percentile of latency, in milliseconds.
	P99 float64 `json:"p99_ms"`
}

// Evidence gives what the replicas have seen of a model's rollout. A model that never had one
// is a [scoring.Error] with code NotFound.
func (a *Admin) Evidence(ctx context.Context, name string) (*Evidence, error) {
	m, err := a.existing(ctx, name)
	if err != nil {
		return nil, err
	}
	if m.Rollout == nil {
		return nil, scoring.Errorf(scoring.NotFound, "model %q has no rollout: POST /registry/v1/models/%s/rollout begins one", name, name)
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	document, _, err := a.Book.Store.Get(ctx, catalog.EvidenceKey(name))
	if err != nil {
		return nil, scoring.Errorf(scoring.Unavailable, "the registry's state store does not answer: try it again").WithCause(err).WithRetryAfter(time.Second)
	}
	return evidenceOf(*m.Rollout, judge.Decode(document), a.now()), nil
}

// evidenceOf reads the evidence as a judge does.
func evidenceOf(r catalog.Rollout, document *judge.Evidence, now time.Time) *Evidence {
	running := r.Status == catalog.Running
	step := r
	if !running && document.Rollout == r.ID {
		// The document is about the last step; the rollout itself says when it ended.
		step.Step, step.StepSince = document.Step, document.Since
	}
	totals := document.Totals(step)
	decision := judge.Decision{Action: judge.Action(r.Status), Reason: r.Verdict}
	if running {
		decision = judge.Decide(r, totals, now)
	}
	return &Evidence{
		Rollout: r.ID, Step: step.Step,
		Candidate: seen(totals.Candidate), Baseline: seen(totals.Baseline),
		Compared: totals.Candidate.Compared, Disagreed: totals.Candidate.Disagreed,
		MaxDifference: finite(totals.Candidate.MaxDifference),
		Decision:      decision,
	}
}

func seen(t statistics.TallySnapshot) Seen {
	return Seen{Requests: t.Requests(), Errors: t.Failed, P99: float64(t.Quantile(0.99)) / float64(time.Millisecond)}
}
