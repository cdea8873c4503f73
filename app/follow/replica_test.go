package follow_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onda-serving/onda/app/artifact"
	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/catalog/catalogtest"
	"github.com/onda-serving/onda/app/follow"
	"github.com/onda-serving/onda/app/onnx/onnxtest"
	"github.com/onda-serving/onda/app/registry"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/triton"
)

// These are tests of the follower together with what really serves: the registry and the
// keeper, on files of a disk.

// node is a replica. Its parts are put together as package lifecycle does it.
type node struct {
	*follow.Follower

	registry *registry.Registry
	loader   registry.Loader
	folder   []artifact.Ref
	stop     func()
}

// place is where a node's files are.
type place struct {
	models   string // the models folder
	store    catalog.Store
	shelf    *shelf
	snapshot string
	budget   int64
}

// shelf holds the files of version 2 of the model "m", for registered versions.
type shelf struct {
	ref artifact.Ref

	mu      sync.Mutex
	took    time.Duration
	err     error
	fetches int
}

func (s *shelf) Fetch(ctx context.Context, _ string, _ catalog.Version, _ func(done, total int64)) (artifact.Ref, func(), error) {
	s.mu.Lock()
	s.fetches++
	took := s.took
	s.mu.Unlock()
	select {
	case <-time.After(took):
	case <-ctx.Done():
		return artifact.Ref{}, nil, ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ref, func() {}, s.err
}

// fail has the files out of reach from now on; nil brings them back.
func (s *shelf) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *shelf) tries() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fetches
}

// somewhere makes a place whose models folder has the models, each with version 1. The shelf
// has version 2 of "m".
func somewhere(t *testing.T, store catalog.Store, models ...string) place {
	t.Helper()
	p := place{models: t.TempDir(), store: store, snapshot: filepath.Join(t.TempDir(), "registry.json")}
	for _, name := range models {
		write(t, p.models, name, 1)
	}
	p.shelf = &shelf{ref: write(t, t.TempDir(), "m", 2)}
	return p
}

func content(name string, number int64) string { return fmt.Sprintf("onnx of %s@%d", name, number) }

// write puts the file of a version into a models folder.
func write(t *testing.T, models, name string, number int64) artifact.Ref {
	t.Helper()
	ref := artifact.Ref{Name: name, Version: number, Dir: filepath.Join(models, name, strconv.FormatInt(number, 10))}
	if err := os.MkdirAll(ref.Dir, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(ref.Dir, "model.onnx"), []byte(content(name, number)), 0o600); err != nil {
		t.Fatal(err)
	}
	return ref
}

// described is a version as it is registered: 1 of the models folder, all others uploaded.
func described(name string, number int64) catalog.Version {
	digest := sha256.Sum256([]byte(content(name, number)))
	sum := hex.EncodeToString(digest[:])
	v := catalog.Version{
		Version: number, Digest: artifact.Digest(map[string]string{"model.onnx": sum}), Location: catalog.InModelsFolder,
		SizeBytes: int64(len(content(name, number))), Pipeline: "none",
	}
	if number > 1 {
		v.Location, v.Files = catalog.InStore, map[string]catalog.File{"model.onnx": {SHA256: sum, Size: v.SizeBytes}}
	}
	return v
}

