package lifecycle

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/google/uuid"

	"github.com/onda-serving/onda/app/admin"
	"github.com/onda-serving/onda/app/admit"
	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/compare"
	"github.com/onda-serving/onda/app/config"
	"github.com/onda-serving/onda/app/engine"
	"github.com/onda-serving/onda/app/follow"
	"github.com/onda-serving/onda/app/ingress/registryapi"
	"github.com/onda-serving/onda/app/registry"
	"github.com/onda-serving/onda/app/replica"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/supply"
	"github.com/onda-serving/onda/app/telemetry"
	"github.com/onda-serving/onda/app/verify"
)

const (
	// mirrorsEach is how many copies of requests are asked at once for each core: they wait
	// in the bulk lane.
	mirrorsEach = 2
	// mirrorBytes is the most memory of copied requests.
	mirrorBytes = 64 << 20
	// recentBytes is the most memory of a model's recent requests.
	recentBytes = 8 << 20
	// changeTimeout is the budget of a change of the registry that brings none: fetching and
	// checking a large model takes minutes.
	changeTimeout = 15 * time.Minute
	// checkTimeout bounds the trial of a version in a process of its own.
	checkTimeout = 5 * time.Minute
	// checkMemory is what such a process takes for itself, generously, in bytes.
	checkMemory = 256 << 20
)

// following is what keeps this replica in line with the registry.
type following struct {
	supply   *supply.Supply
	keeper   *registry.Keeper
	follower *follow.Follower // nil where there is no registry
	replica  replica.Replica
	admin    *admin.Admin
}

// follow makes what keeps the replica in line with the registry. Without a sidecar, or a
// state store, nothing but loading on demand remains of it.
func (a *App) follow() (err error) {
	f := &a.following
	f.supply, err = supply.Open(context.Background(), supply.Config{
		Dir: a.config.ArtifactCache, MaxBytes: int64(a.config.ArtifactSize),
		Store: a.config.ArtifactStore, Sources: a.config.Sources(),
		Child:  a.child(),
		Device: a.config.Device, Runtime: a.runtime.Version(), Log: a.log,
	})
	if err != nil {
		return err
	}
	keeper := registry.KeeperConfig{
		Registry: a.registry, Loader: a.loader(), Files: f.supply, Budget: int64(a.config.MemoryBudget),
		AtOnce: config.Processors(), Gone: a.changed, Observer: a.metrics,
	}
	if len(a.check) > 0 {
		keeper.Checker = f.supply
	}
	f.keeper = registry.NewKeeper(keeper)
	a.registry.SetWaker(f.keeper)
	a.metrics.Memory(f.keeper.Used, f.keeper.Budget)
	f.admin = &admin.Admin{Log: a.log, Stopping: a.stopping}
	if a.sidecar == nil || a.config.StateStore == "" {
		return nil
	}
	book := &catalog.Book{Store: a.sidecar, Log: a.log}
	serving := follow.Serving{Registry: a.registry, Keeper: f.keeper}
	f.follower = follow.New(follow.Config{
		Book: book, Runtime: serving, Replica: a.replicaName(), Instance: a.replicaName() + "/" + uuid.NewString()[:8], Every: a.config.RegistryPoll, Snapshot: f.supply.Snapshot(), Log: a.log,
	})
	a.registry.AwaitDocuments(func() bool { return f.follower.Settled() || a.goAlone.Load() })
	f.replica = replica.Replica{Name: a.replicaName(), Serves: serving, Follower: f.follower, Supply: f.supply, Engine: a.engine}
	f.admin.Book, f.admin.Replica, f.admin.Hasher = book, f.replica, f.supply
	if store := f.supply.Store(); store != nil {
		f.admin.Store = store
	}
	a.metrics.Registry(a.followed)
	return nil
}

// child tries versions in a process of their own.
func (a *App) child() *verify.Child {
	if len(a.check) == 0 {
		return nil
	}
	child := &verify.Child{Command: a.check, Env: config.PlainEnvironment(), Timeout: checkTimeout, Log: a.log}
	if a.config.MemoryBudget > 0 {
		child.MaxMemory = int64(a.config.MemoryBudget) + checkMemory
	}
	return child
}

// replicaName names this process among those that share a registry.
func (a *App) replicaName() string {
	if a.config.Replica != "" {
		return a.config.Replica
	}
	host, err := os.Hostname()
	if err != nil {
		host = "replica"
	}
	_, port, _ := net.SplitHostPort(a.Address())
	return host + ":" + port
}

