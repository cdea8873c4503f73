package catalog_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/catalog/catalogtest"
	"github.com/onda-serving/onda/app/scoring"
)

var errLost = errors.New("connection lost")

func newBook() (*catalog.Book, *catalogtest.Store) {
	store := &catalogtest.Store{}
	return &catalog.Book{Store: store, Now: func() time.Time { return noon }}, store
}

// register is the change that registers version n.
func register(n int64) catalog.Change {
	return catalog.Change{Actor: "ann", Action: catalog.ActionRegister, Apply: func(m *catalog.Model) error { return m.Register(version(n), nil) }}
}

// label is the change that sets a label.
func label(name string, n int64) catalog.Change {
	return catalog.Change{
		Actor: "bob", Action: catalog.ActionLabel, Version: n, Reason: "because",
		Apply: func(m *catalog.Model) error { return m.SetLabel(name, n, nil) },
	}
}

// turn moves the label "beta" to and fro, n times.
func turn(t *testing.T, book *catalog.Book, n int) *catalog.Model {
	t.Helper()
	var m *catalog.Model
	for i := range n {
		var err error
		m, err = book.Commit(t.Context(), "faq", label("beta", int64(1+i%2)))
		must(t, err)
	}
	return m
}

// started has the versions 1 and 2 of "faq" registered.
func started(t *testing.T) (*catalog.Book, *catalogtest.Store) {
	t.Helper()
	book, store := newBook()
	for n := range int64(2) {
		_, err := book.Commit(t.Context(), "faq", register(n+1))
		must(t, err)
	}
	return book, store
}

func TestCommit(t *testing.T) {
	t.Parallel()
	book, store := newBook()
	if m, err := book.Read(t.Context(), "faq"); m != nil || err != nil {
		t.Fatalf("read %v, %v where there is nothing", m, err)
	}
	index, err := book.Index(t.Context())
	must(t, err)
	same(t, "index", index, catalog.Index{Models: map[string]int64{}})

	_, err = book.Commit(t.Context(), "faq", register(1))
	must(t, err)
	c := label(scoring.LabelLive, 1)
	c.Actor, c.Reason = strings.Repeat("ä", 200), strings.Repeat("x", 511)+"日本"
	made, err := book.Commit(t.Context(), "faq", c)
	must(t, err)

	read, err := book.Read(t.Context(), "faq")
	must(t, err)
	same(t, "document", read, made)
	if read.Revision != 2 || !read.Managed() || len(read.History) != 2 {
		t.Fatalf("got %+v", read)
	}
	first, second := read.History[0], read.History[1]
	if first.Revision != 1 || first.Action != catalog.ActionRegister || first.Version != 1 || first.Registered == nil || !first.At.Equal(noon) || first.Actor != "ann" {
		t.Errorf("got %+v", first)
	}
	if first.ID == second.ID {
		t.Errorf("two changes have the ID %s", first.ID)
	}
	if second.Actor != strings.Repeat("ä", 128) || second.Reason != strings.Repeat("x", 511) {
		t.Errorf("cut to the actor %q and the reason %q", second.Actor, second.Reason)
	}
	same(t, "before", second.Before, catalog.State{Labels: map[string]int64{}})
	same(t, "after", second.After, catalog.State{Labels: map[string]int64{"live": 1}})
	index, err = book.Index(t.Context())
	must(t, err)
	same(t, "index", index, catalog.Index{Revision: 2, Models: map[string]int64{"faq": 2}})

	saves := store.Saves()
	again, err := book.Commit(t.Context(), "faq", c)
	must(t, err)
	same(t, "document", again, read)
	if store.Saves() != saves {
		t.Error("a change that changes nothing was written")
	}
}

func TestCommitOfARefusedChange(t *testing.T) {
	t.Parallel()
	book, store := started(t)
	saves := store.Saves()
	_, err := book.Commit(t.Context(), "faq", label("beta", 9))
	fails(t, err, scoring.NotFound, "version 9")
	_, err = book.Commit(t.Context(), "no:model", label("beta", 1))
	fails(t, err, scoring.Invalid, `model name "no:model"`)
	_, err = book.Read(t.Context(), "")
	fails(t, err, scoring.Invalid, "model name is empty")
	_, err = book.History(t.Context(), "other", 0)
	fails(t, err, scoring.NotFound, `model "other" is not registered`)
	if store.Saves() != saves {
		t.Error("a refused change was written")
	}
}

