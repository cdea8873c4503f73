package catalog_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/catalog/catalogtest"
	"github.com/onda-serving/onda/app/scoring"
)

// randomChange is any change, mostly of the newer versions, as in life.
func randomChange(r *rand.Rand) catalog.Change {
	back, weight, share := r.IntN(6), 1+r.IntN(9), 1-r.Float64()
	accept := catalog.Accept{catalog.AcceptRolledBack}[:r.IntN(2)]
	newest := func(m *catalog.Model) int64 { return max(1, int64(len(m.Versions)-back)) }
	of := func(action string, apply func(m *catalog.Model) error) catalog.Change {
		return catalog.Change{Action: action, Apply: apply}
	}
	setLabel := func(label string) catalog.Change {
		return of(catalog.ActionLabel, func(m *catalog.Model) error { return m.SetLabel(label, newest(m), accept) })
	}
	switch r.IntN(16) {
	case 0, 1:
		return of(catalog.ActionRegister, func(m *catalog.Model) error {
			return m.Register(version(min(20, int64(len(m.Versions)+1-back/5))), accept) // now and then one that is there
		})
	case 2, 3:
		return setLabel(scoring.LabelLive)
	case 4:
		return setLabel("beta")
	case 5:
		return setLabel(catalog.LabelCanary)
	case 6:
		return of(catalog.ActionUnlabel, func(m *catalog.Model) error { return m.RemoveLabel("beta") })
	case 7:
		return of(catalog.ActionTraffic, func(m *catalog.Model) error {
			return m.SetTraffic(&catalog.Traffic{Weights: map[int64]int{newest(m): weight, newest(m) / 2: 1}})
		})
	case 8:
		return of(catalog.ActionTraffic, func(m *catalog.Model) error { return m.SetTraffic(nil) })
	case 9:
		return of(catalog.ActionShadow, func(m *catalog.Model) error {
			return m.SetShadow(&catalog.Shadow{Version: newest(m), Share: share})
		})
	case 10:
		return of(catalog.ActionShadow, func(m *catalog.Model) error { return m.SetShadow(nil) })
	case 11:
		return of(catalog.ActionRollout, func(m *catalog.Model) error {
			return m.BeginRollout(newest(m), []int{weight, 10 * weight, 100}, catalog.Rule{}, "", accept, noon)
		})
	case 12:
		return of(catalog.ActionStep, func(m *catalog.Model) error { return m.Advance("well", noon) })
	case 13:
		return of(catalog.ActionPromote, func(m *catalog.Model) error { return m.Promote("well", noon) })
	case 14:
		return of(catalog.ActionRollback, func(m *catalog.Model) error { return m.RollBack("bad", noon) })
	default:
		if back > 3 {
			return of(catalog.ActionPin, func(m *catalog.Model) error { return m.SetPinned(!m.Pinned) })
		}
		return of(catalog.ActionRetire, func(m *catalog.Model) error { return m.Retire(newest(m) / 2) })
	}
}

// broken says what is wrong with a document, if anything is.
func broken(m *catalog.Model) string {
	named := map[string]int64{}
	for label, v := range m.Labels {
		named["label "+label] = v
	}
	if m.Traffic != nil {
		for v := range m.Traffic.Weights {
			named[fmt.Sprint("traffic ", v)] = v
		}
	}
	if m.Shadow != nil {
		named["shadow"] = m.Shadow.Version
	}
	if m.Previous != 0 {
		named["previous"] = m.Previous
	}
	live := m.Labels[scoring.LabelLive]
	if r := m.Running(); r != nil {
		named["candidate"], named["baseline"] = r.Candidate, r.Baseline
		switch {
		case live != r.Baseline || m.Labels[catalog.LabelCanary] != r.Candidate || live == r.Candidate:
			return fmt.Sprintf("labels %v in a rollout from %d to %d", m.Labels, r.Baseline, r.Candidate)
		case m.Traffic != nil:
			return "a split and a rollout at once"
		case m.Standing[r.Candidate] != "":
			return fmt.Sprintf("the candidate is %s", m.Standing[r.Candidate])
		}
	}
	for what, v := range named {
		if m.Standing[v] == catalog.Retired {
			return fmt.Sprintf("%s names version %d, which is retired", what, v)
		}
	}
	switch {
	case m.Standing[live] != "":
		return fmt.Sprintf("what is live is %s", m.Standing[live])
	case live != 0 && m.Shadow != nil && m.Shadow.Version == live:
		return "what is live shadows itself"
	case live == 0 && (m.Previous != 0 || m.Traffic != nil || m.Shadow != nil || m.Rollout != nil):
		return "not managed, but dealt out"
	}
	return ""
}

