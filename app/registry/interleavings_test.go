package registry_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onda-serving/onda/app/artifact"
	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/onnx/onnxtest"
	"github.com/onda-serving/onda/app/registry"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/triton"
)

// These are tests of what happens while something else does: a load that ends after the
// document came, a change that ends after the model became managed, loads that wait for
// each other's memory.

// loaded makes a version of the files with a digest, whose session counts how often it is closed.
func loaded(name string, number int64, digest string) (*registry.Version, *onnxtest.Fake) {
	fake := &onnxtest.Fake{}
	return &registry.Version{ID: scoring.ModelID{Name: name, Version: number, Digest: digest}, Session: fake, LoadedAt: time.Now()}, fake
}

// digestOf is the digest of what [place] puts into a folder without a manifest.
func digestOf(name string, number int64) string {
	return artifact.Digest(map[string]string{"model.onnx": sha256Of("onnx of " + ref(name, number).String())})
}

// registered makes a document of one version.
func registered(name string, v catalog.Version, live int64) *catalog.Model {
	doc := catalog.New(name)
	doc.Versions[v.Version] = v
	if live != 0 {
		doc.Labels[scoring.LabelLive] = live
	}
	return doc
}

// filesOf says which files answer, by their digest.
func filesOf(r *registry.Registry, want registry.Want) (digest string, err error) {
	err = r.Use(context.Background(), want, func(l registry.Lease) error {
		digest = l.ID.Digest
		return nil
	})
	return digest, err
}

func numbered(name string, version int64) registry.Want {
	return registry.Want{Ref: scoring.ModelRef{Name: name, Version: version}}
}

// expectCode fails the test where an error has another code or lacks a text.
func expectCode(t *testing.T, err error, code scoring.Code, text string) {
	t.Helper()
	if err == nil || scoring.CodeOf(err) != code || !strings.Contains(err.Error(), text) {
		t.Errorf("got %v, want %s with %q", err, code, text)
	}
}

// TestALoadThatEndsAfterTheDocumentCame puts its version to work only if it has the files
// that the document says, or if the document does not decide.
func TestALoadThatEndsAfterTheDocumentCame(t *testing.T) {
	t.Parallel()
	const theirs, mine = "sha256:registered", "sha256:of the folder"
	tests := []struct {
		name    string
		digest  string
		live    int64
		answers bool
	}{
		{"the document's files", theirs, 1, true},
		{"other files", mine, 1, false},
		{"other files, and the folder decides", mine, 0, true},
	}
	ends := map[string]func(*registry.Registry, *registry.Version) error{
		"Add":     func(r *registry.Registry, v *registry.Version) error { return r.Add(ref("m", 1), v) },
		"Install": func(r *registry.Registry, v *registry.Version) error { return r.Install("m", 1, v) },
	}
	for _, tt := range tests {
		for how, end := range ends {
			t.Run(how+" of "+tt.name, func(t *testing.T) {
				t.Parallel()
				r := registry.New()
				r.Announce([]artifact.Ref{ref("m", 1)})
				doc := registered("m", catalog.Version{Version: 1, Digest: theirs, Location: catalog.InModelsFolder}, tt.live)
				if other := r.Take(doc); len(other) != 0 {
					t.Errorf("versions %v have other files, and none is loaded", other)
				}
				v, fake := loaded("m", 1, tt.digest)
				err := end(r, v)
				if tt.live != 0 {
					r.Apply("m", doc.Route())
				}
				digest, asked := filesOf(r, named("m", ""))
				if tt.answers {
					if err != nil || asked != nil || digest != tt.digest || fake.Closes() != 0 {
						t.Errorf("put to work: %v; %s answers (%v), closed %d times", err, digest, asked, fake.Closes())
					}
					return
				}
				expectCode(t, asked, scoring.Unavailable, "model m@1")
				if fake.Closes() != 1 {
					t.Errorf("closed %d times, want once", fake.Closes())
				}
				if how == "Install" && (err == nil || err.Error() != "the files of m@1 are others than the registry's") {
					t.Errorf("who loaded it hears %v", err)
				}
			})
		}
	}
}