// TestCommitOfAWrongAction: the history must tell how each version came about.
func TestCommitOfAWrongAction(t *testing.T) {
	t.Parallel()
	book, store := started(t)
	saves := store.Saves()
	tests := map[string]func(m *catalog.Model) error{
		"changed": func(m *catalog.Model) error {
			m.Versions[1] = version(2)
			return m.SetPinned(true)
		},
		"removed": func(m *catalog.Model) error {
			delete(m.Versions, 1)
			return m.SetPinned(true)
		},
		"exchanged": func(m *catalog.Model) error {
			delete(m.Versions, 1)
			return errors.Join(m.SetPinned(true), m.Register(version(3), nil))
		},
		"two": func(m *catalog.Model) error {
			return errors.Join(m.Register(version(3), nil), m.Register(version(4), nil))
		},
		"none": func(m *catalog.Model) error { return m.SetPinned(true) },
	}
	for name, apply := range tests {
		_, err := book.Commit(t.Context(), "faq", catalog.Change{Action: catalog.ActionRegister, Apply: apply})
		if scoring.CodeOf(err) != scoring.Internal {
			t.Errorf("%s: got error %v, want an internal one", name, err)
		}
	}
	_, err := book.Commit(t.Context(), "faq", catalog.Change{Action: catalog.ActionPin, Apply: register(3).Apply})
	fails(t, err, scoring.Internal)
	if store.Saves() != saves {
		t.Error("one of them was written")
	}
}

func TestCommitOnWhatWasSeen(t *testing.T) {
	t.Parallel()
	book, _ := started(t)
	seen, err := book.Read(t.Context(), "faq")
	must(t, err)
	// A version that was registered meanwhile is no other state.
	_, err = book.Commit(t.Context(), "faq", register(3))
	must(t, err)
	c := label(scoring.LabelLive, 1)
	c.Seen = seen
	_, err = book.Commit(t.Context(), "faq", c)
	must(t, err)
	// Now the state is another one.
	c = label(scoring.LabelLive, 2)
	c.Seen = seen
	_, err = book.Commit(t.Context(), "faq", c)
	fails(t, err, scoring.Conflict, `model "faq" is at revision 4, and your change was made for revision 2`,
		"register of version 3 by ann on 2026-09-01 12:00:00 UTC, label of version 1 by bob on 2026-09-01 12:00:00 UTC", "repeat the change if you still want it")
	var conflict *catalog.ConflictError
	if !errors.As(err, &conflict) {
		t.Fatalf("got %T, want a ConflictError", err)
	}
	if conflict.Yours != seen || conflict.Current.Labels["live"] != 1 || !strings.HasPrefix(conflict.Error(), "Conflict: model") {
		t.Errorf("got %+v: %v", conflict, conflict)
	}
	// Nothing that was not seen is overwritten, whatever it is.
	c.Seen = catalog.New("faq")
	_, err = book.Commit(t.Context(), "faq", c)
	fails(t, err, scoring.Conflict, "1 older change, register of version 2 by ann")
	turn(t, book, 70)
	_, err = book.Commit(t.Context(), "faq", c)
	fails(t, err, scoring.Conflict, "at revision 74", "71 older changes, label of version 2 by bob")
	conflict = &catalog.ConflictError{Yours: seen, Current: catalog.New("faq")}
	fails(t, conflict, scoring.Conflict, "another history")
}

