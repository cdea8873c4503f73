package follow_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/catalog/catalogtest"
	"github.com/onda-serving/onda/app/follow"
)

// errAway is what a state store says that is away.
var errAway = errors.New("connection refused")

// away makes a store fail what is done with a key; "" is any.
func away(store *catalogtest.Store, op, key string) {
	store.Fail(func(o, k string) error {
		if (op == "" || op == o) && strings.HasPrefix(k, key) {
			return errAway
		}
		return nil
	})
}

func TestChangesAreFollowedWithTheNextLook(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := managed(t, 2)
		r := start(t, store, func(_ *follow.Config, r *runtime) { r.ready[2] = true })
		pass(1500 * time.Millisecond)
		label(t, store, "live", 2)
		pass(time.Second)
		same(t, "routes", applied(r.runtime), []string{"0s [live:1]", "2s [live:2]"})
		state := r.State()
		if !state.InSync() || state.Index != 4 || state.Models["m"].Revision != 4 || state.Models["m"].Newest != 4 {
			t.Errorf("got %+v, want all of revision 4 in force", state)
		}
	})
}

func TestStoreThatIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := managed(t, 2)
		r := start(t, store, func(_ *follow.Config, r *runtime) { r.ready[2] = true })
		pass(1500 * time.Millisecond)
		away(store, "", "")
		pass(10 * time.Second)
		state := r.State()
		if state.Store.Reachable || !strings.Contains(state.Store.Error, "connection refused") || time.Since(state.Store.Since).Round(time.Second) != 10*time.Second {
			t.Errorf("got %+v, want a store that is away for 10 s", state.Store)
		}
		if state.InSync() || !r.Documented() || !r.Settled() {
			t.Errorf("in sync %t, documented %t, settled %t: want what was known to count, but for being in sync", state.InSync(), r.Documented(), r.Settled())
		}
		same(t, "log lines", r.log.count("the state store does not answer: this replica serves what it has"), 1)
		store.Fail(nil)
		label(t, store, "live", 2)
		pass(time.Second)
		if state = r.State(); !state.InSync() || !state.Store.Reachable || state.Store.Error != "" {
			t.Errorf("got %+v, want all in sync", state)
		}
		same(t, "routes", applied(r.runtime), []string{"0s [live:1]", "12s [live:2]"})
	})
}

// TestReplicaThatStartsIsInAHurry looks often until it knows the documents.
func TestReplicaThatStartsIsInAHurry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := managed(t, 1)
		away(store, "", "")
		r := start(t, store)
		pass(120 * time.Millisecond)
		if r.State().Documented || r.State().InSync() || r.Settled() || r.runtime.documented != 0 {
			t.Errorf("got %+v, want a replica that knows nothing", r.State())
		}
		same(t, "log lines", r.log.count("the state store does not answer yet"), 1)
		store.Fail(nil)
		pass(50 * time.Millisecond)
		same(t, "routes", applied(r.runtime), []string{"150ms [live:1]"})
		pass(5 * time.Second)
		same(t, "times that it was told", r.runtime.documented, 1)
	})
}

// hanging is a store whose reads of a key take until the caller ends them.
type hanging struct {
	*catalogtest.Store

	key string
}

func (h hanging) Get(ctx context.Context, key string) ([]byte, string, error) {
	if key == h.key {
		<-ctx.Done()
		return nil, "", ctx.Err()
	}
	return h.Store.Get(ctx, key)
}

func TestLookEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, hanging{managed(t, 1), catalog.IndexKey})
		pass(4900 * time.Millisecond)
		same(t, "error", r.State().Store.Error, "")
		pass(200 * time.Millisecond)
		if got := r.State().Store.Error; !strings.Contains(got, "deadline") {
			t.Errorf("got %q after five seconds, want a look that ended", got)
		}
	})
}

// TestDocumentThatCannotBeReadNowIsReadLater: the replica is not documented before.
func TestDocumentThatCannotBeReadNowIsReadLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := managed(t, 1)
		away(store, catalogtest.OpGet, catalog.ModelKey("m"))
		r := start(t, store)
		pass(time.Second)
		state := r.State()
		if state.Documented || state.InSync() || !state.Store.Reachable || !strings.Contains(state.Models["m"].Reason, "could not be read") {
			t.Errorf("got %+v, want a document that could not be read", state)
		}
		same(t, "withheld", withheld(r.runtime), []string{})
		same(t, "log lines", r.log.count("document could not be read"), 1)
		store.Fail(nil)
		pass(time.Second)
		r.inSync(t, true, "")
		if !r.Documented() {
			t.Error("it is not documented")
		}
	})
}

// TestDamagedDocumentHoldsUpNoOther: its model answers nobody who names no version, and all
// others do.
func TestDamagedDocumentHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := managed(t, 1)
		book := catalog.Book{Store: store}
		commit := func(name string) error {
			_, err := book.Commit(t.Context(), name, catalog.Change{Action: catalog.ActionRegister, Apply: func(m *catalog.Model) error { return m.Register(version(1), nil) }})
			return err
		}
		if err := errors.Join(commit("a"), commit("z")); err != nil {
			t.Fatal(err)
		}
		whole := store.Documents()[catalog.ModelKey("a")]
		store.Put(catalog.ModelKey("a"), []byte("{"))
		r := start(t, store)
		pass(10 * time.Second)
		state := r.State()
		if state.InSync() || !state.Documented || !state.Store.Reachable || !state.Models["m"].InSync() || !state.Models["z"].InSync() {
			t.Errorf("got %+v, want all in sync but for model a", state)
		}
		if got := state.Models["a"]; got.InSync() || !strings.Contains(got.Reason, "damaged") {
			t.Errorf("got %+v, want a damaged document", got)
		}
		if got := withheld(r.runtime); len(got) == 0 || got[0] != "a" {
			t.Errorf("withheld %v, want model a", got)
		}
		same(t, "routes", applied(r.runtime), []string{"0s [live:1]"})
		same(t, "log lines", r.log.count("document could not be read"), 1)
		store.Put(catalog.ModelKey("a"), whole)
		pass(time.Second)
		if state = r.State(); !state.InSync() {
			t.Errorf("got %+v, want all in sync", state)
		}
	})
}