// commit changes the document of a model, which is made with the versions 1 and 2.
func commit(t *testing.T, store catalog.Store, name, action string, apply func(*catalog.Model) error) *catalog.Model {
	t.Helper()
	book := &catalog.Book{Store: store}
	doc, err := book.Read(t.Context(), name)
	for number := int64(1); err == nil && (doc == nil || doc.Versions[number].Version == 0) && number <= 2; number++ {
		doc, err = book.Commit(t.Context(), name, catalog.Change{Actor: "ann", Action: catalog.ActionRegister, Version: number, Apply: func(m *catalog.Model) error {
			return m.Register(described(name, number), nil)
		}})
	}
	if err == nil && apply != nil {
		doc, err = book.Commit(t.Context(), name, catalog.Change{Actor: "ann", Action: action, Apply: apply})
	}
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// move sets a label of a model.
func move(t *testing.T, store catalog.Store, name, label string, version int64) *catalog.Model {
	t.Helper()
	return commit(t, store, name, catalog.ActionLabel, func(m *catalog.Model) error { return m.SetLabel(label, version, nil) })
}

// serve starts a node, which runs until it is stopped, or the test ends.
func (p place) serve(t *testing.T) *node {
	t.Helper()
	n := p.prepare(t)
	if err := n.ReadSnapshot(); err != nil {
		t.Fatal(err)
	}
	return n.run(t)
}

// prepare makes a node that does not run yet.
func (p place) prepare(t *testing.T) *node {
	t.Helper()
	n := &node{registry: registry.New()}
	n.loader = registry.Loader{MaxRows: 1, Lazy: p.budget > 0, Open: func([]byte, triton.Settings) (registry.Session, error) { return &onnxtest.Fake{}, nil }}
	keeper := registry.NewKeeper(registry.KeeperConfig{Registry: n.registry, Loader: n.loader, Files: p.shelf, Budget: p.budget, AtOnce: 2})
	n.loader.Bring = keeper.Bring
	n.registry.SetWaker(keeper)
	n.Follower = follow.New(follow.Config{
		Book: &catalog.Book{Store: p.store}, Runtime: follow.Serving{Registry: n.registry, Keeper: keeper},
		Replica: "a", Instance: "a/1", Every: time.Second, Snapshot: p.snapshot,
	})
	n.registry.AwaitDocuments(n.Settled)
	refs, err := n.loader.Scan(n.registry, p.models)
	if err != nil {
		t.Fatal(err)
	}
	n.folder = refs
	n.stop = sync.OnceFunc(func() {
		if err := errors.Join(keeper.Close(context.Background()), n.registry.Close(context.Background())); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { n.stop() })
	return n
}

func (n *node) run(t *testing.T) *node {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		n.Run(ctx)
	}()
	end := n.stop
	n.stop = sync.OnceFunc(func() {
		cancel()
		<-ended
		end()
	})
	if err := n.loader.LoadAll(ctx, n.registry, n.folder); err != nil {
		t.Fatal(err)
	}
	return n
}

// version is the one that answers; 0 where none does.
func (n *node) version(name, label string) (version int64, err error) {
	err = n.registry.Use(context.Background(), registry.Want{Ref: scoring.ModelRef{Name: name, Label: label}}, func(l registry.Lease) error {
		version = l.ID.Version
		return nil
	})
	return version, err
}

// answers fails the test where another version than want answers.
func (n *node) answers(t *testing.T, when, name string, want int64) {
	t.Helper()
	if got, err := n.version(name, ""); got != want || err != nil {
		t.Errorf("%s: version %d of %s answers (%v), want %d", when, got, name, err, want)
	}
}

// refuses fails the test where a model answers, or refuses otherwise than for now.
func (n *node) refuses(t *testing.T, when, name, text string) {
	t.Helper()
	got, err := n.version(name, "")
	if scoring.CodeOf(err) != scoring.Unavailable || !strings.Contains(err.Error(), text) {
		t.Errorf("%s: version %d of %s answers (%v), want Unavailable with %q", when, got, name, err, text)
	}
}

// follows fails the test unless the node is in sync with a model, or says why it is not.
func (n *node) follows(t *testing.T, when, name string, revision int64, reason string) {
	t.Helper()
	m := n.State().Models[name]
	if m.Revision != revision || m.InSync() != (reason == "") || !strings.Contains(m.Reason, reason) {
		t.Errorf("%s: revision %d of %s is in force because of %q, want %d and %q", when, m.Revision, name, m.Reason, revision, reason)
	}
}

func (n *node) ready(t *testing.T, when string, want bool) {
	t.Helper()
	if got := n.registry.Ready(); got != want {
		t.Errorf("%s: ready is %t, want %t", when, got, want)
	}
}

var errOutOfReach = scoring.Errorf(scoring.Unavailable, "the artifact store does not answer")

// TestADamagedDocumentHoldsUpNobody, and one of a newer Onda neither.
func TestADamagedDocumentHoldsUpNobody(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"damaged":          `{"schema": 1, "name": "bad", "versions": `,
		"of a newer Onda":  `{"schema": 2, "name": "bad"}`,
		"of another model": `{"schema": 1, "name": "good", "revision": 1, "history": [{"revision": 1, "id": "x"}]}`,
	}
	for name, damage := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store := &catalogtest.Store{}
				move(t, store, "good", "live", 1)
				last := move(t, store, "bad", "live", 1)
				sound := store.Documents()
				store.Put(catalog.ModelKey("bad"), []byte(damage))
				n := somewhere(t, store, "good", "bad", "new").serve(t)
				time.Sleep(5 * time.Second)
				n.ready(t, name, true)
				if !n.Documented() || n.State().InSync() {
					t.Errorf("documented %t, in sync %t: want that all are, and that one is missing", n.Documented(), n.State().InSync())
				}
				n.answers(t, name, "good", 1)
				n.answers(t, "in no document before", "new", 1)
				n.refuses(t, name, "bad", `"bad"`)
				n.follows(t, name, "bad", 0, "the document could not be read: ")
				before := store.Gets()
				time.Sleep(time.Minute)
				if reads := store.Gets() - before; reads < 60 || reads > 8*60 {
					t.Errorf("%d reads in a minute: want a look each second, with what it takes for three models", reads)
				}
				store.Put(catalog.ModelKey("bad"), sound[catalog.ModelKey("bad")])
				time.Sleep(2 * time.Second)
				n.answers(t, "mended", "bad", 1)
				n.follows(t, "mended", "bad", last.Revision, "")
			})
		})
	}
}

