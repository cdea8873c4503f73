package grpcapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/onda-serving/onda/app/ingress/inferencepb"
	"github.com/onda-serving/onda/app/scoring"
)

type inferStream = grpc.BidiStreamingClient[inferencepb.ModelInferRequest, inferencepb.ModelStreamInferResponse]

// openStream opens a stream that ends with the test.
func (f *fixture) openStream(t *testing.T, md ...string) inferStream {
	t.Helper()
	ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(t.Context(), md...), 20*time.Second)
	t.Cleanup(cancel)
	stream, err := f.client.ModelStreamInfer(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

// ask sends requests with these ids.
func ask(t *testing.T, stream inferStream, ids ...string) {
	t.Helper()
	for _, id := range ids {
		req := floats()
		req.Id = id
		if err := stream.Send(req); err != nil {
			t.Fatal(err)
		}
	}
}

// wantAnswer reads an answer and fails unless it is to this request. part of its error must
// be there, and no error if part is "".
func wantAnswer(t *testing.T, stream inferStream, id, part string) *inferencepb.ModelInferResponse {
	t.Helper()
	got, err := stream.Recv()
	if err != nil {
		t.Fatalf("the stream ended before the answer to %q: %v", id, err)
	}
	failed := got.GetErrorMessage() != ""
	if got.GetInferResponse().GetId() != id || failed != (part != "") || !strings.Contains(got.GetErrorMessage(), part) {
		t.Errorf("got %v, want an answer to %q with the error %q", got, id, part)
	}
	if !got.GetInferResponse().GetParameters()[finalParameter].GetBoolParam() {
		t.Errorf("the answer to %q is not marked as the last one: %v", id, got)
	}
	return got.GetInferResponse()
}

// failing is a scorer that fails for the id "bad" and panics for "worse".
func failing(ctx context.Context, req *scoring.InferRequest) (*scoring.InferResponse, error) {
	switch req.ID {
	case "bad":
		return nil, scoring.Errorf(scoring.NotFound, "no such model").WithCause(errors.New("secret"))
	case "worse":
		panic("boom")
	default:
		return echo(ctx, req)
	}
}

// TestStreamGoesOnAfterFailures: a failed request is answered with its id, and those after
// it are served.
func TestStreamGoesOnAfterFailures(t *testing.T) {
	t.Parallel()
	f := open(t, failing)
	stream := f.openStream(t)
	ask(t, stream, "a", "bad", "worse", "b")
	wrong := floats()
	wrong.Id, wrong.Inputs[0].Shape = "c", []int64{7, 7}
	if err := stream.Send(wrong); err != nil {
		t.Fatal(err)
	}
	wantAnswer(t, stream, "a", "")
	wantAnswer(t, stream, "bad", "no such model")
	wantAnswer(t, stream, "worse", "internal error")
	if got := wantAnswer(t, stream, "b", ""); got.GetOutputs()[0].GetContents().GetFp32Contents()[1] != 2 || got.GetParameters()["digest"].GetStringParam() != "sha256:0123" {
		t.Errorf("got %v", got)
	}
	wantAnswer(t, stream, "c", `"x" has 2 values`)
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("the stream ended with %v", err)
	}
	heard := map[answer]int{}
	for range 5 {
		heard[f.observer.heard(t)]++
	}
	for code, n := range map[scoring.Code]int{0: 2, scoring.NotFound: 1, scoring.Internal: 1, scoring.Invalid: 1} {
		if heard[answer{"grpc", "infer", code}] != n {
			t.Errorf("the observer heard %v", heard)
		}
	}
	f.booked(t, 0)
}

// TestStreamStrict: with Triton's metadata for it a failure ends the stream.
func TestStreamStrict(t *testing.T) {
	t.Parallel()
	f := open(t, failing)
	stream := f.openStream(t, "triton_grpc_error", "true")
	ask(t, stream, "a", "bad", "b")
	wantAnswer(t, stream, "a", "")
	_, err := stream.Recv()
	wantStatus(t, err, codes.NotFound, "no such model")
	f.booked(t, 0)
}