// TestDocumentsAheadOfTheIndex: their writers died before they announced them.
func TestDocumentsAheadOfTheIndex(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := managed(t, 2)
		r := start(t, store, func(_ *follow.Config, r *runtime) { r.ready[2] = true })
		pass(1500 * time.Millisecond)
		away(store, catalogtest.OpSave, catalog.IndexKey)
		label(t, store, "live", 2)
		pass(2 * time.Second)
		same(t, "routes", applied(r.runtime), []string{"0s [live:1]", "2s [live:2]"})
		if r.log.count("could not be mended yet") == 0 {
			t.Error("nobody hears that the index could not be mended")
		}
		store.Fail(nil)
		pass(time.Second)
		book := catalog.Book{Store: store}
		if index, err := book.Index(t.Context()); err != nil || index.Models["m"] != 4 {
			t.Errorf("got %+v, %v, want revision 4 in the index", index, err)
		}
	})
}

// TestSweepsComeRound: with many models it takes some looks.
func TestSweepsComeRound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &catalogtest.Store{}
		book := catalog.Book{Store: store}
		for i := range 10 {
			_, err := book.Commit(t.Context(), fmt.Sprint("m", i), catalog.Change{Action: catalog.ActionRegister, Apply: func(m *catalog.Model) error { return m.Register(version(1), nil) }})
			if err != nil {
				t.Fatal(err)
			}
		}
		r := start(t, store)
		pass(1500 * time.Millisecond)
		var mu sync.Mutex
		read := map[string]int{}
		store.Fail(func(_, key string) error {
			mu.Lock()
			defer mu.Unlock()
			read[strings.TrimPrefix(key, "registry:")]++
			return nil
		})
		pass(5 * time.Second)
		store.Fail(nil)
		if len(names(r.State())) != 10 || read["index"] != 5 {
			t.Errorf("%d models, %d looks, want 10 and 5", len(names(r.State())), read["index"])
		}
		for i := range 10 {
			if got := read[fmt.Sprint("model:m", i)]; got != 2 {
				t.Errorf("document m%d was read %d times in five looks, want 2: %v", i, got, read)
			}
		}
	})
}

// TestStoreThatWentBack follows an older document, of a backup, when the store has it twice.
func TestStoreThatWentBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := managed(t, 2)
		backup := store.Documents()
		label(t, store, "live", 2)
		other := store.Documents()
		r := start(t, store, func(_ *follow.Config, r *runtime) { r.ready[2] = true })
		pass(1500 * time.Millisecond)
		store.Put(catalog.ModelKey("m"), backup[catalog.ModelKey("m")])
		store.Put(catalog.IndexKey, backup[catalog.IndexKey])
		pass(3 * time.Second)
		same(t, "routes", applied(r.runtime), []string{"0s [live:2]", "3s [live:1]"})
		r.inSync(t, true, "")
		// The same revision by another change is another past, too.
		label(t, store, "a", 2)
		pass(time.Second)
		store.Put(catalog.ModelKey("m"), other[catalog.ModelKey("m")])
		pass(4 * time.Second)
		same(t, "revisions", taken(r.runtime), []int64{4, 3, 4, 4})
		same(t, "routes", applied(r.runtime)[2:], []string{"5s [a:2 live:1]", "7s [live:2]"})
		r.inSync(t, true, "")
	})
}

// late is a store whose answers are old when they come.
type late struct {
	*catalogtest.Store

	// meanwhile is called between a read of a document and its answer; nil does nothing.
	meanwhile atomic.Pointer[func()]
}

func (l *late) Get(ctx context.Context, key string) ([]byte, string, error) {
	value, etag, err := l.Store.Get(ctx, key)
	if f := l.meanwhile.Load(); f != nil && key == catalog.ModelKey("m") {
		(*f)()
	}
	return value, etag, err
}

// TestAnswersThatWereOvertaken: while they were on their way, the replica itself changed the
// document, again and again. That is no store that went back.
func TestAnswersThatWereOvertaken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &late{Store: managed(t, 2)}
		r := start(t, store, func(_ *follow.Config, r *runtime) { r.ready[2] = true })
		pass(500 * time.Millisecond)
		var changes atomic.Int64
		change := func() { r.Follow(label(t, store.Store, "a", 1+changes.Add(1)%2)) }
		store.meanwhile.Store(&change)
		pass(5 * time.Second)
		store.meanwhile.Store(nil)
		pass(2 * time.Second)
		all := taken(r.runtime)
		for i, revision := range all[1:] {
			if revision <= all[i] {
				t.Errorf("revision %d was followed after %d: %v", revision, all[i], all)
			}
		}
		if len(all) < 5 {
			t.Errorf("only the revisions %v were followed", all)
		}
	})
}

func TestIndexThatIsDamaged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := managed(t, 1)
		r := start(t, store)
		pass(500 * time.Millisecond)
		store.Put(catalog.IndexKey, []byte("{"))
		pass(2 * time.Second)
		state := r.State()
		if state.InSync() || !strings.Contains(state.Store.Error, "damaged") {
			t.Errorf("got %+v, want a damaged index", state)
		}
		same(t, "routes", applied(r.runtime), []string{"0s [live:1]"})
	})
}
