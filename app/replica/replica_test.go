package replica_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/onda-serving/onda/app/admin"
	"github.com/onda-serving/onda/app/admit"
	"github.com/onda-serving/onda/app/artifact"
	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/catalog/catalogtest"
	"github.com/onda-serving/onda/app/compare"
	"github.com/onda-serving/onda/app/engine"
	"github.com/onda-serving/onda/app/follow"
	"github.com/onda-serving/onda/app/onnx/onnxtest"
	"github.com/onda-serving/onda/app/registry"
	"github.com/onda-serving/onda/app/replica"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/triton"
	"github.com/onda-serving/onda/app/verify"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// here is a replica with everything that is behind it, on fake sessions. It serves version 1
// of the model "m" from its models folder; version 2 is in its supply.
type here struct {
	replica.Replica

	registry *registry.Registry
	keeper   *registry.Keeper
	supply   *supply
	store    *catalogtest.Store
	// run is what version 2 does with requests; nil answers as version 1.
	run func(ctx context.Context, inputs []scoring.Tensor) ([]scoring.Tensor, error)
}

// supply has the files of version 2.
type supply struct {
	ref artifact.Ref
	// took is how long a fetch takes, which tells of it each second.
	took time.Duration
	// fetching and inspecting are the errors; nil where it does well.
	fetching, inspecting error

	fetches, held atomic.Int32
	// progress is that of the last fetch.
	progress func(done, total int64)
}

func (s *supply) Fetch(ctx context.Context, _ string, v catalog.Version, progress func(done, total int64)) (artifact.Ref, func(), error) {
	s.fetches.Add(1)
	s.progress = progress
	for done := time.Duration(0); done < s.took; done += time.Second {
		progress(int64(done/time.Second), int64(s.took/time.Second))
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return artifact.Ref{}, nil, ctx.Err()
		}
	}
	if v.Version != s.ref.Version {
		return artifact.Ref{}, nil, errAway
	}
	if s.fetching != nil {
		return artifact.Ref{}, nil, s.fetching
	}
	s.held.Add(1)
	return s.ref, func() { s.held.Add(-1) }, nil
}

func (s *supply) Inspect(_ context.Context, ref artifact.Ref, v catalog.Version) (verify.Report, error) {
	if s.held.Load() == 0 {
		return verify.Report{}, errors.New("the files may be gone")
	}
	return verify.Report{Digest: fmt.Sprintf("%s of %s", v.Digest, ref)}, s.inspecting
}

var errAway = scoring.Errorf(scoring.Unavailable, "the artifact store does not answer")

// nobody wants to know of scorings.
type nobody struct{}

func (nobody) Scored(scoring.Scored)                 {}
func (nobody) Panicked()                             {}
func (nobody) MirrorDropped(scoring.ModelID, string) {}
func (nobody) Mirrored(scoring.ModelID, scoring.ModelID, compare.Difference, time.Duration, error) {
}

// start makes a replica that ends with the test. Each version takes 100 bytes of the budget.
func start(t *testing.T, budget int64) *here {
	t.Helper()
	h := &here{registry: registry.New(), supply: &supply{ref: write(t, t.TempDir(), 2)}, store: &catalogtest.Store{}}
	loader := registry.Loader{MaxRows: 1, Lazy: budget > 0, Open: h.open}
	h.keeper = registry.NewKeeper(registry.KeeperConfig{Registry: h.registry, Loader: loader, Files: h.supply, Budget: budget, AtOnce: 2})
	h.registry.SetWaker(h.keeper)
	serving := follow.Serving{Registry: h.registry, Keeper: h.keeper}
	follower := follow.New(follow.Config{Book: &catalog.Book{Store: h.store}, Runtime: serving, Replica: "here", Instance: "here/1", Every: time.Second})
	e := engine.New(engine.Parts{
		Flights: admit.NewFlights(), Preprocess: admit.NewLanes(2), Models: h.registry, RecentRequests: 32, RecentBytes: 1 << 20, Observer: nobody{},
	})
	h.Replica = replica.Replica{Name: "here", Serves: serving, Follower: follower, Supply: h.supply, Engine: e}
	models := t.TempDir()
	write(t, models, 1)
	refs, err := loader.Scan(h.registry, models)
	if err == nil {
		err = loader.LoadAll(t.Context(), h.registry, refs)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		follower.Run(ended)
		ctx := context.Background()
		if err := errors.Join(e.Close(ctx), h.keeper.Close(ctx), h.registry.Close(ctx)); err != nil {
			t.Error(err)
		}
		if n := h.supply.held.Load(); n != 0 {
			t.Errorf("what was fetched is held %d times at the end", n)
		}
	})
	return h
}

