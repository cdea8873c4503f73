package lifecycle

import (
	"log"
	"net/http"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/onda-serving/onda/app/admit"
	"github.com/onda-serving/onda/app/engine"
	"github.com/onda-serving/onda/app/ingress/events"
	"github.com/onda-serving/onda/app/ingress/grpcapi"
	"github.com/onda-serving/onda/app/ingress/httpapi"
	"github.com/onda-serving/onda/app/onnx"
	"github.com/onda-serving/onda/app/pipeline"
	"github.com/onda-serving/onda/app/registry"
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

// server puts the doors on one listener: HTTP/1.1, and HTTP/2 without TLS.
func (a *App) server() *http.Server {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler:           a.doors(),
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

// doors makes the handler of the one listener.
func (a *App) doors() http.Handler {
	scorer := engine.New(a.gate, a.registry, a.metrics, a.log)
	bodies := admit.NewBytes(concurrentBodies * int64(a.config.MaxBody))
	web := httpapi.New(httpapi.Config{
		ServerName:    a.config.ServerName,
		ServerVersion: a.version,
		MaxBody:       int64(a.config.MaxBody),
		MaxInstances:  a.config.MaxInstances,
		Timeout:       a.config.Timeout,
		ReadTimeout:   a.config.ReadTimeout,
		AppToken:      a.config.AppAPIToken.Reveal(),
	}, a.parts(scorer, bodies))
	rpc := grpcapi.New(grpcapi.Config{
		ServerName:    a.config.ServerName,
		ServerVersion: a.version,
		MaxBody:       int64(a.config.MaxBody),
		Timeout:       a.config.Timeout,
		ReadTimeout:   a.config.ReadTimeout,
		AppToken:      a.config.AppAPIToken.Reveal(),
	}, grpcapi.Parts{
		Scorer: scorer, Models: a.registry, Observer: a.metrics, Log: a.log, Draining: a.draining.Load, Bodies: bodies,
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 2 && strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
			rpc.ServeHTTP(w, r)
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

// parts gives the HTTP door what it needs. Interfaces stay nil where there is no sidecar.
func (a *App) parts(scorer *engine.Engine, bodies *admit.Bytes) httpapi.Parts {
	parts := httpapi.Parts{
		Scorer: scorer, Models: a.registry, Observer: a.metrics, Log: a.log, Draining: a.draining.Load, Bodies: bodies,
	}
	if a.sidecar == nil {
		return parts
	}
	parts.Store = a.sidecar
	parts.Events = events.New(events.Config{
		ResultsTopic: a.config.ResultsTopic, DeadLetterTopic: a.config.DeadLetterTopic,
		Timeout: a.config.Timeout, MaxInstances: a.config.MaxInstances,
	}, scorer, a.sidecar, a.metrics, a.log)
	return parts
}

// loader makes the loader of versions.
func (a *App) loader() registry.Loader {
	return registry.Loader{
		Open: func(model []byte) (registry.Session, error) {
			device, err := onnx.ParseDevice(a.config.Device)
			if err != nil {
				return nil, err
			}
			return a.runtime.Load(model, onnx.Options{IntraOpThreads: a.config.Threads(), Device: device, DeviceID: a.config.DeviceID})
		},
		Limits: pipeline.Limits{MaxPixels: a.config.MaxPixels, MaxTextBytes: int(a.config.MaxText)},
		Log:    a.log,
	}
}

// metricsHandler serves GET /metrics and nothing else.
func (a *App) metricsHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", a.metrics.Handler())
	return mux
}
