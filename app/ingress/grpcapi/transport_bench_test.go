package grpcapi

import (
	"context"
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/onda-serving/onda/app/ingress/inferencepb"
)

// bare answers ModelInfer with the bytes that came, and does nothing else: what is left is
// what grpc-go and its transport cost.
type bare struct {
	inferencepb.UnimplementedGRPCInferenceServiceServer
}

func (bare) ModelInfer(_ context.Context, in *inferencepb.ModelInferRequest) (*inferencepb.ModelInferResponse, error) {
	out := &inferencepb.ModelInferResponse{ModelName: in.GetModelName(), ModelVersion: "1", Id: "id", RawOutputContents: in.GetRawInputContents()}
	for _, tensor := range in.GetInputs() {
		out.Outputs = append(out.Outputs, &inferencepb.ModelInferResponse_InferOutputTensor{Name: tensor.GetName(), Datatype: tensor.GetDatatype(), Shape: tensor.GetShape()})
	}
	return out, nil
}

// openBare serves the bare echo over one of the two transports.
func openBare(tb testing.TB, overNetHTTP bool) inferencepb.GRPCInferenceServiceClient {
	tb.Helper()
	server := grpc.NewServer(grpc.MaxRecvMsgSize(16 << 20))
	inferencepb.RegisterGRPCInferenceServiceServer(server, bare{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	served := make(chan struct{})
	stop := server.Stop
	if overNetHTTP {
		var protocols http.Protocols
		protocols.SetUnencryptedHTTP2(true)
		web := &http.Server{Protocols: &protocols, Handler: server}
		stop = func() { _ = web.Close() }
		go func() { defer close(served); _ = web.Serve(listener) }()
	} else {
		go func() { defer close(served); _ = server.Serve(listener) }()
	}
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = conn.Close()
		stop()
		<-served
	})
	return inferencepb.NewGRPCInferenceServiceClient(conn)
}

// processorTime is what this process has used: on a busy machine it says more than the clock.
func processorTime() time.Duration {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// small is one raw tensor of four numbers.
func small() *inferencepb.ModelInferRequest {
	return request(&input{Name: "x", Datatype: "FP32", Shape: []int64{1, 4}}, make([]byte, 16))
}

// BenchmarkTransport compares the door with a bare echo, over both transports, with sixteen
// callers on one connection.
func BenchmarkTransport(b *testing.B) {
	raw, _ := picture()
	for _, size := range []struct {
		name string
		req  *inferencepb.ModelInferRequest
	}{{"small", small()}, {"picture", raw}} {
		for _, door := range []struct {
			name string
			open func() inferencepb.GRPCInferenceServiceClient
		}{
			{"bare-nethttp", func() inferencepb.GRPCInferenceServiceClient { return openBare(b, true) }},
			{"bare-native", func() inferencepb.GRPCInferenceServiceClient { return openBare(b, false) }},
			{"door", func() inferencepb.GRPCInferenceServiceClient {
				return open(b, echo, func(c *Config) { c.MaxBody = 16 << 20 }).client
			}},
		} {
			b.Run(size.name+"/"+door.name, func(b *testing.B) {
				client := door.open()
				b.ReportAllocs()
				b.SetParallelism(8)
				b.ResetTimer()
				before := processorTime()
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if _, err := client.ModelInfer(b.Context(), size.req); err != nil {
							b.Error(err)
						}
					}
				})
				b.ReportMetric(float64(processorTime()-before)/float64(b.N), "cpu-ns/op")
			})
		}
	}
}