// open makes a session: version 1 gives back what it is asked.
func (h *here) open(model []byte, _ triton.Settings) (registry.Session, error) {
	session := &onnxtest.Fake{RunFunc: func(ctx context.Context, inputs []scoring.Tensor, _ []string) ([]scoring.Tensor, error) {
		if h.run != nil && string(model) == content(2) {
			return h.run(ctx, inputs)
		}
		return echo(ctx, inputs)
	}}
	return sized{session}, nil
}

func echo(_ context.Context, inputs []scoring.Tensor) ([]scoring.Tensor, error) {
	out := inputs[0]
	out.Name = "y"
	return []scoring.Tensor{out}, nil
}

// sized is a session that says how much memory it takes.
type sized struct{ *onnxtest.Fake }

func (sized) Memory() (int64, bool) { return 100, true }

func content(number int64) string { return fmt.Sprintf("onnx of m@%d", number) }

// write puts a version of "m" into a models folder.
func write(t *testing.T, models string, number int64) artifact.Ref {
	t.Helper()
	ref := artifact.Ref{Name: "m", Version: number, Dir: filepath.Join(models, "m", strconv.FormatInt(number, 10))}
	if err := os.MkdirAll(ref.Dir, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(ref.Dir, "model.onnx"), []byte(content(number)), 0o600); err != nil {
		t.Fatal(err)
	}
	return ref
}

// version of "m": 1 of the models folder, 2 of the supply, and 3 of files that are out of reach.
func version(number int64) catalog.Version {
	digest := sha256.Sum256([]byte(content(number)))
	sum := hex.EncodeToString(digest[:])
	v := catalog.Version{Version: number, Digest: artifact.Digest(map[string]string{"model.onnx": sum}), Location: catalog.InModelsFolder, SizeBytes: 12, Pipeline: "none"}
	if number > 1 {
		v.Location, v.Files = catalog.InStore, map[string]catalog.File{"model.onnx": {SHA256: sum, Size: 12}}
	}
	return v
}

// document of "m" with the versions 1 to 3, of which live answers; 0 leaves that to the folder.
func document(live int64) *catalog.Model {
	doc := catalog.New("m")
	doc.Revision = 4
	for number := int64(1); number <= 3; number++ {
		doc.Versions[number] = version(number)
	}
	if live != 0 {
		doc.Labels[scoring.LabelLive] = live
	}
	return doc
}

// ask sends so many requests to "m", with pauses: each is one that is kept.
func (h *here) ask(t *testing.T, requests int) {
	t.Helper()
	for i := range requests {
		req := &scoring.InferRequest{Model: scoring.ModelRef{Name: "m"}, Inputs: []scoring.Tensor{{Name: "x", Datatype: scoring.Uint8, Shape: []int64{1, 1}, Data: []byte{byte(i)}}}}
		if _, err := h.Engine.Infer(t.Context(), req); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
	}
}

// stages hears of progress.
type stages struct {
	mu   sync.Mutex
	all  []admin.Progress
	over bool
	late int
}

func (s *stages) hear(p admin.Progress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, p)
	if s.over {
		s.late++
	}
}

// end says that the call has returned.
func (s *stages) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
}

// names lists the stages in the order in which they began.
func (s *stages) names() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for _, p := range s.all {
		names = append(names, p.Stage)
	}
	return strings.Join(slices.Compact(names), " ")
}

