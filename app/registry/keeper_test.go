package registry_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onda-serving/onda/app/artifact"
	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/registry"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/triton"
)

// store is a world of models for keepers: each takes some memory, and notes what happens.
type world struct {
	registry *registry.Registry
	keeper   *registry.Keeper
	models   string

	mu      sync.Mutex
	memory  int64
	loads   int
	open    int
	gone    []string
	evicted []string
	fail    error
	took    time.Duration
}

// sized is a session that says how much memory it takes.
type sized struct {
	*session

	w      *world
	memory int64
	closed atomic.Bool
}

func (s *sized) Memory() (int64, bool) { return s.memory, true }

func (s *sized) Close() error {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	if s.closed.Swap(true) {
		return errors.New("closed twice")
	}
	s.w.open--
	return nil
}

func (w *world) Loaded(scoring.ModelRef, time.Duration, error) {}

func (w *world) Evicted(ref scoring.ModelRef) {
	w.evicted = append(w.evicted, fmt.Sprintf("%s@%d", ref.Name, ref.Version))
}

// newWorld makes a keeper with so many models of one version, m0 and so on, each of 100 bytes.
func newWorld(t *testing.T, models int, budget int64) *world {
	t.Helper()
	w := &world{registry: registry.New(), models: t.TempDir(), memory: 100}
	loader := registry.Loader{MaxRows: 1, Lazy: true, Open: func([]byte, triton.Settings) (registry.Session, error) {
		time.Sleep(w.took)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.loads++
		if w.fail != nil {
			return nil, w.fail
		}
		w.open++
		return &sized{session: newSession(), w: w, memory: w.memory}, nil
	}}
	w.keeper = registry.NewKeeper(registry.KeeperConfig{
		Registry: w.registry, Loader: loader, Budget: budget, AtOnce: 2, Observer: w,
		Gone: func(identities []string) { w.gone = append(w.gone, identities...) },
	})
	w.registry.SetWaker(w.keeper)
	for i := range models {
		place(t, w.models, fmt.Sprint("m", i), 1, "")
	}
	if err := scanAndLoad(t.Context(), loader, w.registry, w.models); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.keeper.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if err := w.registry.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if w.open != 0 {
			t.Errorf("%d sessions are open at the end", w.open)
		}
	})
	return w
}

func (w *world) ask(t *testing.T, model int) error {
	t.Helper()
	_, _, err := answers(w.registry, named(fmt.Sprint("m", model), ""))
	return err
}

func TestModelsAreLoadedWhenTheyAreAskedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 5, 300)
	if w.loads != 0 {
		t.Fatalf("%d models were loaded before anybody asked", w.loads)
	}
	for _, model := range []int{0, 1, 2, 0} {
		if err := w.ask(t, model); err != nil {
			t.Fatal(err)
		}
	}
	if w.loads != 3 || w.keeper.Used() != 300 {
		t.Errorf("%d loads, %d bytes in use, want 3 and 300", w.loads, w.keeper.Used())
	}
	if err := w.ask(t, 3); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(w.evicted); got != "[m1@1]" {
		t.Errorf("put out %s, want the least recently used, m1@1", got)
	}
	if len(w.gone) != 1 || w.keeper.Used() != 300 || w.open != 3 {
		t.Errorf("gone %v, %d bytes in use, %d open", w.gone, w.keeper.Used(), w.open)
	}
}

// TestEverybodyWaitsForOneLoad asks for a cold model many times at once.
func TestEverybodyWaitsForOneLoad(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 300)
		w.took = time.Second
		var callers sync.WaitGroup
		for range 20 {
			callers.Go(func() {
				if err := w.ask(t, 0); err != nil {
					t.Error(err)
				}
			})
		}
		callers.Wait()
		if w.loads != 1 {
			t.Errorf("%d loads, want 1", w.loads)
		}
	})
}