// TestTheRegisteredFilesAnswerInPlaceOfTheFoldersOwn: those in the folder have the same number.
func TestTheRegisteredFilesAnswerInPlaceOfTheFoldersOwn(t *testing.T) {
	t.Parallel()
	files := &fetched{ref: place(t, t.TempDir(), "m", 1, "")}
	r, k := keeping(t, registry.KeeperConfig{Files: files})
	folder := artifact.Ref{Name: "m", Version: 1, Dir: t.TempDir()}
	r.Announce([]artifact.Ref{folder})
	doc := registered("m", catalog.Version{Version: 1, Digest: digestOf("m", 1), Location: catalog.InStore}, 1)
	r.Take(doc)
	v, _ := loaded("m", 1, "sha256:of the folder")
	if err := r.Add(folder, v); err != nil {
		t.Fatal(err)
	}
	const why = "the models folder has other files than the registry"
	if s, err := r.Status(scoring.ModelRef{Name: "m", Version: 1}); err != nil || s.State != registry.Cold || s.Reason != why {
		t.Errorf("it is %s because %q (%v)", s.State, s.Reason, err)
	}
	if err := k.Bring(t.Context(), "m", 1, nil); err != nil {
		t.Fatal(err)
	}
	r.Apply("m", doc.Route())
	if digest, err := filesOf(r, named("m", "")); err != nil || digest != digestOf("m", 1) {
		t.Errorf("%s answers (%v), want the registered files", digest, err)
	}
	if files.released.Load() != 1 {
		t.Errorf("the fetched files were released %d times", files.released.Load())
	}
}

// keeping makes a registry with a keeper of fake sessions, and ends both with the test.
func keeping(t *testing.T, config registry.KeeperConfig) (*registry.Registry, *registry.Keeper) {
	t.Helper()
	r := registry.New()
	config.Registry, config.AtOnce = r, 2
	config.Loader = registry.Loader{MaxRows: 1, Open: func([]byte, triton.Settings) (registry.Session, error) { return &onnxtest.Fake{}, nil }}
	k := registry.NewKeeper(config)
	r.SetWaker(k)
	t.Cleanup(func() {
		if err := errors.Join(k.Close(context.Background()), r.Close(context.Background())); err != nil {
			t.Error(err)
		}
	})
	return r, k
}

// TestAChangeThatEndsAfterTheModelBecameManaged has a load under way, and an unload that
// waits for its turn, when an operator elsewhere makes the model a managed one.
func TestAChangeThatEndsAfterTheModelBecameManaged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dir, r := t.TempDir(), registry.New()
		at := place(t, dir, "m", 1, "")
		first, live := loaded("m", 1, digestOf("m", 1))
		if err := r.Add(at, first); err != nil {
			t.Fatal(err)
		}
		late := &onnxtest.Fake{}
		loader := registry.Loader{MaxRows: 1, Open: func([]byte, triton.Settings) (registry.Session, error) {
			time.Sleep(time.Second)
			return late, nil
		}}
		control := registry.NewControl(loader, r, dir, func(gone []string) { t.Errorf("%v are gone", gone) })
		ended := make(chan error, 2)
		go func() {
			ended <- control.Load(t.Context(), scoring.LoadRequest{Name: "m", Config: "{}", Files: map[string][]byte{"1/model.onnx": []byte("another")}})
		}()
		synctest.Wait()
		go func() { ended <- control.Unload(t.Context(), "m") }()
		synctest.Wait()
		doc := registered("m", catalog.Version{Version: 1, Digest: digestOf("m", 1), Location: catalog.InModelsFolder}, 1)
		r.Take(doc)
		r.Apply("m", doc.Route())
		for range 2 {
			expectCode(t, <-ended, scoring.Conflict, "model 'm' is managed by the registry")
		}
		if digest, err := filesOf(r, named("m", "")); err != nil || digest != digestOf("m", 1) {
			t.Errorf("%s answers (%v), want the document's files", digest, err)
		}
		if late.Closes() != 1 || live.Closes() != 0 {
			t.Errorf("what came late was closed %d times, what answers %d times", late.Closes(), live.Closes())
		}
	})
}