// TestADocumentThatIsDamagedLater: what it said before goes on.
func TestADocumentThatIsDamagedLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &catalogtest.Store{}
		doc := move(t, store, "m", "live", 1)
		n := somewhere(t, store, "m").serve(t)
		time.Sleep(2 * time.Second)
		move(t, store, "m", "live", 2) // which the replica does not see
		store.Put(catalog.ModelKey("m"), []byte("{"))
		time.Sleep(time.Minute)
		n.answers(t, "damaged", "m", 1)
		n.follows(t, "damaged", "m", doc.Revision, "the document could not be read: ")
		n.ready(t, "damaged", true)
	})
}

// TestASnapshotIsEnoughToServe: a replica that starts while the state store is away serves
// what it knew, and nothing that it cannot know.
func TestASnapshotIsEnoughToServe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &catalogtest.Store{}
		p := somewhere(t, store, "m")
		known := move(t, store, "m", "live", 2)
		first := p.serve(t)
		time.Sleep(2 * time.Second)
		first.answers(t, "first run", "m", 2)
		first.stop()

		write(t, p.models, "new", 1)
		now := move(t, store, "m", "live", 1)
		store.Fail(func(string, string) error { return errors.New("away") })
		n := p.serve(t)
		time.Sleep(time.Second)
		n.ready(t, "store away", true)
		n.answers(t, "store away", "m", 2)
		n.follows(t, "store away", "m", known.Revision, "")
		n.refuses(t, "store away", "new", "the registry was not read yet")
		if s := n.State(); s.Store.Reachable || s.Documented || s.InSync() || !strings.Contains(s.Store.Error, "does not answer") {
			t.Errorf("it says of the store %+v, documented %t, in sync %t", s.Store, s.Documented, s.InSync())
		}
		store.Fail(nil)
		time.Sleep(3 * time.Second)
		n.answers(t, "store back", "m", 1)
		n.follows(t, "store back", "m", now.Revision, "")
		n.answers(t, "store back", "new", 1)
	})
}

// TestWhatASnapshotIsWorth while the state store is away.
func TestWhatASnapshotIsWorth(t *testing.T) {
	t.Parallel()
	const newer = `{"schema": 2, "name": "other"}`
	tests := []struct {
		name string
		// file makes the snapshot of that of an earlier run.
		file  func(snapshot string) string
		err   string
		ready bool
	}{
		{"whole", func(s string) string { return s }, "", true},
		{"one damaged document", func(s string) string { return strings.Replace(s, `[`, `[`+newer+`,`, 1) }, "schema 2, which a newer Onda wrote", true},
		{"nothing but a damaged one", func(string) string { return `{"documents": [` + newer + `]}` }, "schema 2, which a newer Onda wrote", false},
		{"half of it", func(s string) string { return s[:len(s)/2] }, "unexpected end of JSON input", false},
		{"none", nil, "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store := &catalogtest.Store{}
				p := somewhere(t, store, "m")
				move(t, store, "m", "live", 1)
				first := p.serve(t)
				time.Sleep(2 * time.Second)
				first.stop()
				text, err := os.ReadFile(p.snapshot)
				if err != nil || !json.Valid(text) {
					t.Fatalf("the snapshot is %q (%v)", text, err)
				}
				if err := os.Remove(p.snapshot); err != nil {
					t.Fatal(err)
				}
				if tt.file != nil {
					if err := os.WriteFile(p.snapshot, []byte(tt.file(string(text))), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				store.Fail(func(string, string) error { return errors.New("away") })
				n := p.prepare(t)
				err = n.ReadSnapshot()
				if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err) || !strings.Contains(err.Error(), p.snapshot)) {
					t.Errorf("got %v, want %q", err, tt.err)
				}
				n.run(t)
				time.Sleep(6 * time.Minute)
				n.ready(t, "store away", tt.ready)
				if tt.ready {
					n.answers(t, "store away", "m", 1)
				} else {
					n.refuses(t, "store away", "m", "the registry was not read yet")
				}
				store.Fail(nil)
				time.Sleep(2 * time.Second)
				n.ready(t, "store back", true)
				n.answers(t, "store back", "m", 1)
			})
		})
	}
}