// followed tells the metrics how this replica follows the registry.
func (a *App) followed() telemetry.Following {
	state := a.following.follower.State()
	now := telemetry.Following{Reachable: state.Store.Reachable}
	for name, m := range state.Models {
		now.Models = append(now.Models, telemetry.FollowedModel{Name: name, Revision: m.Revision, InSync: m.InSync()})
	}
	return now
}

// follows tells who asks for the app's health how it follows the registry.
func (a *App) follows() any {
	state := a.following.follower.State()
	health := struct {
		InSync bool   `json:"in_sync"`
		Store  string `json:"store"`
	}{state.InSync(), "reachable"}
	if !state.Store.Reachable {
		health.Store = "unreachable since " + state.Store.Since.UTC().Format(time.RFC3339)
	}
	return health
}

// followUntil follows the registry until ctx ends. A replica that knows nothing of it, and
// does not hear from it, answers with what its folder has after ONDA_REGISTRY_WAIT.
func (a *App) followUntil(ctx context.Context) {
	f := a.following.follower
	if f == nil {
		return
	}
	if wait := a.config.RegistryWait; wait > 0 {
		timer := time.AfterFunc(wait, func() {
			if !f.Documented() {
				a.log.Error().Dur("after_ms", wait).Msg("the registry could not be read: from now on the newest versions of the models folder answer, which may be others than the live ones (ONDA_REGISTRY_WAIT)")
				a.registry.Documented()
				a.goAlone.Store(true)
			}
		})
		defer timer.Stop()
	}
	select {
	case <-a.scanned:
	case <-ctx.Done():
		return
	}
	a.awaitSidecar(ctx)
	f.Run(ctx)
}

// awaitSidecar waits for the sidecar's components, but not for long: one that is not there
// should be in the log before anybody asks.
func (a *App) awaitSidecar(ctx context.Context) {
	waiting, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := a.sidecar.WaitOutbound(waiting); err != nil && ctx.Err() == nil {
		a.log.Warn().Err(err).Msg("the Dapr sidecar's components cannot be called yet")
	}
}

// newEngine makes the use case.
func (a *App) newEngine() *engine.Engine {
	return engine.New(engine.Parts{
		Flights: a.flights,
		// Who waits here has a place in a version's queue already, which bounds how many do.
		Preprocess:     admit.NewLanes(config.Processors()),
		Models:         a.registry,
		Buffers:        a.buffers,
		Cache:          a.cache,
		Mirrors:        mirrorsEach * config.Processors(),
		Copies:         admit.NewBytes(mirrorBytes),
		RecentRequests: a.config.ReplayRequests,
		RecentBytes:    recentBytes,
		Observer:       observer{a.metrics, a.registry},
		Tracer:         a.tracer,
		Log:            a.log,
	})
}

// observer tells the metrics of scorings, and the judge of those that were compared.
type observer struct {
	*telemetry.Metrics

	registry *registry.Registry
}

// Mirrored implements engine.Observer.
func (o observer) Mirrored(answered, mirror scoring.ModelID, d compare.Difference, took time.Duration, err error) {
	o.Metrics.Mirrored(answered, mirror, d, took, err)
	status, missing := o.registry.Status(scoring.ModelRef{Name: answered.Name, Version: answered.Version})
	if missing == nil && status.Version != nil {
		status.Version.Statistics.Compared(d.Disagrees, err != nil, d.Max)
	}
}

// registryDoor answers below /registry/v1/.
func (a *App) registryDoor() http.Handler {
	return registryapi.New(registryapi.Config{
		Changes: a.config.RegistryChanges, Token: a.config.RegistryToken.Reveal(), MaxBody: int64(a.config.MaxBody),
		MaxBlob: int64(a.config.MaxArtifact), ReadTimeout: a.config.ReadTimeout, ChangeTimeout: changeTimeout, Observer: a.metrics,
	}, a.following.admin, a.log)
}

// endFollowing ends copies of requests and loads under way, once nobody is answered any more.
func (a *App) endFollowing(ctx context.Context) error {
	if err := a.engine.Close(ctx); err != nil {
		return err
	}
	if a.following.keeper.Close(ctx) != nil {
		a.abandoned = true
		return fmt.Errorf("a model was still being loaded when ONDA_SHUTDOWN_TIMEOUT=%s was over", a.config.ShutdownTimeout)
	}
	return nil
}
