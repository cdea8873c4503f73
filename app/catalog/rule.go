package catalog

import (
	"cmp"
	"time"

	"github.com/onda-serving/onda/app/scoring"
)

// WithDefaults puts the defaults where r has 0: an error rate of 0.01 more than the
// baseline's, 1.5 times its 99th percentile, 0.1 of the answers that disagree, 100 requests,
// 20 compared ones, steps of 30 s, and 0.2 of the requests compared.
func (r Rule) WithDefaults() Rule {
	return Rule{
		MaxErrorRate:  cmp.Or(r.MaxErrorRate, 0.01),
		MaxP99Ratio:   cmp.Or(r.MaxP99Ratio, 1.5),
		MaxDivergence: cmp.Or(r.MaxDivergence, 0.1),
		MinSamples:    cmp.Or(r.MinSamples, 100),
		MinCompared:   cmp.Or(r.MinCompared, 20),
		StepTime:      cmp.Or(r.StepTime, Duration(30*time.Second)),
		Compare:       cmp.Or(r.Compare, 0.2),
	}
}

const (
	maxRatio   = 1000
	maxSamples = 1_000_000_000
	// maxStepTime is longer than any release takes, and far from what a time can hold.
	maxStepTime = 90 * 24 * time.Hour
)

// check fails for a rule that no candidate could be judged by. Its comparisons are written
// so that NaN fails them.
func (r Rule) check() error {
	for _, share := range []struct {
		name  string
		value float64
		most  float64
	}{
		{"max_error_rate", r.MaxErrorRate, 1},
		{"max_p99_ratio", r.MaxP99Ratio, maxRatio},
		{"max_divergence", r.MaxDivergence, 1},
		{"compare", r.Compare, 1},
	} {
		if !(share.value > 0 && share.value <= share.most) {
			return scoring.Errorf(scoring.Invalid, "rule: %s is %v, want more than 0 and at most %v (0 takes the default)", share.name, share.value, share.most)
		}
	}
	for _, count := range []struct {
		name  string
		value int
	}{{"min_samples", r.MinSamples}, {"min_compared", r.MinCompared}} {
		if count.value < 1 || count.value > maxSamples {
			return scoring.Errorf(scoring.Invalid, "rule: %s is %d, want 1 to %d (0 takes the default)", count.name, count.value, maxSamples)
		}
	}
	if step := time.Duration(r.StepTime); step < 0 || step > maxStepTime {
		return scoring.Errorf(scoring.Invalid, "rule: step_time is %s, want a time up to %s (0 takes the default)", step, maxStepTime)
	}
	return nil
}

// maxSteps bounds the steps of a rollout.
const maxSteps = 20

// defaultSteps are the candidate's shares in percent where nobody says otherwise.
func defaultSteps() []int { return []int{5, 25, 50} }

// checkSteps fails for shares that do not rise from 1 to 100 at most.
func checkSteps(steps []int) *scoring.Error {
	if len(steps) < 1 || len(steps) > maxSteps {
		return scoring.Errorf(scoring.Invalid, "%s: want 1 to %d", plural(len(steps), "step"), maxSteps)
	}
	last := 0
	for i, percent := range steps {
		if percent < 1 || percent > 100 {
			return scoring.Errorf(scoring.Invalid, "step %d is %d: want a share of 1 to 100 percent", i+1, percent)
		}
		if percent <= last {
			return scoring.Errorf(scoring.Invalid, "step %d is %d percent, after %d: the shares must rise", i+1, percent, last)
		}
		last = percent
	}
	return nil
}