// TestARetiredVersionGoesOnUntilItsSuccessorIsHere, on a replica that is behind the one on
// which an operator moved the label and retired the version.
func TestARetiredVersionGoesOnUntilItsSuccessorIsHere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := registry.New()
		old := add(t, r, "m", 1)
		doc := document("m", 2, catalog.State{Labels: map[string]int64{"live": 1}})
		r.Take(doc)
		r.Apply("m", doc.Route())
		doc = document("m", 2, catalog.State{Labels: map[string]int64{"live": 2}, Standing: map[int64]catalog.Standing{1: catalog.Retired}})
		r.Take(doc)
		for _, label := range []string{"", "live"} {
			if got, _, err := answers(r, named("m", label)); got != 1 || err != nil {
				t.Errorf("label %q: version %d (%v), want 1", label, got, err)
			}
		}
		_, _, err := answers(r, numbered("m", 1))
		expectCode(t, err, scoring.NotFound, `version 1 of model "m" is retired`)
		// A request that is under way when the successor takes over finishes on it.
		err = r.Use(t.Context(), named("m", ""), func(registry.Lease) error {
			add(t, r, "m", 2)
			if err := r.Install("m", 2, version("m", 2, newSession())); err != nil {
				return err
			}
			r.Apply("m", doc.Route())
			synctest.Wait()
			select {
			case <-old.closed:
				t.Error("the retired version was freed under a request")
			default:
			}
			got, _, err := answers(r, named("m", ""))
			if got != 2 {
				t.Errorf("version %d answers, want 2", got)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		<-old.closed
		if s, _ := r.Status(scoring.ModelRef{Name: "m", Version: 1}); s.State != registry.Cold || !s.Retired {
			t.Errorf("the retired version is %s", s.State)
		}
		if err := r.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// TestAModelOfTheFolderBecomesManaged: what answered goes on until what the document names is
// loaded, if it is what the document says, and if it answered at all.
func TestAModelOfTheFolderBecomesManaged(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		// loaded is the digest of version 1, which the folder has; "" for one that is not loaded.
		loaded string
		// awaiting says that the documents were not read yet: it answered nobody.
		awaiting bool
		want     int64
		err      string
	}{
		{name: "it answered", loaded: "sha256:1", want: 1},
		{name: "it was not loaded", err: `model "m" is not loaded on this replica yet`},
		{name: "it answered nobody yet", loaded: "sha256:1", awaiting: true, err: `model "m" is not loaded on this replica yet`},
		{name: "it has other files", loaded: "sha256:other", err: `model "m" is not loaded on this replica yet`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := registry.New()
			if tt.awaiting {
				r.AwaitDocuments(func() bool { return true })
			}
			r.Announce([]artifact.Ref{ref("m", 1)})
			if v, _ := loaded("m", 1, tt.loaded); tt.loaded != "" {
				if err := r.Add(ref("m", 1), v); err != nil {
					t.Fatal(err)
				}
			}
			doc := document("m", 2, catalog.State{Labels: map[string]int64{"live": 2}})
			r.Take(doc)
			got, _, err := answers(r, named("m", ""))
			if tt.err != "" {
				expectCode(t, err, scoring.Unavailable, tt.err)
			} else if got != tt.want || err != nil {
				t.Errorf("version %d answers (%v), want %d", got, err, tt.want)
			}
			if err := r.Install("m", 2, version("m", 2, newSession())); err != nil {
				t.Fatal(err)
			}
			r.Apply("m", doc.Route())
			if got, _, err := answers(r, named("m", "")); got != 2 || err != nil {
				t.Errorf("once it is loaded: version %d (%v), want 2", got, err)
			}
		})
	}
}

// TestWhatFailedOrWasUnloadedIsColdWhenTheModelBecomesManaged: from then on the document
// decides, and not what an operator did on this replica, or what was wrong at its start.
func TestWhatFailedOrWasUnloadedIsColdWhenTheModelBecomesManaged(t *testing.T) {
	t.Parallel()
	before := map[registry.State]func(*testing.T, *registry.Registry, artifact.Ref){
		registry.Unloaded: func(t *testing.T, r *registry.Registry, at artifact.Ref) {
			r.AnnounceCold([]artifact.Ref{at})
			models := filepath.Dir(filepath.Dir(at.Dir))
			if err := registry.NewControl(registry.Loader{}, r, models, func([]string) {}).Unload(t.Context(), "m"); err != nil {
				t.Fatal(err)
			}
		},
		registry.Failed: func(_ *testing.T, r *registry.Registry, at artifact.Ref) {
			r.Announce([]artifact.Ref{at})
			r.Fail(at, errors.New("there was no room on the device"))
		},
	}
	for state, begin := range before {
		t.Run(string(state), func(t *testing.T) {
			t.Parallel()
			at := place(t, t.TempDir(), "m", 1, "")
			r, _ := keeping(t, registry.KeeperConfig{Files: &fetched{ref: at}})
			begin(t, r, at)
			v := catalog.Version{Version: 1, Digest: digestOf("m", 1), Location: catalog.InStore}
			r.Take(registered("m", v, 0))
			if s, err := r.Status(scoring.ModelRef{Name: "m", Version: 1}); err != nil || s.State != state {
				t.Errorf("where no document decides it is %s (%v), want %s still", s.State, err, state)
			}
			doc := registered("m", v, 1)
			r.Take(doc)
			if s, err := r.Status(scoring.ModelRef{Name: "m", Version: 1}); err != nil || s.State != registry.Cold || !s.Ready() {
				t.Errorf("it is %s because %q (%v), want it cold and ready", s.State, s.Reason, err)
			}
			r.Apply("m", doc.Route())
			if digest, err := filesOf(r, named("m", "")); err != nil || digest != digestOf("m", 1) {
				t.Errorf("%s answers (%v)", digest, err)
			}
		})
	}
}

// TestWhatIsHeldStays while others are put out of memory, and however long it was not used.
func TestWhatIsHeldStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, 200)
	err := w.registry.Hold(t.Context(), "m0", 1, func(*registry.Version) error {
		return errors.Join(w.ask(t, 1), w.ask(t, 2))
	})
	if got := fmt.Sprint(w.evicted); err != nil || got != "[m1@1]" {
		t.Errorf("put out %s (%v), want m1@1: m0 is used less lately, and held", got, err)
	}
	if err := w.ask(t, 1); err != nil || len(w.evicted) != 2 || w.evicted[1] != "m0@1" {
		t.Errorf("afterwards put out %v (%v), want m0@1", w.evicted, err)
	}
}

