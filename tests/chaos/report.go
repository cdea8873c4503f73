package chaos

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Report is what a run saw.
type Report struct {
	// Broker that the run was on, with its version.
	Broker string
	// Published events that the broker has, as the sidecar says; those that were sent twice counted
	// twice.
	Published int
	// Results and DeadLetters that came, repeated ones included.
	Results, DeadLetters int
	// Distinct events that were answered, and Missing ones that were not.
	Distinct, Missing int
	// Lost are the first of the missing ones, by their ids.
	Lost []int
	// Again are those of the missing ones that were answered after they were sent again, and Kept
	// those of these whose answer was there before: it was lost, and not the event.
	Again, Kept int
	// Hasty says that the sidecar is known to tell senders of success too early: see [Report.Failed].
	Hasty bool
	// Contradicting answers say something else than the first one to the same event.
	Contradicting int
	// Identical answers repeat the first one byte for byte; Alike ones say the same, and differ in
	// something such as their time.
	Identical, Alike int
	// Unexpected dead letters are of events that had nothing wrong with them.
	Unexpected int
	// Wrong results are not what the version that they name gives.
	Wrong int
	// Kills are the parts that were killed.
	Kills []string
	// Labels is how often the model's label was moved.
	Labels int
	// Took is the time until the last event was answered.
	Took time.Duration
}

// Failed says whether an event was lost, or has answers that contradict each other or the model.
// Where the sidecar tells a sender of success too early, an event that was lost before Onda saw it
// is no failure if it is answered once its sender sends it again.
func (r Report) Failed() bool {
	lost := r.Missing > 0
	if r.Hasty {
		lost = r.Missing > r.Again || r.Kept > 0
	}
	return lost || r.Contradicting > 0 || r.Wrong > 0
}

// Write writes the report for people.
func (r Report) Write(w io.Writer) error {
	parts := slices.Compact(slices.Sorted(slices.Values(r.Kills)))
	kills := make([]string, len(parts))
	for i, part := range parts {
		n := 0
		for _, killed := range r.Kills {
			if killed == part {
				n++
			}
		}
		kills[i] = fmt.Sprintf("%s %d", part, n)
	}
	perSecond := 0.0
	if r.Took > 0 {
		perSecond = float64(r.Distinct) / r.Took.Seconds()
	}
	_, err := fmt.Fprintf(w, `broker           %s
published        %d
results          %d
dead letters     %d (%d of events without fault)
distinct         %d
missing          %d %v; sent again, %d were answered, %d of them as they had been answered before
contradicting    %d
wrong            %d
repeated         %d byte for byte, %d otherwise
kills            %d (%s)
label moves      %d
time             %s
events/s         %.0f
`, r.Broker, r.Published, r.Results, r.DeadLetters, r.Unexpected, r.Distinct, r.Missing, r.Lost, r.Again, r.Kept, r.Contradicting, r.Wrong, r.Identical, r.Alike,
		len(r.Kills), strings.Join(kills, ", "), r.Labels, r.Took.Round(100*time.Millisecond), perSecond)
	return err
}
