package catalog

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"github.com/onda-serving/onda/app/scoring"
)

// BeginRollout gives candidate the first of a row of growing shares, each for as long as it
// keeps the rule: what is live is its baseline, and the label "canary" names it until the end.
// A traffic split ends, because the shares take its place. Left out, the steps are 5, 25 and
// 50 percent, the rule is that of [Rule.WithDefaults], and sticky is [StickyKey].
//
// The error's code is Invalid for steps, a rule or a sticky that are none, NotFound for a
// candidate that is not registered, and Conflict for one that is live, that is retired or that
// was rolled back (unless that is accepted, which clears its standing), while another rollout
// runs, or without the label "live".
func (m *Model) BeginRollout(candidate int64, steps []int, rule Rule, sticky string, accept Accept, now time.Time) error {
	if err := m.canRollOut(candidate, accept); err != nil {
		return err
	}
	if len(steps) == 0 {
		steps = defaultSteps()
	}
	if err := checkSteps(steps); err != nil {
		return err
	}
	rule, sticky = rule.WithDefaults(), cmp.Or(sticky, StickyKey)
	if err := rule.check(); err != nil {
		return err
	}
	if err := checkSticky(sticky); err != nil {
		return err
	}
	next := m.State.clone()
	next.Rollout = &Rollout{
		ID:        "r" + strconv.FormatInt(m.Revision+1, 10),
		Candidate: candidate,
		Baseline:  m.Labels[scoring.LabelLive],
		Steps:     slices.Clone(steps),
		StepSince: stamp(now),
		Rule:      rule,
		Sticky:    sticky,
		Status:    Running,
	}
	next.Labels[LabelCanary] = candidate
	next.Traffic = nil
	delete(next.Standing, candidate)
	m.State = next
	return nil
}

// canRollOut fails unless candidate can take over from what is live.
func (m *Model) canRollOut(candidate int64, accept Accept) error {
	if err := m.managed("roll a version out"); err != nil {
		return err
	}
	if err := m.usable(candidate); err != nil {
		return err
	}
	if err := m.still(); err != nil {
		return err
	}
	if candidate == m.Labels[scoring.LabelLive] {
		return scoring.Errorf(scoring.Conflict, "version %d of %q is live already: roll out another one", candidate, m.Name)
	}
	if err := m.confirmed(candidate, accept); err != nil {
		return err
	}
	if err := m.keepsPromises(m.Versions[candidate], accept); err != nil {
		return err
	}
	if was := m.Labels[LabelCanary]; was != 0 && was != candidate {
		return scoring.Errorf(scoring.Conflict, "label %q of %q names version %d, and a rollout needs it for its candidate: remove the label, or give it another name", LabelCanary, m.Name, was)
	}
	return m.roomFor(LabelCanary)
}

// LastStep says that no step comes after the current one: [Model.Advance] would promote.
func (r *Rollout) LastStep() bool { return r.Step >= len(r.Steps)-1 }

// Advance gives the candidate of the running rollout its next share or, after the last one,
// promotes it. The verdict says why. The error's code is Conflict where no rollout runs.
func (m *Model) Advance(verdict string, now time.Time) error {
	r := m.Running()
	if r == nil {
		return m.notRunning("there is no step to go on to")
	}
	if r.LastStep() {
		return m.Promote(verdict, now)
	}
	next := m.State.clone()
	next.Rollout.Step++
	next.Rollout.StepSince, next.Rollout.Verdict = stamp(now), clip(verdict, maxReason)
	m.State = next
	return nil
}

// Promote makes the candidate of the running rollout live. The verdict says why. The error's
// code is Conflict where no rollout runs.
func (m *Model) Promote(verdict string, now time.Time) error {
	if m.Running() == nil {
		return m.notRunning("move the label \"live\" instead")
	}
	next := m.State.clone()
	next.Previous = next.Rollout.Baseline
	next.moveLive(next.Rollout.Candidate)
	next.endRollout(Promoted, verdict, now)
	m.State = next
	return nil
}

// RollBack gives all requests to the version that was there before: of a running rollout to
// the baseline, and otherwise to what "live" named before. The version that they are taken
// from counts as rolled back, and the verdict says why.
//
// What is live is rolled back once only: where it came from is not known any more then, and
// going back twice would end at the version that was the first to fail. The error's code is
// Conflict where there is nothing to go back to.
func (m *Model) RollBack(verdict string, now time.Time) error {
	if m.Running() != nil {
		next := m.State.clone()
		next.Standing[next.Rollout.Candidate] = RolledBack
		next.endRollout(WasRolledBack, verdict, now)
		m.State = next
		return nil
	}
	if err := m.canRollBack(); err != nil {
		return err
	}
	next := m.State.clone()
	failed := next.Labels[scoring.LabelLive]
	next.moveLive(next.Previous)
	next.Previous = 0
	next.Standing[failed] = RolledBack
	m.State = next
	return nil
}

// canRollBack fails unless "live" can move to the version that it named before.
func (m *Model) canRollBack() error {
	if err := m.managed("roll anything back"); err != nil {
		return err
	}
	if m.Previous == 0 {
		return scoring.Errorf(scoring.Conflict, "version %d of %q has no version before it to go back to (after a rollback there is none either): move the label %q to the version that shall answer", m.Labels[scoring.LabelLive], m.Name, scoring.LabelLive)
	}
	if m.Standing[m.Previous] == RolledBack {
		return scoring.Errorf(scoring.Conflict, "version %d of %q, which was live before, was itself rolled back%s: move the label %q to the version that shall answer", m.Previous, m.Name, m.since(m.Previous), scoring.LabelLive)
	}
	return nil
}

// endRollout ends the rollout.
func (s *State) endRollout(status, verdict string, now time.Time) {
	s.Rollout.Status, s.Rollout.Verdict, s.Rollout.StepSince = status, clip(verdict, maxReason), stamp(now)
	delete(s.Labels, LabelCanary)
}

func (m *Model) notRunning(instead string) error {
	if len(m.Versions) == 0 {
		return m.unknown()
	}
	return scoring.Errorf(scoring.Conflict, "no rollout of %q is running: %s", m.Name, instead)
}
