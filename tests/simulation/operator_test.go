package simulation_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/scoring"
)

// change is a change that an operator makes, and what the operator heard of it.
type change struct {
	catalog.Change

	model string
	// proves lists the versions that are to be made ready on a replica before.
	proves []int64
	// outcome is one of the outcomes below.
	outcome string
	// answer is the document that came back, and at is when.
	answer *catalog.Model
	at     time.Duration
}

const (
	pending = "pending"
	acked   = "acknowledged"
	refused = "refused"
	unknown = "unknown"
)

// operator changes models, one change after the other.
type operator struct {
	chance

	w    *world
	name string
	// book of a process of its own, which ends when gone is closed.
	book *catalog.Book
	gone chan struct{}
}

func modelName(i int) string { return string(rune('a' + i)) }

// versions is how many versions of a model there are to register.
const versions = 5

// operate is the life of an operator.
func (w *world) operate(i int) {
	name := fmt.Sprintf("ann%d", i)
	o := &operator{chance: w.chance("operator", name), w: w, name: name, gone: make(chan struct{})}
	o.book = &catalog.Book{Store: w.link(name, "", o.gone), Chance: w.draws(name)}
	ctx, leave := context.WithCancel(w.ctx)
	defer leave()
	if w.plan.die && o.yes(0.6) {
		// One whose context ends leaves the line; one who is gone, too, sends nothing more.
		hard := o.yes(0.5)
		dying := time.AfterFunc(o.between(2*time.Second, w.plan.active), func() {
			w.note(name, "dies", "", 0, "")
			if hard {
				close(o.gone)
			}
			leave()
		})
		defer dying.Stop()
	}
	for n := 0; ctx.Err() == nil && w.now() < w.plan.active; n++ {
		if !o.pause(ctx, pick(o.chance, span{100 * time.Millisecond, time.Second}, span{500 * time.Millisecond, 3 * time.Second}, span{2 * time.Second, 12 * time.Second})) {
			return
		}
		o.act(ctx, modelName(o.IntN(w.plan.models)), n)
	}
}

func (o *operator) pause(ctx context.Context, s span) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(o.in(s)):
		return true
	}
}

// act looks at a model, decides what to change, proves it and changes it.
func (o *operator) act(ctx context.Context, model string, n int) {
	book, via := o.book, o.w.alive(o.chance)
	ownWay := via == nil || o.yes(0.3)
	if via != nil && !ownWay {
		book = via.book
	}
	before, err := book.Read(ctx, model)
	if err != nil {
		return
	}
	c := o.decide(model, before)
	c.Actor, c.Reason = o.name, fmt.Sprintf("%s#%d", o.name, n)
	o.w.note(o.name, "wants", model, c.Version, c.Action)
	for _, version := range c.proves {
		if via == nil {
			return
		}
		via.follower.Follow(before)
		if !o.prove(ctx, via, model, version) {
			return
		}
	}
	o.w.begin(c)
	after, err := book.Commit(ctx, model, c.Change)
	o.w.heard(c, after, err)
	if err == nil && !ownWay {
		via.follower.Follow(after)
	}
}

// prove makes a version ready on a replica. Operators are patient people.
func (o *operator) prove(ctx context.Context, via *process, model string, version int64) bool {
	for range 3 {
		err := via.runtime.Ensure(ctx, model, version)
		if !o.pause(ctx, span{time.Millisecond, 300 * time.Millisecond}) {
			return false
		}
		if err == nil {
			return true
		}
		o.w.note(o.name, "unproven", model, version, "")
	}
	return false
}

// decide chooses a change.
func (o *operator) decide(model string, before *catalog.Model) *change {
	if before == nil || len(before.Versions) < 2 || len(before.Versions) < versions && o.yes(0.25) {
		return o.register(model, before)
	}
	all := slices.Sorted(maps.Keys(before.Versions))
	version := pick(o.chance, all...)
	var accept catalog.Accept
	if o.yes(0.3) {
		accept = catalog.Accept{catalog.AcceptRolledBack}
	}
	c := &change{model: model, Change: catalog.Change{Version: version, Seen: before}}
	if !before.Managed() {
		return c.as(catalog.ActionLabel, func(m *catalog.Model) error { return m.SetLabel(scoring.LabelLive, all[0], accept) }, all[0])
	}
	now := time.Now()
	switch kind := o.IntN(100); {
	case kind < 30:
		candidate := o.other(before, all)
		steps, rule := o.steps(), o.rule()
		return c.as(catalog.ActionRollout, func(m *catalog.Model) error {
			return m.BeginRollout(candidate, steps, rule, pick(o.chance, catalog.StickyKey, catalog.StickyCaller), accept, now)
		}, candidate)
	case kind < 45:
		c.Seen = nil // a rollback does not care what else happened
		return c.as(catalog.ActionRollback, func(m *catalog.Model) error { return m.RollBack("rolled back", now) }, 0)
	case kind < 52:
		return c.as(catalog.ActionPromote, func(m *catalog.Model) error { return m.Promote("promoted", now) }, 0)
	case kind < 64:
		return c.as(catalog.ActionLabel, func(m *catalog.Model) error { return m.SetLabel(scoring.LabelLive, version, accept) }, version)
	default:
		return o.lesser(c, version, accept)
	}
}