// TestCommitAmongOthers has somebody else be faster.
func TestCommitAmongOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		book, store := started(t)
		ahead := catalog.Book{Store: store}
		faster := 3
		var overtake func(op, key string) error
		overtake = func(op, key string) error {
			if op != catalogtest.OpSave || key != catalog.ModelKey("faq") || faster == 0 {
				return nil
			}
			faster--
			store.Fail(nil) // not for the other one
			turn(t, &ahead, 1+faster%2)
			store.Fail(overtake)
			return nil
		}
		store.Fail(overtake)
		m, err := book.Commit(t.Context(), "faq", label("gamma", 2))
		must(t, err)
		if faster != 0 || m.Labels["gamma"] != 2 || m.Labels["beta"] == 0 {
			t.Errorf("%d times more to come, labels %v; want both changes", faster, m.Labels)
		}
	})
}

func TestCommitGivesUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		book, store := started(t)
		saves := store.Saves()
		store.Fail(func(op, key string) error {
			if op == catalogtest.OpSave {
				return scoring.Errorf(scoring.Conflict, "somebody was faster")
			}
			return nil
		})
		_, err := book.Commit(t.Context(), "faq", label("beta", 2))
		fails(t, err, scoring.Conflict, "changed 10 times", "try it again")
		if got := store.Saves() - saves; got != 10 {
			t.Errorf("%d tries, want 10", got)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 8*time.Millisecond)
		defer cancel()
		begun := time.Now()
		_, err = book.Commit(ctx, "faq", label("beta", 2))
		if code := scoring.CodeOf(err); code != scoring.Expired || time.Since(begun) != 8*time.Millisecond {
			t.Errorf("got %v after %v, want the end of the time budget after 8ms", err, time.Since(begun))
		}
	})
}

// TestSaveThatHidesItsSuccess: an answer can get lost, in several ways.
func TestSaveThatHidesItsSuccess(t *testing.T) {
	t.Parallel()
	conflict := scoring.Errorf(scoring.Conflict, "the retry of the sidecar found its own first try")
	for name, answer := range map[string]error{"lost": errLost, "conflict": conflict, "expired": context.DeadlineExceeded} {
		for _, others := range []int{0, 1, 70} {
			t.Run(fmt.Sprintf("%s and %d others", name, others), func(t *testing.T) {
				t.Parallel()
				book, store := started(t)
				store.Fail(func(op, key string) error {
					if op == catalogtest.OpSaved && key == catalog.ModelKey("faq") {
						store.Fail(nil)
						turn(t, book, others) // before the writer can look
						return answer
					}
					return nil
				})
				m, err := book.Commit(t.Context(), "faq", label("gamma", 2))
				must(t, err)
				if m.Labels["gamma"] != 2 || m.Revision != int64(3+others) {
					t.Errorf("got revision %d, labels %v", m.Revision, m.Labels)
				}
				entries, err := book.History(t.Context(), "faq", 0)
				must(t, err)
				if n := len(slices.DeleteFunc(entries, func(e catalog.Entry) bool { return e.After.Labels["gamma"] == e.Before.Labels["gamma"] })); n != 1 {
					t.Errorf("the change was made %d times", n)
				}
				index, err := book.Index(t.Context())
				must(t, err)
				if index.Models["faq"] != m.Revision {
					t.Errorf("the index has revision %d of %d", index.Models["faq"], m.Revision)
				}
			})
		}
	}
}

// late is a store that takes a write for refused, which arrives while the writer is about to
// try again.
type late struct {
	*catalogtest.Store
	reads int
	write func()
}

func (l *late) Get(ctx context.Context, key string) ([]byte, string, error) {
	if l.write != nil && key == catalog.ModelKey("faq") {
		if l.reads++; l.reads == 2 { // the first is that of whether it arrived
			l.write()
		}
	}
	return l.Store.Get(ctx, key)
}

func (l *late) Save(ctx context.Context, key string, value []byte, etag string) error {
	if l.write == nil && key == catalog.ModelKey("faq") {
		l.write = func() { _ = l.Store.Save(ctx, key, value, etag) }
		return scoring.Errorf(scoring.Conflict, "it is not here yet")
	}
	return l.Store.Save(ctx, key, value, etag)
}

func TestWriteThatArrivesLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		book, store := started(t)
		book.Store = &late{Store: store}
		m, err := book.Commit(t.Context(), "faq", label("gamma", 2))
		must(t, err)
		index, err := book.Index(t.Context())
		must(t, err)
		if m.Revision != 3 || m.Labels["gamma"] != 2 || index.Models["faq"] != 3 {
			t.Errorf("revision %d, announced %d, labels %v", m.Revision, index.Models["faq"], m.Labels)
		}
	})
}

func TestStoreThatFails(t *testing.T) {
	t.Parallel()
	book, store := started(t)
	before := store.Documents()
	fail := func(ops ...string) {
		store.Fail(func(op, key string) error {
			if slices.Contains(ops, op) {
				return errLost
			}
			return nil
		})
	}
	fail(catalogtest.OpGet)
	_, err := book.Commit(t.Context(), "faq", label("beta", 2))
	fails(t, err, scoring.Unavailable, "state store does not answer")
	if !errors.Is(err, errLost) {
		t.Errorf("the cause of %v is gone", err)
	}
	fail(catalogtest.OpSave)
	_, err = book.Commit(t.Context(), "faq", label("beta", 2))
	fails(t, err, scoring.Unavailable, `the change of model "faq" was not made`, "try it again")
	store.Fail(func(op, key string) error {
		if op == catalogtest.OpSave {
			fail(catalogtest.OpGet)
			return errLost
		}
		return nil
	})
	_, err = book.Commit(t.Context(), "faq", label("beta", 2))
	fails(t, err, scoring.Unavailable, `not known whether the change of model "faq" was made`, "look at the model's history")
	store.Fail(nil)
	same(t, "documents", store.Documents(), before)
}

// TestCallerThatLeaves: what is saved is announced all the same.
func TestCallerThatLeaves(t *testing.T) {
	t.Parallel()
	book, store := started(t)
	for _, op := range []string{catalogtest.OpSave, catalogtest.OpSaved} {
		ctx, cancel := context.WithCancel(t.Context())
		store.Fail(func(at, key string) error {
			if at == op && key == catalog.ModelKey("faq") {
				cancel()
				return ctx.Err()
			}
			return nil
		})
		m, err := book.Commit(ctx, "faq", label("beta", 2))
		if op == catalogtest.OpSave { // what was given up can still arrive
			fails(t, err, scoring.Unavailable, "not known whether")
			continue
		}
		must(t, err)
		index, err := book.Index(t.Context())
		must(t, err)
		if index.Models["faq"] != m.Revision || m.Labels["beta"] != 2 {
			t.Errorf("labels %v, revision %d, announced %d", m.Labels, m.Revision, index.Models["faq"])
		}
	}
	store.Fail(nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := book.Commit(ctx, "faq", label("beta", 1))
	fails(t, err, scoring.Canceled)
}

// TestNewDocumentOnAStoreWithOtherErrors: Redis says no more than that something failed where a
// document that must be new is there.
func TestNewDocumentOnAStoreWithOtherErrors(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		book, store := newBook()
		other := &catalog.Book{Store: store}
		store.Fail(func(op, key string) error {
			if op == catalogtest.OpSave {
				store.Fail(nil)
				_, err := other.Commit(t.Context(), "faq", register(1))
				must(t, err)
				return errLost
			}
			return nil
		})
		m, err := book.Commit(t.Context(), "faq", register(2))
		must(t, err)
		if len(m.Versions) != 2 || m.Revision != 2 {
			t.Errorf("got %+v", m)
		}
		// And so with the index.
		book, store = newBook()
		store.Fail(func(op, key string) error {
			if op == catalogtest.OpSave && key == catalog.IndexKey {
				store.Fail(nil)
				store.Put(key, []byte(`{"revision":5,"models":{"other":9}}`))
				return errLost
			}
			return nil
		})
		_, err = book.Commit(t.Context(), "faq", register(1))
		must(t, err)
		index, err := book.Index(t.Context())
		must(t, err)
		same(t, "index", index, catalog.Index{Revision: 6, Models: map[string]int64{"other": 9, "faq": 1}})
	})
}

func TestIndexThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	book, store := started(t)
	store.Fail(func(op, key string) error {
		if op == catalogtest.OpSave && key == catalog.IndexKey {
			return errLost
		}
		return nil
	})
	m, err := book.Commit(t.Context(), "faq", label("beta", 2))
	must(t, err)
	if m.Revision != 3 {
		t.Errorf("revision %d, want 3", m.Revision)
	}
	if err := book.Repair(t.Context(), "faq"); !errors.Is(err, errLost) {
		t.Errorf("repair: got %v, want what failed", err)
	}
	store.Fail(nil)
	index, err := book.Index(t.Context())
	must(t, err)
	same(t, "index", index, catalog.Index{Revision: 2, Models: map[string]int64{"faq": 2}})

	must(t, book.Repair(t.Context(), "faq", "unknown"))
	index, err = book.Index(t.Context())
	must(t, err)
	same(t, "index", index, catalog.Index{Revision: 3, Models: map[string]int64{"faq": 3}})
	saves := store.Saves()
	must(t, book.Repair(t.Context()))
	if store.Saves() != saves {
		t.Error("a repair of nothing wrote something")
	}
}

// TestIndexOnlyRises: of two writers, the one that changed the document first can be the last
// to announce it.
func TestIndexOnlyRises(t *testing.T) {
	t.Parallel()
	book, store := started(t)
	const ahead = `{"revision":7,"models":{"faq":99}}`
	store.Put(catalog.IndexKey, []byte(ahead))
	turn(t, book, 1)
	must(t, book.Repair(t.Context()))
	if got := string(store.Documents()[catalog.IndexKey]); got != ahead {
		t.Errorf("got the index %s, want it as it was", got)
	}
}

// TestRepairGoesOn: a damaged document must not keep the others from being announced.
func TestRepairGoesOn(t *testing.T) {
	t.Parallel()
	book, store := started(t)
	_, err := book.Commit(t.Context(), "other", register(1))
	must(t, err)
	store.Put(catalog.IndexKey, []byte(`{"revision": 7, "models": {"damaged": 1, "faq": 1, "other": 5}}`))
	store.Put(catalog.ModelKey("damaged"), []byte(`{`))
	fails(t, book.Repair(t.Context()), scoring.Internal, "damaged")
	index, err := book.Index(t.Context())
	must(t, err)
	same(t, "index", index, catalog.Index{Revision: 8, Models: map[string]int64{"damaged": 1, "faq": 2, "other": 5}})
}

func TestDamagedDocuments(t *testing.T) {
	t.Parallel()
	book, store := started(t)
	store.Put(catalog.ModelKey("other"), store.Documents()[catalog.ModelKey("faq")])
	_, err := book.Read(t.Context(), "other")
	fails(t, err, scoring.Internal, `"registry:model:other"`, `of model "faq"`)
	store.Put(catalog.ModelKey("faq"), []byte(`{"schema":2,"name":"faq"}`))
	_, err = book.Commit(t.Context(), "faq", label("beta", 1))
	fails(t, err, scoring.Unavailable, "a newer Onda wrote")
	store.Put(catalog.IndexKey, []byte("{"))
	_, err = book.Index(t.Context())
	fails(t, err, scoring.Internal, "the index of the models", "damaged")
	fails(t, book.Repair(t.Context()), scoring.Internal, "the index of the models")
}

