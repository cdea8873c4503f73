// Package lifecycle starts the scoring app, keeps it running and stops it without losing
// a request. It is the one place where the parts are put together.
//
// Start: the listener first, so that health answers from the first moment; then the models
// and, at the same time, the registry's documents, as soon as the sidecar answers. An app that waited for its sidecar before listening would wait for ever, because the
// sidecar waits for the app.
//
// Stop: health says no, so that load balancers look elsewhere, and Dapr stops deliveries
// once its own probes have noticed; after ONDA_DRAIN_DELAY the listener closes, and
// connections that are open end with their next answer; what was accepted is finished;
// then everything is freed. An event that meets the closed listener goes back to the
// broker by the subscription's retries.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/onda-serving/onda/app/admit"
	"github.com/onda-serving/onda/app/batch"
	"github.com/onda-serving/onda/app/cache"
	"github.com/onda-serving/onda/app/config"
	"github.com/onda-serving/onda/app/dataref"
	"github.com/onda-serving/onda/app/engine"
	"github.com/onda-serving/onda/app/ingress/events"
	"github.com/onda-serving/onda/app/onnx"
	"github.com/onda-serving/onda/app/pool"
	"github.com/onda-serving/onda/app/registry"
	"github.com/onda-serving/onda/app/sidecar"
	"github.com/onda-serving/onda/app/telemetry"
	"github.com/onda-serving/onda/app/telemetry/gpu"
	"github.com/onda-serving/onda/app/telemetry/spans"
	"github.com/onda-serving/onda/app/telemetry/tracing"
)

// idleBuffers is the most memory of batches that is kept for the next ones, in bytes.
const idleBuffers = 64 << 20

// App is one scoring app. It is made by [New] and run once by [App.Run].
type App struct {
	config  config.Config
	check   []string
	version string
	log     zerolog.Logger

	metrics *telemetry.Metrics
	tracer  *spans.Tracer // nil where nothing is traced, and so is
	// endTraces exports what is left of the traces.
	endTraces func() error

	flights  *admit.Flights
	slots    *batch.Scheduler
	cache    *cache.Cache // nil where it is off
	buffers  *pool.Pool
	queued   *admit.Bytes // memory of waiting tensors
	registry *registry.Registry
	control  *registry.Control // nil where callers may not load models
	runtime  *onnx.Environment
	gpus     *gpu.NVML       // nil where models run on none, or there is no NVML
	sidecar  *sidecar.Client // nil where Onda runs without one
	engine   *engine.Engine
	// following keeps this replica in line with the registry.
	following following
	// references fetches data that events refer to.
	references dataref.Fetcher
	draining   atomic.Bool // health says no
	closing    atomic.Bool // the listener is closed, connections end with their next answer
	goAlone    atomic.Bool // the registry could not be read, and need not be
	// stopping ends, by stopChanges, when changes that are not written yet are to end.
	stopping    context.Context //nolint:containedctx // it is the process's
	stopChanges context.CancelFunc
	// lastRequest is when the last request over HTTP began, in nanoseconds of Unix time.
	lastRequest atomic.Int64
	// scanned is closed when the models folder was read: what it has need not be fetched.
	scanned chan struct{}
	// consumer scores events; nil without a sidecar.
	consumer *events.Consumer
	// abandoned says that a model is still being loaded: ONNX Runtime is in use then.
	abandoned bool

	listener        *listener
	metricsListener *listener // nil where metrics are off
}

// New loads ONNX Runtime and opens the listeners. Both can fail for reasons that the
// user can mend, so both come before anything else. check is the command that tries a
// version in a process of its own: see [CheckVersion]; without one, none is tried.
func New(cfg config.Config, version string, log zerolog.Logger, check ...string) (*App, error) {
	a := newApp(cfg, version, log)
	a.check = check
	if err := a.trace(); err != nil {
		return nil, err
	}
	if cfg.CacheSize > 0 {
		a.cache = cache.New(int64(cfg.CacheSize))
		a.metrics.Cache(a.cache.Stats)
	}
	if cfg.ModelControl == "explicit" {
		a.control = registry.NewControl(a.loader(), a.registry, cfg.ModelsDir, a.changed)
	}
	a.metrics.Flights(a.flights.Now)
	a.metrics.Slots(a.slots)
	a.metrics.Queues(a.eachQueue)
	a.metrics.Models(a.eachVersion)
	if cfg.MetricsTriton {
		a.metrics.Triton(a.eachStatistics)
	}
	a.engine = a.newEngine()
	a.watchGPUs()
	for _, step := range []func() error{a.openRuntime, a.listen, a.connect, a.follow, a.refer} {
		if err := step(); err != nil {
			return nil, errors.Join(err, a.free())
		}
	}
	return a, nil
}

