// Package judge decides about a rollout: whether the candidate keeps the rule and gets its
// next share of the requests, has broken it and must go, or has not shown enough yet.
//
// Every replica serves both versions and sees only its own part of the requests. It writes
// what it saw into one document, [Evidence], by a [Reporter]; whichever replica sees enough in
// the sum of all parts decides with [Decide]. There is no leader: the decision is a change of
// the model's document like any other, so of two that decide at once one comes too late.
//
// # Looking often
//
// The evidence is looked at about every second, and the candidate goes at the first look that
// finds a limit broken. A test that is wrong once in a hundred times, applied at every look,
// is wrong far more often than that: after 2000 requests in a quarter of all cases, and with
// enough looks for certain (Armitage, McPherson and Rowe, "Repeated significance tests on
// accumulating data", 1969). So nothing here is such a test. All bounds are made of confidence
// sequences: bounds that hold at all sample sizes together with the confidence that is asked
// for. It does not matter how often, when or by whom they are looked at, and nobody needs to
// keep a record of the looks. See share.against for how they are made. The price is that they
// take about twice as many requests as a test that looks once.
//
// What remains is that there are up to three limits and several steps, each with its own
// bound: a candidate that is exactly at three limits in each of three steps would be taken for
// worse up to nine times in a hundred. One that is as good as the baseline is far from its
// limits. Most of the few that are rolled back by mistake, about one in a hundred at the
// defaults, are those that stay in doubt for too long: a simulation in the tests measures it.
package judge

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/statistics"
)

const (
	// alpha is how often a limit that is just kept in a step may be taken for broken:
	// bounds are one-sided, with a confidence of 99 %.
	alpha = 0.01
	// fewest requests or comparisons that are judged. Bounds are right with fewer, for
	// requests that have nothing to do with each other; but a handful may all be one
	// caller's, with the same defect in each.
	fewest = 10
	// patience is how many times the least samples are waited for where the numbers break a
	// limit, but not clearly. The step's time is waited for as well: where requests come by
	// the thousand, ten times the least samples are there at once, and the numbers are still
	// full of chance.
	patience = 10
)

// Action is what is to be done with a rollout.
type Action string

// The actions.
const (
	// Wait for more evidence.
	Wait Action = "wait"
	// Advance to the next step, or after the last one make the candidate live.
	Advance Action = "advance"
	// RollBack to the baseline.
	RollBack Action = "rollback"
)

// Decision about a rollout.
type Decision struct {
	// Action to take.
	Action Action `json:"action"`
	// Reason for it, with the numbers, in one sentence.
	Reason string `json:"reason"`
}

// Totals are what all replicas together have seen in a step of a rollout.
type Totals struct {
	// Candidate counts what the candidate did, and the comparisons of its answers.
	Candidate statistics.TallySnapshot
	// Baseline counts what the baseline did in the same time.
	Baseline statistics.TallySnapshot
}

// finding is what the evidence says about one limit.
type finding struct {
	// numbers of the operator's interest.
	numbers string
	// over says that the numbers break the limit, and how: "" if they do not.
	over string
	// broken says that this is no accident, and how that is known: "" if it may be one.
	broken string
	// late says how much was seen, where that is enough for a break to have become clear: ""
	// where it is not.
	late string
	// missing says what must be there before the step can end: "" if nothing.
	missing string
}

// Decide about r, whose current step has shown totals by now. It is a function of its
// arguments alone.
//
// The candidate is rolled back as soon as it is clear that it breaks a limit, however new the
// step is. It advances when the step had its time and its samples, and no number breaks a
// limit. If a number does, but not clearly, there is more to wait for, though not for ever.
func Decide(r catalog.Rollout, totals Totals, now time.Time) Decision {
	if r.Status != catalog.Running || r.Step < 0 || r.Step >= len(r.Steps) {
		return Decision{Action: Wait, Reason: "the rollout is not running: there is nothing to decide"}
	}
	findings := []finding{errorsOf(r, totals), latencyOf(r, totals)}
	if r.Rule.MaxDivergence < 1 && r.Rule.Compare > 0 {
		findings = append(findings, divergenceOf(r.Rule, totals.Candidate))
	}
	action, why := verdict(findings, remaining(r, now))
	numbers := make([]string, 0, len(findings))
	for _, f := range findings {
		if f.numbers != "" {
			numbers = append(numbers, f.numbers)
		}
	}
	return Decision{Action: action, Reason: fmt.Sprintf("step %d of %d (%d %%): %s: %s",
		r.Step+1, len(r.Steps), r.Steps[r.Step], strings.Join(numbers, ", "), why)}
}

// remaining is how much of the step's least time is left.
func remaining(r catalog.Rollout, now time.Time) time.Duration {
	return max(0, time.Duration(r.Rule.StepTime)-now.Sub(r.StepSince))
}

// verdict is what the findings come to, and why.
func verdict(findings []finding, left time.Duration) (Action, string) {
	var broken, unclear, late, missing []string
	for _, f := range findings {
		switch {
		case f.broken != "":
			broken = append(broken, f.broken)
		case f.over != "" && f.late != "" && left == 0:
			late = append(late, fmt.Sprintf("%s, which is not clear after %s, but too long in doubt", f.over, f.late))
		case f.over != "":
			unclear = append(unclear, f.over)
		}
		if f.missing != "" {
			missing = append(missing, f.missing)
		}
	}
	if left > 0 {
		missing = append(missing, left.Round(time.Second/10).String())
	}
	switch {
	case len(broken) > 0:
		return RollBack, strings.Join(broken, ", ")
	case len(late) > 0:
		return RollBack, strings.Join(late, ", ")
	case len(unclear) > 0:
		return Wait, strings.Join(unclear, ", ") + ", which may be chance: waiting for more"
	case len(missing) > 0:
		return Wait, "waiting for " + strings.Join(missing, ", ")
	default:
		if slices.ContainsFunc(findings, func(f finding) bool { return strings.Contains(f.numbers, "not compared") }) {
			return Advance, "no limit that could be looked at is broken"
		}
		return Advance, "all limits are kept"
	}
}

// compares says whether the baseline has seen enough to be compared with. Where it gets next
// to no requests, as in a step of 100 %, it never will have.
func compares(r catalog.Rollout, baseline statistics.TallySnapshot) bool {
	return baseline.Requests() >= uint64(max(fewest, r.Rule.MinSamples/10))
}

// late says how many things were seen, if they are so many more than the least samples that
// a limit that is broken should have become clear; "" if not.
func late(n uint64, least int, thing string) string {
	if n < patience*uint64(max(least, fewest)) {
		return ""
	}
	return count(n, thing)
}

// lacking says how many more things are needed; "" if none are.
func lacking(n uint64, least int, thing string) string {
	if least <= 0 || n >= uint64(least) {
		return ""
	}
	return count(uint64(least)-n, "more "+thing)
}