func TestHistory(t *testing.T) {
	t.Parallel()
	book, store := started(t)
	turn(t, book, 198)
	doc, err := book.Read(t.Context(), "faq")
	must(t, err)
	if doc.Revision != 200 || doc.Archived != 160 || len(doc.History) != 40 {
		t.Errorf("revision %d, %d archived, %d in the document", doc.Revision, doc.Archived, len(doc.History))
	}
	for limit, want := range map[int]int{0: 200, 1: 1, 40: 40, 41: 41, 104: 104, 500: 200} {
		entries, err := book.History(t.Context(), "faq", limit)
		must(t, err)
		if len(entries) != want {
			t.Errorf("limit %d: got %d entries, want %d", limit, len(entries), want)
		}
		for i, e := range entries {
			if e.Revision != int64(200-i) {
				t.Fatalf("limit %d: entry %d has the revision %d", limit, i, e.Revision)
			}
		}
	}
	gets := store.Gets()
	_, err = book.History(t.Context(), "faq", 40)
	must(t, err)
	if got := store.Gets() - gets; got != 1 {
		t.Errorf("%d reads for what the document holds, want 1", got)
	}
	segments(t, store, "faq", 5)

	store.Put(catalog.HistoryKey("faq", 2), nil)
	_, err = book.History(t.Context(), "faq", 0)
	fails(t, err, scoring.Internal, "entries 33 to 64", "missing", "ask for the newest 136")
	_, err = book.History(t.Context(), "faq", 136)
	must(t, err)
	store.Put(catalog.HistoryKey("faq", 2), store.Documents()[catalog.HistoryKey("faq", 3)])
	_, err = book.History(t.Context(), "faq", 0)
	fails(t, err, scoring.Internal, "segment 2", "revision 65 of the history stands where 33 belongs")
	store.Put(catalog.HistoryKey("faq", 2), []byte(`{"schema":9}`))
	_, err = book.History(t.Context(), "faq", 0)
	fails(t, err, scoring.Unavailable, "schema 9")
	store.Put(catalog.HistoryKey("faq", 2), []byte(`{"schema":1,"name":"faq","entries":[]}`))
	_, err = book.History(t.Context(), "faq", 0)
	fails(t, err, scoring.Internal, "0 entries")
}

// segments checks that there are exactly so many archived segments, each complete.
func segments(t *testing.T, store *catalogtest.Store, name string, want int) {
	t.Helper()
	found := 0
	for key, value := range store.Documents() {
		if !strings.HasPrefix(key, "registry:history:"+name+":") {
			continue
		}
		found++
		var s struct {
			Name    string          `json:"name"`
			Entries []catalog.Entry `json:"entries"`
		}
		must(t, json.Unmarshal(value, &s))
		if s.Name != name || len(s.Entries) != 32 {
			t.Fatalf("%s has %d entries of %q", key, len(s.Entries), s.Name)
		}
		if n := (s.Entries[0].Revision-1)/32 + 1; key != catalog.HistoryKey(name, n) || s.Entries[31].Revision != n*32 {
			t.Errorf("%s has the revisions %d to %d", key, s.Entries[0].Revision, s.Entries[31].Revision)
		}
	}
	if found != want {
		t.Errorf("%d segments of %s, want %d", found, name, want)
	}
}

// TestWriterThatDiesWhileArchiving leaves a segment behind that the document knows nothing of.
func TestWriterThatDiesWhileArchiving(t *testing.T) {
	t.Parallel()
	book, store := started(t)
	turn(t, book, 62) // one more is too many
	for _, op := range []string{catalogtest.OpSave, catalogtest.OpSaved} {
		store.Fail(func(at, key string) error {
			if at == op && key == catalog.HistoryKey("faq", 1) {
				store.Fail(func(string, string) error { return errLost })
				return errLost
			}
			return nil
		})
		_, err := book.Commit(t.Context(), "faq", label("gamma", 1))
		fails(t, err, scoring.Unavailable, "could not be archived, and nothing was changed")
		store.Fail(nil)
	}
	m, err := book.Commit(t.Context(), "faq", label("gamma", 1))
	must(t, err)
	if m.Archived != 32 || len(m.History) != 33 || m.Revision != 65 {
		t.Errorf("revision %d, %d archived, %d in the document", m.Revision, m.Archived, len(m.History))
	}
	segments(t, store, "faq", 1)
}

// TestSegmentOfAnotherHistory: a document was taken away by hand, its segments were not.
func TestSegmentOfAnotherHistory(t *testing.T) {
	t.Parallel()
	book, store := started(t)
	turn(t, book, 64)
	store.Put(catalog.ModelKey("faq"), nil)
	for n := range int64(2) {
		_, err := book.Commit(t.Context(), "faq", register(n+1))
		must(t, err)
	}
	turn(t, book, 62)
	before := store.Documents()
	_, err := book.Commit(t.Context(), "faq", label("gamma", 1))
	fails(t, err, scoring.Conflict, `"registry:history:faq:1"`, "another history", "move it away")
	same(t, "documents", store.Documents(), before)
}

