package judge

import (
	"fmt"
	"strconv"
	"time"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/statistics"
)

// errorsOf says how the candidate's failures stand.
func errorsOf(r catalog.Rollout, totals Totals) finding {
	candidate, baseline := failures(totals.Candidate), failures(totals.Baseline)
	f := finding{
		numbers: fmt.Sprintf("%s%s, %s failed", count(candidate.of, "request"), fromCache(totals.Candidate), percent(candidate.estimate())),
		late:    late(candidate.of, r.Rule.MinSamples, "request"),
		missing: lacking(candidate.of, r.Rule.MinSamples, "request"),
	}
	if alone(r, totals) {
		f.numbers += fmt.Sprintf(" (not compared: the baseline had %s)", count(baseline.of, "request"))
		return f.check(candidate.estimate(), r.Rule.MaxErrorRate, candidate.of, candidate.lower, "of its requests fail")
	}
	f.numbers += fmt.Sprintf(" (baseline %s of %d)", percent(baseline.estimate()), baseline.of)
	least := func(alpha float64) float64 { return excess(candidate, baseline, alpha) }
	return f.check(candidate.estimate()-baseline.estimate(), r.Rule.MaxErrorRate, candidate.of, least, "more of its requests fail than of the baseline's")
}

// check holds a share that was seen of some things against its limit, and if it is over, the
// least that the true share can be.
func (f finding) check(seen, limit float64, of uint64, least func(alpha float64) float64, what string) finding {
	if seen <= limit {
		return f
	}
	f.over = fmt.Sprintf("%s %s, where at most %s may", percent(seen), what, percent(limit))
	if bound := least(alpha); bound > limit && of >= fewest {
		f.broken = fmt.Sprintf("%s at least %s %s, where at most %s may", surely, percent(bound), what, percent(limit))
	}
	return f
}

// alone says whether the candidate's failures are to be held against the limit as they are,
// because the baseline has too few requests to compare with. Where it gets requests, it is
// given time to have them.
func alone(r catalog.Rollout, totals Totals) bool {
	return !compares(r, totals.Baseline) &&
		(r.Steps[r.Step] >= 100 || totals.Candidate.Requests() >= uint64(max(0, r.Rule.MinSamples)))
}

func failures(s statistics.TallySnapshot) share { return share{hits: s.Failed, of: s.Requests()} }

const (
	// slow is the share of requests above the 99th percentile.
	slow = 0.01
	// slack is how much slower a candidate may always be: a model of a fifth of a
	// millisecond is not judged on what the scheduler does.
	slack = time.Millisecond
	// leastSlow is how many answers there must be before latencies can be clearly too long. Fewer
	// have no 99th percentile to speak of, and the first ones of a version are often slow.
	leastSlow = 100
)

// latencyOf says how the candidate's 99th percentile of latency stands.
//
// The largest of a few latencies says little about the 99th percentile, so what is clear is
// told by order statistics. How many of n latencies are above the true percentile is a
// binomial number, however latencies are distributed; so where it is certain that fewer than
// k of them are above it, it is not below the k-th largest (Thompson, "On confidence ranges
// for the median and other expectation distributions", 1936; David and Nagaraja, "Order
// statistics", 2003). What is certain is told by a confidence sequence here too, as Howard
// and Ramdas do in "Sequential estimation of quantiles with applications to A/B testing and
// best-arm identification", 2022.
func latencyOf(r catalog.Rollout, totals Totals) finding {
	if r.Rule.MaxP99Ratio <= 0 || totals.Candidate.OK == 0 {
		return finding{}
	}
	candidate, baseline := totals.Candidate, totals.Baseline
	have, had := candidate.Quantile(1-slow), baseline.Quantile(1-slow)
	if !compares(r, baseline) || baseline.OK == 0 {
		return finding{numbers: fmt.Sprintf("p99 %s (not compared: the baseline had %s)", ms(have), count(baseline.OK, "answer"))}
	}
	limit := r.Rule.MaxP99Ratio
	f := finding{
		numbers: fmt.Sprintf("p99 %s (baseline %s, ratio %.2f of at most %.2f)", ms(have), ms(had), float64(have)/float64(had), limit),
		late:    late(candidate.Requests(), r.Rule.MinSamples, "request"),
	}
	if have <= allowed(had, limit) {
		return f
	}
	f.over = fmt.Sprintf("the p99 is %s, where at most %s are allowed", ms(have), ms(allowed(had, limit)))
	// Each of the two bounds may be wrong half as often as both together.
	atLeast, _ := candidate.Largest(clearlyMore(candidate.OK, slow, alpha/2))
	_, atMost := baseline.Largest(clearlyLess(baseline.OK, slow, alpha/2))
	if candidate.OK >= leastSlow && atMost > 0 && atLeast > allowed(atMost, limit) {
		f.broken = fmt.Sprintf("%s the p99 is at least %s, where at most %s are allowed", surely, ms(atLeast), ms(allowed(atMost, limit)))
	}
	return f
}

// allowed is the largest 99th percentile that a candidate may have beside a baseline's.
func allowed(baseline time.Duration, ratio float64) time.Duration {
	return time.Duration(min(ratio*float64(baseline), float64(time.Hour))) + slack
}

// divergenceOf says how the candidate's answers differ from the baseline's. A comparison that
// failed counts as a difference: it must not be a way to pass.
func divergenceOf(rule catalog.Rule, candidate statistics.TallySnapshot) finding {
	differ := share{hits: candidate.Disagreed + candidate.NotCompared, of: candidate.Compared}
	f := finding{
		numbers: "no answers compared",
		late:    late(differ.of, rule.MinCompared, "comparison"),
		missing: lacking(differ.of, rule.MinCompared, "comparison"),
	}
	if differ.of > 0 {
		f.numbers = fmt.Sprintf("%s of %s disagree%s", percent(differ.estimate()), count(differ.of, "compared answer"), notCompared(candidate))
	}
	return f.check(differ.estimate(), rule.MaxDivergence, differ.of, differ.lower, "of the answers disagree")
}

func notCompared(s statistics.TallySnapshot) string {
	if s.NotCompared == 0 {
		return ""
	}
	return fmt.Sprintf(" (%d because the comparison failed)", s.NotCompared)
}

func fromCache(s statistics.TallySnapshot) string {
	if s.Cached == 0 {
		return ""
	}
	return fmt.Sprintf(" and %d from the cache", s.Cached)
}

// count writes a number of things.
func count(n uint64, thing string) string {
	switch n {
	case 0:
		return "no " + thing + "s"
	case 1:
		return "1 " + thing
	default:
		return strconv.FormatUint(n, 10) + " " + thing + "s"
	}
}

// surely says how sure a bound is.
var surely = "with " + percent(1-alpha) + " confidence"

// percent writes a share.
func percent(share float64) string {
	digits := 2
	if share >= 0.1 {
		digits = 3
	}
	return significant(100*share, digits) + " %"
}

// ms writes a latency.
func ms(d time.Duration) string { return significant(milliseconds(d), 3) + " ms" }

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// significant writes x with so many digits that say something, and without an exponent.
func significant(x float64, digits int) string {
	return strconv.FormatFloat(rounded(x, digits), 'f', -1, 64)
}

// rounded keeps so many digits of x, wherever its point is.
func rounded(x float64, digits int) float64 {
	r, err := strconv.ParseFloat(strconv.FormatFloat(x, 'g', digits, 64), 64)
	if err != nil {
		return x
	}
	return r
}