// newApp makes the parts that need nothing of the world.
func newApp(cfg config.Config, version string, log zerolog.Logger) *App {
	stopping, stopChanges := context.WithCancel(context.Background())
	return &App{
		config:   cfg,
		version:  version,
		log:      log,
		metrics:  telemetry.NewMetrics(version),
		flights:  admit.NewFlights(),
		slots:    batch.NewScheduler(cfg.Concurrency(), cfg.Yielding()),
		buffers:  pool.New(idleBuffers),
		queued:   admit.NewBytes(int64(cfg.MaxQueueBytes)),
		registry: registry.New(),
		scanned:  make(chan struct{}),
		stopping: stopping, stopChanges: stopChanges,
	}
}

// connect makes the connection to the sidecar, where there is one.
func (a *App) connect() (err error) {
	if !a.config.UseDapr() {
		return nil
	}
	address, encrypted := a.config.SidecarGRPC()
	a.sidecar, err = sidecar.New(sidecar.Config{
		GRPCAddress: address, TLS: encrypted, HTTPAddress: a.config.SidecarHTTP(), APIToken: a.config.DaprAPIToken.Reveal(),
		StateStore: a.config.StateStore, PubSub: a.config.PubSub, MaxPublished: int(a.config.MaxPublished),
	})
	return err
}

// Address is where the app listens, for tests that let the system choose a port.
func (a *App) Address() string { return a.listener.Addr().String() }

func (a *App) listen() (err error) {
	if a.listener, err = listen("ONDA_LISTEN", a.config.Listen); err != nil {
		return err
	}
	if a.config.MetricsListen == "" {
		return nil
	}
	a.metricsListener, err = listen("ONDA_METRICS_LISTEN", a.config.MetricsListen)
	return err
}

// Run serves until ctx ends, then drains and returns. The error is that of the part
// that failed; a stop that was asked for is none.
func (a *App) Run(ctx context.Context) error {
	doors := a.doors() //nolint:contextcheck // what it makes gets its contexts from its callers
	metrics := &http.Server{Handler: a.metricsHandler(), ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, ErrorLog: a.serverLog()}
	group, ctx := errgroup.WithContext(ctx)
	doors.serve(group)
	if a.metricsListener != nil {
		group.Go(func() error { return serve(metrics, a.metricsListener) })
	}
	group.Go(func() error { return a.startOrAbandon(ctx) })
	group.Go(func() error { a.followUntil(ctx); return nil })
	group.Go(func() error { a.consumeUntil(ctx); return nil })
	group.Go(func() error {
		<-ctx.Done()
		return a.stop(context.WithoutCancel(ctx), doors, metrics)
	})
	a.log.Info().Str("address", a.Address()).Str("onnxruntime", a.runtime.Version()).Bool("dapr", a.sidecar != nil).
		Int("concurrency", a.config.Concurrency()).Int("threads", a.config.Threads()).Msg("listening")
	err := group.Wait()
	err = errors.Join(err, a.free())
	a.log.Info().Msg("stopped")
	return err
}

// startOrAbandon is start, which it leaves behind where a stop takes too long: ONNX
// Runtime's work on a large model, and a read from storage that does not answer, cannot
// be ended.
func (a *App) startOrAbandon(ctx context.Context) error {
	started := make(chan error, 1) // so that start can end with nobody waiting
	go func() { started <- a.start(ctx) }()
	select {
	case err := <-started:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-started:
		return err
	case <-time.After(a.config.DrainDelay + a.config.ShutdownTimeout):
		a.abandoned = true
		return fmt.Errorf("a model was still being loaded when ONDA_SHUTDOWN_TIMEOUT=%s was over", a.config.ShutdownTimeout)
	}
}

// trace begins to export traces, where there is a collector.
func (a *App) trace() error {
	protocol, on := a.config.Tracing()
	if !on {
		return nil
	}
	replica := a.config.Replica
	if replica == "" {
		replica, _ = os.Hostname() // the port is not known yet
	}
	provider, err := tracing.Start(a.stopping, protocol, a.version, replica, a.metrics, a.log)
	if err != nil {
		return err
	}
	a.tracer = provider.Tracer()
	a.endTraces = func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(a.stopping), lastTraces)
		defer cancel()
		return provider.Close(ctx)
	}
	return nil
}

// lastTraces bounds the export of what is left at the end.
const lastTraces = 3 * time.Second

// eachVersion tells the metrics which versions answer. Those that were taken out of service are
// not missed by anybody.
func (a *App) eachVersion(yield func(name string, version int64, ready bool)) {
	for _, m := range a.registry.Models() {
		for _, s := range m.Versions {
			if !s.Retired && s.State != registry.Unloaded {
				yield(m.Name, s.Ref.Version, s.Ready())
			}
		}
	}
}

// eachStatistics tells the metrics what every version that is loaded has done.
func (a *App) eachStatistics(yield func(telemetry.VersionStatistics)) {
	for _, m := range a.registry.Models() {
		for _, s := range m.Versions {
			if v := s.Version; v != nil && v.Batcher != nil && v.Statistics != nil {
				waiting := v.Batcher.Stats().Waiting
				now := telemetry.VersionStatistics{Statistics: v.Statistics.Snapshot(), Waiting: waiting[0] + waiting[1], Cache: v.CacheTTL > 0}
				now.Model = v.ID
				yield(now)
			}
		}
	}
}