// TestStreamAnswersInOrder: requests are scored at once, and the first to be done is not
// the first to be answered.
func TestStreamAnswersInOrder(t *testing.T) {
	t.Parallel()
	const requests = 8
	var entered sync.WaitGroup
	entered.Add(requests)
	f := open(t, func(ctx context.Context, req *scoring.InferRequest) (*scoring.InferResponse, error) {
		entered.Done()
		entered.Wait() // for all of them: one at a time would hang here
		n, _ := strconv.Atoi(req.ID)
		time.Sleep(time.Duration(requests-n) * time.Millisecond)
		return echo(ctx, req)
	})
	stream := f.openStream(t)
	for n := range requests {
		ask(t, stream, strconv.Itoa(n))
	}
	for n := range requests {
		wantAnswer(t, stream, strconv.Itoa(n), "")
	}
}

// TestStreamIsBounded: a caller that sends more than is scored has to wait, and what it
// sends does not pile up.
func TestStreamIsBounded(t *testing.T) {
	t.Parallel()
	const requests, size = 100, 10_000
	var running, most atomic.Int64
	leave := make(chan struct{})
	f := open(t, func(ctx context.Context, req *scoring.InferRequest) (*scoring.InferResponse, error) {
		most.Store(max(most.Load(), running.Add(1)))
		<-leave
		running.Add(-1)
		return echo(ctx, req)
	})
	stream := f.openStream(t)
	go func() {
		for n := range requests {
			req := request(&input{Name: "x", Datatype: "UINT8", Shape: []int64{size}}, make([]byte, size))
			req.Id = strconv.Itoa(n)
			if stream.Send(req) != nil {
				return
			}
		}
	}()
	for running.Load() < streamRequests-1 {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(100 * time.Millisecond)
	if got := most.Load(); got > streamRequests {
		t.Errorf("%d requests ran at once, want at most %d", got, streamRequests)
	}
	// Beside the requests there is what gRPC takes in of a stream that nobody reads.
	if got, want := f.bodies.Used(), int64((streamRequests+2)*(size+100)+streamWindow+pulled); got > want {
		t.Errorf("%d bytes are booked, want at most %d", got, want)
	}
	close(leave)
	for n := range requests {
		wantAnswer(t, stream, strconv.Itoa(n), "")
	}
	f.booked(t, 0) // although the stream is open
}

// TestStreamBudgets: every request of a stream has a budget of its own.
func TestStreamBudgets(t *testing.T) {
	t.Parallel()
	f := open(t, func(ctx context.Context, req *scoring.InferRequest) (*scoring.InferResponse, error) {
		if req.ID == "slow" {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return echo(ctx, req)
	}, func(c *Config) { c.Timeout = 50 * time.Millisecond })
	stream := f.openStream(t)
	for range 3 {
		ask(t, stream, "slow", "fast")
		wantAnswer(t, stream, "slow", "time budget was spent")
		wantAnswer(t, stream, "fast", "")
	}
}

// TestStreamDrains: what was asked is answered, and then the stream ends.
func TestStreamDrains(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}), make(chan struct{})
	f := open(t, func(ctx context.Context, req *scoring.InferRequest) (*scoring.InferResponse, error) {
		if req.ID == "slow" {
			close(entered)
			<-leave
		}
		return echo(ctx, req)
	})
	idle, busy := f.openStream(t), f.openStream(t)
	ask(t, idle, "a")
	wantAnswer(t, idle, "a", "")
	ask(t, busy, "slow")
	<-entered
	f.draining.Store(true)
	_, err := idle.Recv()
	wantStatus(t, err, codes.Unavailable, "shutting down")
	close(leave)
	wantAnswer(t, busy, "slow", "")
	_, err = busy.Recv()
	wantStatus(t, err, codes.Unavailable, "shutting down")
	if err := f.door.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

// TestStreamMessageThatDoesNotArrive: a stream may be idle, but a message that has begun to
// arrive has to.
func TestStreamMessageThatDoesNotArrive(t *testing.T) {
	t.Parallel()
	f := open(t, echo, func(c *Config) { c.ReadTimeout = 50 * time.Millisecond })
	stream := f.openStream(t)
	time.Sleep(150 * time.Millisecond)
	ask(t, stream, "a")
	wantAnswer(t, stream, "a", "")
	code, text := statusIn(f.stall(t, inferencepb.GRPCInferenceService_ModelStreamInfer_FullMethodName, framed(make([]byte, 100))[:20]))
	if code != codes.DeadlineExceeded || !strings.Contains(text, "did not arrive within 50ms") {
		t.Errorf("got %v %q", code, text)
	}
}

// TestStreamTooLarge: what is announced and may not come ends the stream, because what
// follows cannot be told from it.
func TestStreamTooLarge(t *testing.T) {
	t.Parallel()
	f := open(t, echo, func(c *Config) { c.MaxBody = 1000 })
	stream := f.openStream(t)
	ask(t, stream, "a")
	wantAnswer(t, stream, "a", "")
	if err := stream.Send(request(&input{Name: "x", Datatype: "UINT8", Shape: []int64{2000}}, make([]byte, 2000))); err != nil {
		t.Fatal(err)
	}
	_, err := stream.Recv()
	wantStatus(t, err, codes.ResourceExhausted, "1000", "20")
	f.booked(t, 0)
}

// TestDamagedMessageOfAStream: a message that is no request is answered, and the stream
// goes on.
func TestDamagedMessageOfAStream(t *testing.T) {
	t.Parallel()
	f := open(t, echo)
	stream, err := f.conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, inferencepb.GRPCInferenceService_ModelStreamInfer_FullMethodName, grpc.ForceCodecV2(bytesOut{newCodec()}))
	if err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		if err := stream.SendMsg([]byte{0xff}); err != nil {
			t.Fatal(err)
		}
		var got inferencepb.ModelStreamInferResponse
		if err := stream.RecvMsg(&got); err != nil || !strings.Contains(got.GetErrorMessage(), "ModelStreamInfer cannot be read") {
			t.Errorf("message %d: got %v, %v", n, &got, err)
		}
	}
	_ = stream.CloseSend()
	if err := stream.RecvMsg(nil); !errors.Is(err, io.EOF) {
		t.Errorf("the stream ended with %v", err)
	}
}

