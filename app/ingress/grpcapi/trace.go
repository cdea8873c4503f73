package grpcapi

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/telemetry/spans"
)

// The metadata of W3C Trace Context.
const (
	parentKey = "traceparent"
	stateKey  = "tracestate"
)

// trace begins the span of a call. Probes have none: they come all the time and say nothing. Nor
// has a stream, which may go on for hours: see [Server.traceOne].
func (s *Server) trace(ctx context.Context, c *call, md metadata.MD) context.Context {
	if s.parts.Tracer == nil || c.method.operation == "health" {
		return ctx
	}
	c.traceparent, c.tracestate = first(md, parentKey), first(md, stateKey)
	if c.method.endless {
		return ctx
	}
	ctx, c.span = s.begin(ctx, c)
	return ctx
}

// traceOne begins the span of one request of a stream.
func (s *Server) traceOne(ctx context.Context, c *call) (context.Context, spans.Span) {
	if s.parts.Tracer == nil {
		return ctx, spans.Span{}
	}
	return s.begin(ctx, c)
}

func (s *Server) begin(ctx context.Context, c *call) (context.Context, spans.Span) {
	name := c.method.name
	if c.method.operation == "unknown" {
		name = "unknown" // callers choose those
	}
	return s.parts.Tracer.Serve(ctx, c.header, name, spans.String("rpc.system.name", "grpc"), spans.String("rpc.method", name))
}

// header gives the metadata that names a trace.
func (c *call) header(key string) string {
	if key == parentKey {
		return c.traceparent
	}
	return c.tracestate
}

// end ends the span of a call, or of a request of a stream.
func end(span spans.Span, err error) {
	if span.On() {
		code := codes.OK
		if err != nil {
			code = codes.Code(scoring.CodeOf(err).GRPCCode())
		}
		span.Set(spans.String("rpc.response.status_code", code.String()))
	}
	span.End(err)
}
