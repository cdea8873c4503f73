package follow

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/judge"
	"github.com/onda-serving/onda/app/scoring"
)

// actor is who makes the changes that nobody asked for.
const actor = "onda"

// judgeAll looks at every rollout under way: it adds what this replica saw to the evidence,
// and does what the sum of it calls for. All replicas do that; the document's ETag lets one
// of them decide.
func (f *Follower) judgeAll(ctx context.Context) {
	for _, doc := range f.running() {
		if err := f.judgeOne(ctx, doc); err != nil && ctx.Err() == nil && scoring.CodeOf(err) != scoring.Conflict {
			f.config.Log.Warn().Err(err).Str("model", doc.Name).Msg("a rollout could not be judged: that is tried again")
		}
	}
}

// running lists the documents whose rollout is under way, by name.
func (f *Follower) running() []*catalog.Model {
	f.mu.Lock()
	defer f.mu.Unlock()
	var docs []*catalog.Model
	for _, name := range slices.Sorted(maps.Keys(f.models)) {
		if doc := f.models[name].doc; doc.Running() != nil {
			docs = append(docs, doc)
		}
	}
	return docs
}

func (f *Follower) judgeOne(ctx context.Context, doc *catalog.Model) error {
	r := doc.Running()
	evidence, err := f.judge.Publish(ctx, f.config.Book.Store, doc.Name, *r,
		f.config.Runtime.Recorder(doc.Name, r.Candidate), f.config.Runtime.Recorder(doc.Name, r.Baseline))
	if err != nil {
		return err
	}
	d := judge.Decide(*r, evidence.Totals(*r), time.Now())
	switch d.Action {
	case judge.Advance:
		action := catalog.ActionStep
		if r.LastStep() {
			action = catalog.ActionPromote
		}
		return f.decide(ctx, doc, action, d.Reason, func(m *catalog.Model) error { return m.Advance(d.Reason, time.Now()) })
	case judge.RollBack:
		return f.decide(ctx, doc, catalog.ActionRollback, d.Reason, func(m *catalog.Model) error { return m.RollBack(d.Reason, time.Now()) })
	default:
		return nil
	}
}

// decide changes the document that was judged, unless somebody else changed it first.
func (f *Follower) decide(ctx context.Context, doc *catalog.Model, action, reason string, change func(*catalog.Model) error) error {
	now, err := f.config.Book.Commit(ctx, doc.Name, catalog.Change{
		Actor: actor, Action: action, Reason: reason, Version: doc.Rollout.Candidate, Seen: doc, Apply: change,
	})
	if err != nil {
		return err
	}
	f.config.Log.Info().Str("model", doc.Name).Int64("version", doc.Rollout.Candidate).Str("action", action).Str("reason", reason).Msg("rollout judged")
	f.Follow(now) //nolint:contextcheck // what a document needs outlasts who brought it
	return nil
}

// maxFailures is how many tries to load a candidate may fail in a row before its rollout is
// rolled back: nobody will ever see how it answers.
const maxFailures = 3

// patience is how long a candidate may be out of reach for a replica, because a store is away
// or does not have it yet, before that counts like a candidate that cannot be loaded.
const patience = 2 * time.Minute

// versionsFault says whether a candidate failed for what it is, and not for what this replica
// lacks, such as a store, a setting or a moment of quiet.
func versionsFault(err error) bool {
	switch scoring.CodeOf(err) {
	case scoring.Unavailable, scoring.Unimplemented, scoring.Denied, scoring.Expired, scoring.Canceled, scoring.Overloaded:
		return false
	default: // what ONNX Runtime says has no code
		return true
	}
}

// candidateFailed counts a failed try, and rolls back when there were too many.
func (f *Follower) candidateFailed(ctx context.Context, m *followed, doc *catalog.Model, version int64, cause error) {
	r := doc.Running()
	if r == nil || r.Candidate != version {
		return
	}
	f.mu.Lock()
	current := m.doc == doc
	if current && m.failing.IsZero() {
		m.failing = time.Now()
	}
	if current {
		m.failed++
	}
	failed := m.failed
	over := current && failed >= maxFailures && (versionsFault(cause) || time.Since(m.failing) >= patience)
	f.mu.Unlock()
	if !over {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	reason := fmt.Sprintf("replica %s could not load version %d, %d times in a row: %s", f.config.Replica, version, failed, cause)
	err := f.decide(ctx, doc, catalog.ActionRollback, reason, func(m *catalog.Model) error { return m.RollBack(reason, time.Now()) })
	if err != nil {
		f.config.Log.Warn().Err(err).Str("model", doc.Name).Msg("a rollout whose candidate cannot be loaded could not be rolled back: that is tried again")
	}
}