func TestPrepare(t *testing.T) {
	t.Parallel()
	const nothing = "no recent request was answered: there was nothing to compare, but golden inputs where the version has any"
	other := func(_ context.Context, inputs []scoring.Tensor) ([]scoring.Tensor, error) {
		out := inputs[0]
		out.Name, out.Data = "y", []byte{inputs[0].Data[0] + 7}
		return []scoring.Tensor{out}, nil
	}
	picky := func(ctx context.Context, inputs []scoring.Tensor) ([]scoring.Tensor, error) {
		if inputs[0].Data[0]%2 == 0 {
			return nil, errors.New("not an even one")
		}
		return echo(ctx, inputs)
	}
	tests := []struct {
		name     string
		budget   int64
		requests int
		baseline int64
		run      func(context.Context, []scoring.Tensor) ([]scoring.Tensor, error)
		want     admin.Comparison
		text     string
	}{
		{name: "none to compare with", requests: 4, want: admin.Comparison{Samples: 4}, text: "version 2 answered 4 of 4 recent requests, "},
		{name: "itself", requests: 4, baseline: 2, want: admin.Comparison{Samples: 4}, text: "version 2 answered 4 of 4 recent requests, "},
		{name: "the same answers", requests: 4, baseline: 1, want: admin.Comparison{Baseline: 1, Samples: 4}, text: "version 2 disagrees with version 1 on 0 of 4 recent requests and failed on 0; "},
		{
			name: "other answers", requests: 4, baseline: 1, run: other, want: admin.Comparison{Baseline: 1, Samples: 4, Disagreed: 4, MaxDifference: 7},
			text: "version 2 disagrees with version 1 on 4 of 4 recent requests and failed on 0; largest difference 7; ",
		},
		{
			name: "no answers", requests: 4, baseline: 1, run: picky, want: admin.Comparison{Baseline: 1, Samples: 4, Failed: 2},
			text: "version 2 disagrees with version 1 on 0 of 4 recent requests and failed on 2; ",
		},
		{name: "no answers, and none to compare with", requests: 4, run: picky, want: admin.Comparison{Samples: 4, Failed: 2}, text: "version 2 answered 2 of 4 recent requests, "},
		{name: "nobody asked", baseline: 1, want: admin.Comparison{Baseline: 1}, text: nothing},
		{name: "a baseline out of reach", requests: 4, baseline: 3, want: admin.Comparison{Samples: 4}, text: "version 2 answered 4 of 4 recent requests, "},
		{name: "a baseline that is unknown", requests: 4, baseline: 9, want: admin.Comparison{Samples: 4}, text: "version 2 answered 4 of 4 recent requests, "},
		{name: "no room for both", budget: 150, requests: 4, baseline: 1, want: admin.Comparison{Samples: 4}, text: "version 2 answered 4 of 4 recent requests, "},
		{name: "room for both", budget: 200, requests: 4, baseline: 1, want: admin.Comparison{Baseline: 1, Samples: 4}, text: "version 2 disagrees with version 1 on 0 of 4 "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := start(t, tt.budget)
				h.ask(t, tt.requests)
				h.run = tt.run
				var heard stages
				got, err := h.Prepare(t.Context(), document(1), 2, tt.baseline, heard.hear)
				if err != nil {
					t.Fatal(err)
				}
				if !strings.HasPrefix(got.Text, tt.text) {
					t.Errorf("it says %q, want %q", got.Text, tt.text)
				}
				want := tt.want
				want.Candidate, want.Text = 2, got.Text
				if got != want {
					t.Errorf("got  %+v\nwant %+v", got, want)
				}
				if s, err := h.registry.Status(scoring.ModelRef{Name: "m", Version: 2}); err != nil || s.State != registry.Available {
					t.Errorf("the version is %s (%v), want it ready", s.State, err)
				}
				if names := heard.names(); !strings.HasPrefix(names, "fetch") || !strings.Contains(names, "load") || !strings.HasSuffix(names, "compare") {
					t.Errorf("the stages are %q", names)
				}
				if last := heard.all[len(heard.all)-1]; last.Done != int64(tt.requests) || last.Total != last.Done {
					t.Errorf("the last progress is %+v, want %d of %d", last, tt.requests, tt.requests)
				}
			})
		})
	}
}

