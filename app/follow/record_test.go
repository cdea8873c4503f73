package follow_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/catalog/catalogtest"
	"github.com/onda-serving/onda/app/follow"
	"github.com/onda-serving/onda/app/scoring"
)

// folder gives a replica loaded versions that no document knows.
func folder(versions ...catalog.Version) func(*follow.Config, *runtime) {
	return func(_ *follow.Config, r *runtime) { r.unregistered = versions }
}

func TestVersionsOfTheFolderAreRegistered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &catalogtest.Store{}
		one := start(t, store, folder(version(1), version(2)))
		two := start(t, store, folder(version(1), version(2)))
		pass(3 * time.Second)
		doc := document(t, store)
		if doc.Revision != 2 || len(doc.Versions) != 2 || doc.Managed() {
			t.Fatalf("got %+v, want two versions in two changes", doc)
		}
		for i, e := range doc.History {
			if e.Actor != "onda" || e.Action != catalog.ActionRegister || e.Reason != "found in the models folder" || e.Version != int64(i+1) {
				t.Errorf("got the entry %+v", e)
			}
		}
		one.inSync(t, true, "")
		two.inSync(t, true, "")
	})
}

// TestNothingIsRegisteredBlindly: while the documents are not known, a version may be in one.
func TestNothingIsRegisteredBlindly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &catalogtest.Store{}
		away(store, catalogtest.OpGet, catalog.IndexKey)
		start(t, store, folder(version(1)))
		pass(3 * time.Second)
		same(t, "documents", len(store.Documents()), 0)
	})
}

func TestRefusedVersionIsSaidOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := managed(t, 1)
		other := version(1)
		other.Digest = "sha256:other"
		r := start(t, store, func(c *follow.Config, r *runtime) {
			r.unregistered = []catalog.Version{other}
			c.Runtime = forgetful{r}
		})
		pass(10 * time.Second)
		same(t, "log lines", r.log.count("could not be registered"), 1)
		same(t, "revision", document(t, store).Revision, 2)
	})
}

// forgetful has a version that no document can have.
type forgetful struct{ *runtime }

func (f forgetful) Take(doc *catalog.Model) []int64 {
	versions := f.Unregistered()["m"]
	other := f.runtime.Take(doc)
	f.runtime.mu.Lock()
	defer f.runtime.mu.Unlock()
	f.unregistered = versions
	return other
}

// TestBusyStoreIsTriedAgain: other writers were faster, which says nothing about the version.
func TestBusyStoreIsTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &catalogtest.Store{}
		store.Fail(func(op, key string) error {
			if op == catalogtest.OpSave && key == catalog.ModelKey("m") {
				return scoring.Errorf(scoring.Conflict, "changed in the meantime")
			}
			return nil
		})
		r := start(t, store, folder(version(1)))
		pass(5 * time.Second)
		same(t, "log lines", r.log.count("could not be registered\""), 0)
		store.Fail(nil)
		pass(3 * time.Second)
		same(t, "revision", document(t, store).Revision, 1)
	})
}

// TestStoreThatIsAwayIsTriedAgain is the same for a store that fails.
func TestStoreThatIsAwayIsTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &catalogtest.Store{}
		away(store, catalogtest.OpSave, catalog.ModelKey("m"))
		r := start(t, store, folder(version(1)))
		pass(5 * time.Second)
		same(t, "log lines", r.log.count("could not be registered\""), 0)
		store.Fail(nil)
		pass(3 * time.Second)
		same(t, "revision", document(t, store).Revision, 1)
	})
}
