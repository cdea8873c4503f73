package lifecycle_test

import (
	"encoding/binary"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/onda-serving/onda/app/ingress/inferencepb"
)

// TestOneListenerSpeaksBothProtocols asks the same port over HTTP and over gRPC.
func TestOneListenerSpeaksBothProtocols(t *testing.T) {
	r := run(t, settings(t))
	conn, err := grpc.NewClient(strings.TrimPrefix(r.url, "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	health, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	if err != nil || health.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Errorf("health over gRPC: %v %v", health, err)
	}
	resp, err := inferencepb.NewGRPCInferenceServiceClient(conn).ModelInfer(t.Context(), &inferencepb.ModelInferRequest{
		ModelName: "addsub",
		Inputs: []*inferencepb.ModelInferRequest_InferInputTensor{
			{Name: "INPUT0", Datatype: "INT32", Shape: []int64{1, 16}},
			{Name: "INPUT1", Datatype: "INT32", Shape: []int64{1, 16}},
		},
		RawInputContents: [][]byte{numbers(1), numbers(2)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := resp.GetRawOutputContents()[0]; string(got) != string(numbers(3)) || resp.GetModelVersion() != "1" {
		t.Errorf("1 + 2 gave %v by version %s", got, resp.GetModelVersion())
	}
	if status, _, err := r.add(); err != nil || status != 200 {
		t.Errorf("over HTTP: %d %v", status, err)
	}
}

// numbers makes sixteen INT32 of the same value.
func numbers(n int32) []byte {
	var out []byte
	for range 16 {
		out = binary.LittleEndian.AppendUint32(out, uint32(n))
	}
	return out
}