// TestSlowReaders: an answer that its caller does not read is broken off, and other calls
// over the same connection go on.
func TestSlowReaders(t *testing.T) {
	t.Parallel()
	const size = 200_000
	large := request(&input{Name: "x", Datatype: "UINT8", Shape: []int64{size}}, make([]byte, size))
	for _, method := range []string{"ModelInfer", "ModelStreamInfer"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			f := open(t, echo, func(c *Config) { c.AnswerTimeout = 200 * time.Millisecond })
			if _, err := f.client.ServerLive(t.Context(), &inferencepb.ServerLiveRequest{}); err != nil {
				t.Fatal(err)
			}
			f.observer.heard(t)
			stream, err := f.conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/inference.GRPCInferenceService/"+method)
			if err != nil {
				t.Fatal(err)
			}
			for range 3 { // the first answer of a stream is held by gRPC, the next by us
				if err := stream.SendMsg(large); err != nil {
					break
				}
				if method == "ModelInfer" {
					break
				}
			}
			for end := time.Now().Add(2 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
				if _, err := f.client.ModelInfer(t.Context(), floats()); err != nil {
					t.Fatalf("another call: %v", err)
				}
			}
			err = nil
			for err == nil {
				err = stream.RecvMsg(&inferencepb.ModelStreamInferResponse{})
			}
			wantStatus(t, err, codes.Internal, "RST_STREAM")
			f.booked(t, 0)
		})
	}
}

// TestManyStreams: streams of one connection get their own answers.
func TestManyStreams(t *testing.T) {
	t.Parallel()
	f := open(t, echo)
	var callers sync.WaitGroup
	for s := range 20 {
		stream := f.openStream(t)
		callers.Go(func() {
			for n := range 50 {
				id := fmt.Sprintf("%d-%d", s, n)
				ask(t, stream, id)
				wantAnswer(t, stream, id, "")
			}
		})
	}
	callers.Wait()
	f.booked(t, 0)
}
