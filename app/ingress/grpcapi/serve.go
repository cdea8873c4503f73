package grpcapi

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"

	"github.com/onda-serving/onda/app/scoring"
)

// The metadata that the door looks at.
const (
	// tokenKey is where a sidecar shows APP_API_TOKEN.
	tokenKey = "dapr-api-token" //nolint:gosec // the name of a header, not a credential
	// callerKey names the app that the sidecar calls for.
	callerKey = "dapr-caller-app-id"
	// keyKey is what a caller wants to be told apart by, where traffic is split over versions.
	keyKey = "x-onda-key"
	// laneKey is the lane of a request that has no parameter for it.
	laneKey = "x-onda-lane"
)

// errNoConnection means that gRPC asks about a call of a connection that is not ours.
var errNoConnection = errors.New("the call has no connection: the credentials of the server are not in use")

// tap meets a call when its headers are here, before gRPC takes in any of its messages: a
// caller without a token must not make the server hold what it sends. gRPC calls it in the
// goroutine that reads the connection, with a lock held.
func (s *Server) tap(ctx context.Context, info *tap.Info) (context.Context, error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return ctx, errNoConnection
	}
	conn, ok := p.AuthInfo.(*conn)
	if !ok {
		return ctx, errNoConnection
	}
	c := &call{
		server: s, method: methodOf(info.FullMethodName), start: time.Now(),
		caller: first(info.Header, callerKey), key: first(info.Header, keyKey), lane: first(info.Header, laneKey),
		strict: first(info.Header, grpcErrorKey) == "true", wake: make(chan struct{}, 1),
	}
	ctx = s.trace(ctx, c, info.Header)
	if err := s.authorise(c.method, first(info.Header, tokenKey)); err != nil {
		c.Context = ctx
		s.answered(c, err)
		return ctx, statusOf(scoring.AsError(err)).Err()
	}
	c.deadline, c.shortened = c.budget(ctx)
	c.Context = ctx
	conn.add(c)
	return c, nil
}

func first(md metadata.MD, key string) string {
	// Not md.Get, which takes pains to accept keys in any case: these arrive in lower case.
	if values := md[key]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// authorise checks the token of the sidecar.
func (s *Server) authorise(m *method, shown string) error {
	if s.config.AppToken == "" || m.open {
		return nil
	}
	if subtle.ConstantTimeCompare([]byte(shown), []byte(s.config.AppToken)) == 1 {
		return nil
	}
	return scoring.Errorf(scoring.Unauthenticated, "the metadata dapr-api-token is missing or wrong: call Onda through its sidecar, or send the token of APP_API_TOKEN")
}

// budget is when the call's time ends; shortened says that its own deadline, if it has one,
// is later. A call without a deadline, or with one that is too late, would hold a place for
// longer than any answer takes.
func (c *call) budget(ctx context.Context) (end time.Time, shortened bool) {
	most := c.start.Add(c.server.config.Timeout)
	if own, ok := ctx.Deadline(); ok && !own.After(most) {
		return own, false
	}
	return most, true
}

// bounded gives a call's context its deadline. The context of the whole call goes on: gRPC
// would answer by itself when that ends.
func (c *call) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if !c.shortened {
		return ctx, func() {}
	}
	return context.WithDeadline(ctx, c.deadline)
}

// unary answers calls with one message.
func (s *Server) unary(desc grpc.MethodDesc) handler {
	return func(c *call, srv any, stream grpc.ServerStream) error {
		ctx, cancel := c.bounded(stream.Context())
		defer cancel()
		resp, err := desc.Handler(srv, ctx, func(into any) error {
			_, err := s.only(c, stream, into)
			return err
		}, nil)
		if err != nil {
			return err
		}
		return c.send(stream, resp)
	}
}

// only reads the only message of a call. Its arrival is part of the call's time.
func (s *Server) only(c *call, stream grpc.ServerStream, into any) (*envelope, error) {
	w := waiting{most: min(s.config.ReadTimeout, max(c.deadline.Sub(c.start), 0)), since: c.start}
	defer w.stop()
	e, err := c.receive(stream, into, &w)
	if e == nil && errors.Is(err, io.EOF) {
		return nil, scoring.Errorf(scoring.Invalid, "the call has no message: want exactly one")
	}
	return e, err
}

// send sends an answer. A caller that does not read those of a stream is broken off; for
// other calls [conn.leaving] sees to that.
func (c *call) send(stream grpc.ServerStream, resp any) error {
	if c.method.endless {
		defer time.AfterFunc(c.server.config.AnswerTimeout, func() { c.conn.breakOff(c.stream) }).Stop()
	}
	err := stream.SendMsg(resp)
	if err != nil && c.Err() != nil {
		return scoring.AsError(c.Err())
	}
	return err
}

// handler answers a call. srv is what its service is registered with.
type handler func(c *call, srv any, stream grpc.ServerStream) error

// handle turns what a call ends with into a status, and a panic into an error: one
// caller's bad luck must not end the process, and with it everybody else's calls.
func (s *Server) handle(work handler) grpc.StreamHandler {
	return func(srv any, stream grpc.ServerStream) (err error) {
		c := callOf(stream.Context())
		if c.server == nil || !c.claim() {
			return statusOf(gone).Err()
		}
		defer func() {
			if p := recover(); p != nil {
				err = s.caught(c, p)
			}
			c.finish(err)
			c.conn.leaving(c)
			err = fail(stream, err)
		}()
		return work(c, srv, stream)
	}
}

// unknown answers calls that the door does not know.
func (s *Server) unknown(c *call, _ any, _ grpc.ServerStream) error {
	return scoring.Errorf(scoring.Unimplemented, "the call %s is not known: want one of inference.GRPCInferenceService or grpc.health.v1.Health", clip(c.method.name))
}

func (s *Server) caught(ctx context.Context, p any) error {
	s.parts.Observer.Panicked()
	s.parts.Log.Error().Ctx(ctx).Str("panic", fmt.Sprint(p)).Bytes("stack", debug.Stack()).Msg("panic in a gRPC call")
	return scoring.Errorf(scoring.Internal, "internal error: the request was not answered; the server's log has the details")
}

// fail gives gRPC the status of an error.
func fail(stream grpc.ServerStream, err error) error {
	if err == nil {
		return nil
	}
	e := scoring.AsError(err)
	if trailer := trailerOf(e); trailer != nil {
		stream.SetTrailer(trailer)
	}
	return statusOf(e).Err()
}

// textOf is the text of an error of gRPC.
func textOf(err error) string { return status.Convert(err).Message() }

// answered logs and counts a call.
func (s *Server) answered(c *call, err error) {
	end(c.span, err)
	if c.method.silent {
		return
	}
	s.note(c, c, time.Since(c.start), err)
}

// note logs and counts what was answered.
func (s *Server) note(ctx context.Context, c *call, took time.Duration, err error) {
	event, message := s.parts.Log.Debug(), "answered"
	if err != nil {
		message = "refused"
		if scoring.CodeOf(err) == scoring.Internal {
			event = s.parts.Log.Error()
		}
		event = event.Err(err)
	}
	event.Ctx(ctx).Str("operation", c.method.operation).Str("caller", c.caller).Dur("took_ms", took).Msg(message)
	s.parts.Observer.Answered("grpc", c.method.operation, err, took)
}
