package registry

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/onda-serving/onda/app/artifact"
	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/scoring"
)

// Files fetches the files of registered versions: see package supply, which implements it.
type Files interface {
	// Fetch gives the place of a version's files, each proven by its SHA-256. They stay there
	// until release is called. progress hears of bytes.
	Fetch(ctx context.Context, model string, v catalog.Version, progress func(done, total int64)) (ref artifact.Ref, release func(), err error)
}

// Checker tries a version where it can do no harm: see package supply, which implements it.
type Checker interface {
	// Check loads the version at ref in a process of its own and replays its golden inputs,
	// unless that was done for the same files before. The error says what is wrong with it.
	Check(ctx context.Context, ref artifact.Ref, v catalog.Version) error
}

// Progress hears how a load goes on: "waiting", "fetch" with bytes, "check", "load".
type Progress func(stage string, done, total int64)

// KeeperConfig is what a keeper needs.
type KeeperConfig struct {
	// Registry that the versions are put into.
	Registry *Registry
	// Loader of versions.
	Loader Loader
	// Files of registered versions; nil where only the models folder has any.
	Files Files
	// Checker of registered versions; nil checks none.
	Checker Checker
	// Budget is the memory that loaded versions may take together, in bytes, as far as it can
	// be measured; 0 sets no bound.
	Budget int64
	// AtOnce is how many versions may be loaded at once.
	AtOnce int
	// Gone is told the identities of versions that do not answer any more; nil if nobody
	// wants to know.
	Gone func(identities []string)
	// Observer counts; nil if nobody does.
	Observer KeeperObserver
}

// KeeperObserver counts what a keeper does: see telemetry.Metrics.
type KeeperObserver interface {
	// Loaded is called for every load: it took so long, or failed.
	Loaded(id scoring.ModelRef, took time.Duration, err error)
	// Evicted is called for every version that is put out of memory to make room.
	Evicted(id scoring.ModelRef)
}

// Keeper brings versions into memory and puts them out again, the least recently used
// first, so that all of them stay within a budget. It is safe for concurrent use.
type Keeper struct {
	config KeeperConfig
	log    zerolog.Logger
	turns  chan struct{}
	ctx    context.Context //nolint:containedctx // loads outlast the requests that ask for them
	stop   context.CancelFunc
	work   sync.WaitGroup

	mu    sync.Mutex
	loads map[loadKey]*load
	// reserved is the memory of loads under way, and changed is closed when it gets less.
	reserved int64
	changed  chan struct{}
	// measured is what versions took when they were loaded last.
	measured map[versionKey]int64
	// proven is when versions were last loaded, or checked.
	proven   map[versionKey]time.Time
	failures map[versionKey]failure
}

type versionKey struct {
	name    string
	version int64
}

func (k versionKey) ref() scoring.ModelRef { return scoring.ModelRef{Name: k.name, Version: k.version} }

func (k versionKey) String() string { return fmt.Sprintf("%s@%d", k.name, k.version) }

// loadKey is a load, or the proof that one would do.
type loadKey struct {
	versionKey

	proof bool
}

// load is a load under way, which several callers may wait for.
type load struct {
	done chan struct{}
	err  error
	// awaited says that a request waits for it.
	awaited bool

	mu      sync.Mutex
	hearers []Progress
}

// tell passes progress on to all who wait.
func (l *load) tell(stage string, done, total int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, hear := range l.hearers {
		hear(stage, done, total)
	}
}

// NewKeeper makes a keeper. [Keeper.Close] ends it.
func NewKeeper(config KeeperConfig) *Keeper {
	ctx, stop := context.WithCancel(context.Background())
	return &Keeper{
		config: config, log: config.Loader.Log, turns: make(chan struct{}, max(1, config.AtOnce)), ctx: ctx, stop: stop,
		loads: map[loadKey]*load{}, changed: make(chan struct{}), measured: map[versionKey]int64{}, proven: map[versionKey]time.Time{}, failures: map[versionKey]failure{},
	}
}

// Close ends the loads under way and waits for them, or for ctx.
func (k *Keeper) Close(ctx context.Context) error {
	k.mu.Lock() // nobody begins a load after this
	k.stop()
	k.mu.Unlock()
	ended := make(chan struct{})
	go func() { k.work.Wait(); close(ended) }()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("end the loads of models: %w", ctx.Err())
	}
}