// lesser chooses one of the changes that do not make another version live.
func (o *operator) lesser(c *change, version int64, accept catalog.Accept) *change {
	before := c.Seen
	label := pick(o.chance, "stable", "stable", "test", catalog.LabelCanary)
	switch o.IntN(8) {
	case 0, 1:
		return c.as(catalog.ActionLabel, func(m *catalog.Model) error { return m.SetLabel(label, version, accept) }, version)
	case 2:
		return c.as(catalog.ActionUnlabel, func(m *catalog.Model) error { return m.RemoveLabel(label) }, 0)
	case 3:
		live := before.Labels[scoring.LabelLive]
		traffic := &catalog.Traffic{Weights: map[int64]int{live: 50 + o.IntN(50)}}
		traffic.Weights[version] = 1 + o.IntN(50)
		return c.as(catalog.ActionTraffic, func(m *catalog.Model) error { return m.SetTraffic(traffic) }, version)
	case 4:
		return c.as(catalog.ActionTraffic, func(m *catalog.Model) error { return m.SetTraffic(nil) }, 0)
	case 5:
		shadow := &catalog.Shadow{Version: version, Share: 0.5}
		if o.yes(0.3) {
			shadow = nil
		}
		return c.as(catalog.ActionShadow, func(m *catalog.Model) error { return m.SetShadow(shadow) }, version)
	case 6:
		return c.as(catalog.ActionRetire, func(m *catalog.Model) error { return m.Retire(version) }, 0)
	default:
		pinned := o.yes(0.5)
		return c.as(catalog.ActionPin, func(m *catalog.Model) error { return m.SetPinned(pinned) }, 0)
	}
}

// as makes the change what it is; proves is a version to prove before, 0 for none.
func (c *change) as(action string, apply func(*catalog.Model) error, proves int64) *change {
	c.Action, c.Apply = action, apply
	if proves != 0 {
		c.Version, c.proves = proves, []int64{proves}
	}
	return c
}

func (o *operator) register(model string, before *catalog.Model) *change {
	version := int64(1)
	if before != nil {
		version = slices.Max(slices.Collect(maps.Keys(before.Versions))) + 1
	}
	location := catalog.InStore
	if version == 1 && o.w.plan.folder && !o.w.plan.aged {
		location = catalog.InModelsFolder
	}
	v := described(version, digestOf(model, version), location)
	c := &change{model: model}
	return c.as(catalog.ActionRegister, func(m *catalog.Model) error { return m.Register(v, nil) }, 0)
}

// other is a version that is not live.
func (o *operator) other(before *catalog.Model, all []int64) int64 {
	live := before.Labels[scoring.LabelLive]
	return pick(o.chance, slices.DeleteFunc(slices.Clone(all), func(v int64) bool { return v == live })...)
}

func (o *operator) steps() []int {
	return pick(o.chance, []int{20, 60}, []int{10, 50}, []int{25, 50, 100}, []int{30, 40})
}

// rule is one that a rollout can keep or break within seconds.
func (o *operator) rule() catalog.Rule {
	return catalog.Rule{
		MaxErrorRate: 0.02, MaxP99Ratio: 1.8, MaxDivergence: 0.05, MinSamples: 80, MinCompared: 40,
		StepTime: catalog.Duration(o.between(2*time.Second, 5*time.Second)), Compare: pick(o.chance, 0.3, 0.9),
	}
}

// begin notes a change that is about to be made.
func (w *world) begin(c *change) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c.outcome = pending
	w.changes = append(w.changes, c)
}

// heard notes what became of a change.
func (w *world) heard(c *change, answer *catalog.Model, err error) {
	w.mu.Lock()
	c.outcome, c.answer, c.at = outcomeOf(err), answer, w.now()
	w.mu.Unlock()
	w.note(c.Actor, c.outcome, c.model, c.Version, c.Action+" "+c.Reason+plain(err))
	if c.outcome == acked {
		w.watch(c)
	}
}

// plain is an error for the trace, without the IDs and times that may be in it.
func plain(err error) string {
	if err == nil {
		return ""
	}
	return ": " + scoring.CodeOf(err).String()
}

// outcomeOf is what an operator must take from an error: the text of one says so where it is
// not known whether the change was made.
func outcomeOf(err error) string {
	switch {
	case err == nil:
		return acked
	case strings.Contains(scoring.AsError(err).Message, "it is not known whether"):
		return unknown
	default:
		return refused
	}
}

// accounted checks that a change is in the history as its operator was told.
func (c *change) accounted(l *ledger) error {
	found := len(l.entriesOf(c.model, c.Reason))
	switch c.outcome {
	case acked:
		if found == 0 {
			return c.idle()
		}
		if found != 1 {
			return fmt.Errorf("it is there %d times", found)
		}
	case refused:
		if found != 0 {
			return errors.New("it is there all the same")
		}
	default:
		if found > 1 {
			return fmt.Errorf("it is there %d times", found)
		}
	}
	return nil
}

// idle says whether a change that left no entry had nothing to change.
func (c *change) idle() error {
	text, err := json.Marshal(c.answer)
	if err != nil {
		return err
	}
	again, err := catalog.Decode(text)
	if err != nil {
		return err
	}
	if err := c.Apply(again); err != nil {
		return fmt.Errorf("it is not there: %w", err)
	}
	was, err := json.Marshal(again)
	if err != nil {
		return err
	}
	if string(was) != string(text) {
		return errors.New("it is not there, and would change something at revision " + strconv.FormatInt(c.answer.Revision, 10))
	}
	return nil
}
