package simulation_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/follow"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/statistics"
)

// runtime is what loads and serves in a process. It implements follow.Runtime as
// follow.Serving does without a budget of memory, and checks what is asked of it.
type runtime struct {
	w *world
	p *process

	mu         sync.Mutex
	models     map[string]*served
	documented bool
}

// served is a model in a process.
type served struct {
	name string
	// managed models have a document that says so; taken is the newest one's revision.
	managed bool
	taken   int64
	// versions that the documents have.
	versions map[int64]catalog.Version
	retired  map[int64]bool
	// folder holds the digests of versions that came with the replica.
	folder map[int64]string
	loaded map[int64]*resident
	loads  map[int64]*loading
	tries  map[int64]int
	// route that answers; nil while there is none.
	route *catalog.Route
	// answered says that a request for the model found a version.
	answered bool
}

// resident is a version in memory.
type resident struct {
	recorder statistics.Recorder
	// wanted says that it was loaded, and requests were not dealt out to it since.
	wanted bool
	used   time.Time
}

type loading struct {
	done chan struct{}
	err  error
}

var _ follow.Runtime = (*runtime)(nil)

func newRuntime(w *world, p *process) *runtime {
	r := &runtime{w: w, p: p, models: map[string]*served{}}
	for i := range w.plan.models {
		name := modelName(i)
		if digest, ok := w.inFolder(p.replica, name); ok {
			r.model(name).folder[1] = digest
		}
	}
	return r
}

// inFolder gives the digest of a model's first version, if it came with a replica.
func (w *world) inFolder(replica int, model string) (digest string, ok bool) {
	if !w.plan.folder || w.plan.aged {
		return "", false
	}
	if w.plan.odd && replica == w.plan.replicas-1 {
		return "sha256:odd", w.chance("odd", model).yes(0.5)
	}
	return digestOf(model, 1), true
}

func digestOf(model string, version int64) string { return fmt.Sprintf("sha256:%s-%d", model, version) }

// start loads what came with the replica.
func (r *runtime) start() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(r.models)) {
		for _, version := range slices.Sorted(maps.Keys(r.models[name].folder)) {
			r.join(r.models[name], version)
		}
	}
}

// model finds a model, or begins one. The lock is held.
func (r *runtime) model(name string) *served {
	m := r.models[name]
	if m == nil {
		m = &served{
			name: name, versions: map[int64]catalog.Version{}, retired: map[int64]bool{}, folder: map[int64]string{},
			loaded: map[int64]*resident{}, loads: map[int64]*loading{}, tries: map[int64]int{},
		}
		r.models[name] = m
	}
	return m
}

// note writes to the trace, and fail ends the world, unless the process is gone.
func (r *runtime) note(what string, m *served, number int64, note string) {
	if !r.p.isGone() {
		r.w.note(r.p.name, what, m.name, number, note)
	}
}

func (r *runtime) fail(format string, args ...any) {
	if !r.p.isGone() {
		r.w.fail(r.p.name+": "+format, args...)
	}
}

// Take implements follow.Runtime. A retired version that answers goes on until requests are
// dealt out to another one, and so does what answers while no document decides.
func (r *runtime) Take(doc *catalog.Model) (other []int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.model(doc.Name)
	r.note("take", m, doc.Revision, "")
	if doc.Revision <= m.taken {
		r.fail("took revision %d of model %s after revision %d", doc.Revision, doc.Name, m.taken)
	}
	before := r.newest(m)
	m.versions = maps.Clone(doc.Versions)
	if !m.managed && doc.Managed() && before != 0 && !m.differs(before) {
		m.route = &catalog.Route{Labels: map[string]int64{scoring.LabelLive: before}}
	}
	m.taken, m.managed = doc.Revision, doc.Managed()
	for _, version := range slices.Sorted(maps.Keys(doc.Versions)) {
		m.retired[version] = doc.Standing[version] == catalog.Retired
		differs := m.differs(version)
		if differs {
			other = append(other, version)
		}
		if m.managed && differs {
			m.unload(r, version)
			m.answered = false // and will not, before another version is live
		}
		if m.retired[version] && !m.routes(version) {
			m.unload(r, version)
		}
	}
	return other
}