// TestPrepareSaysWhyNot, with a code that tells what may be otherwise in a moment from what
// somebody has to mend.
func TestPrepareSaysWhyNot(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		err     error
		version int64
		code    scoring.Code
		text    string
	}{
		{"no room", nil, 2, scoring.Conflict, "model m@2 takes about 0.0 MiB, and the budget of 0.0 MiB (ONDA_MEMORY_BUDGET) has room for 0.0 MiB"},
		{"out of reach", errAway, 2, scoring.Unavailable, "the artifact store does not answer"},
		{"not what was registered", scoring.Errorf(scoring.Invalid, "file model.onnx: another sum"), 2, scoring.Conflict, "file model.onnx: another sum"},
		{"not allowed", scoring.Errorf(scoring.Denied, "location s3://x: no place is allowed"), 2, scoring.Conflict, "location s3://x: no place is allowed"},
		{"for operators", errors.New("no space left on the device"), 2, scoring.Conflict, "no space left on the device"},
		{"retired", nil, 3, scoring.Conflict, "m@3 is retired"},
		{"unknown", nil, 9, scoring.Conflict, `model "m" has no version 9: there are 2, 1: GET /v1/models/m lists its versions`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := start(t, map[string]int64{"no room": 50}[tt.name])
				h.supply.fetching = tt.err
				doc := document(1)
				doc.Standing[3] = catalog.Retired
				_, err := h.Prepare(t.Context(), doc, tt.version, 1, nil)
				want := fmt.Sprintf(`version %d of "m" cannot answer: %s`, tt.version, tt.text)
				if e := scoring.AsError(err); e == nil || e.Code != tt.code || !strings.HasPrefix(e.Message, want) {
					t.Errorf("got %v, want %s: %s", err, tt.code, want)
				}
			})
		})
	}
}

// TestPrepareProvesWhatIsLoadedAlready: it may have been put out of memory by the time that
// somebody is sent to it.
func TestPrepareProvesWhatIsLoadedAlready(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := start(t, 0)
		if _, err := h.Prepare(t.Context(), document(1), 2, 0, nil); err != nil {
			t.Fatal(err)
		}
		h.supply.fetching = errAway
		if _, err := h.Prepare(t.Context(), document(1), 2, 0, nil); scoring.CodeOf(err) != scoring.Unavailable {
			t.Errorf("its files are gone: got %v, want Unavailable", err)
		}
	})
}

// TestPrepareEndsWithItsCaller: the load goes on, for whoever else waits for it, but nobody
// hears of it any more.
func TestPrepareEndsWithItsCaller(t *testing.T) {
	t.Parallel()
	canceled := func(ctx context.Context) (context.Context, context.CancelFunc) {
		ctx, cancel := context.WithCancel(ctx)
		time.AfterFunc(3500*time.Millisecond, cancel)
		return ctx, cancel
	}
	expired := func(ctx context.Context) (context.Context, context.CancelFunc) {
		return context.WithTimeout(ctx, 3500*time.Millisecond)
	}
	stuck := func(ctx context.Context, _ []scoring.Tensor) ([]scoring.Tensor, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	tests := []struct {
		name  string
		leave func(context.Context) (context.Context, context.CancelFunc)
		took  time.Duration
		run   func(context.Context, []scoring.Tensor) ([]scoring.Tensor, error)
		code  scoring.Code
		stage string
	}{
		{"canceled during the fetch", canceled, 10 * time.Second, nil, scoring.Canceled, "fetch"},
		{"expired during the fetch", expired, 10 * time.Second, nil, scoring.Expired, "fetch"},
		{"canceled during the comparison", canceled, 0, stuck, scoring.Canceled, "compare"},
		{"expired during the comparison", expired, 0, stuck, scoring.Expired, "compare"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := start(t, 0)
				h.ask(t, 2)
				h.supply.took, h.run = tt.took, tt.run
				ctx, cancel := tt.leave(t.Context())
				defer cancel()
				var heard stages
				begin := time.Now()
				_, err := h.Prepare(ctx, document(1), 2, 1, heard.hear)
				heard.end()
				if took := time.Since(begin); scoring.CodeOf(err) != tt.code || took != 3500*time.Millisecond {
					t.Errorf("after %s: %v, want %s after 3.5 s", took, err, tt.code)
				}
				if names := heard.names(); !strings.HasSuffix(names, tt.stage) {
					t.Errorf("the stages are %q, want %s at the end", names, tt.stage)
				}
				if tt.took > 0 {
					if n := len(heard.all); n < 4 {
						t.Errorf("heard %d times of a fetch of 3.5 s", n)
					}
					time.Sleep(time.Minute)
					if fetches := h.supply.fetches.Load(); fetches != 1 {
						t.Errorf("fetched %d times: the load should have gone on", fetches)
					}
				}
				if heard.late != 0 {
					t.Errorf("heard %d times of progress after it had returned", heard.late)
				}
			})
		})
	}
}

