package admin

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/scoring"
)

// RolloutPlan says how a candidate is to take over.
type RolloutPlan struct {
	// Version is the candidate.
	Version int64
	// Steps are its shares in percent, rising; empty for the defaults.
	Steps []int
	// Rule that it must keep; zero values stand for the defaults.
	Rule catalog.Rule
	// Sticky is that of catalog.Traffic; "" for the default.
	Sticky string
}

// Rollout begins to give a candidate a growing share of a model's requests.
func (a *Admin) Rollout(ctx context.Context, name string, plan RolloutPlan, ask Ask) (*Document, error) {
	if err := checkVersion(plan.Version); err != nil {
		return nil, err
	}
	now := a.now()
	return a.change(ctx, name, ask, change{
		action: catalog.ActionRollout, version: plan.Version,
		apply: func(m *catalog.Model) error {
			return m.BeginRollout(plan.Version, plan.Steps, plan.Rule, plan.Sticky, ask.Accept, now)
		},
		candidates: func(m *catalog.Model) []candidate { return []candidate{{plan.Version, a.answering(m)}} },
	})
}

// Promote makes the candidate of the running rollout live, which version must name if it is
// not 0. Without a running rollout it makes version live.
func (a *Admin) Promote(ctx context.Context, name string, version int64, ask Ask) (*Document, error) {
	if version < 0 {
		return nil, checkVersion(version)
	}
	now := a.now()
	return a.change(ctx, name, ask, change{
		action: catalog.ActionPromote, version: version,
		apply: func(m *catalog.Model) error {
			running := m.Running()
			switch {
			case running != nil && (version == 0 || version == running.Candidate):
				return m.Promote(verdictOf("promoted", ask), now)
			case running != nil:
				return scoring.Errorf(scoring.Conflict, "the rollout that runs is of version %d, not of %d: promote that one, or roll it back first", running.Candidate, version)
			case version == 0:
				return scoring.Errorf(scoring.Conflict, "no rollout of model %q runs: say which version is to be live", name)
			default:
				return m.SetLabel(scoring.LabelLive, version, ask.Accept)
			}
		},
		candidates: func(m *catalog.Model) []candidate {
			if running := m.Running(); running != nil {
				return []candidate{{running.Candidate, running.Baseline}}
			}
			return []candidate{{version, a.answering(m)}}
		},
	})
}

// RollBack ends the running rollout with its baseline or, if none runs, makes the version
// live that was so before.
//
// It is the way out when something is wrong, and differs from other changes for that: it
// waits for none of them, no comparison refuses it, and a version that is loaded on this
// replica is not proved again. What it must not do is to roll back twice because two asked
// for it: which version is live afterwards is fixed before it begins, and right after a
// rollout was rolled back it wants to know the revision that it is meant for.
func (a *Admin) RollBack(ctx context.Context, name string, ask Ask) (changed *Document, err error) {
	defer a.ended(&err)
	if err := a.check(name, &ask); err != nil {
		return nil, err
	}
	ctx, cancel := a.begun(ctx)
	defer cancel()
	before, err := a.existing(ctx, name)
	if err != nil {
		return nil, err
	}
	now := a.now()
	apply := func(m *catalog.Model) error {
		if err := onlyOnce(m, ask, now); err != nil {
			return err
		}
		return m.RollBack(verdictOf("rolled back", ask), now)
	}
	after, err := try(before, ask, apply)
	if err != nil {
		return nil, err
	}
	target := after.Labels[scoring.LabelLive]
	if err := a.bring(ctx, before, target, ask); err != nil {
		return nil, err
	}
	written, err := a.commit(ctx, name, ask, catalog.Change{
		Action: catalog.ActionRollback, Reason: ask.Reason, Version: suspect(before),
		Apply: func(m *catalog.Model) error {
			current := *m
			if err := apply(m); err != nil {
				return err
			}
			if m.Labels[scoring.LabelLive] != target {
				return &catalog.ConflictError{Yours: before, Current: &current}
			}
			return nil
		},
	})
	if err != nil {
		return nil, err
	}
	return a.documentOf(written), nil
}

// bring makes a version ready on this replica, if it is not.
func (a *Admin) bring(ctx context.Context, m *catalog.Model, version int64, ask Ask) error {
	if here := a.Replica.Serving(m.Name).version(version); here != nil && here.State == Available {
		return nil
	}
	if _, err := a.Replica.Prepare(ctx, m, version, 0, ask.Progress); err != nil {
		return fmt.Errorf("prepare %s@%d: %w", m.Name, version, err)
	}
	return nil
}

// suspect is the version that a rollback takes the requests from.
func suspect(m *catalog.Model) int64 {
	if running := m.Running(); running != nil {
		return running.Candidate
	}
	return m.Labels[scoring.LabelLive]
}

// justNow is how long after the end of a rollout a rollback is taken to mean that rollout.
const justNow = time.Minute

// onlyOnce refuses to go further back than was meant: whoever sees a rollout fail and rolls it
// back can find that the judge, or a colleague, was faster. Then the live version has nothing
// to do with it.
func onlyOnce(m *catalog.Model, ask Ask, now time.Time) error {
	r, live := m.Rollout, m.Labels[scoring.LabelLive]
	if ask.Revision != 0 || r == nil || r.Status != catalog.WasRolledBack || r.Baseline != live || now.Sub(r.StepSince) > justNow {
		return nil
	}
	return scoring.Errorf(scoring.Conflict, "the rollout of version %d was rolled back already, %s ago, and version %d answers; if that one is to be rolled back too, send the header if-match with the revision %q",
		r.Candidate, max(0, now.Sub(r.StepSince)).Round(time.Second), live, strconv.FormatInt(m.Revision, 10))
}

// verdictOf says in a rollout's own words how a person ended it.
func verdictOf(what string, ask Ask) string {
	if ask.Reason == "" {
		return what + " by " + ask.Actor
	}
	return what + " by " + ask.Actor + ": " + ask.Reason
}
