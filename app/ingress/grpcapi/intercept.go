package grpcapi

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"github.com/onda-serving/onda/app/scoring"
)

// unary turns what a call ends with into a status, and a panic into an error: one
// caller's bad luck must not end the process, and with it everybody else's calls.
func (s *Server) unary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (resp any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = s.caught(p)
		}
		if err != nil {
			resp, err = nil, fail(ctx, err)
		}
	}()
	return handler(ctx, req)
}

// stream does for streams what [Server.unary] does for calls.
func (s *Server) stream(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = s.caught(p)
		}
		if err != nil {
			err = fail(stream.Context(), err)
		}
	}()
	return handler(srv, stream)
}

func (s *Server) caught(p any) error {
	s.parts.Observer.Panicked()
	s.parts.Log.Error().Str("panic", fmt.Sprint(p)).Bytes("stack", debug.Stack()).Msg("panic in a gRPC call")
	return scoring.Errorf(scoring.Internal, "internal error: the request was not answered; the server's log has the details")
}

// fail notes the failure for the envelope and gives gRPC its status.
func fail(ctx context.Context, err error) error {
	e := scoring.AsError(err)
	callOf(ctx).failure.Store(e)
	if trailer := trailerOf(e); trailer != nil {
		// It can only fail where the caller is gone.
		_ = grpc.SetTrailer(ctx, trailer)
	}
	return statusOf(e).Err()
}

// readable gives desc's calls another answer to a message that cannot be read: gRPC says
// Internal, which in our table is a defect of Onda and worth a retry, and it is neither.
func readable(desc grpc.ServiceDesc) *grpc.ServiceDesc {
	desc.Methods = slices.Clone(desc.Methods)
	for i := range desc.Methods {
		method := &desc.Methods[i]
		handler := method.Handler
		method.Handler = func(srv any, ctx context.Context, decode func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
			return handler(srv, ctx, func(message any) error {
				err := decode(message)
				if err == nil {
					return nil
				}
				text := strings.TrimPrefix(status.Convert(err).Message(), "grpc: error unmarshalling request: ")
				return fail(ctx, scoring.Errorf(scoring.Invalid, "the message of %s cannot be read: %s", method.MethodName, text))
			}, interceptor)
		}
	}
	return &desc
}