// TestInspectReleasesWhatItFetched, however that ends.
func TestInspectReleasesWhatItFetched(t *testing.T) {
	t.Parallel()
	bad := scoring.Errorf(scoring.Invalid, "m@2: it does not load")
	tests := []struct {
		name                 string
		fetching, inspecting error
		want                 error
		stages               string
	}{
		{"sound", nil, nil, nil, "fetch check"},
		{"not sound", nil, bad, bad, "fetch check"},
		{"out of reach", errAway, nil, errAway, "fetch"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := start(t, 0)
				h.supply.fetching, h.supply.inspecting, h.supply.took = tt.fetching, tt.inspecting, 2*time.Second
				var heard stages
				v := version(2)
				report, err := h.Inspect(t.Context(), "m", v, heard.hear)
				heard.end()
				if !errors.Is(err, tt.want) || tt.want == nil && report.Digest != v.Digest+" of m@2" {
					t.Errorf("got %+v, %v, want %v", report, err, tt.want)
				}
				if held, fetches := h.supply.held.Load(), h.supply.fetches.Load(); held != 0 || fetches != 1 {
					t.Errorf("fetched %d times, held %d times afterwards", fetches, held)
				}
				if got := heard.names(); got != tt.stages || heard.all[0] != (admin.Progress{Stage: "fetch", Total: v.SizeBytes}) {
					t.Errorf("the stages are %q, the first %+v", got, heard.all[0])
				}
				h.supply.progress(1, 2) // of somebody else, who fetches the same files
				if heard.late != 0 {
					t.Error("heard of progress after it had returned")
				}
			})
		})
	}
}

// TestServing: the words for what this replica does with a version.
func TestServing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := start(t, 0)
		if got := h.Serving("none"); got.Labels != nil || got.Versions != nil || got.InSync {
			t.Errorf("of an unknown model: %+v", got)
		}
		r := h.registry
		ref := func(number int64) artifact.Ref { return artifact.Ref{Name: "states", Version: number} }
		loadedAt := time.Now().In(time.FixedZone("far", 3600))
		available := &registry.Version{ID: scoring.ModelID{Name: "states", Version: 1}, Memory: 123, Session: &onnxtest.Fake{}, LoadedAt: loadedAt}
		r.Announce([]artifact.Ref{ref(6)})
		if _, ok := r.Replace("states", map[artifact.Ref]*registry.Version{ref(1): available}); !ok {
			t.Fatal("the registry took no version")
		}
		r.Announce([]artifact.Ref{ref(2)})
		r.Fail(ref(3), errors.New("broken"))
		r.AnnounceCold([]artifact.Ref{ref(4), ref(5), ref(7)})
		doc := catalog.New("states")
		doc.Revision = 5
		doc.Versions[7] = catalog.Version{Version: 7, Location: catalog.InModelsFolder}
		doc.Standing[7] = catalog.Retired
		h.Follow(t.Context(), doc)
		if err := h.keeper.Bring(t.Context(), "states", 5, nil); err == nil {
			t.Fatal("a version without files was loaded")
		}
		synctest.Wait()
		got := h.Serving("states")
		if got.Revision != 5 || !got.InSync || got.Reason != "" || !maps.Equal(got.Labels, map[string]int64{"live": 1}) {
			t.Errorf("got %+v", got)
		}
		want := []admin.ServingVersion{
			{Version: 1, State: "available", MemoryBytes: 123, LoadedAt: loadedAt.UTC(), LastUsed: loadedAt.UTC()},
			{Version: 2, State: "loading"},
			{Version: 3, State: "failed", Reason: "broken"},
			{Version: 4, State: "cold"},
			{Version: 5, State: "failed", Reason: got.Versions[4].Reason},
			{Version: 6, State: "unloaded", Reason: "unloaded"},
			{Version: 7, State: "unloaded", Reason: "retired"},
		}
		if !slices.Equal(got.Versions, want) {
			t.Errorf("got  %+v\nwant %+v", got.Versions, want)
		}
		if !strings.Contains(got.Versions[4].Reason, "states@5") {
			t.Errorf("version 5 failed because of %q", got.Versions[4].Reason)
		}
	})
}

