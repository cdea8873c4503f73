// Package grpcapi is the gRPC door: the Open Inference Protocol v2 on tensors with Triton's
// extensions, and grpc.health.v1. It turns messages into the vocabulary of package scoring
// and answers into messages; what happens between is the engine's.
//
// The door serves whole connections with gRPC's own transport, which does the work of a
// small request in a third of the time that net/http's HTTP/2 takes. Package mux takes these
// connections from the one listener. What gRPC's transport has no hook for happens around
// it: connections are followed frame by frame (conn.go), so that a message is refused or its
// memory booked before gRPC holds it, and every call waits for its message here (receive.go),
// so that the wait is bounded and failures have our texts.
//
// Health watches and idle streams, which would never end, end by themselves once the app
// drains.
package grpcapi

import (
	"cmp"
	"context"
	"net"
	"time"

	"github.com/rs/zerolog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"

	"github.com/onda-serving/onda/app/admit"
	"github.com/onda-serving/onda/app/ingress/inferencepb"
	"github.com/onda-serving/onda/app/registry"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/telemetry/spans"
)

// Scorer scores requests: see engine.Engine, which implements it.
type Scorer interface {
	// Infer runs a model on tensors.
	Infer(ctx context.Context, req *scoring.InferRequest) (*scoring.InferResponse, error)
}

// Models says what is known about the models: see registry.Registry, which implements it.
type Models interface {
	// Ready says whether there is something to answer with.
	Ready() bool
	// Status of one version.
	Status(ref scoring.ModelRef) (registry.Status, error)
	// Wake is Status, after loading a version that is not in memory.
	Wake(ctx context.Context, ref scoring.ModelRef) (registry.Status, error)
	// Model with all its versions.
	Model(name string) (registry.Model, error)
	// Models lists all models, by name.
	Models() []registry.Model
	// Statistics of one version.
	Statistics(ref scoring.ModelRef) (scoring.Statistics, error)
}

// Repository changes which models are loaded.
type Repository interface {
	// Load loads a model, or loads it again.
	Load(ctx context.Context, req scoring.LoadRequest) error
	// Unload takes a model out of service.
	Unload(ctx context.Context, name string) error
}

// Observer hears of every answer: see telemetry.Metrics, which implements it.
type Observer interface {
	// Answered is called once for every call but a health watch, whose length says
	// nothing; err is nil for success.
	Answered(door, operation string, err error, took time.Duration)
	// Panicked is called for every panic that was caught.
	Panicked()
}

// Config says how the door behaves.
type Config struct {
	// ServerName and ServerVersion are what ServerMetadata reports.
	ServerName, ServerVersion string
	// MaxBody bounds a request's message, in bytes.
	MaxBody int64
	// Timeout is the budget of a call that brings none, and the longest of one that does.
	Timeout time.Duration
	// ReadTimeout bounds the arrival of a message, which also counts for the call's budget.
	ReadTimeout time.Duration
	// AnswerTimeout bounds the time that a caller may take to read its answer; 0 is 30 s.
	AnswerTimeout time.Duration
	// AppToken must be shown by the sidecar; "" asks for none.
	AppToken string
}

// Parts are what the door needs of the rest of the app.
type Parts struct {
	// Scorer scores.
	Scorer Scorer
	// Models are asked for status and metadata.
	Models Models
	// Repository loads and unloads models; nil where callers may not.
	Repository Repository
	// Observer counts answers and panics.
	Observer Observer
	// Tracer of calls, and of the requests of a stream; nil where nothing is traced.
	Tracer *spans.Tracer
	// Log gets one line for each failure of ours, and for every call at debug level.
	Log zerolog.Logger
	// Draining says that the app is shutting down.
	Draining func() bool
	// Bodies bounds the messages in memory. It is one for all doors; without it the door has
	// its own, of eight messages of the largest size.
	Bodies *admit.Bytes
}