// TestTransitionsKeepTheDocumentWhole makes changes at random, without a store.
func TestTransitionsKeepTheDocumentWhole(t *testing.T) {
	t.Parallel()
	seeds := 10
	if raceEnabled {
		seeds = 2
	}
	var made, refused int
	for seed := range uint64(seeds) {
		r := rand.New(rand.NewPCG(seed, 1))
		m := catalog.New("faq")
		for range 300 {
			before, snapshot := text(t, m), *m
			c := randomChange(r)
			err := c.Apply(m)
			after := text(t, m)
			switch {
			case err != nil && after != before:
				t.Fatalf("seed %d: %s failed with %v and left something behind:\n%s\n%s", seed, c.Action, err, before, after)
			case text(t, &snapshot) != before:
				t.Fatalf("seed %d: %s wrote into what a copy of the document shares with it", seed, c.Action)
			case err != nil:
				refused++
				if code := scoring.CodeOf(err); code != scoring.Conflict && code != scoring.NotFound && code != scoring.Invalid {
					t.Fatalf("seed %d: %s failed with %v", seed, c.Action, err)
				}
			default:
				made++
			}
			if what := broken(m); what != "" {
				t.Fatalf("seed %d: after %s: %s\n%s", seed, c.Action, what, after)
			}
			if _, err := catalog.Decode([]byte(after)); err != nil {
				t.Fatalf("seed %d: after %s: %v", seed, c.Action, err)
			}
		}
	}
	if made < 100*seeds || refused < 50*seeds {
		t.Errorf("%d changes were made and %d refused: want plenty of both", made, refused)
	}
}

var errDead = errors.New("the process has ended")

// mortal is a store in the hands of a process that ends after some calls: with the last one
// done, or not done, but never with an answer.
type mortal struct {
	*catalogtest.Store
	left int
	done bool
}

func (m *mortal) Get(ctx context.Context, key string) ([]byte, string, error) {
	m.left--
	if m.left <= 0 {
		return nil, "", errDead
	}
	return m.Store.Get(ctx, key)
}

func (m *mortal) Save(ctx context.Context, key string, value []byte, etag string) error {
	m.left--
	switch {
	case m.left > 0:
		return m.Store.Save(ctx, key, value, etag)
	case m.left == 0 && m.done:
		_ = m.Store.Save(ctx, key, value, etag)
	}
	return errDead
}

// chaos is a store with several writers, and what became of their changes.
type chaos struct {
	store *catalogtest.Store
	names []string

	mu       sync.Mutex
	outcomes map[string]outcome // by the change's reason, which is another for each
}

// outcome is how often a change may be in the history.
type outcome struct{ least, most int }

// flaky has the store fail now and then, before or after it did what it was asked.
func (c *chaos) flaky(seed uint64) {
	r := rand.New(rand.NewPCG(seed, 2))
	var mu sync.Mutex
	c.store.Fail(func(op, key string) error {
		mu.Lock()
		defer mu.Unlock()
		if r.IntN(40) > 0 {
			return nil
		}
		if op == catalogtest.OpSaved && r.IntN(2) == 0 { // the sidecar tries again, and meets itself
			return scoring.Errorf(scoring.Conflict, "%q changed", key)
		}
		return errLost
	})
}

// write makes so many changes.
func (c *chaos) write(t *testing.T, who string, changes int, r *rand.Rand) {
	var stale *catalog.Model
	var last catalog.Index
	book := catalog.Book{Store: c.store}
	for i := range changes {
		name := c.names[r.IntN(len(c.names))]
		change := randomChange(r)
		change.Actor, change.Reason = who, fmt.Sprint(who, "/", i)
		if stale != nil && stale.Name == name && r.IntN(4) == 0 {
			change.Seen = stale
		}
		var refused, changed bool
		apply := change.Apply
		change.Apply = func(m *catalog.Model) error {
			before, versions := text(t, m.State), len(m.Versions)
			err := apply(m)
			refused, changed = err != nil, text(t, m.State) != before || len(m.Versions) != versions
			return err
		}
		b := book
		if r.IntN(15) == 0 {
			b.Store = &mortal{Store: c.store, left: 1 + r.IntN(8), done: r.IntN(2) == 0}
		}
		doc, err := b.Commit(t.Context(), name, change)
		c.note(change.Reason, judge(err, refused, changed))
		if doc != nil && r.IntN(3) == 0 {
			stale = doc
		}
		if index, err := book.Index(t.Context()); err == nil {
			if index.Revision < last.Revision || index.Models[name] < last.Models[name] {
				t.Errorf("the index went back from %v to %v", last, index)
			}
			last = index
		}
	}
}

