// Package grpcapi is the gRPC door: the Open Inference Protocol v2 on tensors, and
// grpc.health.v1. It turns messages into the vocabulary of package scoring and answers
// into messages; what happens between is the engine's.
//
// The door is an http.Handler, because one listener speaks HTTP and gRPC: whoever owns
// the listener sends it the HTTP/2 requests whose content type is application/grpc.
// Stop with http.Server.Shutdown, which waits for the calls in flight; the health watches,
// which would never end, end by themselves once the app drains.
package grpcapi

import (
	"context"
	"time"

	"github.com/rs/zerolog"
	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/onda-serving/onda/app/admit"
	"github.com/onda-serving/onda/app/ingress/inferencepb"
	"github.com/onda-serving/onda/app/registry"
	"github.com/onda-serving/onda/app/scoring"
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
	// Model with all its versions.
	Model(name string) (registry.Model, error)
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
	// AppToken must be shown by the sidecar; "" asks for none.
	AppToken string
}

// Parts are what the door needs of the rest of the app.
type Parts struct {
	// Scorer scores.
	Scorer Scorer
	// Models are asked for status and metadata.
	Models Models
	// Observer counts answers and panics.
	Observer Observer
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

// New makes the door of its parts. It starts nothing, so there is nothing to stop.
func New(config Config, parts Parts) *Server {
	if parts.Bodies == nil {
		parts.Bodies = admit.NewBytes(8 * config.MaxBody)
	}
	s := &Server{config: config, parts: parts}
	s.grpc = grpc.NewServer(
		// The envelope has refused what is larger already; without this option gRPC's own
		// limit of 4 MiB would hold.
		grpc.MaxRecvMsgSize(int(config.MaxBody)),
		grpc.ForceServerCodecV2(newCodec()),
		grpc.UnaryInterceptor(s.unary),
		grpc.StreamInterceptor(s.stream),
	)
	s.grpc.RegisterService(readable(inferencepb.GRPCInferenceService_ServiceDesc), service{s: s})
	s.grpc.RegisterService(readable(healthpb.Health_ServiceDesc), health{s: s})
	return s
}

// canWork says whether the app takes work.
func (s *Server) canWork() bool { return s.parts.Models.Ready() && !s.parts.Draining() }
