package lifecycle

import (
	"cmp"
	"log"
	"net/http"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/onda-serving/onda/app/admit"
	"github.com/onda-serving/onda/app/batch"
	"github.com/onda-serving/onda/app/engine"
	"github.com/onda-serving/onda/app/ingress/grpcapi"
	"github.com/onda-serving/onda/app/ingress/httpapi"
	"github.com/onda-serving/onda/app/onnx"
	"github.com/onda-serving/onda/app/pipeline"
	"github.com/onda-serving/onda/app/registry"
	"github.com/onda-serving/onda/app/triton"
)

const (
	// headerTimeout bounds the time that a request's headers may take to arrive.
	headerTimeout = 10 * time.Second
	// answerTimeout bounds the time that a caller may take to read its answer, beyond the
	// time for its request and for the scoring.
	answerTimeout = 30 * time.Second
	// concurrentBodies is how many bodies of the largest size may be in memory at once.
	concurrentBodies = 8
	// idleTimeout ends connections that nobody uses. It is longer than the sidecar
	// keeps its own, so that the sidecar is who closes first and no request meets a
	// connection that is about to go.
	idleTimeout = 3 * time.Minute
	// drainPatience bounds the wait for a moment without new connections.
	drainPatience = time.Second
	// quiet is how long no request must have come, after the listener closed, before idle
	// connections are closed. A connection that is in use learns with its next answer
	// that it is to end; one that is closed before that loses the request on its way.
	quiet = 500 * time.Millisecond
	// quietPatience bounds the wait for that.
	quietPatience = 5 * time.Second
	// maxHeader bounds the headers of a request, in bytes.
	maxHeader = 64 << 10
)

// doors puts the doors on the one listener.
func (a *App) doors() *doors {
	scorer := a.engine
	bodies := admit.NewBytes(max(concurrentBodies*int64(a.config.MaxBody), int64(a.config.MaxEventData)))
	a.references.Bytes = bodies
	return newDoors(a.listener, a.server(a.web(scorer, bodies)), a.rpc(scorer, bodies))
}

// server serves HTTP/1.1, and HTTP/2 without TLS.
func (a *App) server(handler http.Handler) *http.Server {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler:           handler,
		Protocols:         &protocols,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		WriteTimeout:      a.config.ReadTimeout + a.config.Timeout + answerTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          a.serverLog(),
	}
}

// serverLog takes what net/http says by itself, such as a panic of a handler.
func (a *App) serverLog() *log.Logger {
	return log.New(a.log.With().Str(zerolog.LevelFieldName, zerolog.LevelWarnValue).Logger(), "", 0)
}

// web makes the HTTP door.
func (a *App) web(scorer *engine.Engine, bodies *admit.Bytes) http.Handler {
	web := deliveriesOnly(httpapi.New(httpapi.Config{
		ServerName:    a.config.ServerName,
		ServerVersion: a.version,
		MaxBody:       int64(a.config.MaxBody),
		MaxInstances:  a.config.MaxInstances,
		Timeout:       a.config.Timeout,
		ReadTimeout:   a.config.ReadTimeout,
		AppToken:      a.config.AppAPIToken.Reveal(),
	}, a.parts(scorer, bodies)), a.metrics.Refused, a.log)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 2 && strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
			grpcapi.Misdirected(w)
			return
		}
		a.lastRequest.Store(time.Now().UnixNano())
		if a.closing.Load() && r.ProtoMajor == 1 {
			// The caller's next connection is refused, or goes to another replica,
			// instead of a request that meets a connection that is being closed.
			w.Header().Set("Connection", "close")
		}
		web.ServeHTTP(w, r)
	})
}

// rpc makes the gRPC door.
func (a *App) rpc(scorer *engine.Engine, bodies *admit.Bytes) *grpcapi.Server {
	return grpcapi.New(grpcapi.Config{
		ServerName:    a.config.ServerName,
		ServerVersion: a.version,
		MaxBody:       int64(a.config.MaxBody),
		Timeout:       a.config.Timeout,
		ReadTimeout:   a.config.ReadTimeout,
		AnswerTimeout: answerTimeout,
		AppToken:      a.config.AppAPIToken.Reveal(),
	}, a.rpcParts(scorer, bodies))
}

// rpcParts gives the gRPC door what it needs.
func (a *App) rpcParts(scorer *engine.Engine, bodies *admit.Bytes) grpcapi.Parts {
	parts := grpcapi.Parts{
		Scorer: scorer, Models: a.registry, Observer: a.metrics, Tracer: a.tracer, Log: a.log, Draining: a.draining.Load, Bodies: bodies,
	}
	if a.control != nil {
		parts.Repository = a.control
	}
	return parts
}