// TestACallerWhoLeavesDoesNotEndTheLoad of which others may wait.
func TestACallerWhoLeavesDoesNotEndTheLoad(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 300)
		w.took = time.Second
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		err := w.registry.Use(ctx, named("m0", ""), func(registry.Lease) error { return nil })
		if scoring.CodeOf(err) != scoring.Expired {
			t.Errorf("got %v, want that the time is over", err)
		}
		time.Sleep(2 * time.Second)
		if s, err := w.registry.Status(scoring.ModelRef{Name: "m0"}); err != nil || s.State != registry.Available {
			t.Errorf("got %v, %v, want it loaded", s.State, err)
		}
	})
}

func TestWhatDoesNotFitIsRefusedWithTheNumbers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, 250)
	w.memory = 120e6
	err := w.ask(t, 0)
	const want = "Unavailable: model m0@1 takes about 114.4 MiB, and the budget of 0.0 MiB (ONDA_MEMORY_BUDGET) has room for 0.0 MiB: 0.0 MiB are taken by models that are pinned or being loaded; raise the budget, or unpin a model"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if w.open != 0 || w.keeper.Used() != 0 {
		t.Errorf("%d sessions are open, %d bytes in use", w.open, w.keeper.Used())
	}
}

// TestLoadsThatTakeMoreThanWasThoughtGiveWay has two models loaded at once that each took less
// the last time: no caller is refused for what the other load holds.
func TestLoadsThatTakeMoreThanWasThoughtGiveWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4, 220)
		for _, model := range []int{0, 1, 2, 3} {
			if err := w.ask(t, model); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond) // the one that was used last is another
		}
		w.memory, w.took, w.loads = 150, time.Second, 0
		var callers sync.WaitGroup
		for model := range 2 {
			callers.Go(func() {
				if err := w.ask(t, model); err != nil {
					t.Error(err)
				}
			})
		}
		callers.Wait()
		// More than four where a model makes room again before its caller had it.
		if w.loads < 3 {
			t.Errorf("%d loads, want each and at least one of them again", w.loads)
		}
		if used := w.keeper.Used(); used != 150 {
			t.Errorf("%d bytes in use, want the 150 of the one model that fits", used)
		}
	})
}

func TestPinnedModelsStay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, 200)
	doc := document("m0", 1, catalog.State{Pinned: true})
	w.registry.Take(doc)
	for _, model := range []int{0, 1, 2, 1, 2} {
		if err := w.ask(t, model); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range w.evicted {
		if name == "m0@1" {
			t.Fatalf("put out %v: m0 is pinned", w.evicted)
		}
	}
	if len(w.evicted) == 0 {
		t.Error("nothing was put out: the test shows nothing")
	}
}

// TestAFailureIsNotTriedForEveryRequest: with pauses that grow.
func TestAFailureIsNotTriedForEveryRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 200)
		w.fail = errors.New("broken")
		for range 10 {
			err := w.ask(t, 0)
			if err == nil || !strings.HasPrefix(err.Error(), "Unavailable: model m0@1 could not be loaded: GET /v1/models/m0/versions/1 or the server's log says why") {
				t.Fatalf("got %v", err)
			}
		}
		if w.loads != 1 {
			t.Errorf("%d loads, want 1", w.loads)
		}
		if s, _ := w.registry.Status(scoring.ModelRef{Name: "m0"}); s.State != registry.Cold || !strings.Contains(s.Reason, "broken") || s.Ready() {
			t.Errorf("the status is %+v, want the reason in it", s)
		}
		w.fail = nil
		time.Sleep(1100 * time.Millisecond)
		if err := w.ask(t, 0); err != nil || w.loads != 2 {
			t.Errorf("a second later: %v after %d loads", err, w.loads)
		}
	})
}

// fetched is where registered versions come from.
type fetched struct {
	ref      artifact.Ref
	released atomic.Int32
	checks   atomic.Int32
	bad      error
}

func (f *fetched) Fetch(_ context.Context, _ string, v catalog.Version, progress func(done, total int64)) (artifact.Ref, func(), error) {
	progress(v.SizeBytes, v.SizeBytes)
	return f.ref, func() { f.released.Add(1) }, nil
}

func (f *fetched) Check(context.Context, artifact.Ref, catalog.Version) error {
	f.checks.Add(1)
	return f.bad
}