// TestLargeHistoryIsArchivedEarlier: a state can be large, and each entry holds two.
func TestLargeHistoryIsArchivedEarlier(t *testing.T) {
	t.Parallel()
	book, store := started(t)
	doc, err := book.Read(t.Context(), "faq")
	must(t, err)
	doc.Rollout = &catalog.Rollout{Status: catalog.Promoted, Verdict: strings.Repeat("x", 20<<10)}
	doc.History[1].After = doc.State
	store.Put(catalog.ModelKey("faq"), []byte(text(t, doc)))
	m := turn(t, book, 31)
	if m.Revision != 33 || m.Archived != 32 {
		t.Errorf("revision %d, %d archived; want 33 and 32", m.Revision, m.Archived)
	}
	if size := len(store.Documents()[catalog.ModelKey("faq")]); size > 100<<10 {
		t.Errorf("with %d entries, the document has %d bytes", len(m.History), size)
	}
	segments(t, store, "faq", 1)
}

func TestFoldRefuses(t *testing.T) {
	t.Parallel()
	book, _ := started(t)
	turn(t, book, 3)
	entries, err := book.History(t.Context(), "faq", 0)
	must(t, err)
	slices.Reverse(entries)
	m, err := catalog.Fold("faq", entries)
	must(t, err)
	doc, err := book.Read(t.Context(), "faq")
	must(t, err)
	same(t, "folded", m, doc)

	tests := map[string]struct {
		change func([]catalog.Entry) []catalog.Entry
		part   string
	}{
		"missing":   {func(e []catalog.Entry) []catalog.Entry { return slices.Delete(e, 3, 4) }, "revision 5 of the history stands where 4 belongs"},
		"beginning": {func(e []catalog.Entry) []catalog.Entry { return e[1:] }, "revision 2 of the history stands where 1 belongs"},
		"twice":     {func(e []catalog.Entry) []catalog.Entry { return slices.Insert(e, 3, e[3]) }, "revision 4 of the history stands where 5 belongs"},
		"torn": {func(e []catalog.Entry) []catalog.Entry {
			e[3].Before = e[2].Before
			return e
		}, "revision 4: it does not begin as the one before it ended"},
		"no version": {func(e []catalog.Entry) []catalog.Entry {
			e[1].Registered = nil
			return e
		}, "revision 2: action \"register\""},
		"no registration": {func(e []catalog.Entry) []catalog.Entry {
			e[1].Action = catalog.ActionLabel
			return e
		}, "revision 2: action \"label\""},
		"version twice": {func(e []catalog.Entry) []catalog.Entry {
			e[1].Registered = e[0].Registered
			return e
		}, "revision 2: version 1 was registered before"},
		"version unknown": {func(e []catalog.Entry) []catalog.Entry {
			e[4].After = catalog.State{Labels: map[string]int64{"beta": 3}}
			return e
		}, "label beta names version 3"},
	}
	for name, test := range tests {
		m, err := catalog.Fold("faq", test.change(slices.Clone(entries)))
		if m != nil || err == nil || !strings.Contains(err.Error(), test.part) {
			t.Errorf("%s: got %v, %v; want an error with %q", name, m, err, test.part)
		}
	}
}

// TestWritersOfOneIndex: the index is the one document that all models share.
func TestWritersOfOneIndex(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		book, _ := newBook()
		var writers sync.WaitGroup
		for i := range 12 {
			writers.Go(func() {
				for n := range int64(5) {
					if _, err := book.Commit(t.Context(), fmt.Sprint("m", i), register(n+1)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		writers.Wait()
		index, err := book.Index(t.Context())
		must(t, err)
		if len(index.Models) != 12 || index.Revision != 60 {
			t.Errorf("%d models, revision %d; want 12 and 60", len(index.Models), index.Revision)
		}
		for name, revision := range index.Models {
			if revision != 5 {
				t.Errorf("%s is announced at revision %d, want 5", name, revision)
			}
		}
	})
}
