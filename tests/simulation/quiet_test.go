package simulation_test

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/scoring"
)

const (
	// calmDown is how long the world may take to be as the documents say, once all faults
	// are over. A load that fails is tried again after a minute.
	calmDown = 2 * time.Minute
	// judgement is how long a step may take for the requests that there are.
	judgement = 100 * time.Second
	// look is the time between two looks at how far it is.
	look = 3 * time.Second
	// soon is how soon a change is in force where nothing fails.
	soon = 2 * time.Second
)

// settle waits until the world is as the documents say. Most worlds end then.
func (w *world) settle() {
	w.retry()
	begin := w.now()
	var amiss string
	for w.now()-begin < calmDown {
		if !w.sleep(look) {
			return
		}
		if amiss = w.amiss(); amiss == "" && !w.plan.patient && !w.rolling() {
			return
		}
	}
	if amiss != "" {
		w.fail("%s after the end of all faults: %s", calmDown, amiss)
	}
	if w.ctx.Err() == nil {
		w.unjudged()
	}
}

// retry is what people do whose first registration of a model was not answered: nobody but
// them knows that the model's document exists, if the index was not written.
func (w *world) retry() {
	c := w.chance("retry")
	for i := range w.plan.models {
		name := modelName(i)
		doc := w.ledger.newest(name)
		via := w.alive(c)
		if doc == nil || w.ledger.announced().Models[name] != 0 || via == nil {
			continue
		}
		v := doc.Versions[1]
		again, err := via.book.Commit(w.ctx, name, catalog.Change{
			Actor: "retry", Action: catalog.ActionRegister, Apply: func(m *catalog.Model) error { return m.Register(v, nil) },
		})
		if err != nil {
			w.fail("registering version 1 of model %s again: %s", name, err)
			return
		}
		if c.yes(0.5) {
			via.follower.Follow(again) // or the request went to a replica that is none of these
		}
	}
}

// rolling says whether a rollout is being judged.
func (w *world) rolling() bool {
	for i := range w.plan.models {
		if doc := w.ledger.newest(modelName(i)); doc != nil && doc.Running() != nil {
			return true
		}
	}
	return false
}

// unjudged fails the world if a rollout goes on that was to end, for better or worse.
func (w *world) unjudged() {
	for i := range w.plan.models {
		name := modelName(i)
		doc := w.ledger.newest(name)
		if doc == nil || doc.Running() == nil || !w.takesPart(doc) || time.Since(doc.Rollout.StepSince) < judgement {
			continue
		}
		w.fail("the rollout of version %d of model %s was not judged: %+v", doc.Rollout.Candidate, name, *doc.Rollout)
	}
}

// takesPart says whether a replica asks both versions of a rollout.
func (w *world) takesPart(doc *catalog.Model) bool {
	return slices.ContainsFunc(w.processes(), func(p *process) bool {
		return p.can(doc.Name, doc.Rollout.Candidate) && p.can(doc.Name, doc.Rollout.Baseline)
	})
}

// amiss says what is not as the documents say; "" if nothing is.
func (w *world) amiss() string {
	for i := range w.plan.models {
		name := modelName(i)
		doc := w.ledger.newest(name)
		if doc == nil {
			continue
		}
		if told := w.ledger.announced().Models[name]; told != doc.Revision {
			return fmt.Sprintf("the index has revision %d of model %s, which is at %d", told, name, doc.Revision)
		}
		for _, p := range w.processes() {
			if amiss := p.amiss(doc); amiss != "" {
				return p.name + ": " + amiss
			}
		}
	}
	for _, p := range w.processes() {
		if amiss := p.amissState(); amiss != "" {
			return p.name + ": " + amiss
		}
	}
	return ""
}

// can says whether a process can load a version at all.
func (p *process) can(model string, version int64) bool {
	p.runtime.mu.Lock()
	defer p.runtime.mu.Unlock()
	return p.runtime.loadable(p.runtime.model(model), version, 9) == nil
}

// canAll says whether a process can load every live version.
func (p *process) canAll() bool {
	for i := range p.w.plan.models {
		doc := p.w.ledger.newest(modelName(i))
		if doc != nil && doc.Managed() && !p.can(doc.Name, doc.Labels[scoring.LabelLive]) {
			return false
		}
	}
	return true
}

// amiss compares how a process deals requests out with what the document says.
func (p *process) amiss(doc *catalog.Model) string {
	state := p.follower.State().Models[doc.Name]
	if state.Newest != doc.Revision {
		return fmt.Sprintf("it follows revision %d of model %s, which is at %d", state.Newest, doc.Name, doc.Revision)
	}
	route, ok := p.runtime.Route(doc.Name)
	if !doc.Managed() {
		return ""
	}
	want := doc.Route()
	missing := slices.DeleteFunc(want.Versions(), func(v int64) bool { return p.can(doc.Name, v) })
	if whole := len(missing) == 0; state.InSync() != (whole && !p.differs(doc)) {
		return fmt.Sprintf("of model %s it says in sync: %t, with %v not to be loaded (%+v)", doc.Name, state.InSync(), missing, state)
	}
	if !ok {
		if p.can(doc.Name, want.Labels[scoring.LabelLive]) {
			return fmt.Sprintf("it deals no requests of model %s out", doc.Name)
		}
		return ""
	}
	return p.compare(doc, route, want)
}