// Server is the door. It is safe for concurrent use.
type Server struct {
	config Config
	parts  Parts
	grpc   *grpc.Server
}

// What the transport allows a caller.
const (
	// answerTimeout is how long a caller may take to read its answer.
	answerTimeout = 30 * time.Second
	// concurrentCalls bounds the calls of a connection: a sidecar has one connection for all
	// of its callers.
	concurrentCalls = 1000
	// workers are goroutines that are kept for calls: a new one for each spends a tenth of a
	// small call's time on growing its stack. More calls than these get new ones.
	workers = 32
	// connectionWindow is how much a connection may have on its way.
	connectionWindow = 4 << 20
	// maxHeader bounds the metadata of a call, in bytes.
	maxHeader = 64 << 10
	// greeting bounds the time that a connection's first frames may take.
	greeting = 10 * time.Second
	// idleTimeout ends connections that nobody uses.
	idleTimeout = 3 * time.Minute
	// probeAfter and probeTimeout find callers that are gone without a word.
	probeAfter, probeTimeout = time.Minute, 20 * time.Second
	// probeInterval is how often callers may do the same.
	probeInterval = 5 * time.Second
)

// New makes the door of its parts. [Server.Shutdown] must be called to stop what it starts.
func New(config Config, parts Parts) *Server {
	if parts.Bodies == nil {
		parts.Bodies = admit.NewBytes(8 * config.MaxBody)
	}
	config.AnswerTimeout = cmp.Or(config.AnswerTimeout, answerTimeout)
	registerDeflate()
	s := &Server{config: config, parts: parts}
	s.grpc = grpc.NewServer(
		// Larger messages are refused already; without this option gRPC's own limit of 4 MiB
		// would hold.
		grpc.MaxRecvMsgSize(int(config.MaxBody)),
		grpc.ForceServerCodecV2(newCodec()),
		grpc.RPCDecompressor(unpacked{}), //nolint:staticcheck // the newer way is global, and for clients too
		grpc.Creds(handshake{insecure.NewCredentials(), config.AnswerTimeout}),
		grpc.InTapHandle(s.tap),
		grpc.UnknownServiceHandler(s.handle(s.unknown)),
		grpc.ReadBufferSize(0), // conn has the buffer
		grpc.StaticStreamWindowSize(streamWindow),
		grpc.StaticConnWindowSize(connectionWindow),
		grpc.MaxConcurrentStreams(concurrentCalls),
		grpc.MaxHeaderListSize(maxHeader),
		grpc.ConnectionTimeout(greeting),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: idleTimeout, Time: probeAfter, Timeout: probeTimeout}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: probeInterval, PermitWithoutStream: true}),
		grpc.WaitForHandlers(true),
		grpc.NumStreamWorkers(workers),
	)
	s.grpc.RegisterService(s.streamed(inferencepb.GRPCInferenceService_ServiceDesc, map[string]handler{"ModelInfer": s.inferOne, "ModelStreamInfer": s.streamInfer}), service{s: s})
	s.grpc.RegisterService(s.streamed(healthpb.Health_ServiceDesc, map[string]handler{"Watch": s.watch}), health{s: s})
	return s
}

// Serve answers the connections of listener until it is closed. The error is listener's.
func (s *Server) Serve(listener net.Listener) error { return s.grpc.Serve(listener) }

// Shutdown asks callers to connect elsewhere, waits for the calls in flight and closes
// their connections. Where ctx ends first it ends the calls and returns ctx's error.
func (s *Server) Shutdown(ctx context.Context) error {
	quiet := make(chan struct{})
	go func() {
		defer close(quiet)
		s.grpc.GracefulStop()
	}()
	select {
	case <-quiet:
		return nil
	case <-ctx.Done():
		s.grpc.Stop()
		<-quiet
		return ctx.Err()
	}
}

// canWork says whether the app takes work.
func (s *Server) canWork() bool { return s.parts.Models.Ready() && !s.parts.Draining() }