// parts gives the HTTP door what it needs. Interfaces stay nil where there is no sidecar,
// and where callers may not load models.
func (a *App) parts(scorer *engine.Engine, bodies *admit.Bytes) httpapi.Parts {
	parts := httpapi.Parts{
		Scorer: scorer, Models: a.registry, Observer: a.metrics, Tracer: a.tracer, Log: a.log, Draining: a.draining.Load, Bodies: bodies,
		Registry: a.registryDoor(),
	}
	if a.control != nil {
		parts.Repository = a.control
	}
	if a.following.follower != nil {
		parts.Following = a.follows
	}
	if a.sidecar == nil {
		return parts
	}
	book := a.answers()
	a.consumer = a.events(scorer, book)
	parts.Events = a.consumer
	desk := a.desk(book)
	parts.Async = desk
	if a.config.StateStore != "" {
		parts.DeadLetters = a.deadLetters(desk)
	}
	return parts
}

// loader makes the loader of versions.
func (a *App) loader() registry.Loader {
	loader := registry.Loader{
		Open:    a.open,
		OpenNow: a.openNow,
		Pause:   a.pause,
		Batching: batch.Parts{
			Scheduler: a.slots,
			Bytes:     a.queued,
			Buffers:   a.buffers,
			Tracer:    a.tracer,
		},
		Lazy:     a.config.MemoryBudget > 0,
		MaxRows:  a.config.MaxBatch,
		Ahead:    a.ahead(),
		MaxQueue: a.config.MaxQueue,
		Observe:  a.metrics.Batches,
		Loaded:   a.metrics.Loaded,
		Limits:   pipeline.Limits{MaxPixels: a.config.MaxPixels, MaxTextBytes: int(a.config.MaxText), Buffers: a.buffers},
		Log:      a.log,
	}
	if a.cache != nil {
		loader.CacheTTL = a.config.CacheTTL
	}
	return loader
}

// ahead is how many requests for pictures may be pre-processed before they run: enough to
// keep the device busy. A GPU takes large batches, and on the processor they do not pay.
func (a *App) ahead() int {
	const each = 4
	if a.config.Device == onnx.CUDA.String() {
		return each * a.config.MaxBatch
	}
	return each * a.config.Concurrency()
}

// open makes a session. Once there are versions that answer, it leaves the processor to them.
func (a *App) open(model []byte, settings triton.Settings) (registry.Session, error) {
	return a.load(model, settings, a.registry.Ready())
}

// openNow makes a session that a request waits for.
func (a *App) openNow(model []byte, settings triton.Settings) (registry.Session, error) {
	return a.load(model, settings, false)
}

// pause leaves the processor to requests, once there are versions that answer some.
func (a *App) pause() {
	if a.registry.Ready() {
		time.Sleep(time.Millisecond)
	}
}

func (a *App) load(model []byte, settings triton.Settings, gently bool) (registry.Session, error) {
	device, err := onnx.ParseDevice(a.config.Device)
	if err != nil {
		return nil, err
	}
	return a.runtime.Load(model, runtimeOptions(settings.Runtime, onnx.Options{
		IntraOpThreads: a.config.Threads(), Device: device, DeviceID: a.config.DeviceID, Gently: gently,
	}))
}

// runtimeOptions applies what config.pbtxt says about ONNX Runtime.
func runtimeOptions(r triton.Runtime, o onnx.Options) onnx.Options {
	o.IntraOpThreads = cmp.Or(r.IntraOpThreads, o.IntraOpThreads)
	if r.Parallel {
		o.Execution, o.InterOpThreads = onnx.ExecuteParallel, max(2, r.InterOpThreads)
	}
	o.Graph = map[triton.Optimization]onnx.GraphLevel{
		triton.OptimizeBasic: onnx.GraphBasic, triton.OptimizeExtended: onnx.GraphExtended, triton.OptimizeNone: onnx.GraphNone,
	}[r.Optimization] // any other level means all
	o.MemArena, o.MemPattern = switchOf(r.MemArena), switchOf(r.MemPattern)
	return o
}

// switchOf is a setting that a file may leave out.
func switchOf(said *bool) onnx.Switch {
	switch {
	case said == nil:
		return onnx.Auto
	case *said:
		return onnx.On
	default:
		return onnx.Off
	}
}

// changed drops the answers of versions that are gone.
func (a *App) changed(gone []string) {
	for _, identity := range gone {
		if a.cache != nil {
			a.cache.Forget(identity)
		}
	}
}

// metricsHandler serves GET /metrics and nothing else.
func (a *App) metricsHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", a.metrics.Handler())
	return mux
}