// restore puts documents back, as from a backup.
func restore(store *catalogtest.Store, documents map[string][]byte) {
	for key, text := range documents {
		store.Put(key, text)
	}
}

// TestARestoredStoreIsFollowed: what the store says twice in a row counts, although the
// replica knows something newer.
func TestARestoredStoreIsFollowed(t *testing.T) {
	t.Parallel()
	tests := map[string]func(t *testing.T, store *catalogtest.Store){
		"an older revision": func(*testing.T, *catalogtest.Store) {},
		"the same revision of another past": func(t *testing.T, store *catalogtest.Store) {
			move(t, store, "m", "old", 1)
		},
	}
	for name, past := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store := &catalogtest.Store{}
				move(t, store, "m", "live", 1)
				common := store.Documents()
				past(t, store)
				backup, old := store.Documents(), commit(t, store, "m", "", nil)
				restore(store, common)
				move(t, store, "m", "live", 2)
				newer := store.Documents()
				n := somewhere(t, store, "m").serve(t)
				time.Sleep(2500 * time.Millisecond) // between two looks
				n.answers(t, "before", "m", 2)
				for range 3 { // one answer that is behind says nothing
					restore(store, backup)
					time.Sleep(time.Second)
					n.answers(t, "one look", "m", 2)
					restore(store, newer)
					time.Sleep(time.Second)
				}
				restore(store, backup)
				time.Sleep(time.Second)
				n.answers(t, "the first look", "m", 2)
				time.Sleep(time.Second)
				n.answers(t, "the second look", "m", 1)
				time.Sleep(time.Second)
				n.follows(t, "afterwards", "m", old.Revision, "")
			})
		})
	}
}

// TestPatienceWithACandidate that cannot be loaded: there is some where its files are out of
// reach, and none where they are no good.
func TestPatienceWithACandidate(t *testing.T) {
	t.Parallel()
	invalid := scoring.Errorf(scoring.Invalid, "file model.onnx: it is not what was registered")
	tests := []struct {
		name string
		err  error
		// back is when the files are there again; 0 for never.
		back time.Duration
		// atLeast and atMost are when the rollout ends; 0 for not at all.
		atLeast, atMost time.Duration
		tries           int
	}{
		{name: "out of reach for a moment", err: errOutOfReach, back: 100 * time.Second},
		{name: "out of reach for good", err: errOutOfReach, atLeast: 2 * time.Minute, atMost: 4 * time.Minute},
		{name: "not what was registered", err: invalid, atLeast: 3 * time.Second, atMost: 5 * time.Second, tries: 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store := &catalogtest.Store{}
				p := somewhere(t, store, "m")
				p.shelf.err = tt.err
				move(t, store, "m", "live", 1)
				n := p.serve(t)
				time.Sleep(time.Second)
				commit(t, store, "m", catalog.ActionRollout, func(m *catalog.Model) error {
					return m.BeginRollout(2, nil, catalog.Rule{}, "", nil, time.Now())
				})
				if tt.back > 0 {
					time.AfterFunc(tt.back, func() { p.shelf.fail(nil) })
				}
				begin, ended := time.Now(), time.Duration(0)
				for time.Since(begin) < 10*time.Minute && ended == 0 {
					time.Sleep(500 * time.Millisecond)
					if tt.back == 0 || time.Since(begin) < tt.back {
						n.answers(t, "meanwhile", "m", 1) // or a share of callers would hear of it
					}
					if doc := commit(t, store, "m", "", nil); doc.Running() == nil {
						ended = time.Since(begin)
					} else if tt.atMost == 0 && time.Since(begin) > 4*time.Minute {
						break
					}
				}
				if ended < tt.atLeast || ended > tt.atMost {
					t.Errorf("it was rolled back after %s, want between %s and %s", ended, tt.atLeast, tt.atMost)
				}
				if tt.tries != 0 && p.shelf.tries() != tt.tries {
					t.Errorf("the files were fetched %d times, want %d", p.shelf.tries(), tt.tries)
				}
				doc := commit(t, store, "m", "", nil)
				if tt.atMost == 0 {
					if got, err := n.version("m", catalog.LabelCanary); got != 2 || err != nil || doc.Running() == nil {
						t.Errorf("the candidate: version %d answers (%v), running %t", got, err, doc.Running() != nil)
					}
					return
				}
				if doc.Standing[2] != catalog.RolledBack || !strings.Contains(doc.Rollout.Verdict, tt.err.(*scoring.Error).Message) {
					t.Errorf("version 2 is %q because of %q", doc.Standing[2], doc.Rollout.Verdict)
				}
			})
		})
	}
}

