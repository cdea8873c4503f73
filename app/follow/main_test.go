package follow_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/catalog/catalogtest"
	"github.com/onda-serving/onda/app/follow"
	"github.com/onda-serving/onda/app/statistics"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// runtime is a follow.Runtime that notes what it is asked for.
type runtime struct {
	// ensure loads a version; nil loads it at once.
	ensure func(ctx context.Context, version int64) error

	mu           sync.Mutex
	began        time.Time
	ready        map[int64]bool
	route        *catalog.Route
	took         []int64
	applied      []string
	ensured      []string
	kept         [][]int64
	withheld     []string
	documented   int
	other        []int64
	recorders    map[int64]*statistics.Recorder
	unregistered []catalog.Version
}

func (r *runtime) since() string { return time.Since(r.began).Round(time.Millisecond).String() }

func (r *runtime) Take(doc *catalog.Model) []int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.took = append(r.took, doc.Revision)
	r.unregistered = slices.DeleteFunc(r.unregistered, func(v catalog.Version) bool { return doc.Versions[v.Version].Version != 0 })
	return r.other
}

func (r *runtime) Apply(_ string, route catalog.Route) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.route = &route
	r.applied = append(r.applied, r.since()+" "+routeText(route))
}

// routeText writes a route.
func routeText(route catalog.Route) string {
	text := strings.TrimPrefix(fmt.Sprint(route.Labels), "map")
	var shares strings.Builder
	for _, s := range route.Shares {
		fmt.Fprintf(&shares, " %d:%d", s.Version, s.Weight)
	}
	text += shares.String()
	if route.Sticky != "" {
		text += " by " + route.Sticky
	}
	if route.Shadow != nil {
		text += fmt.Sprintf(" shadow %d", route.Shadow.Version)
	}
	if route.Compare != nil {
		text += fmt.Sprintf(" compare %d with %d", route.Compare.Candidate, route.Compare.Baseline)
	}
	return text
}

func (r *runtime) Route(string) (catalog.Route, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.route == nil {
		return catalog.Route{}, false
	}
	return *r.route, true
}

func (r *runtime) Has(_ string, version int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ready[version]
}

func (r *runtime) Ensure(ctx context.Context, _ string, version int64) error {
	r.mu.Lock()
	r.ensured = append(r.ensured, fmt.Sprintf("%s %d", r.since(), version))
	r.mu.Unlock()
	if r.ensure != nil {
		if err := r.ensure(ctx, version); err != nil {
			return err
		}
	}
	r.makeReady(version)
	return nil
}

func (r *runtime) makeReady(versions ...int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, version := range versions {
		r.ready[version] = true
	}
}

func (r *runtime) Settle(_ string, keep []int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	keep = slices.Clone(keep)
	slices.Sort(keep)
	r.kept = append(r.kept, slices.Compact(keep))
}

func (r *runtime) Withhold(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.withheld = append(r.withheld, name)
}

func (r *runtime) Documented() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.documented++
}

func (r *runtime) Recorder(_ string, version int64) *statistics.Recorder {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.recorders[version]
}

func (r *runtime) Unregistered() map[string][]catalog.Version {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.unregistered) == 0 {
		return nil
	}
	return map[string][]catalog.Version{"m": slices.Clone(r.unregistered)}
}

// get reads one of the runtime's notes.
func get[T any](r *runtime, of func(r *runtime) []T) []T {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(of(r))
}

func applied(r *runtime) []string  { return get(r, func(r *runtime) []string { return r.applied }) }
func ensured(r *runtime) []string  { return get(r, func(r *runtime) []string { return r.ensured }) }
func taken(r *runtime) []int64     { return get(r, func(r *runtime) []int64 { return r.took }) }
func withheld(r *runtime) []string { return get(r, func(r *runtime) []string { return r.withheld }) }

// replica is a follower that runs.
type replica struct {
	*follow.Follower

	runtime *runtime
	stop    func()
	log     *lines
}

// lines is a log in memory.
type lines struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (l *lines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(line)
}

// count says how many lines have a text.
func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.all.String(), text)
}

// make makes a replica that does not run yet; change may change how.
func newReplica(t *testing.T, store catalog.Store, change ...func(*follow.Config, *runtime)) *replica {
	t.Helper()
	r := &replica{
		runtime: &runtime{began: time.Now(), ready: map[int64]bool{1: true}, recorders: map[int64]*statistics.Recorder{}},
		log:     &lines{},
	}
	config := follow.Config{Book: &catalog.Book{Store: store}, Runtime: r.runtime, Replica: "here", Instance: "here/1", Every: time.Second, Log: zerolog.New(r.log)}
	for _, f := range change {
		f(&config, r.runtime)
	}
	r.Follower = follow.New(config)
	return r
}

// run runs a replica until it is stopped, or the test ends.
func (r *replica) run(t *testing.T) *replica {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.Run(ctx)
	}()
	r.stop = func() {
		cancel()
		<-ended
	}
	t.Cleanup(r.stop)
	return r
}

// start is a replica that runs.
func start(t *testing.T, store catalog.Store, change ...func(*follow.Config, *runtime)) *replica {
	t.Helper()
	return newReplica(t, store, change...).run(t)
}

// version of the model "m".
func version(n int64) catalog.Version {
	return catalog.Version{Version: n, Digest: fmt.Sprintf("sha256:%d", n), Location: catalog.InModelsFolder}
}

// change changes the model "m".
func change(t *testing.T, store catalog.Store, action string, apply func(m *catalog.Model) error) *catalog.Model {
	t.Helper()
	book := catalog.Book{Store: store}
	doc, err := book.Commit(t.Context(), "m", catalog.Change{Actor: "ann", Action: action, Apply: apply})
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func label(t *testing.T, store catalog.Store, name string, version int64) *catalog.Model {
	t.Helper()
	return change(t, store, catalog.ActionLabel, func(m *catalog.Model) error { return m.SetLabel(name, version, nil) })
}

// managed is a store with the model "m" of the versions 1 to n, of which 1 is live.
func managed(t *testing.T, n int64) *catalogtest.Store {
	t.Helper()
	store := &catalogtest.Store{}
	for i := range n {
		change(t, store, catalog.ActionRegister, func(m *catalog.Model) error { return m.Register(version(i+1), nil) })
	}
	label(t, store, "live", 1)
	return store
}

// document is the model "m" as it is in the store.
func document(t *testing.T, store catalog.Store) *catalog.Model {
	t.Helper()
	book := catalog.Book{Store: store}
	doc, err := book.Read(t.Context(), "m")
	if err != nil || doc == nil {
		t.Fatalf("got %v, %v", doc, err)
	}
	return doc
}

// same compares two things by what they print.
func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		t.Errorf("%s: got %s, want %s", what, g, w)
	}
}

// pass lets time pass, and all that is due then happen.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// inSync checks what a replica says of the model "m"; reason is a part of why it is not.
func (r *replica) inSync(t *testing.T, want bool, reason string) {
	t.Helper()
	m := r.State().Models["m"]
	if m.InSync() != want || !strings.Contains(m.Reason, reason) || (reason == "") != (m.Reason == "") {
		t.Errorf("in sync: %t because of %q, want %t because of %q", m.InSync(), m.Reason, want, reason)
	}
}

// names of the models that State knows.
func names(s follow.State) []string { return slices.Sorted(maps.Keys(s.Models)) }