// TestTwoHoldsWithRoomForOne, as of two versions that are compared, must not wait for each other.
func TestTwoHoldsWithRoomForOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2, 150<<20)
		w.memory = 100 << 20
		if err := errors.Join(w.ask(t, 0), w.ask(t, 1)); err != nil { // so that what they take is known
			t.Fatal(err)
		}
		begin := time.Now()
		err := w.registry.Hold(t.Context(), "m0", 1, func(*registry.Version) error {
			return w.registry.Hold(t.Context(), "m1", 1, func(*registry.Version) error { return errors.New("both are held") })
		})
		const want = "Unavailable: model m1@1 takes about 100.0 MiB, and the budget of 150.0 MiB (ONDA_MEMORY_BUDGET) has room for 50.0 MiB: 100.0 MiB are taken by models that are pinned or being loaded; raise the budget, or unpin a model"
		if err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
		if took := time.Since(begin); took != 0 {
			t.Errorf("it took %s to say so", took)
		}
		// Nothing is wrong with the version: it answers as soon as there is room.
		expectNoTrace(t, w.registry, "m1")
		if err := w.ask(t, 1); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

// expectNoTrace fails the test where a cold version does not look like one that can be loaded.
func expectNoTrace(t *testing.T, r *registry.Registry, name string) {
	t.Helper()
	s, err := r.Status(scoring.ModelRef{Name: name, Version: 1})
	if err != nil || s.Reason != "" || !s.Ready() || s.Public() != registry.Available {
		t.Errorf("%s is %s because %q (%v), want no trace of what had no room", name, s.State, s.Reason, err)
	}
}

