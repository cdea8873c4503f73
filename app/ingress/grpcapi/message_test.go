package grpcapi

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/onda-serving/onda/app/ingress/inferencepb"
	"github.com/onda-serving/onda/app/scoring"
)

func TestMessageSize(t *testing.T) {
	t.Parallel()
	const most = 1 << 16
	f := open(t, echo, func(c *Config) { c.MaxBody = most })
	req := request(&input{Name: "x", Datatype: "UINT8", Shape: []int64{0}}, nil)
	// fit makes the request take exactly this many bytes.
	fit := func(size int) *inferencepb.ModelInferRequest {
		for n := size; proto.Size(req) != size; n-- {
			req.RawInputContents[0], req.Inputs[0].Shape[0] = make([]byte, n), int64(n)
		}
		return req
	}
	if _, err := f.client.ModelInfer(t.Context(), fit(most)); err != nil {
		t.Errorf("a message of the size that is allowed: %v", err)
	}
	if got, want := f.observer.heard(t), (answer{"grpc", "infer", 0}); got != want {
		t.Errorf("observer heard %v, want %v", got, want)
	}
	_, err := f.client.ModelInfer(t.Context(), fit(most+1))
	wantStatus(t, err, codes.ResourceExhausted, "65536", "65537")
	if got, want := f.observer.heard(t), (answer{"grpc", "infer", scoring.TooLarge}); got != want {
		t.Errorf("observer heard %v, want %v", got, want)
	}
}

// TestDefaultLimitOfGRPC: the limit is ours, not the 4 MiB that gRPC begins with.
func TestDefaultLimitOfGRPC(t *testing.T) {
	t.Parallel()
	f := open(t, echo, func(c *Config) { c.MaxBody = 16 << 20 })
	large := grpc.MaxCallRecvMsgSize(32 << 20)
	resp, err := f.client.ModelInfer(t.Context(), request(&input{Name: "x", Datatype: "UINT8", Shape: []int64{8 << 20}}, make([]byte, 8<<20)), large)
	if err != nil || len(resp.GetRawOutputContents()[0]) != 8<<20 {
		t.Errorf("8 MiB: %v", err)
	}
}

// post makes a call by hand, for what no gRPC client would send.
func (f *fixture) post(t *testing.T, method string, body io.Reader, header ...string) *http.Response {
	t.Helper()
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: &protocols}
	t.Cleanup(transport.CloseIdleConnections)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+f.addr+method, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/grpc")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return resp
}

// statusIn finds the status of an answer, in its headers or trailers.
func statusIn(resp *http.Response) (code codes.Code, text string) {
	from := resp.Header
	if from.Get("Grpc-Status") == "" {
		from = resp.Trailer
	}
	n, err := strconv.Atoi(from.Get("Grpc-Status"))
	if err != nil {
		return codes.Unknown, "no status"
	}
	text, err = url.PathUnescape(from.Get("Grpc-Message"))
	if err != nil {
		return codes.Unknown, err.Error()
	}
	return codes.Code(n), text
}

// framed puts the head of a message in front of data.
func framed(data []byte) []byte {
	head := make([]byte, messageHead)
	binary.BigEndian.PutUint32(head[1:], uint32(len(data)))
	return append(head, data...)
}

