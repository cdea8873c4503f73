package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/emptypb"
)

const inference = "/inference.GRPCInferenceService/"

// rpcWay is one of the ways to Onda over gRPC.
type rpcWay struct {
	name string
	conn *grpc.ClientConn
	ctx  context.Context //nolint:containedctx // it says whom the sidecar is to call
}

// rpcWays are all ways to Onda over gRPC, the one without a sidecar first.
func (s *stack) rpcWays(t *testing.T) []rpcWay {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	t.Cleanup(cancel)
	through := metadata.AppendToOutgoingContext(ctx, "dapr-app-id", s.id)
	return []rpcWay{
		{"directly", rpcTo(t, s.onda.port), ctx},
		{"through its own sidecar", rpcTo(t, s.own.grpcPort), through},
		{"through another app's sidecar", rpcTo(t, s.other.grpcPort), through},
	}
}

func rpcTo(t *testing.T, port int) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(local(port), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// message is a message whose first field is a text; nothing here knows the types.
func message(number protowire.Number, text string) *emptypb.Empty {
	m := &emptypb.Empty{}
	m.ProtoReflect().SetUnknown(protowire.AppendString(protowire.AppendTag(nil, number, protowire.BytesType), text))
	return m
}

// textOf finds a text of a message.
func textOf(m *emptypb.Empty, number protowire.Number) string {
	for b := m.ProtoReflect().GetUnknown(); len(b) > 0; {
		got, kind, n := protowire.ConsumeTag(b)
		size := protowire.ConsumeFieldValue(got, kind, b[max(n, 0):])
		if n < 0 || size < 0 {
			return ""
		}
		if got == number && kind == protowire.BytesType {
			value, _ := protowire.ConsumeString(b[n:])
			return value
		}
		b = b[n+size:]
	}
	return ""
}

// TestGRPC calls Onda by every way on the port that speaks HTTP, too.
func TestGRPC(t *testing.T) {
	group(t)
	s := startStack(t, nil)
	for _, way := range s.rpcWays(t) {
		t.Run(way.name, func(t *testing.T) {
			health, err := healthpb.NewHealthClient(way.conn).Check(way.ctx, &healthpb.HealthCheckRequest{})
			if err != nil || health.GetStatus() != healthpb.HealthCheckResponse_SERVING {
				t.Errorf("health: %v, %v", health, err)
			}
			var got emptypb.Empty
			if err := way.conn.Invoke(way.ctx, inference+"ModelMetadata", message(1, imageModel), &got); err != nil || textOf(&got, 1) != imageModel {
				t.Errorf("metadata: %v, %v", &got, err)
			}
			err = way.conn.Invoke(way.ctx, inference+"ModelMetadata", message(1, "none"), &got)
			if grpcstatus.Code(err) != codes.NotFound || !strings.Contains(err.Error(), "none") {
				t.Errorf("metadata of a model that does not exist: %v", err)
			}
			stream, err := way.conn.NewStream(way.ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, inference+"ModelStreamInfer")
			if err != nil {
				t.Fatal(err)
			}
			for range 3 { // a failed request does not end the stream
				if err := stream.SendMsg(message(1, imageModel)); err != nil {
					t.Fatal(err)
				}
				if err := stream.RecvMsg(&got); err != nil || !strings.Contains(textOf(&got, 1), "inputs") {
					t.Fatalf("stream: %q, %v", textOf(&got, 1), err)
				}
			}
		})
	}
}

// TestDrainOfGRPC stops Onda under calls over gRPC: each is answered, or was not begun.
func TestDrainOfGRPC(t *testing.T) {
	group(t)
	s := startStack(t, map[string]string{"ONDA_DRAIN_DELAY": drainDelay.String(), "ONDA_SHUTDOWN_TIMEOUT": shutdownTimeout.String()})
	var mu sync.Mutex
	answered, lost := 0, errors.Join()
	var callers sync.WaitGroup
	end := make(chan struct{})
	way := s.rpcWays(t)[0]
	for range 8 {
		callers.Go(func() {
			for {
				select {
				case <-end:
					return
				default:
				}
				var got emptypb.Empty
				err := way.conn.Invoke(way.ctx, inference+"ModelMetadata", message(1, imageModel), &got)
				mu.Lock()
				switch {
				case err == nil:
					answered++
				case grpcstatus.Code(err) == codes.Unavailable && strings.Contains(err.Error(), "connection refused"):
				default:
					lost = errors.Join(lost, fmt.Errorf("at %s: %w", time.Now().Format(time.StampMilli), err))
				}
				mu.Unlock()
			}
		})
	}
	time.Sleep(500 * time.Millisecond)
	s.onda.signal(t, syscall.SIGTERM)
	code := s.onda.exitCode(t)
	close(end)
	callers.Wait()
	if code != 0 || lost != nil || answered < 100 {
		t.Errorf("exit code %d, %d calls answered, lost: %v", code, answered, lost)
	}
	t.Logf("%d calls answered", answered)
}