func TestRegisteredVersionsAreFetchedCheckedAndProven(t *testing.T) {
	t.Parallel()
	at := place(t, t.TempDir(), "m", 2, "")
	digest := artifact.Digest(map[string]string{"model.onnx": sha256Of("onnx of m@2")})
	tests := []struct {
		name, digest string
		bad          error
		want         string
	}{
		{"as registered", digest, nil, ""},
		{"another digest", "sha256:0", nil, "Invalid: the files of m@2 have the digest " + digest + ", the registry says sha256:0: versions do not change, register changed files under a new number"},
		{"a failed check", digest, errors.New("crashed"), "crashed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			files := &fetched{ref: at, bad: tt.bad}
			r := registry.New()
			k := registry.NewKeeper(registry.KeeperConfig{Registry: r, Files: files, Checker: files, Loader: registry.Loader{
				MaxRows: 1, Open: func([]byte, triton.Settings) (registry.Session, error) { return newSession(), nil },
			}})
			defer k.Close(context.Background())
			defer r.Close(context.Background())
			doc := catalog.New("m")
			doc.Versions[2] = catalog.Version{Version: 2, Digest: tt.digest, Location: catalog.InStore, SizeBytes: 10}
			r.Take(doc)
			var stages []string
			err := k.Bring(t.Context(), "m", 2, func(stage string, _, _ int64) { stages = append(stages, stage) })
			if got := fmt.Sprint(err); tt.want == "" && err != nil || tt.want != "" && got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if files.released.Load() != 1 || files.checks.Load() != 1 {
				t.Errorf("released %d times, checked %d times", files.released.Load(), files.checks.Load())
			}
			if tt.want == "" && strings.Join(slices.Compact(stages), " ") != "fetch waiting check waiting load" {
				t.Errorf("stages: %v", stages)
			}
			if k.Proven("m", 2).IsZero() == (tt.want == "") {
				t.Errorf("proven: %v", k.Proven("m", 2))
			}
		})
	}
}

// TestSettleLetsGo of versions that no document needs, when nobody wants them any more.
func TestSettleLetsGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 0, 0)
		for v := int64(1); v <= 3; v++ {
			place(t, w.models, "m", v, "")
			w.registry.AnnounceCold([]artifact.Ref{{Name: "m", Version: v, Dir: w.models + fmt.Sprintf("/m/%d", v)}})
			if err := w.keeper.Bring(t.Context(), "m", v, nil); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(61 * time.Second)
		w.keeper.Settle("m", []int64{2})
		synctest.Wait()
		if w.open != 3 {
			t.Errorf("%d are open, want 3: they are in no document yet, and only loaded ones are registered", w.open)
		}
		doc := document("m", 3, catalog.State{Labels: map[string]int64{"live": 2}})
		for v := range doc.Versions {
			sum := sha256Of(fmt.Sprintf("onnx of m@%d", v))
			doc.Versions[v] = catalog.Version{Version: v, Digest: artifact.Digest(map[string]string{"model.onnx": sum}), Location: catalog.InModelsFolder}
			if err := w.registry.Hold(t.Context(), "m", v, func(*registry.Version) error { return nil }); err != nil {
				t.Fatal(err)
			}
		}
		w.registry.Take(doc)
		w.registry.Apply("m", doc.Route())
		w.keeper.Settle("m", []int64{2})
		synctest.Wait()
		if w.open != 3 {
			t.Errorf("%d are open, want 3: they were loaded just now", w.open)
		}
		time.Sleep(61 * time.Second)
		w.keeper.Settle("m", []int64{2})
		synctest.Wait()
		if w.open != 1 {
			t.Errorf("%d are open, want 1", w.open)
		}
		if err := w.registry.Hold(t.Context(), "m", 1, func(*registry.Version) error { return nil }); err != nil || w.open != 2 {
			t.Errorf("a cold version by number: %v, %d open", err, w.open)
		}
	})
}

func sha256Of(text string) string {
	digest := sha256.Sum256([]byte(text))
	return hex.EncodeToString(digest[:])
}
