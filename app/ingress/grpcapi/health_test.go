package grpcapi

import (
	"testing"

	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/proto"

	"github.com/onda-serving/onda/app/ingress/inferencepb"
	"github.com/onda-serving/onda/app/wire"
)

func TestHealthCheck(t *testing.T) {
	t.Parallel()
	f := open(t, echo)
	client := healthpb.NewHealthClient(f.conn)
	want := func(status healthpb.HealthCheckResponse_ServingStatus) {
		t.Helper()
		for _, service := range []string{"", "inference.GRPCInferenceService"} {
			resp, err := client.Check(t.Context(), &healthpb.HealthCheckRequest{Service: service})
			if err != nil || resp.GetStatus() != status {
				t.Errorf("service %q: got %v, %v, want %v", service, resp.GetStatus(), err, status)
			}
		}
		list, err := client.List(t.Context(), &healthpb.HealthListRequest{})
		if err != nil || len(list.GetStatuses()) != 2 || list.GetStatuses()[""].GetStatus() != status {
			t.Errorf("list: got %v, %v, want %v", list, err, status)
		}
	}
	want(healthpb.HealthCheckResponse_SERVING)
	f.models.unready.Store(true)
	want(healthpb.HealthCheckResponse_NOT_SERVING)
	f.models.unready.Store(false)
	f.draining.Store(true)
	want(healthpb.HealthCheckResponse_NOT_SERVING)
	_, err := client.Check(t.Context(), &healthpb.HealthCheckRequest{Service: "a.B"})
	wantStatus(t, err, codes.NotFound, `"a.B"`)
}

// TestHealthWatch follows a server from loading over ready to draining, which ends the
// watch and so lets the listener shut down.
func TestHealthWatch(t *testing.T) {
	t.Parallel()
	f := open(t, echo)
	f.models.unready.Store(true)
	stream, err := healthpb.NewHealthClient(f.conn).Watch(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	want := func(status healthpb.HealthCheckResponse_ServingStatus) {
		t.Helper()
		resp, err := stream.Recv()
		if err != nil || resp.GetStatus() != status {
			t.Fatalf("got %v, %v, want %v", resp.GetStatus(), err, status)
		}
	}
	want(healthpb.HealthCheckResponse_NOT_SERVING)
	f.models.unready.Store(false)
	want(healthpb.HealthCheckResponse_SERVING)
	f.draining.Store(true)
	want(healthpb.HealthCheckResponse_NOT_SERVING)
	_, err = stream.Recv()
	wantStatus(t, err, codes.Unavailable, "shutting down")
	if err := f.door.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if f.observer.answers != nil {
		t.Errorf("observer heard %v of a watch", f.observer.answers)
	}
}

func TestHealthWatchOfUnknownService(t *testing.T) {
	t.Parallel()
	f := open(t, echo)
	stream, err := healthpb.NewHealthClient(f.conn).Watch(t.Context(), &healthpb.HealthCheckRequest{Service: "a.B"})
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := stream.Recv(); err != nil || resp.GetStatus() != healthpb.HealthCheckResponse_SERVICE_UNKNOWN {
		t.Errorf("got %v, %v, want SERVICE_UNKNOWN", resp.GetStatus(), err)
	}
}

func TestReadiness(t *testing.T) {
	t.Parallel()
	f := open(t, echo)
	for _, c := range []struct {
		name            string
		unready, drains bool
		server, model   bool
	}{
		{"ready", false, false, true, true},
		{"loading others", true, false, false, true},
		{"draining", false, true, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			f.models.unready.Store(c.unready)
			f.draining.Store(c.drains)
			live, err := f.client.ServerLive(t.Context(), &inferencepb.ServerLiveRequest{})
			if err != nil || !live.GetLive() {
				t.Errorf("live: got %v, %v", live, err)
			}
			server, err := f.client.ServerReady(t.Context(), &inferencepb.ServerReadyRequest{})
			if err != nil || server.GetReady() != c.server {
				t.Errorf("server: got %v, %v, want %v", server, err, c.server)
			}
			model, err := f.client.ModelReady(t.Context(), &inferencepb.ModelReadyRequest{Name: "iris"})
			if err != nil || model.GetReady() != c.model {
				t.Errorf("model: got %v, %v, want %v", model, err, c.model)
			}
		})
	}
}

func TestModelReadyOfVersions(t *testing.T) {
	t.Parallel()
	f := open(t, echo)
	loading, err := f.client.ModelReady(t.Context(), &inferencepb.ModelReadyRequest{Name: "iris", Version: "2"})
	if err != nil || loading.GetReady() {
		t.Errorf("a version that loads: got %v, %v, want not ready", loading, err)
	}
	_, err = f.client.ModelReady(t.Context(), &inferencepb.ModelReadyRequest{Name: "iris", Version: "3"})
	wantStatus(t, err, codes.NotFound, "version 3")
	_, err = f.client.ModelReady(t.Context(), &inferencepb.ModelReadyRequest{Name: "rose"})
	wantStatus(t, err, codes.NotFound, "rose")
	_, err = f.client.ModelReady(t.Context(), &inferencepb.ModelReadyRequest{Name: "../iris"})
	wantStatus(t, err, codes.InvalidArgument, "model name")
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	f := open(t, echo)
	server, err := f.client.ServerMetadata(t.Context(), &inferencepb.ServerMetadataRequest{})
	if want := (&inferencepb.ServerMetadataResponse{Name: "onda", Version: "1.2.3", Extensions: wire.Extensions}); err != nil || !proto.Equal(server, want) {
		t.Errorf("server: got %v, %v, want %v", server, err, want)
	}
	model, err := f.client.ModelMetadata(t.Context(), &inferencepb.ModelMetadataRequest{Name: "iris"})
	want := &inferencepb.ModelMetadataResponse{
		Name: "iris", Versions: []string{"1", "2"}, Platform: "onnxruntime_onnx",
		Inputs: []*inferencepb.ModelMetadataResponse_TensorMetadata{{Name: "x", Datatype: "FP32", Shape: []int64{-1, 4}}},
		Outputs: []*inferencepb.ModelMetadataResponse_TensorMetadata{
			{Name: "label", Datatype: "INT64", Shape: []int64{-1}}, {Name: "any", Datatype: "BYTES"},
		},
	}
	if err != nil || !proto.Equal(model, want) {
		t.Errorf("model: got %v, %v, want %v", model, err, want)
	}
	for _, c := range []struct {
		name, version string
		code          codes.Code
	}{{"iris", "2", codes.Unavailable}, {"iris", "3", codes.NotFound}, {"rose", "", codes.NotFound}, {"iris", "x", codes.NotFound}, {"iris", "0", codes.InvalidArgument}} {
		_, err := f.client.ModelMetadata(t.Context(), &inferencepb.ModelMetadataRequest{Name: c.name, Version: c.version})
		wantStatus(t, err, c.code)
	}
}
