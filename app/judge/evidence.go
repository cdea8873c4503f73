package judge

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/statistics"
)

// mostReplicas is how many replicas the evidence lists one by one.
const mostReplicas = 200

// Evidence is the document under [catalog.EvidenceKey]: what the replicas have seen of the
// current step of a model's rollout. A step begins with nothing: what a candidate did with
// fewer requests says little about how it does with more.
type Evidence struct {
	// Rollout is its ID.
	Rollout string `json:"rollout"`
	// Step of the rollout, from 0 on.
	Step int `json:"step"`
	// Since is when the step began. It tells two rollouts with the same ID apart, of a model
	// whose document was deleted in between.
	Since time.Time `json:"since"`
	// Replicas are the parts of those that serve the model, or did in this step. One that is
	// gone stays: it saw what it saw.
	Replicas map[string]Part `json:"replicas"`
	// Others is the sum of the parts that were listed longest ago, where there are too many.
	Others *Part `json:"others,omitempty"`
}

// Part is what one replica has seen of a step.
type Part struct {
	// At is when it was written.
	At time.Time `json:"at"`
	// Candidate counts what the candidate did, and the comparisons of its answers.
	Candidate statistics.TallySnapshot `json:"candidate"`
	// Baseline counts what the baseline did.
	Baseline statistics.TallySnapshot `json:"baseline"`
}

// Decode reads the document. What cannot be read is left out, be it the whole: evidence is
// gathered anew, and a rollout must not end because of it.
func Decode(document []byte) *Evidence {
	var raw struct {
		Evidence

		Replicas map[string]json.RawMessage `json:"replicas"`
		Others   json.RawMessage            `json:"others"`
	}
	e := &Evidence{Replicas: map[string]Part{}}
	if json.Unmarshal(document, &raw) != nil {
		return e
	}
	e.Rollout, e.Step, e.Since = raw.Rollout, raw.Step, raw.Since
	for replica, text := range raw.Replicas {
		if part, ok := decodePart(text); ok {
			e.Replicas[replica] = part
		}
	}
	if part, ok := decodePart(raw.Others); ok {
		e.Others = &part
	}
	e.bound()
	return e
}

// decodePart reads a part, if it can be one.
func decodePart(text json.RawMessage) (p Part, ok bool) {
	if len(text) == 0 || string(text) == "null" || json.Unmarshal(text, &p) != nil {
		return Part{}, false
	}
	return p, p.Candidate.Check() && p.Baseline.Check()
}

// Merge puts what a replica has seen of the current step of r into the document, in place of
// what it had put there before, and says whether that changed anything. For another step
// than the document's it begins anew, or leaves the document alone if the replica is the one
// that is behind.
func (e *Evidence) Merge(r catalog.Rollout, replica string, part Part) bool {
	if !e.of(r) {
		if e.ahead(r) {
			return false
		}
		*e = Evidence{Rollout: r.ID, Step: r.Step, Since: r.StepSince, Replicas: map[string]Part{}}
	}
	old, known := e.Replicas[replica]
	if known && old.same(part) || !known && part.same(Part{}) {
		return false
	}
	e.Replicas[replica] = part
	e.bound()
	return true
}

// of says whether the document is about the current step of r.
func (e *Evidence) of(r catalog.Rollout) bool {
	return e.Rollout == r.ID && e.Step == r.Step && e.Since.Equal(r.StepSince)
}

// ahead says whether the document is about a later step than r's, or a later rollout. Clocks
// of replicas differ, so one that is not ahead by its number is not by its time alone, nor
// the other way round.
func (e *Evidence) ahead(r catalog.Rollout) bool {
	mine, theirs := revision(e.Rollout), revision(r.ID)
	return (mine > theirs || mine == theirs && e.Step >= r.Step) && !r.StepSince.After(e.Since)
}

// revision is the number in a rollout's ID; -1 if there is none.
func revision(id string) int64 {
	n, err := strconv.ParseInt(strings.TrimPrefix(id, "r"), 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// bound adds the parts that were written longest ago to the others, where there are too many.
func (e *Evidence) bound() {
	if len(e.Replicas) <= mostReplicas {
		return
	}
	byAge := slices.SortedFunc(maps.Keys(e.Replicas), func(a, b string) int {
		return cmp.Or(e.Replicas[a].At.Compare(e.Replicas[b].At), strings.Compare(a, b))
	})
	var others Part
	if e.Others != nil {
		others = *e.Others
	}
	for _, replica := range byAge[:len(byAge)-mostReplicas] {
		others = others.add(e.Replicas[replica])
		delete(e.Replicas, replica)
	}
	e.Others = &others
}

// Totals adds up what all replicas have seen of the current step of r: nothing if the document
// is about another one.
func (e *Evidence) Totals(r catalog.Rollout) Totals {
	if !e.of(r) {
		return Totals{}
	}
	var all Part
	if e.Others != nil {
		all = *e.Others
	}
	for _, part := range e.Replicas {
		all = all.add(part)
	}
	return Totals{Candidate: all.Candidate, Baseline: all.Baseline}
}

func (p Part) add(other Part) Part {
	if other.At.After(p.At) {
		p.At = other.At
	}
	p.Candidate = p.Candidate.Add(other.Candidate)
	p.Baseline = p.Baseline.Add(other.Baseline)
	return p
}

func (p Part) sub(other Part) Part {
	p.Candidate = p.Candidate.Sub(other.Candidate)
	p.Baseline = p.Baseline.Sub(other.Baseline)
	return p
}

// same says whether two parts saw the same, whenever they were written.
func (p Part) same(other Part) bool {
	return p.Candidate.Equal(other.Candidate) && p.Baseline.Equal(other.Baseline)
}
