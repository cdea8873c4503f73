package grpcapi

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/onda-serving/onda/app/admit"
	"github.com/onda-serving/onda/app/ingress/inferencepb"
	"github.com/onda-serving/onda/app/scoring"
)

// idle makes a door that serves nobody.
func idle(most int64) *Server {
	return &Server{config: Config{MaxBody: most}, parts: Parts{Observer: &observer{}, Bodies: admit.NewBytes(8 * most)}}
}

// newCall makes a call of a door that nobody serves.
func newCall(most int64, full string) *call {
	return &call{
		Context: context.Background(), server: idle(most),
		method: methodOf(full), wake: make(chan struct{}, 1), start: time.Now(),
	}
}

// TestArrive gives the messages of a call in pieces of every size.
func TestArrive(t *testing.T) {
	t.Parallel()
	bytesOfAll := append(append(framed([]byte("first")), framed(nil)...), compressed([]byte("third message"))...)
	for size := 1; size <= len(bytesOfAll); size++ {
		c := newCall(1000, inferencepb.GRPCInferenceService_ModelStreamInfer_FullMethodName)
		for rest := bytesOfAll; len(rest) > 0; rest = rest[min(size, len(rest)):] {
			c.arrive(rest[:min(size, len(rest))])
		}
		c.end()
		for _, want := range []arrival{{messageHead + 5, false}, {messageHead, false}, {messageHead + 13, true}} {
			if state, got, err := c.look(); state != complete || err != nil || got != want {
				t.Errorf("in pieces of %d: got %v, %v, %+v, want %+v", size, state, err, got, want)
			}
		}
		if _, _, err := c.look(); !errors.Is(err, io.EOF) {
			t.Errorf("in pieces of %d: got %v at the end", size, err)
		}
		if got := c.server.parts.Bodies.Used(); got != int64(len(bytesOfAll)) {
			t.Errorf("in pieces of %d: %d bytes are booked", size, got)
		}
		c.free(10)
		c.conn = newConn(nil, time.Hour)
		c.finish(nil)
		if got := c.server.parts.Bodies.Used(); got != 0 {
			t.Errorf("in pieces of %d: %d bytes are booked when the call is over", size, got)
		}
	}
}

// TestArriveRefuses: what may not come is refused for its head alone, and what there is no
// room for when it comes.
func TestArriveRefuses(t *testing.T) {
	t.Parallel()
	c := newCall(1000, inferencepb.GRPCInferenceService_ModelInfer_FullMethodName)
	c.arrive(framed(make([]byte, 1001))[:messageHead])
	if _, _, err := c.look(); scoring.CodeOf(err) != scoring.TooLarge {
		t.Errorf("got %v, want TooLarge", err)
	}
	c = newCall(1000, inferencepb.GRPCInferenceService_ModelInfer_FullMethodName)
	c.server.parts.Bodies.Take(8000 - 10)
	c.arrive(framed(make([]byte, 100))[:10])
	if _, _, err := c.look(); err != nil {
		t.Errorf("got %v while there is room", err)
	}
	c.arrive([]byte{0})
	if _, _, err := c.look(); scoring.CodeOf(err) != scoring.Overloaded {
		t.Errorf("got %v, want Overloaded", err)
	}
}

// TestSchedule: parameters and metadata say how urgent a request is, and what is wanted of
// its outputs.
func TestSchedule(t *testing.T) {
	t.Parallel()
	asked := make(chan scoring.InferRequest, 1)
	f := open(t, func(ctx context.Context, req *scoring.InferRequest) (*scoring.InferResponse, error) {
		asked <- *req
		return echo(ctx, req)
	})
	for _, c := range []struct {
		name, lane string
		parameters params
		want       scoring.Schedule
	}{
		{"nothing", "", nil, scoring.Schedule{}},
		{"signed priority", "", params{"priority": intParam(3)}, scoring.Schedule{Priority: 3}},
		{"unsigned priority", "", params{"priority": uintParam(1 << 63)}, scoring.Schedule{Priority: 1 << 63}},
		{"lane by parameter", "", params{"lane": textParam("bulk")}, scoring.Schedule{Lane: scoring.Bulk}},
		{"lane by metadata", "bulk", nil, scoring.Schedule{Lane: scoring.Bulk}},
		{"the parameter wins", "bulk", params{"lane": textParam("interactive")}, scoring.Schedule{}},
		{"passed over", "", params{"binary_data_output": markFinal(), "sequence_id": intParam(0), "sequence_start": markFinal(), "mine": textParam("x")}, scoring.Schedule{}},
	} {
		ctx := t.Context()
		if c.lane != "" {
			ctx = metadata.AppendToOutgoingContext(ctx, "x-onda-lane", c.lane)
		}
		if _, err := f.client.ModelInfer(ctx, withParams(c.parameters)); err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := (<-asked).Schedule; got != c.want {
			t.Errorf("%s: got %+v, want %+v", c.name, got, c.want)
		}
	}
	_, err := f.client.ModelInfer(metadata.AppendToOutgoingContext(t.Context(), "x-onda-lane", "slow"), floats())
	wantStatus(t, err, codes.InvalidArgument, "x-onda-lane", `"slow"`)
}

