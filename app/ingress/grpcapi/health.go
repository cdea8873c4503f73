package grpcapi

import (
	"context"
	"time"

	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/onda-serving/onda/app/ingress/inferencepb"
	"github.com/onda-serving/onda/app/scoring"
)

// watchInterval is how often a health watch looks. Readiness changes a few times in the
// life of a process; what matters is that watches end well within the drain delay.
const watchInterval = 200 * time.Millisecond

// health answers grpc.health.v1 for the server as a whole ("") and for the service of
// the Open Inference Protocol: they are ready together.
type health struct {
	healthpb.UnimplementedHealthServer
	s *Server
}

// Check says whether a service takes work.
func (h health) Check(_ context.Context, req *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	if !knownService(req.GetService()) {
		return nil, scoring.Errorf(scoring.NotFound, "service %q is not known: want %q, or none for the server", clip(req.GetService()), inferencepb.GRPCInferenceService_ServiceDesc.ServiceName)
	}
	return &healthpb.HealthCheckResponse{Status: h.state(true)}, nil
}

// watch says so now and whenever it changes. Once the app drains it ends, with the code
// that tells clients to connect anew: the server waits for every call before it stops, and
// a watch has no end of its own.
func (s *Server) watch(c *call, srv any, stream grpc.ServerStream) error {
	var req healthpb.HealthCheckRequest
	e, err := s.only(c, stream, &req)
	if err != nil {
		return err
	}
	// The watch goes on for as long as its caller likes, and must not hold the message.
	known := knownService(req.GetService())
	c.free(e.held())
	h := srv.(health)
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	sent := healthpb.HealthCheckResponse_UNKNOWN
	for {
		// Asked before the state: whoever learns that the app drains must not miss that it
		// does not serve any more.
		draining := s.parts.Draining()
		if state := h.state(known); state != sent {
			if err := c.send(stream, &healthpb.HealthCheckResponse{Status: state}); err != nil {
				return err
			}
			sent = state
		}
		if draining {
			return shuttingDown()
		}
		select {
		case <-tick.C:
		case <-c.Done():
			return c.Err()
		}
	}
}

func shuttingDown() error {
	return scoring.Errorf(scoring.Unavailable, "the server is shutting down").WithRetryAfter(time.Second)
}

// state is what both calls report. A watch may name a service that does not exist yet.
func (h health) state(known bool) healthpb.HealthCheckResponse_ServingStatus {
	switch {
	case !known:
		return healthpb.HealthCheckResponse_SERVICE_UNKNOWN
	case h.s.canWork():
		return healthpb.HealthCheckResponse_SERVING
	default:
		return healthpb.HealthCheckResponse_NOT_SERVING
	}
}

// List gives the state of both names.
func (h health) List(context.Context, *healthpb.HealthListRequest) (*healthpb.HealthListResponse, error) {
	statuses := map[string]*healthpb.HealthCheckResponse{}
	for _, name := range []string{"", inferencepb.GRPCInferenceService_ServiceDesc.ServiceName} {
		statuses[name] = &healthpb.HealthCheckResponse{Status: h.state(true)}
	}
	return &healthpb.HealthListResponse{Statuses: statuses}, nil
}

func knownService(name string) bool {
	return name == "" || name == inferencepb.GRPCInferenceService_ServiceDesc.ServiceName
}
