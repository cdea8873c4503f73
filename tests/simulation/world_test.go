package simulation_test

import (
	"context"
	"fmt"
	"runtime/pprof"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onda-serving/onda/app/catalog"
)

// world is a run of one seed.
type world struct {
	seed   uint64
	plan   plan
	dir    func() string
	birth  time.Time
	ctx    context.Context //nolint:containedctx // it ends with the world
	stop   context.CancelFunc
	trace  trace
	store  *store
	ledger *ledger
	// quiet says that all faults are over.
	quiet atomic.Bool

	mu      sync.Mutex
	failure string
	running []*process // by replica; nil for one that is down
	lost    int        // replicas that are down for good
	changes []*change
	answers map[string]uint64 // by model and version
}

// simulate runs a seed to its end. Its goroutines are labelled with it: a panic names the seed
// where GODEBUG=tracebacklabels=1 is set.
func simulate(t *testing.T, seed uint64) *world {
	t.Helper()
	pprof.SetGoroutineLabels(pprof.WithLabels(context.Background(), pprof.Labels("seed", strconv.FormatUint(seed, 10))))
	w := &world{seed: seed, dir: t.TempDir}
	synctest.Test(t, func(t *testing.T) {
		w.birth = time.Now()
		w.ctx, w.stop = context.WithCancel(context.Background())
		defer w.stop()
		w.plan = w.draw()
		w.answers = map[string]uint64{}
		w.running = make([]*process, w.plan.replicas)
		w.ledger = &ledger{w: w, models: map[string]*told{}}
		w.store = &store{w: w, records: map[string]record{}}
		w.live()
	})
	return w
}

// live is what happens in the world.
func (w *world) live() {
	if w.plan.aged {
		w.age(modelName(0))
	}
	var actors sync.WaitGroup
	begin := w.chance("begin")
	for i := range w.plan.replicas {
		at := begin.between(0, time.Second)
		actors.Go(func() { w.keep(i, at) })
	}
	for i := range w.plan.operators {
		actors.Go(func() { w.operate(i) })
	}
	for _, o := range w.plan.away {
		w.unreachable(o)
	}
	w.sleep(w.plan.active)
	w.quiet.Store(true)
	w.note("world", "quiet", "", 0, "")
	actors.Wait()
	w.settle()
	end := w.chance("end")
	for _, p := range w.processes() {
		p.end(end.yes(0.5))
	}
	w.account()
}

// now is the time since the world began.
func (w *world) now() time.Duration { return time.Since(w.birth) }

// faulty says whether things still fail.
func (w *world) faulty() bool { return !w.quiet.Load() }

// sleep waits; it is false if the world ends meanwhile.
func (w *world) sleep(d time.Duration) bool {
	select {
	case <-time.After(d):
		return w.ctx.Err() == nil
	case <-w.ctx.Done():
		return false
	}
}

func (w *world) note(actor, what, key string, number int64, note string) {
	w.trace.add(event{at: w.now(), actor: actor, what: what, key: key, number: number, note: note})
}

// fail ends the world for a promise that was not kept. The first one counts.
func (w *world) fail(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failure != "" {
		return
	}
	what := fmt.Sprintf(format, args...)
	w.note("world", "FAILS", "", 0, what)
	w.failure = fmt.Sprintf("%s\nthe world: %+v\nthe end of its trace:\n%s", what, w.plan, w.trace.tail(60))
	w.stop()
}

// count counts a request that a version answered, and asked says how many there were.
func (w *world) count(model string, version int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answers[fmt.Sprint(model, version)]++
}

func (w *world) asked(model string, version int64) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.answers[fmt.Sprint(model, version)]
}

// processes lists those that run.
func (w *world) processes() []*process {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(w.running), func(p *process) bool { return p == nil })
}

// alive is one of the processes that run; nil if none does.
func (w *world) alive(c chance) *process {
	n, all := c.IntN(1<<20), w.processes()
	if len(all) == 0 {
		return nil
	}
	return all[n%len(all)]
}

// direct is a way to the store that takes no time, and never fails.
type direct struct{ store *store }

func (d direct) Get(_ context.Context, key string) ([]byte, string, error) {
	found := d.store.read(key)
	return found.value, found.etag, nil
}

func (d direct) Save(_ context.Context, key string, value []byte, etag string) error {
	return d.store.write("world", key, value, etag)
}

func (w *world) direct() *catalog.Book { return &catalog.Book{Store: direct{w.store}} }

// age gives a model a long history.
func (w *world) age(model string) {
	v := described(1, digestOf(model, 1), catalog.InStore)
	changes := []catalog.Change{
		{Action: catalog.ActionRegister, Apply: func(m *catalog.Model) error { return m.Register(v, nil) }},
		{Action: catalog.ActionPin, Apply: func(m *catalog.Model) error { return m.SetPinned(!m.Pinned) }},
	}
	for i := range w.chance("age").from(60, 63) {
		if _, err := w.direct().Commit(w.ctx, model, changes[min(i, 1)]); err != nil {
			w.fail("age model %s: %s", model, err)
		}
	}
}
