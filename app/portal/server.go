package portal

import (
	"context"
	"errors"
	"fmt"
	stdlog "log"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
)

const (
	// maxInFlight bounds the scorings at one time, and with them the memory
	// for bodies: at most this many times Config.MaxBody.
	maxInFlight = 32
	// maxHeaderBytes is above what a browser sends and the sidecar answers.
	maxHeaderBytes = 16 << 10

	headerTimeout = 5 * time.Second
	// slack is what a request may take on top of the scoring budget: to
	// arrive, and then to leave.
	slack = 5 * time.Second
)

// Server is the portal: its page, and the calls behind it. It is safe for
// concurrent use.
type Server struct {
	cfg   Config
	log   zerolog.Logger
	onda  *client
	site  *site
	guard http.Handler

	places   chan struct{} // one per scoring in flight
	draining atomic.Bool
}

// New prepares a portal for a valid configuration. It opens nothing.
func New(cfg Config, log zerolog.Logger) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	site, err := newSite(&cfg)
	if err != nil {
		return nil, fmt.Errorf("prepare page: %w", err)
	}

	s := &Server{
		cfg:    cfg,
		log:    log,
		onda:   newClient(&cfg),
		site:   site,
		places: make(chan struct{}, maxInFlight),
	}
	s.guard = s.protect(s.routes())

	return s, nil
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.site.page)
	mux.HandleFunc("GET /favicon.ico", s.site.favicon)
	mux.HandleFunc("GET /assets/{version}/{name}", s.site.asset)
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.Handle("POST /api/faq", s.score(scenario{
		model: s.cfg.FAQModel, types: []string{"text/plain"}, limit: maxQuestion,
	}))
	mux.Handle("POST /api/image", s.score(scenario{
		model: s.cfg.ImageModel, types: pictureTypes, limit: s.cfg.MaxBody,
	}))

	return mux
}

// Handler returns the portal as a handler, with all its protection.
func (s *Server) Handler() http.Handler { return s.guard }

// Close frees the connections to the sidecar that are idle. Serve does it by
// itself; a user of Handler has to.
func (s *Server) Close() { s.onda.http.CloseIdleConnections() }

// Run listens at the configured address and serves until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.cfg.Listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}

	return s.Serve(ctx, listener)
}

// Serve answers on listener until ctx ends, then lets the requests in flight
// finish. It closes the listener.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	server := s.httpServer()
	failed := make(chan error, 1) // written once, by the goroutine below
	go func() { failed <- server.Serve(listener) }()
	s.log.Info().Stringer("address", listener.Addr()).Str("sidecar", s.cfg.Sidecar).
		Str("onda", s.cfg.OndaAppID).Msg("portal is listening")

	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	err := s.drain(ctx, server)
	<-failed //nolint:errcheck // always http.ErrServerClosed by now

	return err
}

// drain stops taking requests and waits for those in flight, at most as long
// as one may take.
func (s *Server) drain(ctx context.Context, server *http.Server) error {
	s.draining.Store(true)
	s.log.Info().Msg("portal is stopping")
	defer s.Close()

	// The context that ended is the reason to drain, not a limit on it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.Timeout+slack)
	defer cancel()

	if err := server.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("drain: %w", err), server.Close())
	}

	return nil
}

func (s *Server) httpServer() *http.Server {
	return &http.Server{
		Handler:           s.guard,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       s.cfg.Timeout + slack,
		WriteTimeout:      s.cfg.Timeout + 2*slack,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          stdlog.New(s.log.With().Str("level", "warn").Logger(), "", 0),
	}
}