// TestAVersionThatIsNotInForceYet: what is asked about it says why.
func TestAVersionThatIsNotInForceYet(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := start(t, 0)
		h.supply.fetching = errAway
		h.Follow(t.Context(), document(2))
		time.Sleep(100 * time.Millisecond)
		got := h.Serving("m")
		if got.Revision != 0 || got.InSync || !strings.Contains(got.Reason, "version 2: ") || !strings.Contains(got.Reason, "the artifact store does not answer") {
			t.Errorf("got %+v", got)
		}
		if !maps.Equal(got.Labels, map[string]int64{"live": 1}) {
			t.Errorf("the labels are %v, want that what answered goes on", got.Labels)
		}
	})
}

func TestStatus(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := start(t, 250)
		began := time.Now().UTC()
		book := &catalog.Book{Store: h.store}
		commit := func(action string, apply func(*catalog.Model) error) {
			t.Helper()
			if _, err := book.Commit(t.Context(), "m", catalog.Change{Actor: "ann", Action: action, Apply: apply}); err != nil {
				t.Fatal(err)
			}
		}
		commit(catalog.ActionRegister, func(m *catalog.Model) error { return m.Register(version(1), nil) })
		commit(catalog.ActionLabel, func(m *catalog.Model) error { return m.SetLabel(scoring.LabelLive, 1, nil) })
		expectStatus(t, "before the first look", h.Status(), admin.Status{
			Replica: "here", Store: admin.StoreStatus{Since: began}, Models: map[string]admin.ModelStatus{}, Memory: admin.Memory{Budget: 250},
		})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			h.Follower.Run(ctx)
		}()
		time.Sleep(1500 * time.Millisecond)
		h.ask(t, 1)
		inSync := map[string]admin.ModelStatus{"m": {Revision: 2, InSync: true}}
		expectStatus(t, "following", h.Status(), admin.Status{
			Replica: "here", InSync: true, Revision: 2, Store: admin.StoreStatus{Reachable: true, Since: began}, Models: inSync, Memory: admin.Memory{Budget: 250, Used: 100},
		})
		h.store.Fail(func(string, string) error { return errors.New("away") })
		time.Sleep(time.Second)
		got := h.Status()
		if !strings.Contains(got.Store.Error, "away") || got.Store.Since.Sub(began) != 3*time.Second {
			t.Errorf("it says of the store %+v, want that it is away since 3 s after the start", got.Store)
		}
		expectStatus(t, "store away", got, admin.Status{
			Replica: "here", Revision: 2, Store: got.Store, Models: inSync, Memory: admin.Memory{Budget: 250, Used: 100},
		})
		if got.Store.Reachable {
			t.Error("it says that the store is reachable")
		}
		cancel()
		<-ended
	})
}

// expectStatus compares two statuses by what they print.
func expectStatus(t *testing.T, when string, got, want admin.Status) {
	t.Helper()
	if g, w := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); g != w {
		t.Errorf("%s:\ngot  %s\nwant %s", when, g, w)
	}
}
