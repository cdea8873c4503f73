// Package follow keeps a replica in line with the registry's documents: it polls their
// index, loads what a document's route needs, and only then deals requests out by it. A
// route never points at a version that is not ready on this replica; until it is, the old
// route goes on. While the state store is away, the replica serves what it has.
//
// It also does what falls to every replica alike: it registers the versions of the models
// folder, and judges the rollouts that it takes part in.
package follow

import (
	"context"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/judge"
	"github.com/onda-serving/onda/app/statistics"
)

// Runtime is what serves: see [Serving], which puts registry.Registry and registry.Keeper
// together.
type Runtime interface {
	// Take notes what a document says. It gives the versions that are served from other files
	// than the document's.
	Take(doc *catalog.Model) (other []int64)
	// Apply deals requests out by route.
	Apply(name string, route catalog.Route)
	// Route is how requests are dealt out now; ok is false while they are not.
	Route(name string) (route catalog.Route, ok bool)
	// Has says whether a route may point at a version now.
	Has(name string, version int64) bool
	// Ensure makes Has true, or says why it cannot. It may take minutes.
	Ensure(ctx context.Context, name string, version int64) error
	// Settle lets go of versions that are not in keep.
	Settle(name string, keep []int64)
	// Withhold says that there is a document of a model that cannot be read: until it can, no
	// label of the model names a version, but for those that it named before.
	Withhold(name string)
	// Documented says that every document was taken once.
	Documented()
	// Recorder counts for a version; nil for one that is not loaded.
	Recorder(name string, version int64) *statistics.Recorder
	// Unregistered lists loaded versions that no document knows, by model.
	Unregistered() map[string][]catalog.Version
}

// Config of a follower.
type Config struct {
	// Book of the documents.
	Book *catalog.Book
	// Runtime to keep in line.
	Runtime Runtime
	// Replica names this replica among those that share the documents, Instance this process
	// of it: what one counted is not what another did.
	Replica, Instance string
	// Every is the time between two looks at the index.
	Every time.Duration
	// Snapshot is the file that keeps the documents for the next start, when the state store
	// may be away; "" keeps none.
	Snapshot string
	// Log of what is followed.
	Log zerolog.Logger
}

// Follower keeps a replica in line. It is safe for concurrent use.
type Follower struct {
	config Config
	work   sync.WaitGroup
	judge  *judge.Reporter

	mu     sync.Mutex
	models map[string]*followed
	store  StoreState
	// index is the revision of the index that was read last.
	index int64
	// documented says that every document was read once, remembered that a snapshot of an
	// earlier run was.
	documented, remembered bool
	// sweep is the model that is looked at next although the index did not change.
	sweep string
	// unwritten says that the snapshot is behind, and unwritable that it could not be written
	// the last time.
	unwritten, unwritable bool
	// unread holds what was wrong with the documents that could not be read with the last look,
	// by model.
	unread map[string]string
	// refused holds the versions that could not be registered, so that it is said once.
	refused map[string]bool
	closed  bool
}

// StoreState says how the state store answers.
type StoreState struct {
	// Reachable says whether the last call was answered.
	Reachable bool
	// Since is when that began.
	Since time.Time
	// Error of the last call, for operators.
	Error string
}

// followed is a model whose document this replica follows.
type followed struct {
	// doc is the newest document; another value for each revision.
	doc *catalog.Model
	// applied is the revision that is in force, reason what is missing.
	applied int64
	reason  string
	// newer ends the work on an older document.
	newer context.CancelFunc
	// other are the versions that are served from other files than the document's.
	other []int64
	// since is when the model was first followed; tried says that its live version is served, that
	// it was waited for long enough, or that the replica was ready before there was this model.
	since time.Time
	tried bool
	// older counts how often in a row the store had an older document than this one.
	older int
	// failing is when the first of the failed tries was; the zero time while there is none.
	failing time.Time
	// failed counts the tries of the rollout's candidate that failed in a row.
	failed int
}

// New makes a follower. It does nothing before [Follower.Run].
func New(config Config) *Follower {
	reporter := judge.NewReporter(config.Instance)
	reporter.Chance = config.Book.Chance
	return &Follower{
		config: config, judge: reporter, models: map[string]*followed{}, refused: map[string]bool{},
		store: StoreState{Since: time.Now()},
	}
}

// callTimeout bounds the calls of a look at the documents.
const callTimeout = 5 * time.Second

// Run follows until ctx ends.
func (f *Follower) Run(ctx context.Context) {
	defer f.close()
	f.work.Go(func() { every(ctx, func() time.Duration { return f.config.Every }, f.judgeAll) })
	every(ctx, f.untilNext, func(ctx context.Context) {
		f.poll(ctx)
		f.record(ctx)
		f.settle()
		f.writeSnapshot()
	})
}

// close ends the work on all documents and waits for it.
func (f *Follower) close() {
	f.mu.Lock()
	f.closed = true
	for _, m := range f.models {
		m.newer()
	}
	f.mu.Unlock()
	f.work.Wait()
}

// every calls work now and then again after each pause, until ctx ends.
func every(ctx context.Context, pause func() time.Duration, work func(context.Context)) {
	for {
		limited, cancel := context.WithTimeout(ctx, callTimeout)
		work(limited)
		cancel()
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause()):
		}
	}
}

// untilNext is the time until the next look at the documents.
func (f *Follower) untilNext() time.Duration {
	if !f.Documented() {
		return min(f.config.Every, firstLooks)
	}
	return f.config.Every
}

// firstLooks is the time between two looks at documents that were never read: a replica
// that starts waits for them.
const firstLooks = 50 * time.Millisecond

// Settled says whether the live version of every document is served, or was waited for long
// enough: of those that the state store had at the start or, while it does not answer, of those
// that this replica remembers. Models that are registered later do not change it.
func (f *Follower) Settled() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range f.models {
		if !m.tried {
			return false
		}
	}
	return f.documented || f.remembered
}

// Documented says whether every document was read once.
func (f *Follower) Documented() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.documented
}