func TestDamagedCalls(t *testing.T) {
	t.Parallel()
	infer := inferencepb.GRPCInferenceService_ModelInfer_FullMethodName
	many, err := proto.Marshal(&inferencepb.ModelInferRequest{Outputs: make([]*output, maxFields+1)})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, method string
		body         []byte
		header       []string
		code         codes.Code
		text         string
		heard        answer
	}{
		{"no message", infer, nil, nil, codes.InvalidArgument, "no message", answer{"grpc", "infer", scoring.Invalid}},
		{"half a head", infer, []byte{0, 0}, nil, codes.InvalidArgument, "within the 5 bytes of its head", answer{"grpc", "infer", scoring.Invalid}},
		{"no protobuf", infer, framed([]byte{0xff}), nil, codes.InvalidArgument, "ModelInfer cannot be read", answer{"grpc", "infer", scoring.Invalid}},
		{"no UTF-8", infer, framed([]byte{0x0a, 1, 0xff}), nil, codes.InvalidArgument, "invalid UTF-8", answer{"grpc", "infer", scoring.Invalid}},
		{"no protobuf elsewhere", inferencepb.GRPCInferenceService_ServerLive_FullMethodName, framed([]byte{0xff}), nil, codes.InvalidArgument, "ServerLive cannot be read", answer{"grpc", "health", scoring.Invalid}},
		{"cut off", infer, framed(make([]byte, 100))[:50], nil, codes.InvalidArgument, "cut off", answer{"grpc", "infer", scoring.Invalid}},
		{"too many fields", infer, framed(many), nil, codes.InvalidArgument, "more than 16384", answer{"grpc", "infer", scoring.Invalid}},
		{"compressed", infer, framed([]byte{1}), []string{"Grpc-Encoding", "snappy"}, codes.Unimplemented, "snappy", answer{"grpc", "infer", scoring.Invalid}},
		{"unknown call", "/inference.GRPCInferenceService/ModelTrain", framed(nil), nil, codes.Unimplemented, "ModelTrain", answer{"grpc", "unknown", scoring.Unimplemented}},
		{"unknown service", "/a.B/C", framed(nil), nil, codes.Unimplemented, "a.B", answer{"grpc", "unknown", scoring.Unimplemented}},
		{"bad timeout", infer, framed(nil), []string{"Grpc-Timeout", "soon"}, codes.Internal, "malformed grpc-timeout", answer{}},
		{"watch without message", healthpb.Health_Watch_FullMethodName, nil, nil, codes.InvalidArgument, "no message", answer{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := open(t, echo)
			code, text := statusIn(f.post(t, c.method, bytes.NewReader(c.body), c.header...))
			if code != c.code || !strings.Contains(text, c.text) {
				t.Errorf("got %v %q, want %v %q", code, text, c.code, c.text)
			}
			if c.heard != (answer{}) {
				if got := f.observer.heard(t); got != c.heard {
					t.Errorf("observer heard %v, want %v", got, c.heard)
				}
			}
		})
	}
}

// TestMessageThatDoesNotArrive: neither a caller that sends nothing nor one that stops in
// the middle of its message holds a call for longer than it may.
func TestMessageThatDoesNotArrive(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name                 string
		sent                 []byte
		readTimeout, timeout time.Duration
	}{
		{"nothing", nil, 50 * time.Millisecond, time.Hour},
		{"nothing, short budget", nil, time.Hour, 50 * time.Millisecond},
		{"half of it", framed(make([]byte, 100))[:20], 50 * time.Millisecond, time.Hour},
		{"half of it, short budget", framed(make([]byte, 100))[:20], time.Hour, 50 * time.Millisecond},
		{"half of many chunks", framed(make([]byte, 2*pulled))[:pulled], 50 * time.Millisecond, time.Hour},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := open(t, echo, func(config *Config) { config.ReadTimeout, config.Timeout = c.readTimeout, c.timeout })
			code, text := statusIn(f.stall(t, inferencepb.GRPCInferenceService_ModelInfer_FullMethodName, c.sent))
			if code != codes.DeadlineExceeded || !strings.Contains(text, "did not arrive within 50ms") {
				t.Errorf("got %v %q, want DeadlineExceeded after 50ms", code, text)
			}
			if got, want := f.observer.heard(t), (answer{"grpc", "infer", scoring.Expired}); got != want {
				t.Errorf("observer heard %v, want %v", got, want)
			}
			f.booked(t, 0)
		})
	}
}

// stall makes a call that sends this much and then no more.
func (f *fixture) stall(t *testing.T, method string, sent []byte) *http.Response {
	t.Helper()
	reader, writer := io.Pipe()
	defer func() { _ = writer.Close() }()
	go func() { _, _ = writer.Write(sent) }()
	return f.post(t, method, reader)
}

