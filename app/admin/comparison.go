package admin

import (
	"math"
	"slices"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/scoring"
)

// Comparison says how a version answered recent requests, beside the one that it is to
// replace.
type Comparison struct {
	// Baseline is the version that it was compared with; 0 for none: it was asked alone.
	Baseline int64 `json:"baseline"`
	// Candidate is the version that was made ready.
	Candidate int64 `json:"candidate"`
	// Samples are the recent requests that they were asked.
	Samples int `json:"samples"`
	// Failed counts the samples that the candidate could not answer and the baseline could.
	Failed int `json:"failed"`
	// Disagreed counts the samples whose answers differ.
	Disagreed int `json:"disagreed"`
	// MaxDifference is the largest between two numbers that were compared.
	MaxDifference float64 `json:"max_difference"`
	// BaselineP50 and CandidateP50 are the medians of latency, in milliseconds.
	BaselineP50  float64 `json:"baseline_p50_ms"`
	CandidateP50 float64 `json:"candidate_p50_ms"`
	// Text says it in one sentence for people.
	Text string `json:"text"`
}

const (
	// fewSamples is how many samples it takes before their disagreement says something.
	fewSamples = 10
	// mostDisagree is the share of samples that may disagree.
	mostDisagree = 0.1
	// mostSlower is how many times the baseline's median of latency the candidate's may be.
	mostSlower = 3
	// fewMilliseconds is a difference of medians that nobody minds.
	fewMilliseconds = 1
)

// judge refuses a version that answers worse than the one that it is to replace. Failures
// cannot be confirmed: a version that cannot answer what is asked today is no candidate.
func (c *Comparison) judge(accept catalog.Accept) error {
	switch {
	case c.Failed > 0:
		if c.Baseline == 0 {
			return scoring.Errorf(scoring.Conflict, "version %d failed on %d of %d recent requests: it cannot take over; mend the model and register it as another version", c.Candidate, c.Failed, c.Samples)
		}
		return scoring.Errorf(scoring.Conflict, "version %d failed on %d of %d recent requests that version %d answered: it cannot take over; mend the model and register it as another version",
			c.Candidate, c.Failed, c.Samples, c.Baseline)
	case c.diverges() && !accept.Has(catalog.AcceptDivergence):
		return scoring.Errorf(scoring.Conflict, "version %d disagrees with version %d on %d of %d recent requests (largest difference %.3g): more than 10 %% is refused unless it is meant; confirm with %q in \"accept\"",
			c.Candidate, c.Baseline, c.Disagreed, c.Samples, c.MaxDifference, catalog.AcceptDivergence)
	case c.slower() && !accept.Has(catalog.AcceptSlower):
		return scoring.Errorf(scoring.Conflict, "version %d takes %.3g ms for the median of %d recent requests, version %d takes %.3g ms: more than 3 times is refused unless it is meant; confirm with %q in \"accept\"",
			c.Candidate, c.CandidateP50, c.Samples, c.Baseline, c.BaselineP50, catalog.AcceptSlower)
	default:
		return nil
	}
}

func (c *Comparison) diverges() bool {
	return c.Samples >= fewSamples && float64(c.Disagreed) > mostDisagree*float64(c.Samples)
}

func (c *Comparison) slower() bool {
	return c.Samples >= fewSamples && c.CandidateP50 > mostSlower*c.BaselineP50 && c.CandidateP50-c.BaselineP50 > fewMilliseconds
}

// known refuses words in accept that confirm nothing: they are likely misspelt.
func known(accept catalog.Accept) error {
	all := []string{catalog.AcceptDivergence, catalog.AcceptRolledBack, catalog.AcceptSignature, catalog.AcceptSlower}
	for _, what := range accept {
		if !slices.Contains(all, what) {
			return scoring.Errorf(scoring.Invalid, "accept: %q is nothing that can be confirmed: want %q", clip(what), all)
		}
	}
	return nil
}

// finite keeps numbers that JSON can hold: the difference of an answer that is not a number
// is larger than any.
func finite(v float64) float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return math.MaxFloat64
	}
	return v
}
