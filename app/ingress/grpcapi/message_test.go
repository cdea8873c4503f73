package grpcapi

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
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

func TestBound(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		given string
		most  time.Duration
		want  string
	}{
		{"", 30 * time.Second, "30000m"},
		{"10S", 30 * time.Second, "10S"},
		{"31S", 30 * time.Second, "30000m"},
		{"99999999H", 30 * time.Second, "30000m"},
		{"99999999n", 30 * time.Second, "99999999n"},
		{"", 1500 * time.Microsecond, "2m"},
		{"", 100 * 24 * time.Hour, "8640000S"},
		{"soon", time.Second, "soon"},
		{"1", time.Second, "1"},
		{"-1S", time.Second, "-1S"},
		{"999999999S", time.Second, "999999999S"},
	} {
		header := http.Header{}
		if c.given != "" {
			header.Set("Grpc-Timeout", c.given)
		}
		bound(header, c.most)
		if got := header.Get("Grpc-Timeout"); got != c.want {
			t.Errorf("%q bound by %v: got %q, want %q", c.given, c.most, got, c.want)
		}
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
	return codes.Code(n), from.Get("Grpc-Message")
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
		{"no message", infer, nil, nil, codes.InvalidArgument, "no%20message", answer{"grpc", "infer", scoring.Invalid}},
		{"half a head", infer, []byte{0, 0}, nil, codes.InvalidArgument, "no%20message", answer{"grpc", "infer", scoring.Invalid}},
		{"no protobuf", infer, framed([]byte{0xff}), nil, codes.InvalidArgument, "ModelInfer cannot be read", answer{"grpc", "infer", scoring.Invalid}},
		{"no UTF-8", infer, framed([]byte{0x0a, 1, 0xff}), nil, codes.InvalidArgument, "invalid UTF-8", answer{"grpc", "infer", scoring.Invalid}},
		{"no protobuf elsewhere", inferencepb.GRPCInferenceService_ServerLive_FullMethodName, framed([]byte{0xff}), nil, codes.InvalidArgument, "ServerLive cannot be read", answer{"grpc", "health", scoring.Invalid}},
		{"too many fields", infer, framed(many), nil, codes.InvalidArgument, "more than 16384", answer{"grpc", "infer", scoring.Invalid}},
		{"compressed", infer, framed([]byte{1}), []string{"Grpc-Encoding", "snappy"}, codes.Unimplemented, "snappy", answer{"grpc", "infer", scoring.Unimplemented}},
		{"unknown call", "/inference.GRPCInferenceService/ModelStreamInfer", framed(nil), nil, codes.Unimplemented, "ModelStreamInfer", answer{"grpc", "unknown", scoring.Unimplemented}},
		{"unknown service", "/a.B/C", framed(nil), nil, codes.Unimplemented, "a.B", answer{"grpc", "unknown", scoring.Unimplemented}},
		{"bad timeout", infer, framed(nil), []string{"Grpc-Timeout", "soon"}, codes.Unknown, "no status", answer{"grpc", "infer", scoring.Invalid}},
		{"watch without message", healthpb.Health_Watch_FullMethodName, nil, nil, codes.InvalidArgument, "no%20message", answer{}},
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
		{"half of it", framed(make([]byte, 100))[:20], time.Hour, 50 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := open(t, echo, func(config *Config) { config.ReadTimeout, config.Timeout = c.readTimeout, c.timeout })
			reader, writer := io.Pipe()
			defer func() { _ = writer.Close() }()
			go func() { _, _ = writer.Write(c.sent) }()
			resp := f.post(t, inferencepb.GRPCInferenceService_ModelInfer_FullMethodName, reader)
			if code, text := statusIn(resp); code != codes.DeadlineExceeded {
				t.Errorf("got %v %q, want DeadlineExceeded", code, text)
			}
			if got, want := f.observer.heard(t), (answer{"grpc", "infer", scoring.Expired}); got != want {
				t.Errorf("observer heard %v, want %v", got, want)
			}
		})
	}
}

// TestBodiesInMemory: messages are counted before the gate, and given back after the call.
func TestBodiesInMemory(t *testing.T) {
	t.Parallel()
	const size = 1000
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