// TestCaller: metadata says who asks, for calls and for each request of a stream.
func TestCaller(t *testing.T) {
	t.Parallel()
	asked := make(chan scoring.Caller, 1)
	f := open(t, func(ctx context.Context, req *scoring.InferRequest) (*scoring.InferResponse, error) {
		asked <- req.Caller
		return echo(ctx, req)
	})
	longest := strings.Repeat("k", scoring.MaxKeyLen)
	for _, c := range []struct {
		name     string
		metadata []string
		want     scoring.Caller
	}{
		{"nobody", nil, scoring.Caller{}},
		{"key", []string{"x-onda-key", "user 7"}, scoring.Caller{Key: "user 7"}},
		{"app", []string{"dapr-caller-app-id", "shop"}, scoring.Caller{App: "shop"}},
		{"key and app", []string{"x-onda-key", longest, "dapr-caller-app-id", "shop"}, scoring.Caller{Key: longest, App: "shop"}},
	} {
		c.want.Lists = true // who may ask here may list, too
		ctx, cancel := context.WithCancel(metadata.AppendToOutgoingContext(t.Context(), c.metadata...))
		if _, err := f.client.ModelInfer(ctx, floats()); err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if got := <-asked; got != c.want {
			t.Errorf("%s: got %+v, want %+v", c.name, got, c.want)
		}
		stream, err := f.client.ModelStreamInfer(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := stream.Send(floats()); err != nil {
				t.Fatal(err)
			}
			if got := <-asked; got != c.want {
				t.Errorf("%s, streamed: got %+v, want %+v", c.name, got, c.want)
			}
		}
		cancel()
	}
	_, err := f.client.ModelInfer(metadata.AppendToOutgoingContext(t.Context(), "x-onda-key", longest+"k"), floats())
	wantStatus(t, err, codes.InvalidArgument, "metadata x-onda-key is 257 bytes long: at most 256 are allowed")
	// The client refuses to send what others can.
	_, err = (&call{key: "a\tb"}).asks()
	if want := "Invalid: metadata x-onda-key has a control character at offset 1: want text without any"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestClassification(t *testing.T) {
	t.Parallel()
	f := open(t, func(_ context.Context, req *scoring.InferRequest) (*scoring.InferResponse, error) {
		if len(req.Outputs) != 2 || req.Outputs[0] != (scoring.Output{Name: "y", Classes: 2}) || req.Outputs[1] != (scoring.Output{Name: "z"}) {
			t.Errorf("asked for %+v", req.Outputs)
		}
		return &scoring.InferResponse{Outputs: []scoring.Tensor{
			{Name: "y", Datatype: scoring.Bytes, Shape: []int64{1, 2}, Strings: [][]byte{[]byte("0.9:1:cat"), []byte("0.1:0")}},
		}}, nil
	})
	req := floats()
	req.Inputs[0].Contents = nil
	req.RawInputContents = [][]byte{make([]byte, 8)}
	req.Outputs = []*output{{Name: "y", Parameters: params{"classification": intParam(2), "binary_data": markFinal()}}, {Name: "z"}}
	resp, err := f.client.ModelInfer(t.Context(), req)
	if err != nil || !bytes.Equal(resp.GetRawOutputContents()[0], []byte("\x09\x00\x00\x000.9:1:cat\x05\x00\x00\x000.1:0")) {
		t.Errorf("got %v, %v", resp, err)
	}
}

// TestSeveralRawInputs: BYTES may stand among other inputs.
func TestSeveralRawInputs(t *testing.T) {
	t.Parallel()
	f := open(t, echo)
	req := &inferencepb.ModelInferRequest{ModelName: "iris"}
	for _, form := range forms {
		req.Inputs = append(req.Inputs, &input{Name: form.datatype, Datatype: form.datatype, Shape: []int64{2}})
		req.RawInputContents = append(req.RawInputContents, form.raw)
	}
	resp, err := f.client.ModelInfer(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	for i, form := range forms {
		if got := resp.GetRawOutputContents()[i]; !bytes.Equal(got, form.raw) {
			t.Errorf("%s: got %x, want %x", form.datatype, got, form.raw)
		}
	}
}

// TestCallsThatGRPCAnswers are counted all the same, and leave nothing behind: those with an
// encoding that it does not know, over one connection.
func TestCallsThatGRPCAnswers(t *testing.T) {
	t.Parallel()
	f := open(t, echo)
	for range 3 * sweepFrom / 2 {
		stream, err := f.conn.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true}, inferencepb.GRPCInferenceService_ModelInfer_FullMethodName, grpc.CallContentSubtype("proto"))
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.SendMsg(floats()); err != nil {
			t.Fatal(err)
		}
		if err := stream.RecvMsg(&inferencepb.ModelInferResponse{}); err != nil {
			t.Fatal(err)
		}
	}
	code, _ := statusIn(f.post(t, inferencepb.GRPCInferenceService_ModelInfer_FullMethodName, strings.NewReader("x"), "Grpc-Encoding", "snappy"))
	if code != codes.Unimplemented {
		t.Errorf("got %v", code)
	}
	for f.observer.heard(t) != (answer{"grpc", "infer", scoring.Invalid}) {
	}
	f.booked(t, 0)
}

// TestMisdirected: a call over a connection of HTTP gets an answer that clients of gRPC
// understand.
func TestMisdirected(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	Misdirected(w)
	resp := w.Result()
	defer resp.Body.Close()
	if code, text := statusIn(resp); code != codes.InvalidArgument || !strings.Contains(text, "gRPC alone") || resp.Header.Get("Content-Type") != "application/grpc" {
		t.Errorf("got %v %q %v", code, text, resp.Header)
	}
}
