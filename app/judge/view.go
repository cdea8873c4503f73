package judge

import (
	"time"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/statistics"
)

// View is the evidence of a rollout's current step in the form for operators.
type View struct {
	// Rollout is its ID.
	Rollout string `json:"rollout"`
	// Step of the rollout, from 0 on.
	Step int `json:"step"`
	// Candidate is what the candidate did.
	Candidate Counts `json:"candidate"`
	// Baseline is what the baseline did.
	Baseline Counts `json:"baseline"`
	// Compared counts the answers of the candidate that were compared with the baseline's.
	Compared uint64 `json:"compared"`
	// Disagreed counts those of them that differ, or could not be compared.
	Disagreed uint64 `json:"disagreed"`
	// MaxDifference is the largest difference of two numbers that was found since the
	// candidate was loaded.
	MaxDifference float64 `json:"max_difference"`
	// Decision that the evidence leads to.
	Decision Decision `json:"decision"`
}

// Counts is what a version did.
type Counts struct {
	// Requests that it answered or failed, those that the cache answered not among them.
	Requests uint64 `json:"requests"`
	// Errors counts those that failed.
	Errors uint64 `json:"errors"`
	// P99 is the 99th percentile of the latency of those that were answered, in milliseconds;
	// 0 if there are none.
	P99 float64 `json:"p99_ms"`
}

// View gives the evidence of the current step of r, and what it leads to.
func (e *Evidence) View(r catalog.Rollout, now time.Time) View {
	totals := e.Totals(r)
	return View{
		Rollout:       r.ID,
		Step:          r.Step,
		Candidate:     counts(totals.Candidate),
		Baseline:      counts(totals.Baseline),
		Compared:      totals.Candidate.Compared,
		Disagreed:     totals.Candidate.Disagreed + totals.Candidate.NotCompared,
		MaxDifference: totals.Candidate.MaxDifference,
		Decision:      Decide(r, totals, now),
	}
}

func counts(s statistics.TallySnapshot) Counts {
	return Counts{Requests: s.Requests(), Errors: s.Failed, P99: rounded(milliseconds(s.Quantile(1-slow)), 3)}
}
