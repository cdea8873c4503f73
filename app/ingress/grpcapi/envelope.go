package grpcapi

import (
	"context"
	"crypto/subtle"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/onda-serving/onda/app/ingress/inferencepb"
	"github.com/onda-serving/onda/app/scoring"
)

// operations are the unary calls that the door answers, with their names in metrics: the
// same as for the paths of the HTTP door that do the same.
var operations = map[string]string{
	inferencepb.GRPCInferenceService_ServerLive_FullMethodName:     "health",
	inferencepb.GRPCInferenceService_ServerReady_FullMethodName:    "health",
	inferencepb.GRPCInferenceService_ModelReady_FullMethodName:     "health",
	inferencepb.GRPCInferenceService_ServerMetadata_FullMethodName: "metadata",
	inferencepb.GRPCInferenceService_ModelMetadata_FullMethodName:  "metadata",
	inferencepb.GRPCInferenceService_ModelInfer_FullMethodName:     "infer",
	healthpb.Health_Check_FullMethodName:                           "health",
	healthpb.Health_List_FullMethodName:                            "health",
}

// tokenHeader is where a sidecar shows APP_API_TOKEN.
const tokenHeader = "Dapr-Api-Token" //nolint:gosec // the name of a header, not a credential

// call follows a call from the first byte to the last.
type call struct {
	operation string
	start     time.Time
	// failure is what the call failed with. It is atomic because gRPC gives the envelope
	// back as soon as the caller is gone, while the call may still end.
	failure atomic.Pointer[scoring.Error]
}

type callKey struct{}

// callOf finds the call of a context. Contexts that never passed the envelope get a call
// that nobody follows.
func callOf(ctx context.Context) *call {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		return c
	}
	return &call{start: time.Now()}
}

// ServeHTTP implements http.Handler. What it does itself has to happen before gRPC reads
// the message: a caller without a token, or with a message that is too large, must not
// make the server read and hold megabytes first.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == healthpb.Health_Watch_FullMethodName {
		s.watch(w, r)
		return
	}
	c := &call{operation: "unknown", start: time.Now()}
	known := false
	if name, ok := operations[r.URL.Path]; ok {
		c.operation, known = name, true
	}
	release, err := s.admit(w, r, c, known)
	defer release()
	if err != nil {
		refuse(w, scoring.AsError(err))
		s.answered(r, c, err)
		return
	}
	s.grpc.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callKey{}, c)))
	s.answered(r, c, c.outcome(w, r))
}

// watch serves a health watch, which has no budget and no place in the metrics. Timeouts
// that the listener has for answers would cut it off.
func (s *Server) watch(w http.ResponseWriter, r *http.Request) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
	release, err := s.readMessage(w, r, s.config.ReadTimeout)
	// Its message is gone as soon as it is understood, and the watch goes on.
	release()
	if err != nil {
		refuse(w, scoring.AsError(err))
		return
	}
	s.grpc.ServeHTTP(w, r)
}

// admit checks the token, bounds the call's time and reads its message. release must be
// called when the call is over, whatever err is.
func (s *Server) admit(w http.ResponseWriter, r *http.Request, c *call, known bool) (release func(), err error) {
	release = func() {}
	if err := s.authorise(r); err != nil {
		return release, err
	}
	budget := bound(r.Header, s.config.Timeout)
	if !known {
		// gRPC answers unknown calls without looking at the message.
		return release, nil
	}
	release, err = s.readMessage(w, r, min(s.config.ReadTimeout, budget))
	// The arrival of the message is part of the call's time, and gRPC starts its clock now.
	// Whole milliseconds, so that the others keep the deadline as it was given.
	bound(r.Header, max(budget-time.Since(c.start).Truncate(time.Millisecond), 0))
	return release, err
}

// authorise checks the token of the sidecar. Health is exempt: Dapr and Kubernetes probe
// it without a token, and it says nothing but yes or no.
func (s *Server) authorise(r *http.Request) error {
	if s.config.AppToken == "" || strings.HasPrefix(r.URL.Path, "/"+healthpb.Health_ServiceDesc.ServiceName+"/") {
		return nil
	}
	shown := r.Header.Get(tokenHeader)
	if subtle.ConstantTimeCompare([]byte(shown), []byte(s.config.AppToken)) == 1 {
		return nil
	}
	return scoring.Errorf(scoring.Unauthenticated, "the metadata dapr-api-token is missing or wrong: call Onda through its sidecar, or send the token of APP_API_TOKEN")
}

// answered logs and counts a call.
func (s *Server) answered(r *http.Request, c *call, err error) {
	took := time.Since(c.start)
	event, message := s.parts.Log.Debug(), "answered"
	if err != nil {
		message = "refused"
		if scoring.CodeOf(err) == scoring.Internal {
			event = s.parts.Log.Error()
		}
		event = event.Err(err)
	}
	event.Str("operation", c.operation).Str("caller", r.Header.Get("Dapr-Caller-App-Id")).Dur("took_ms", took).Msg(message)
	s.parts.Observer.Answered("grpc", c.operation, err, took)
}

// outcome is what a call that gRPC has finished ended with: our own error, or the one
// that gRPC answered without asking us.
func (c *call) outcome(w http.ResponseWriter, r *http.Request) error {
	if e := c.failure.Load(); e != nil {
		return e
	}
	// gRPC leaves the status here, for net/http to send as a trailer.
	status, text := w.Header().Get("Grpc-Status"), w.Header().Get("Grpc-Message")
	switch {
	case status == "0":
		return nil
	case r.Context().Err() != nil:
		return scoring.AsError(r.Context().Err())
	case status == "":
		return scoring.Errorf(scoring.Invalid, "the request is not a gRPC call")
	default:
		return scoring.Errorf(codeOf(status), "%s", clip(text))
	}
}