// differs says whether a version was loaded from other files than the document's.
func (m *served) differs(version int64) bool {
	v, known := m.versions[version]
	digest, ok := m.folder[version]
	return known && ok && v.Location == catalog.InModelsFolder && digest != v.Digest
}

func (m *served) routes(version int64) bool {
	return m.route != nil && slices.Contains(m.route.Versions(), version)
}

func (m *served) unload(r *runtime, version int64) {
	if m.loaded[version] != nil {
		r.note("unload", m, version, "")
		delete(m.loaded, version)
	}
}

// Apply implements follow.Runtime.
func (r *runtime) Apply(name string, route catalog.Route) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.model(name)
	r.note("apply", m, m.taken, routeText(route))
	r.check(m, route)
	m.route = &route
	for _, version := range route.Versions() {
		if v := m.loaded[version]; v != nil {
			v.wanted = false
		}
	}
	for _, version := range slices.Sorted(maps.Keys(m.loaded)) {
		if m.retired[version] && !m.routes(version) {
			m.unload(r, version)
		}
	}
}

// check holds a route against what is ready and what the documents said.
func (r *runtime) check(m *served, route catalog.Route) {
	if route.Labels[scoring.LabelLive] == 0 {
		r.fail("the route of model %s has no live version: %s", m.name, routeText(route))
	}
	names := map[string]int64{}
	for label, version := range route.Labels {
		names[labelled(label, version)] = version
	}
	for _, s := range route.Shares {
		names[dealt(s.Version)] = s.Version
	}
	if s := route.Shadow; s != nil {
		names[shadowed(s.Version)] = s.Version
	}
	if c := route.Compare; c != nil {
		names[dealt(c.Candidate)], names[dealt(c.Baseline)] = c.Candidate, c.Baseline
	}
	for _, what := range slices.Sorted(maps.Keys(names)) {
		version := names[what]
		goesOn := m.route != nil && what == labelled(scoring.LabelLive, m.route.Labels[scoring.LabelLive])
		switch {
		case m.loaded[version] == nil:
			r.fail("the route of model %s has %s, which is not loaded: %s", m.name, what, routeText(route))
		case m.retired[version] && !m.routes(version):
			r.fail("the route of model %s has %s, which is retired: %s", m.name, what, routeText(route))
		case !goesOn && !r.w.ledger.knows(m.name, what):
			r.fail("the route of model %s has %s, which no document ever said: %s", m.name, what, routeText(route))
		}
	}
}

// routeText writes a route for the trace.
func routeText(route catalog.Route) string {
	text := fmt.Sprint(route.Labels, route.Shares)
	if route.Shadow != nil {
		text += fmt.Sprintf(" shadow %d", route.Shadow.Version)
	}
	if route.Compare != nil {
		text += fmt.Sprintf(" compare %d with %d", route.Compare.Candidate, route.Compare.Baseline)
	}
	return text
}

// Route implements follow.Runtime.
func (r *runtime) Route(name string) (catalog.Route, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.models[name]
	if m == nil || !m.managed || m.route == nil {
		return catalog.Route{}, false
	}
	return *m.route, true
}

// Has implements follow.Runtime.
func (r *runtime) Has(name string, version int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.models[name]
	return m != nil && m.loaded[version] != nil && !m.retired[version]
}