// TestSmallCalls: only ModelInfer may have a large message.
func TestSmallCalls(t *testing.T) {
	t.Parallel()
	large := framed(make([]byte, smallMessage+1))
	for _, method := range []string{
		inferencepb.GRPCInferenceService_ServerLive_FullMethodName, inferencepb.GRPCInferenceService_ModelMetadata_FullMethodName,
		healthpb.Health_Check_FullMethodName, healthpb.Health_Watch_FullMethodName,
	} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			f := open(t, echo)
			// It is refused for its head alone.
			code, text := statusIn(f.stall(t, method, large[:messageHead]))
			if code != codes.ResourceExhausted || !strings.Contains(text, "65536") || !strings.Contains(text, "65537") {
				t.Errorf("got %v %q, want ResourceExhausted, 65536 and 65537", code, text)
			}
		})
	}
}

// TestStalledWatches: watches need no token and have no budget, so those whose message
// does not arrive must not keep anybody else out, and end by themselves.
func TestStalledWatches(t *testing.T) {
	t.Parallel()
	const watches, readTimeout = 8, 3 * time.Second
	f := open(t, echo, func(c *Config) { c.MaxBody, c.ReadTimeout, c.AppToken = smallMessage, readTimeout, "s3cret" })
	answers := make(chan codes.Code, watches)
	for range watches {
		go func() {
			// Together they claim all that the door may hold.
			code, _ := statusIn(f.stall(t, healthpb.Health_Watch_FullMethodName, framed(make([]byte, smallMessage))[:messageHead]))
			answers <- code
		}()
	}
	for range watches {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(50 * time.Millisecond) // for the heads, which come a moment after the calls
	ctx := metadata.AppendToOutgoingContext(t.Context(), "dapr-api-token", "s3cret")
	if _, err := f.client.ModelReady(ctx, &inferencepb.ModelReadyRequest{Name: "iris"}); err != nil {
		t.Errorf("ModelReady beside stalled watches: %v", err)
	}
	if _, err := f.client.ModelInfer(ctx, floats()); err != nil {
		t.Errorf("ModelInfer beside stalled watches: %v", err)
	}
	if len(answers) > 0 {
		t.Errorf("a watch has ended before its time: this test shows nothing")
	}
	for range watches {
		if code := <-answers; code != codes.DeadlineExceeded {
			t.Errorf("a stalled watch ended with %v, want DeadlineExceeded", code)
		}
	}
	f.booked(t, 0)
}

// booked waits until so many bytes are booked: a call gives its own back after its answer.
func (f *fixture) booked(t *testing.T, want int64) {
	t.Helper()
	for range 500 {
		if f.bodies.Used() == want {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d bytes are booked, want %d", f.bodies.Used(), want)
}

// TestWatchBooksNothing: a watch goes on for as long as its caller likes.
func TestWatchBooksNothing(t *testing.T) {
	t.Parallel()
	f := open(t, echo)
	stream, err := healthpb.NewHealthClient(f.conn).Watch(t.Context(), &healthpb.HealthCheckRequest{Service: strings.Repeat("a", 1000)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	f.booked(t, 0)
}

// TestBodiesInMemory: messages are counted before the gate, and given back after the call.
func TestBodiesInMemory(t *testing.T) {
	t.Parallel()
	const size, concurrentBodies = 1000, 8
	ended, entered := make(chan error, concurrentBodies), make(chan time.Duration, concurrentBodies)
	f := open(t, wait(ended, entered), func(c *Config) { c.MaxBody = size })
	filled := request(&input{Name: "x", Datatype: "UINT8", Shape: []int64{950}}, make([]byte, 950))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var calls sync.WaitGroup
	for range concurrentBodies {
		calls.Go(func() { _, _ = f.client.ModelInfer(ctx, filled) })
	}
	for range concurrentBodies {
		<-entered
	}
	_, err := f.client.ModelInfer(t.Context(), filled)
	st := wantStatus(t, err, codes.ResourceExhausted, "as many request messages as it may")
	wantRetryInfo(t, st.Details(), time.Second)
	cancel()
	calls.Wait()
	for range concurrentBodies {
		<-ended
	}
	// The places come back after the callers have gone, so the first tries may be too early.
	for range 100 {
		ctx, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
		_, err = f.client.ModelInfer(ctx, filled)
		stop()
		if status.Code(err) != codes.ResourceExhausted {
			break
		}
	}
	wantStatus(t, err, codes.DeadlineExceeded)
}
