package admin

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/scoring"
)

// change is one change of a model's state.
type change struct {
	// action is one of the Action constants of package catalog.
	action string
	// version that the change is about; 0 for none.
	version int64
	// apply makes the change, on a copy first.
	apply func(*catalog.Model) error
	// candidates lists the versions that are to answer because of the change.
	candidates func(before *catalog.Model) []candidate
}

// candidate is a version that is to answer.
type candidate struct {
	version int64
	// baseline is the version that it is to replace; 0 for none.
	baseline int64
}

// change makes a change in the order that the package's comment tells.
func (a *Admin) change(ctx context.Context, name string, ask Ask, c change) (changed *Document, err error) {
	defer a.ended(&err)
	ctx, done, err := a.begin(ctx, name, &ask)
	if err != nil {
		return nil, err
	}
	defer done()
	before, err := a.existing(ctx, name)
	if err != nil {
		return nil, err
	}
	// What can be refused without work is refused without work.
	after, err := try(before, ask, c.apply)
	if err != nil {
		return nil, err
	}
	var reports []Comparison
	if !reflect.DeepEqual(before.State, after.State) {
		if reports, err = a.prove(ctx, before, ask, c.candidates(before)); err != nil {
			return nil, err
		}
	}
	written, err := a.commit(ctx, name, ask, catalog.Change{
		Action: c.action, Reason: reasonOf(ask, reports), Version: c.version, Seen: before, Apply: c.apply,
	})
	if err != nil {
		return nil, err
	}
	document := a.documentOf(written)
	if len(reports) == 1 {
		document.Report = &reports[0]
	}
	return document, nil
}

// begin checks what every change brings along and waits for the model's turn. done must be
// called when the change is made or refused.
func (a *Admin) begin(ctx context.Context, name string, ask *Ask) (begunCtx context.Context, done func(), err error) {
	if err := a.check(name, ask); err != nil {
		return nil, nil, err
	}
	ask.Progress(Progress{Stage: StageWaiting})
	leave, err := a.turns.take(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	begunCtx, cancel := a.begun(ctx)
	return begunCtx, func() { cancel(); leave() }, nil
}

// maxReason bounds an actor's words, in bytes. The document keeps 512 bytes, and what was
// measured must find room beside them.
const maxReason = 300

// check refuses what no document is needed for, and makes ask complete.
func (a *Admin) check(name string, ask *Ask) error {
	if a.Book == nil {
		return noBook()
	}
	if err := scoring.CheckName("model name", name); err != nil {
		return err
	}
	if len(ask.Reason) > maxReason {
		return scoring.Errorf(scoring.Invalid, "reason is %d bytes long: at most %d are allowed", len(ask.Reason), maxReason)
	}
	if ask.Progress == nil {
		ask.Progress = func(Progress) {}
	}
	return known(ask.Accept)
}

// try makes the change on a copy. A shallow one will do: a change of package catalog puts what
// it changes into the document last, and never changes what is there.
func try(before *catalog.Model, ask Ask, apply func(*catalog.Model) error) (*catalog.Model, error) {
	after := *before
	if err := guarded(ask, apply)(&after); err != nil {
		return nil, err
	}
	return &after, nil
}

// guarded makes the change only at the revision that the actor decided on.
func guarded(ask Ask, apply func(*catalog.Model) error) func(*catalog.Model) error {
	return func(m *catalog.Model) error {
		if ask.Revision != 0 && ask.Revision != m.Revision {
			return &catalog.ConflictError{Yours: past(m, ask.Revision), Current: m}
		}
		return apply(m)
	}
}

// past is the model as it was at a revision, as far as the document itself still knows.
func past(m *catalog.Model, revision int64) *catalog.Model {
	was := &catalog.Model{Schema: m.Schema, Name: m.Name, Revision: revision}
	for _, entry := range m.History {
		if entry.Revision == revision {
			was.State = entry.After
		}
	}
	return was
}

// prove makes the candidates ready on this replica and judges how they compare.
func (a *Admin) prove(ctx context.Context, m *catalog.Model, ask Ask, candidates []candidate) ([]Comparison, error) {
	var reports []Comparison
	for _, c := range candidates {
		if c.baseline == c.version {
			c.baseline = 0
		}
		report, err := a.Replica.Prepare(ctx, m, c.version, c.baseline, ask.Progress)
		if err != nil {
			return nil, fmt.Errorf("prepare %s@%d: %w", m.Name, c.version, err)
		}
		report.Baseline, report.Candidate = c.baseline, c.version
		report.MaxDifference = finite(report.MaxDifference)
		if c.baseline != 0 { // else there is nothing to judge it by
			if err := a.compared(m.Name, report).judge(ask.Accept); err != nil {
				return nil, err
			}
		}
		reports = append(reports, report)
	}
	return reports, nil
}

// compared logs a comparison.
func (a *Admin) compared(name string, c Comparison) *Comparison {
	a.Log.Info().Str("model", name).Int64("version", c.Candidate).Int64("baseline", c.Baseline).Int("samples", c.Samples).
		Int("failed", c.Failed).Int("disagreed", c.Disagreed).Float64("max_difference", c.MaxDifference).
		Float64("p50_ms", c.CandidateP50).Float64("baseline_p50_ms", c.BaselineP50).Msg("compared on recent requests")
	return &c
}

// reasonOf joins the actor's words with what was measured.
func reasonOf(ask Ask, reports []Comparison) string {
	var parts []string
	if ask.Reason != "" {
		parts = append(parts, ask.Reason)
	}
	for _, report := range reports {
		if report.Text != "" {
			parts = append(parts, report.Text)
		}
	}
	return strings.Join(parts, "; ")
}

// commitTimeout bounds the writing of a change. It has a time of its own: a change that was
// proved must not fail because proving it took long.
const commitTimeout = 30 * time.Second

// commit writes a change and lets this replica take it over.
func (a *Admin) commit(ctx context.Context, name string, ask Ask, c catalog.Change) (*catalog.Model, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	c.Actor, c.Apply = ask.Actor, guarded(ask, c.Apply)
	written, err := a.Book.Commit(ctx, name, c)
	if err != nil {
		return nil, storeFailed(err)
	}
	a.Replica.Follow(ctx, written)
	return written, nil
}

// clip shortens what a caller sent before it is repeated in an error.
func clip(s string) string {
	const most = 120
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}