// Wake implements [Waker]: it loads a version that a request asks for. A version that could
// not be loaded just now is not tried again for each request.
func (k *Keeper) Wake(ctx context.Context, name string, version int64) error {
	key := versionKey{name, version}
	err := k.failedLately(key)
	if err == nil {
		err = k.await(ctx, loadKey{key, false}, true, nil)
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return scoring.AsError(ctx.Err())
	case errors.As(err, new(*noRoomError)):
		return scoring.Errorf(scoring.Unavailable, "%s", err).WithRetryAfter(time.Second)
	default:
		return couldNotBeLoaded(key, err)
	}
}

func couldNotBeLoaded(key versionKey, err error) error {
	return scoring.Errorf(scoring.Unavailable, "model %s could not be loaded: GET /v1/models/%s/versions/%d or the server's log says why", key, key.name, key.version).
		WithCause(err).WithRetryAfter(firstPause)
}

// Bring makes a version answer, if it does not yet: fetches, checks, loads and warms it, and
// puts it into the registry. It returns when that is done, or when ctx ends, which does not
// end the load. The error is for operators.
func (k *Keeper) Bring(ctx context.Context, name string, version int64, progress Progress) error {
	return k.await(ctx, loadKey{versionKey{name, version}, false}, false, progress)
}

// Prove fetches and checks a version, and leaves it where it is: [Registry.Use] loads it
// when somebody asks for it. The error is for operators.
func (k *Keeper) Prove(ctx context.Context, name string, version int64, progress Progress) error {
	return k.await(ctx, loadKey{versionKey{name, version}, true}, false, progress)
}

// Proven says when a version was last loaded or checked with success, and did not fail since;
// the zero time if it never was.
func (k *Keeper) Proven(name string, version int64) time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.proven[versionKey{name, version}]
}

