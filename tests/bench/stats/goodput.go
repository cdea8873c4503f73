package stats

import "time"

// Outcome is how a request ended, as its caller sees it.
type Outcome int

// The outcomes.
const (
	// OK is an answer.
	OK Outcome = iota
	// Refused is "come back later": 429 or 503.
	Refused
	// Expired is "your time is over": 504 or 408.
	Expired
	// Failed is every other status, and no answer at all.
	Failed
	// Outcomes is how many there are.
	Outcomes
)

// String names the outcome in results.
func (o Outcome) String() string {
	return [Outcomes]string{"ok", "refused", "expired", "failed"}[o]
}

// OutcomeOf sorts an HTTP status.
func OutcomeOf(status int) Outcome {
	switch {
	case status >= 200 && status < 300:
		return OK
	case status == 429, status == 503:
		return Refused
	case status == 408, status == 504:
		return Expired
	default:
		return Failed
	}
}

// Tally counts requests by outcome, with the latencies of each. An answer that arrives
// after the caller's budget is counted as one, but is no goodput. The zero value has no
// budget, so that all answers are good.
type Tally struct {
	// Budget is how long the caller waits; 0 is for ever.
	Budget time.Duration
	// Good counts the answers within the budget.
	Good uint64
	// Latency of each outcome.
	Latency [Outcomes]Histogram
}

// Add counts a request.
func (t *Tally) Add(o Outcome, latency time.Duration) {
	t.Latency[o].Add(latency)
	if o == OK && (t.Budget == 0 || latency <= t.Budget) {
		t.Good++
	}
}

// Merge adds all that other counted.
func (t *Tally) Merge(other *Tally) {
	t.Good += other.Good
	for o := range t.Latency {
		t.Latency[o].Merge(&other.Latency[o])
	}
}