// watchGPUs exports the memory of the GPUs, where models run on one. What cannot be watched works
// all the same.
func (a *App) watchGPUs() {
	if a.config.Device != onnx.CUDA.String() || a.config.MetricsListen == "" {
		return
	}
	nvml, err := gpu.Open(gpu.Library)
	if err != nil {
		a.log.Warn().Err(err).Msg("there are no metrics of the GPU")
		return
	}
	a.gpus = nvml
	a.metrics.GPUs(nvml.Read)
}

// eachQueue tells the metrics what waits for each version.
func (a *App) eachQueue(yield func(name string, version int64, stats batch.Stats)) {
	for _, m := range a.registry.Models() {
		for _, s := range m.Versions {
			if s.Version != nil && s.Version.Batcher != nil {
				yield(m.Name, s.Ref.Version, s.Version.Batcher.Stats())
			}
		}
	}
}

// start loads the models.
func (a *App) start(ctx context.Context) error {
	begin, loader := time.Now(), a.loader()
	loader.Bring = a.following.keeper.Bring
	refs, err := loader.Scan(a.registry, a.config.ModelsDir)
	if err != nil {
		return err
	}
	close(a.scanned)
	if f := a.following.follower; f != nil {
		if err := f.ReadSnapshot(); err != nil { //nolint:contextcheck // what a document needs outlasts who brought it
			a.log.Warn().Err(err).Msg("not all that the registry was is known: waiting for the state store")
		}
	}
	if err := loader.LoadAll(ctx, a.registry, refs); err != nil {
		return stopped(ctx, err)
	}
	// The files were read into memory, and ONNX Runtime has what it needs of them.
	debug.FreeOSMemory()
	a.log.Info().Bool("ready", a.registry.Ready()).Dur("took_ms", time.Since(begin)).Msg("models loaded")
	return nil
}

// stop drains: see the package comment for the order. Its context outlives the signal.
func (a *App) stop(ctx context.Context, doors *doors, metrics *http.Server) error {
	a.draining.Store(true)
	a.log.Info().Dur("drain_delay_ms", a.config.DrainDelay).Msg("stopping: health says no, the doors are still open")
	time.Sleep(a.config.DrainDelay)
	var errs []error
	if err := a.listener.Drain(drainPatience); err != nil {
		errs = append(errs, fmt.Errorf("close the listener: %w", err))
	}
	a.closing.Store(true)
	a.stopChanges()
	a.waitUntilQuiet()
	ctx, cancel := context.WithTimeout(ctx, a.config.ShutdownTimeout)
	defer cancel()
	if err := doors.shutdown(ctx); err != nil {
		errs = append(errs, fmt.Errorf("some requests did not finish within ONDA_SHUTDOWN_TIMEOUT=%s: %w", a.config.ShutdownTimeout, err))
	}
	a.flights.Close()
	select {
	case <-a.flights.Drained():
	case <-ctx.Done():
	}
	if err := a.endFollowing(ctx); err != nil {
		errs = append(errs, err)
	}
	if err := a.registry.Close(ctx); err != nil {
		errs = append(errs, err)
	}
	// The metrics stay up to the end: the last scrape sees the drain.
	if err := metrics.Shutdown(ctx); err != nil {
		errs = append(errs, errors.Join(err, metrics.Close()))
	}
	return errors.Join(errs...)
}

// waitUntilQuiet waits until callers have stopped using the connections that are open.
func (a *App) waitUntilQuiet() {
	begin := time.Now()
	for time.Since(begin) < quietPatience {
		last := time.Unix(0, a.lastRequest.Load())
		if last.Before(begin) {
			last = begin
		}
		rest := quiet - time.Since(last)
		if rest <= 0 {
			return
		}
		time.Sleep(rest)
	}
}

// free gives back what New took. Sessions are closed by then.
func (a *App) free() error {
	a.stopChanges()
	var errs []error
	for _, l := range []*listener{a.listener, a.metricsListener} {
		if l != nil {
			_ = l.Close() // closed already where the server ran
		}
	}
	if a.sidecar != nil {
		errs = append(errs, a.sidecar.Close())
	}
	errs = append(errs, a.references.Close())
	if a.following.supply != nil {
		errs = append(errs, a.following.supply.Close())
	}
	if a.endTraces != nil {
		errs = append(errs, a.endTraces())
	}
	if a.gpus != nil {
		errs = append(errs, a.gpus.Close())
	}
	if a.runtime != nil && !a.abandoned {
		errs = append(errs, a.runtime.Close())
	}
	return errors.Join(errs...)
}

// stopped drops an error that only says that ctx ended.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil //nolint:nilerr // the end of ctx is what was asked for
	}
	return err
}
