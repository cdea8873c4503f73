package judge

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/statistics"
)

// mostTries bounds how often a part is written anew because another replica was faster. A part
// holds all that was counted in the step, so the next call makes up for one that gave up.
const mostTries = 5

// Reporter writes what this replica sees of rollouts into their evidence. It is safe for
// concurrent use.
type Reporter struct {
	// Chance draws how long a replica waits that met another one, from 0 to below 1; nil stands
	// for rand.Float64. It is set before the first call.
	Chance func() float64

	replica string

	mu      sync.Mutex
	watches map[string]*watch // by model
}

// NewReporter makes a reporter for a replica. Its name must be another one for each process:
// what a process writes takes the place of what was written under the same name.
func NewReporter(replica string) *Reporter {
	return &Reporter{replica: replica, watches: map[string]*watch{}}
}

// Publish counts what the two versions did since the current step of r was first published,
// writes that into the model's evidence if it is news, and gives the evidence of all replicas.
// It is to be called for every running rollout, about once a second; the first call is when
// counting begins. A version that is not loaded has no recorder: nil.
//
// The error is the store's, or of code Conflict if the other replicas were faster all the time.
// Nothing is lost by it: the next call writes what this one could not.
func (p *Reporter) Publish(ctx context.Context, store catalog.Store, model string, r catalog.Rollout, candidate, baseline *statistics.Recorder) (*Evidence, error) {
	w := p.watchOf(model)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.step == nil || !w.step.is(r) {
		w.step = &step{rollout: r, candidate: meter{}, baseline: meter{}}
	}
	w.step.candidate.follow(candidate)
	w.step.baseline.follow(baseline)
	for try := range mostTries {
		if err := p.pause(ctx, try); err != nil {
			return nil, err
		}
		e, err := w.step.write(ctx, store, catalog.EvidenceKey(model), p.replica)
		if scoring.CodeOf(err) != scoring.Conflict {
			return e, err
		}
	}
	return nil, scoring.Errorf(scoring.Conflict, "the evidence of model %q was written by others %d times in a row: it is tried again", model, mostTries)
}

// watchOf is what is known of a model's newest rollout.
func (p *Reporter) watchOf(model string) *watch {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.watches[model]
	if w == nil {
		w = &watch{}
		p.watches[model] = w
	}
	return w
}

// pause waits before a try that is not the first, some longer than others, so that replicas
// that meet once do not meet again.
func (p *Reporter) pause(ctx context.Context, try int) error {
	if try == 0 {
		return nil
	}
	chance := rand.Float64
	if p.Chance != nil {
		chance = p.Chance
	}
	most := 10 * time.Millisecond << try
	select {
	case <-time.After(time.Duration(chance() * float64(most))):
		return nil
	case <-ctx.Done():
		return scoring.AsError(ctx.Err())
	}
}

// watch is what a replica knows about the newest rollout of a model.
type watch struct {
	mu   sync.Mutex
	step *step
}

// step is what a replica knows about a step of a rollout.
type step struct {
	rollout             catalog.Rollout
	candidate, baseline meter
	// written is what was counted when the document was last written, and listed says that
	// it was. folded is the part of it that is with the document's others by now.
	written, folded Part
	listed          bool
}

// is says whether s is the current step of r.
func (s *step) is(r catalog.Rollout) bool {
	return s.rollout.ID == r.ID && s.rollout.Step == r.Step && s.rollout.StepSince.Equal(r.StepSince)
}

// meter holds, for each recorder of a version, what it had counted when it was first seen. A
// version that is unloaded and loaded again comes back with another recorder.
type meter map[*statistics.Recorder]statistics.TallySnapshot

func (m meter) follow(recorder *statistics.Recorder) {
	if _, known := m[recorder]; !known && recorder != nil {
		m[recorder] = recorder.Tally.Snapshot()
	}
}

// counted is what all recorders counted since they were first seen.
func (m meter) counted() statistics.TallySnapshot {
	var sum statistics.TallySnapshot
	for recorder, start := range m {
		sum = sum.Add(recorder.Tally.Snapshot().Sub(start))
	}
	return sum
}

// write puts what was counted into the document, if it is news, and gives the document.
func (s *step) write(ctx context.Context, store catalog.Store, key, replica string) (*Evidence, error) {
	document, etag, err := store.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	e := Decode(document)
	if _, there := e.Replicas[replica]; s.listed && !there && e.of(s.rollout) && e.Others != nil {
		// It went to the others for its age, and must not be counted twice.
		s.folded, s.listed = s.written, false
	}
	counted := Part{At: time.Now().UTC(), Candidate: s.candidate.counted(), Baseline: s.baseline.counted()}
	if !e.Merge(s.rollout, replica, counted.sub(s.folded)) {
		return e, nil
	}
	if document, err = json.Marshal(e); err != nil {
		return nil, scoring.InternalError(err)
	}
	if err := store.Save(ctx, key, document, etag); err != nil {
		return nil, err
	}
	s.written, s.listed = counted, true
	return e, nil
}