func (k *Keeper) await(ctx context.Context, key loadKey, awaited bool, progress Progress) error {
	l := k.join(key, awaited, progress) //nolint:contextcheck // a load outlasts the request that asks for it
	select {
	case <-l.done:
		return l.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// join finds the load of a version that is under way, or begins one.
func (k *Keeper) join(key loadKey, awaited bool, progress Progress) *load {
	k.mu.Lock()
	defer k.mu.Unlock()
	l, ok := k.loads[key]
	switch {
	case ok:
	case k.ctx.Err() != nil:
		l = &load{done: make(chan struct{}), err: k.ctx.Err()}
		close(l.done)
	default:
		l = &load{done: make(chan struct{}), awaited: awaited}
		k.loads[key] = l
		k.work.Go(func() { k.run(key, l) })
	}
	if progress != nil {
		l.mu.Lock()
		l.hearers = append(l.hearers, progress)
		l.mu.Unlock()
	}
	return l
}

// run is a load from its turn to its end.
func (k *Keeper) run(key loadKey, l *load) {
	ctx, cancel := context.WithTimeout(k.ctx, longestLoad)
	defer cancel()
	l.err = k.bring(ctx, key, l)
	k.mu.Lock()
	delete(k.loads, key)
	k.note(key.versionKey, l.err)
	k.mu.Unlock()
	close(l.done)
}

// bring loads a version, unless it answers already.
func (k *Keeper) bring(ctx context.Context, key loadKey, l *load) error {
	status, err := k.config.Registry.Status(key.ref())
	if err != nil {
		return err
	}
	switch {
	case status.State == Available && !key.proof:
		return nil
	case status.Retired:
		return fmt.Errorf("%s is retired", key)
	}
	begin := time.Now()
	err = k.load(ctx, key, status, l)
	if k.config.Observer != nil {
		k.config.Observer.Loaded(key.ref(), time.Since(begin), err)
	}
	if err != nil && ctx.Err() == nil {
		k.log.Error().Err(err).Str("model", key.name).Int64("version", key.version).Msg("model could not be loaded")
	}
	return err
}

func (k *Keeper) load(ctx context.Context, lk loadKey, status Status, l *load) error {
	key, progress := lk.versionKey, l.tell
	ref, release, err := k.place(ctx, key, status, progress)
	if err != nil {
		return err
	}
	defer release()
	if (k.governed(key, status) || lk.proof && status.Registered != nil) && k.config.Checker != nil {
		err := k.inTurn(ctx, progress, func() error {
			progress("check", 0, 0)
			return k.config.Checker.Check(ctx, ref, *status.Registered)
		})
		if err != nil {
			return err
		}
	}
	if lk.proof {
		return nil
	}
	return k.fit(ctx, key, status, ref, l)
}

// mostFits is how often a version is loaded that took more than was thought, each time more
// than the time before: its memory is measured while others come and go.
const mostFits = 3

// fit loads a version into the room that there is for it. Where it takes more than was thought
// and the loads under way leave no room for that, it gives way to them, and is loaded again
// when they are over: loads that waited for each other with what they hold would never end.
func (k *Keeper) fit(ctx context.Context, key versionKey, status Status, ref artifact.Ref, l *load) error {
	need := k.need(key, status, ref)
	for try := 1; ; try++ {
		if err := k.reserve(ctx, key, need, true); err != nil {
			return err
		}
		v, err := k.open(ctx, key, status, ref, need, l)
		if err != nil {
			k.unreserve(need)
			return err
		}
		err = k.install(ctx, key, v, need)
		if full, ok := errors.AsType[*noRoomError](err); !ok || !full.passing || try == mostFits {
			return err
		}
		need = max(need, v.Memory)
		k.log.Debug().Str("model", key.name).Int64("version", key.version).Int64("bytes", need).Msg("the version takes more than was thought: it is loaded again when other loads are over")
	}
}

// open reads a version's files and makes its session, when it is the load's turn.
func (k *Keeper) open(ctx context.Context, key versionKey, status Status, ref artifact.Ref, need int64, l *load) (v *Version, err error) {
	err = k.inTurn(ctx, l.tell, func() (err error) {
		l.tell("load", 0, need)
		v, err = k.config.Loader.urged(l.awaited).Load(ctx, ref, nil)
		return err
	})
	if err == nil && k.governed(key, status) && v.ID.Digest != status.Registered.Digest {
		err = errors.Join(scoring.Errorf(scoring.Invalid, "the files of %s have the digest %s, the registry says %s: versions do not change, register changed files under a new number", key, v.ID.Digest, status.Registered.Digest), v.Session.Close())
	}
	return v, err
}

// inTurn works when it is the load's turn: loading takes every core that it gets. Fetching
// takes none, and is not waited for by others.
func (k *Keeper) inTurn(ctx context.Context, progress Progress, work func() error) error {
	progress("waiting", 0, 0)
	select {
	case k.turns <- struct{}{}:
		defer func() { <-k.turns }()
		return work()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// governed says whether a version must be the one that the registry says: where no document
// decides, the models folder does.
func (k *Keeper) governed(key versionKey, status Status) bool {
	doc := status.Registered
	return doc != nil && (doc.Location != catalog.InModelsFolder || k.config.Registry.Managed(key.name))
}

// place is where a version's files are: in the models folder, if they are the ones that are
// meant, else fetched.
func (k *Keeper) place(ctx context.Context, key versionKey, status Status, progress Progress) (artifact.Ref, func(), error) {
	doc := status.Registered
	if status.Ref.Dir != "" && (doc == nil || doc.Location == catalog.InModelsFolder || k.config.Files == nil) {
		return status.Ref, func() {}, nil
	}
	if doc == nil || doc.Location == catalog.InModelsFolder {
		return artifact.Ref{}, nil, scoring.Errorf(scoring.Unavailable, "the files of %s are in no models folder of this replica: register the version with its files, or with the URL of a folder that all replicas can read", key)
	}
	if k.config.Files == nil {
		return artifact.Ref{}, nil, fmt.Errorf("the files of %s are at %s, and this replica fetches none: set ONDA_ARTIFACT_CACHE", key, doc.Location)
	}
	progress("fetch", 0, doc.SizeBytes)
	return k.config.Files.Fetch(ctx, key.name, *doc, func(done, total int64) { progress("fetch", done, total) })
}

// install puts a loaded version to work, if it fits. Its reservation is over in any case.
func (k *Keeper) install(ctx context.Context, key versionKey, v *Version, need int64) error {
	k.mu.Lock()
	k.measured[key] = v.Memory
	k.mu.Unlock()
	if more := v.Memory - need; k.config.Budget > 0 && more > 0 {
		if err := k.reserve(ctx, key, more, false); err != nil {
			if full, ok := errors.AsType[*noRoomError](err); ok {
				full.need, full.kept, full.rest = v.Memory, full.kept-need, min(full.budget, full.rest+need)
			}
			err = errors.Join(err, v.Session.Close())
			k.unreserve(need)
			return err
		}
		need += more
	}
	defer k.unreserve(need)
	return k.config.Registry.Install(key.name, key.version, v)
}
