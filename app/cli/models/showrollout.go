package models

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/cli/client"
)

// showRollout shows a rollout, its verdict, and the judge's numbers where there are some.
func (s *session) showRollout(ctx context.Context, m *client.Model) {
	r := m.Rollout
	status := fmt.Sprintf("%s %s", strings.ReplaceAll(r.Status, "_", " "), ago(r.StepSince, time.Now()))
	if r.Status == catalog.Running {
		status = fmt.Sprintf("step %d of %d (%s) begun %s", r.Step+1, len(r.Steps), stepShare(r), ago(r.StepSince, time.Now()))
	}
	s.print("\n%s", client.Clean(fmt.Sprintf("Rollout %s: version %d in place of %d, %s", r.ID, r.Candidate, r.Baseline, status)))
	s.print("  rule     %s", ruleText(&r.Rule))
	if r.Verdict != "" {
		s.print("  verdict  %s", client.Clean(r.Verdict))
	}
	evidence, err := s.client.Evidence(ctx, m.Name)
	if err != nil || evidence.Rollout != r.ID {
		return // there is none yet, or none any more
	}
	if d := evidence.Decision; d.Action != "" && r.Status == catalog.Running {
		s.print("  judge    %s", client.Clean(decisionText(d)))
	}
	t := newTable("", "VERSION", "REQUESTS", "ERRORS", "P99")
	for _, row := range []struct {
		name    string
		version int64
		sample  client.Sample
	}{{"candidate", r.Candidate, evidence.Candidate}, {"baseline", r.Baseline, evidence.Baseline}} {
		t.add(row.name, row.version, row.sample.Requests, errorsText(row.sample), milliseconds(row.sample.P99))
	}
	t.show(s.screen, "  ")
	s.print("  %s", comparedText(evidence))
}

// ruleText gives a rule in words.
func ruleText(r *catalog.Rule) string {
	parts := []string{fmt.Sprintf("errors up to %s above the baseline's", percent(r.MaxErrorRate))}
	if r.MaxP99Ratio > 0 {
		parts = append(parts, fmt.Sprintf("p99 up to %s times", number(r.MaxP99Ratio)))
	}
	if r.MaxDivergence < 1 {
		parts = append(parts, fmt.Sprintf("up to %s of answers differ", percent(r.MaxDivergence)))
	}
	least := "each step at least " + span(time.Duration(r.StepTime))
	if r.MinSamples > 0 {
		least += ", " + plural(int64(r.MinSamples), "request", "requests")
	}
	if r.MinCompared > 0 {
		least += fmt.Sprintf(", %d compared", r.MinCompared)
	}
	return strings.Join(append(parts, least), "; ")
}

func decisionText(d client.Decision) string {
	return strings.TrimSuffix(d.Action+": "+d.Reason, ": ")
}

// errorsText gives the failed requests, as a number and a share.
func errorsText(s client.Sample) string {
	if s.Requests == 0 {
		return strconv.FormatInt(s.Errors, 10)
	}
	return fmt.Sprintf("%d (%s)", s.Errors, percent(float64(s.Errors)/float64(s.Requests)))
}

// milliseconds gives a time; "" for none.
func milliseconds(ms float64) string {
	if ms <= 0 {
		return ""
	}
	return number(ms) + " ms"
}

// comparedText says how the answers of both versions differ.
func comparedText(e *client.Evidence) string {
	if e.Compared == 0 {
		return "no answers compared yet"
	}
	return fmt.Sprintf("%s compared, %s (%s), largest difference %s",
		plural(e.Compared, "answer", "answers"), plural(e.Disagreed, "differs", "differ"), percent(float64(e.Disagreed)/float64(e.Compared)), difference(e.MaxDifference))
}

// difference gives the largest difference of two numbers. The server has the largest number
// there is for what is none.
func difference(x float64) string {
	if x >= math.MaxFloat64 {
		return "not a number"
	}
	return number(x)
}