// compare says where a route is not the one of the document, as far as it could be.
func (p *process) compare(doc *catalog.Model, route, want catalog.Route) string {
	can := func(v int64) bool { return p.can(doc.Name, v) }
	for label, version := range want.Labels {
		if can(version) && route.Labels[label] != version {
			return fmt.Sprintf("label %s of model %s names %d, and not %d", label, doc.Name, route.Labels[label], version)
		}
	}
	for label := range route.Labels {
		if want.Labels[label] == 0 {
			return fmt.Sprintf("label %s of model %s is gone, and still there", label, doc.Name)
		}
	}
	shares := slices.DeleteFunc(slices.Clone(want.Shares), func(s catalog.Share) bool { return !can(s.Version) })
	if (len(shares) > 0 || len(want.Shares) == 0) && !slices.Equal(shares, route.Shares) {
		return fmt.Sprintf("the shares of model %s are %v, and not %v", doc.Name, route.Shares, shares)
	}
	if want.Shadow != nil && !can(want.Shadow.Version) {
		want.Shadow = nil
	}
	if c := want.Compare; c != nil && (!can(c.Candidate) || !can(c.Baseline)) {
		want.Compare = nil
	}
	if !reflect.DeepEqual(route.Shadow, want.Shadow) || !reflect.DeepEqual(route.Compare, want.Compare) {
		return fmt.Sprintf("model %s has the shadow %v and compares %v, and not %v and %v", doc.Name, route.Shadow, route.Compare, want.Shadow, want.Compare)
	}
	return ""
}

// differs says whether a replica has other files in its folder than a document says.
func (p *process) differs(doc *catalog.Model) bool {
	p.runtime.mu.Lock()
	defer p.runtime.mu.Unlock()
	m := p.runtime.model(doc.Name)
	for version := range doc.Versions {
		if m.differs(version) {
			return true
		}
	}
	return false
}

// amissState checks what a process says of itself as a whole.
func (p *process) amissState() string {
	state := p.follower.State()
	sync := state.Documented && state.Store.Reachable
	for _, m := range state.Models {
		sync = sync && m.InSync()
	}
	switch {
	case !state.Documented || !p.runtime.knowsAll():
		return "it has not read all documents"
	case !p.follower.Settled() && p.canAll():
		return "it has not tried all that its documents need"
	case !state.Store.Reachable:
		return "it says that the state store does not answer: " + state.Store.Error
	case state.InSync() != sync:
		return fmt.Sprintf("it says in sync: %t (%+v)", state.InSync(), state)
	case state.Index != p.w.ledger.announced().Revision:
		return fmt.Sprintf("it read revision %d of the index, which is at %d", state.Index, p.w.ledger.announced().Revision)
	}
	return ""
}

// watch checks that a change that was acknowledged is in force soon, in a calm world.
func (w *world) watch(c *change) {
	if !w.plan.calm {
		return
	}
	at, revision := w.now(), c.answer.Revision
	time.AfterFunc(soon, func() {
		if doc := w.ledger.newest(c.model); doc.Revision != revision || w.ctx.Err() != nil {
			return // a later change is watched for itself
		}
		w.note("world", "watched", c.model, revision, "")
		for _, p := range w.processes() {
			if p.started > at-soon {
				continue
			}
			if got := p.follower.State().Models[c.model]; got.Revision < revision {
				w.fail("%s after it was acknowledged, revision %d of model %s is not in force on %s: %+v", soon, revision, c.model, p.name, got)
			}
		}
	})
}

// unreachable checks that replicas say so while the state store does not answer.
func (w *world) unreachable(o outage) {
	// A look that is under way has five seconds, and so has the next one, a second later.
	const heard = 11500 * time.Millisecond
	// A silent one beside it holds a look up for longer.
	silent := slices.ContainsFunc(w.plan.away, func(other outage) bool { return other.silent && other.from < o.from+heard && other.to > o.from })
	if silent || o.to-o.from < heard {
		return
	}
	time.AfterFunc(o.from+heard, func() {
		for _, p := range w.processes() {
			if p.started > o.from || !w.faulty() || o.replica != "" && o.replica != replicaName(p.replica) {
				continue
			}
			w.note(p.name, "cut off", "", 0, "")
			if state := p.follower.State(); state.Store.Reachable || state.InSync() {
				w.fail("%s: the state store has been away for %s, and it says: %+v", p.name, heard, state)
			}
		}
	})
}

// account checks what was acknowledged against what the history says, and the history against
// the documents.
func (w *world) account() {
	if w.ctx.Err() != nil {
		return
	}
	for _, c := range w.changes {
		if err := c.accounted(w.ledger); err != nil {
			w.fail("%s of model %s by %s (%s) was %s: %s", c.Action, c.model, c.Actor, c.Reason, c.outcome, err)
		}
	}
	w.foldAll()
}

// foldAll replays the history of every model.
func (w *world) foldAll() {
	for i := range w.plan.models {
		if err := w.folds(modelName(i)); err != nil {
			w.fail("the history of model %s: %s", modelName(i), err)
		}
	}
}

// folds replays the history of a model.
func (w *world) folds(name string) error {
	seen := w.ledger.all(name)
	if len(seen) == 0 {
		return nil
	}
	book := w.direct()
	entries, err := book.History(context.Background(), name, 0)
	if err != nil {
		return err
	}
	slices.Reverse(entries)
	folded, err := catalog.Fold(name, entries)
	if err != nil {
		return err
	}
	doc, err := book.Read(context.Background(), name)
	if err != nil {
		return err
	}
	if len(entries) != len(seen) || !slices.EqualFunc(entries, seen, func(a, b catalog.Entry) bool { return a.ID == b.ID }) {
		return fmt.Errorf("%d entries, where %d were written", len(entries), len(seen))
	}
	if folded.Revision != doc.Revision || !reflect.DeepEqual(folded.Versions, doc.Versions) || !reflect.DeepEqual(folded.State, doc.State) {
		return fmt.Errorf("it gives %+v, and the document is %+v", folded.State, doc.State)
	}
	return nil
}