// TestLoadsWaitForEachOthersMemory instead of failing: what is being loaded can be put out as
// soon as it is.
func TestLoadsWaitForEachOthersMemory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2, 150)
		if err := errors.Join(w.ask(t, 0), w.ask(t, 1), w.ask(t, 0)); err != nil { // what they take is known now
			t.Fatal(err)
		}
		w.took = 3 * time.Second
		first := make(chan error, 1)
		go func() { first <- w.keeper.Bring(t.Context(), "m1", 1, nil) }()
		time.Sleep(time.Millisecond)

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		err := w.registry.Use(ctx, named("m0", ""), func(registry.Lease) error { return nil })
		expectCode(t, err, scoring.Expired, "")
		if took := time.Since(begin); took != time.Second {
			t.Errorf("it was refused after %s, want that it waits for as long as its caller does", took)
		}
		expectNoTrace(t, w.registry, "m0")

		if err := w.ask(t, 0); err != nil {
			t.Errorf("one with more time: %v", err)
		}
		if took := time.Since(begin); took > 7*time.Second {
			t.Errorf("it answers after %s, want soon after both loads", took)
		}
		if err := <-first; err != nil {
			t.Errorf("the load that was first: %v", err)
		}
		expectNoTrace(t, w.registry, "m0")
		expectNoTrace(t, w.registry, "m1")
	})
}

// hanging are files that do not come.
type hanging struct{ fetches atomic.Int32 }

func (h *hanging) Fetch(ctx context.Context, _ string, _ catalog.Version, _ func(done, total int64)) (artifact.Ref, func(), error) {
	h.fetches.Add(1)
	<-ctx.Done()
	return artifact.Ref{}, nil, ctx.Err()
}

// TestAHangingFetchKeepsNobodyElseFromLoading, however many hang.
func TestAHangingFetchKeepsNobodyElseFromLoading(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		files := &hanging{}
		r, k := keeping(t, registry.KeeperConfig{Files: files, Budget: 1000})
		left := make(chan error, 3)
		for i := range 3 { // one more than may load at once
			name := fmt.Sprint("away", i)
			r.Take(registered(name, catalog.Version{Version: 1, Digest: "sha256:1", Location: catalog.InStore, SizeBytes: 900}, 0))
			go func() { left <- k.Bring(t.Context(), name, 1, nil) }()
		}
		synctest.Wait()
		r.AnnounceCold([]artifact.Ref{place(t, t.TempDir(), "here", 1, "")})
		begin := time.Now()
		if got, _, err := answers(r, named("here", "")); got != 1 || err != nil {
			t.Errorf("version %d (%v)", got, err)
		}
		if took := time.Since(begin); took != 0 || files.fetches.Load() != 3 {
			t.Errorf("it took %s, with %d fetches under way", took, files.fetches.Load())
		}
		// A stop ends them, and blames nobody for it.
		if err := k.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if err := <-left; !errors.Is(err, context.Canceled) {
				t.Errorf("a fetch that was ended: %v", err)
			}
		}
		if s, _ := r.Status(scoring.ModelRef{Name: "away0", Version: 1}); s.Reason != "" {
			t.Errorf("it is said to be wrong: %s", s.Reason)
		}
	})
}