// judge says what the history may hold of a change that ended so.
func judge(err error, refused, changed bool) outcome {
	var conflict *catalog.ConflictError
	switch {
	case err == nil && changed:
		return outcome{1, 1}
	case err == nil || refused, errors.As(err, &conflict):
		return outcome{0, 0}
	case errors.Is(err, errDead) || scoring.CodeOf(err) == scoring.Unavailable:
		return outcome{0, 1}
	default:
		return outcome{0, 0} // others were faster, again and again
	}
}

func (c *chaos) note(reason string, o outcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.outcomes[reason] = o
}

// check compares what the store holds in the end with what the writers were told.
func (c *chaos) check(t *testing.T) (entries int) {
	t.Helper()
	c.store.Fail(nil)
	book := catalog.Book{Store: c.store}
	must(t, book.Repair(t.Context(), c.names...))
	index, err := book.Index(t.Context())
	must(t, err)
	ids, counts := map[string]bool{}, map[string]int{}
	for _, name := range c.names {
		doc, err := book.Read(t.Context(), name)
		must(t, err)
		if what := broken(doc); what != "" {
			t.Errorf("%s: %s", name, what)
		}
		history, err := book.History(t.Context(), name, 0)
		must(t, err)
		slices.Reverse(history)
		folded, err := catalog.Fold(name, history)
		must(t, err)
		same(t, name+": state", doc.State, folded.State)
		same(t, name+": versions", doc.Versions, folded.Versions)
		if doc.Revision != folded.Revision || doc.Revision != index.Models[name] || len(doc.History) > 64 {
			t.Errorf("%s: revision %d, %d of its history, %d of the index, %d entries in the document", name, doc.Revision, folded.Revision, index.Models[name], len(doc.History))
		}
		segments(t, c.store, name, c.archived(doc))
		for _, e := range history {
			if ids[e.ID] {
				t.Errorf("%s: the ID %s comes twice", name, e.ID)
			}
			ids[e.ID] = true
			counts[e.Reason]++
		}
		entries += len(history)
	}
	for reason, o := range c.outcomes {
		if n := counts[reason]; n < o.least || n > o.most {
			t.Errorf("the change %s is %d times in the history, want %d to %d", reason, n, o.least, o.most)
		}
	}
	return entries
}

// archived is how many segments there are: one more than the document knows of where the
// writer of the newest died before it could save the document.
func (c *chaos) archived(doc *catalog.Model) int {
	n := doc.Archived / 32
	if _, ok := c.store.Documents()[catalog.HistoryKey(doc.Name, n+1)]; ok {
		n++
	}
	return int(n)
}

// TestHistoryTellsTheDocument has several writers make thousands of changes at random on a
// store that fails, hides its successes, and whose writers die at any of its calls. The
// history must then give the documents, entry by entry.
func TestHistoryTellsTheDocument(t *testing.T) {
	t.Parallel()
	seeds, each := uint64(2), 300
	if testing.Short() || raceEnabled {
		seeds, each = 1, 150
	}
	var entries atomic.Int64
	for seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &chaos{store: &catalogtest.Store{}, names: []string{"faq", "image"}, outcomes: map[string]outcome{}}
				c.flaky(seed)
				var writers sync.WaitGroup
				for w := range 4 {
					writers.Go(func() { c.write(t, fmt.Sprint("writer ", w), each, rand.New(rand.NewPCG(seed, uint64(10+w)))) })
				}
				writers.Wait()
				entries.Add(int64(c.check(t)))
			})
		})
	}
	if n, want := entries.Load(), int64(seeds)*int64(each); n < want {
		t.Errorf("%d changes were made, want at least %d", n, want)
	}
}