// TestAnOldProofIsNotEnough: with a budget a label moves to a version that is not in memory,
// if it can be brought there. That it could once be is not enough.
func TestAnOldProofIsNotEnough(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &catalogtest.Store{}
		p := somewhere(t, store, "m")
		p.budget = 1 << 20
		move(t, store, "m", "live", 1)
		doc := move(t, store, "m", "next", 2)
		n := p.serve(t)
		time.Sleep(2 * time.Second)
		n.follows(t, "proven", "m", doc.Revision, "")
		if s, err := n.registry.Status(scoring.ModelRef{Name: "m", Version: 2}); err != nil || s.State != registry.Cold || p.shelf.tries() != 1 {
			t.Errorf("version 2 is %s after %d fetches (%v), want it cold and proven", s.State, p.shelf.tries(), err)
		}
		time.Sleep(2 * time.Minute)
		p.shelf.fail(errOutOfReach)
		moved := move(t, store, "m", "live", 2)
		time.Sleep(4 * time.Minute)
		n.answers(t, "the files are lost", "m", 1)
		n.follows(t, "the files are lost", "m", doc.Revision, "version 2: ")
		p.shelf.fail(nil)
		time.Sleep(2 * time.Minute)
		n.answers(t, "the files are back", "m", 2)
		n.follows(t, "the files are back", "m", moved.Revision, "")
	})
}

// TestALiveVersionThatIsLost: with a budget it is brought into memory when somebody asks, and
// if it cannot be, operators hear of it.
func TestALiveVersionThatIsLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &catalogtest.Store{}
		p := somewhere(t, store, "m")
		p.budget = 1 << 20
		doc := move(t, store, "m", "live", 2)
		n := p.serve(t)
		time.Sleep(3 * time.Minute)
		n.follows(t, "nobody asked", "m", doc.Revision, "")
		p.shelf.fail(errOutOfReach)
		n.refuses(t, "lost", "m", "model m@2 could not be loaded")
		n.follows(t, "lost", "m", doc.Revision, "version 2 cannot be loaded any more")
		p.shelf.fail(nil)
		time.Sleep(2 * time.Second)
		n.answers(t, "found again", "m", 2)
		n.follows(t, "found again", "m", doc.Revision, "")
	})
}

// TestReadyOnceTheLiveVersionsAreThere, and not as soon as any model answers.
func TestReadyOnceTheLiveVersionsAreThere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &catalogtest.Store{}
		p := somewhere(t, store, "folder")
		p.shelf.took = 20 * time.Second
		move(t, store, "m", "live", 2)
		n := p.serve(t)
		time.Sleep(19 * time.Second)
		n.answers(t, "meanwhile", "folder", 1)
		n.refuses(t, "meanwhile", "m", `"m"`)
		n.ready(t, "while a live version is fetched", false)
		time.Sleep(2 * time.Second)
		n.answers(t, "fetched", "m", 2)
		n.ready(t, "fetched", true)
	})
}

// TestOneModelThatCannotBeLoadedDoesNotMakeAllOthersUnavailable for ever.
func TestOneModelThatCannotBeLoadedDoesNotMakeAllOthersUnavailable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &catalogtest.Store{}
		p := somewhere(t, store, "folder")
		p.shelf.err = errOutOfReach
		move(t, store, "m", "live", 2)
		n := p.serve(t)
		time.Sleep(4 * time.Minute)
		n.ready(t, "four minutes later", false)
		time.Sleep(6 * time.Minute)
		n.ready(t, "ten minutes later", true)
		n.answers(t, "ten minutes later", "folder", 1)
		n.refuses(t, "ten minutes later", "m", `"m"`)
	})
}