// Ensure implements follow.Runtime: a load goes on when nobody waits for it any more. Some
// loads cannot be left before they end.
func (r *runtime) Ensure(ctx context.Context, name string, version int64) error {
	r.mu.Lock()
	m := r.model(name)
	if m.loaded[version] != nil && !m.retired[version] {
		r.mu.Unlock()
		return nil
	}
	l := r.join(m, version)
	deaf := r.w.chance("deaf", r.p.name, name, number(version), strconv.Itoa(m.tries[version])).yes(0.2)
	r.mu.Unlock()
	if deaf {
		<-l.done
		return l.err
	}
	select {
	case <-l.done:
		return l.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// join finds the load of a version that is under way, or begins one. The lock is held.
func (r *runtime) join(m *served, version int64) *loading {
	l := m.loads[version]
	switch {
	case l != nil:
	case r.p.isGone():
		l = &loading{done: make(chan struct{}), err: errGone}
		close(l.done)
	default:
		l = &loading{done: make(chan struct{})}
		m.loads[version] = l
		m.tries[version]++
		try := m.tries[version]
		r.note("load", m, version, "try "+strconv.Itoa(try))
		r.p.work.Go(func() { r.load(m, version, try, l) })
	}
	return l
}

// trying says whether a load is under way that failed twice before.
func (r *runtime) trying() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.models {
		for version := range m.loads {
			if m.tries[version] == 3 {
				return true
			}
		}
	}
	return false
}

// load takes its time, and makes a version answer, or not.
func (r *runtime) load(m *served, version int64, try int, l *loading) {
	defer close(l.done)
	c := r.w.chance("load", r.p.name, m.name, number(version), strconv.Itoa(try))
	select {
	case <-time.After(c.in(r.w.plan.load)):
	case <-r.p.gone:
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(m.loads, version)
	if l.err = r.loadable(m, version, try); l.err != nil {
		r.note("load", m, version, l.err.Error())
		return
	}
	if m.loaded[version] == nil {
		m.loaded[version] = &resident{wanted: true, used: time.Now()}
	}
	r.note("loaded", m, version, "")
}

// loadable says why a version cannot be loaded. The lock is held.
func (r *runtime) loadable(m *served, version int64, try int) error {
	v, known := m.versions[version]
	_, here := m.folder[version]
	switch {
	case r.p.isGone():
		return errGone
	case m.retired[version]:
		return errors.New("it is retired")
	case !known && !here:
		return errors.New("there is no such version")
	case known && v.Location == catalog.InModelsFolder && !here:
		return errors.New("its files are in no models folder")
	case m.managed && m.differs(version):
		return errors.New("its files have another digest")
	case r.w.nature(m.name, version) == late && try < 5:
		return scoring.Errorf(scoring.Unavailable, "its files are not there yet")
	case !r.w.loads(r.p.replica, m.name, version), r.w.nature(m.name, version) == flaky && try < 3:
		return errors.New("it does not load")
	}
	return nil
}

// linger is how long a version stays in memory that was loaded and has no requests.
const linger = time.Minute

// Settle implements follow.Runtime.
func (r *runtime) Settle(name string, keep []int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.model(name)
	for _, version := range m.route.Versions() {
		if !slices.Contains(keep, version) {
			r.fail("version %d of model %s answers, and would be unloaded", version, name)
		}
	}
	for _, version := range slices.Sorted(maps.Keys(m.loaded)) {
		v := m.loaded[version]
		_, registered := m.versions[version]
		if registered && !slices.Contains(keep, version) && !(v.wanted && time.Since(v.used) < linger) {
			m.unload(r, version)
		}
	}
}

// Withhold implements follow.Runtime. Documents in this world can be read.
func (r *runtime) Withhold(name string) {
	r.fail("the document of model %s cannot be read", name)
}

// Documented implements follow.Runtime.
func (r *runtime) Documented() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.documented = true
	for _, name := range r.p.known {
		if r.model(name).taken == 0 {
			r.fail("it says that it read all documents, and model %s was not among them", name)
		}
	}
}

// knowsAll says whether every document was taken once.
func (r *runtime) knowsAll() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.documented
}

// Recorder implements follow.Runtime.
func (r *runtime) Recorder(name string, version int64) *statistics.Recorder {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.models[name]
	if m == nil || m.loaded[version] == nil {
		return nil
	}
	return &m.loaded[version].recorder
}

// Unregistered implements follow.Runtime.
func (r *runtime) Unregistered() map[string][]catalog.Version {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := map[string][]catalog.Version{}
	for name, m := range r.models {
		for version, digest := range m.folder {
			if _, known := m.versions[version]; !known && m.loaded[version] != nil {
				all[name] = append(all[name], described(version, digest, catalog.InModelsFolder))
			}
		}
	}
	return all
}

// described is what is registered as a version.
func described(version int64, digest, location string) catalog.Version {
	v := catalog.Version{
		Version: version, Digest: digest, Location: location, RegisteredBy: "somebody", RegisteredAt: time.Now(),
		Inputs: []catalog.Tensor{{Name: "x", Datatype: "FP32", Shape: []int64{-1, 4}}}, Outputs: []catalog.Tensor{{Name: "y", Datatype: "FP32", Shape: []int64{-1, 2}}},
	}
	if location != catalog.InModelsFolder {
		v.Files = map[string]catalog.File{"model.onnx": {SHA256: fmt.Sprintf("%064x", version), Size: 1}}
	}
	return v
}