// TestUnloadDuringAWake: an operator's word counts, and not the load that ends after it.
func TestUnloadDuringAWake(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 300)
		w.took = time.Second
		asked := make(chan error, 1)
		go func() { asked <- w.ask(t, 0) }()
		synctest.Wait()
		if err := registry.NewControl(registry.Loader{}, w.registry, w.models, func([]string) {}).Unload(t.Context(), "m0"); err != nil {
			t.Fatal(err)
		}
		expectCode(t, <-asked, scoring.Unavailable, "model m0@1 was unloaded")
		expectCode(t, w.ask(t, 0), scoring.Unavailable, "model m0@1 was unloaded")
		if w.loads != 1 || w.open != 0 || w.keeper.Used() != 0 {
			t.Errorf("%d loads, %d sessions are open, %d bytes in use; want 1, 0 and 0", w.loads, w.open, w.keeper.Used())
		}
	})
}

// TestUploadedVersionsAreNotPutOut: nothing could bring them back.
func TestUploadedVersionsAreNotPutOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, 250)
	loader := registry.Loader{MaxRows: 1, Open: func([]byte, triton.Settings) (registry.Session, error) {
		w.open++
		return &sized{session: newSession(), w: w, memory: 100}, nil
	}}
	control := registry.NewControl(loader, w.registry, w.models, func([]string) {})
	upload := scoring.LoadRequest{Name: "uploaded", Config: "{}", Files: map[string][]byte{"1/model.onnx": []byte("brought")}}
	if err := control.Load(t.Context(), upload); err != nil {
		t.Fatal(err)
	}
	for _, model := range []int{0, 1, 0} {
		if err := w.ask(t, model); err != nil {
			t.Fatal(err)
		}
	}
	if got := fmt.Sprint(w.evicted); got != "[m0@1 m1@1]" {
		t.Errorf("put out %s, want m0@1 and m1@1", got)
	}
	if _, _, err := answers(w.registry, named("uploaded", "")); err != nil {
		t.Errorf("what was uploaded: %v", err)
	}
}

// TestNothingIsDoneTwiceAfterClose: what comes late finds that everything is freed already.
func TestNothingIsDoneTwiceAfterClose(t *testing.T) {
	t.Parallel()
	before := document("m", 2, catalog.State{Labels: map[string]int64{"live": 1}})
	after := document("m", 2, catalog.State{Labels: map[string]int64{"live": 2}, Standing: map[int64]catalog.Standing{1: catalog.Retired}})
	late := map[string]func(*registry.Registry, *registry.Keeper){
		"Take of a document that retires it": func(r *registry.Registry, _ *registry.Keeper) { r.Take(after) },
		"Take of one with other files": func(r *registry.Registry, _ *registry.Keeper) {
			r.Take(registered("m", catalog.Version{Version: 1, Digest: "sha256:other"}, 1))
		},
		"Apply of what takes its place": func(r *registry.Registry, _ *registry.Keeper) { r.Apply("m", after.Route()) },
		"Settle":                        func(_ *registry.Registry, k *registry.Keeper) { k.Settle("m", nil) },
	}
	for name, do := range late {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := registry.New()
				k := registry.NewKeeper(registry.KeeperConfig{Registry: r})
				v, fake := loaded("m", 1, "sha256:1")
				if err := r.Add(ref("m", 1), v); err != nil {
					t.Fatal(err)
				}
				r.Take(before)
				r.Apply("m", before.Route())
				r.Take(after) // version 1 goes on until version 2 is here
				if err := r.Close(t.Context()); err != nil {
					t.Fatal(err)
				}
				do(r, k)
				synctest.Wait()
				again, second := loaded("m", 2, "sha256:1")
				if err := r.Install("m", 2, again); err != nil {
					t.Error(err)
				}
				synctest.Wait()
				if fake.Closes() != 1 || second.Closes() != 1 {
					t.Errorf("what was loaded was closed %d times, what came late %d times; want once each", fake.Closes(), second.Closes())
				}
				_, _, err := answers(r, named("m", ""))
				expectCode(t, err, scoring.Unavailable, "the server is shutting down")
			})
		})
	}
}
