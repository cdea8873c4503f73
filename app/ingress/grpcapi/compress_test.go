package grpcapi

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"runtime"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/stats"

	"github.com/onda-serving/onda/app/ingress/inferencepb"
	"github.com/onda-serving/onda/app/scoring"
)

// bytesOut is a codec that sends bytes as they are.
type bytesOut struct{ codec }

// Marshal implements encoding.CodecV2.
func (c bytesOut) Marshal(v any) (mem.BufferSlice, error) {
	if b, ok := v.([]byte); ok {
		return mem.BufferSlice{mem.SliceBuffer(b)}, nil
	}
	return c.codec.Marshal(v)
}

// compression notes how answers are compressed.
type compression struct {
	stats.Handler

	answers chan string
}

func (c compression) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }
func (c compression) HandleRPC(_ context.Context, s stats.RPCStats) {
	if header, ok := s.(*stats.InHeader); ok {
		c.answers <- header.Compression
	}
}

func (c compression) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (c compression) HandleConn(context.Context, stats.ConnStats)                       {}

// TestCompression: a compressed request gets a compressed answer, and another does not.
func TestCompression(t *testing.T) {
	t.Parallel()
	f := open(t, echo)
	seen := compression{answers: make(chan string, 1)}
	conn, err := grpc.NewClient(f.addr, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithStatsHandler(seen))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := inferencepb.NewGRPCInferenceServiceClient(conn)
	for _, size := range []int{10, 300_000} { // the larger one does not fit into the window
		data := bytes.Repeat([]byte{1, 2, 3, 4, 5}, size/5)
		for i := range data {
			data[i] += byte(i * i >> 7)
		}
		for _, c := range []struct {
			options []grpc.CallOption
			want    string
		}{{nil, ""}, {[]grpc.CallOption{grpc.UseCompressor("gzip")}, "gzip"}} {
			resp, err := client.ModelInfer(t.Context(), request(&input{Name: "x", Datatype: "UINT8", Shape: []int64{int64(size)}}, data), c.options...)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(resp.GetRawOutputContents()[0], data) {
				t.Errorf("%d bytes, %q: another tensor came back", size, c.want)
			}
			if got := <-seen.answers; got != c.want {
				t.Errorf("the answer is compressed as %q, want %q", got, c.want)
			}
		}
	}
	f.booked(t, 0)
}

// TestCompressedStream compresses each message of a stream.
func TestCompressedStream(t *testing.T) {
	t.Parallel()
	f := open(t, echo)
	stream, err := f.client.ModelStreamInfer(t.Context(), grpc.UseCompressor("gzip"))
	if err != nil {
		t.Fatal(err)
	}
	ask(t, stream, "a", "b")
	wantAnswer(t, stream, "a", "")
	wantAnswer(t, stream, "b", "")
	f.booked(t, 0)
}

func zipped(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func deflated(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// compressed makes a message with the flag of one that is compressed.
func compressed(data []byte) []byte {
	message := framed(data)
	message[0] = 1
	return message
}

func TestDamagedCompression(t *testing.T) {
	t.Parallel()
	const most = 1 << 20
	infer := inferencepb.GRPCInferenceService_ModelInfer_FullMethodName
	for _, c := range []struct {
		name, method string
		body         []byte
		header       []string
		code         codes.Code
		text         string
	}{
		{"no gzip", infer, compressed([]byte("no gzip")), []string{"Grpc-Encoding", "gzip"}, codes.InvalidArgument, "not valid gzip"},
		{"cut off", infer, compressed(zipped(t, make([]byte, 1000))[:20]), []string{"Grpc-Encoding", "gzip"}, codes.InvalidArgument, "not valid gzip"},
		{"empty", infer, compressed(zipped(t, nil)), []string{"Grpc-Encoding", "gzip"}, codes.InvalidArgument, "model name is empty"},
		{"nothing at all", infer, compressed(nil), []string{"Grpc-Encoding", "gzip"}, codes.InvalidArgument, "not valid gzip"},
		{"no encoding", infer, compressed(zipped(t, nil)), nil, codes.Internal, "compressed flag set"},
		{"no deflate", infer, compressed([]byte("no deflate")), []string{"Grpc-Encoding", "deflate"}, codes.InvalidArgument, "not valid gzip or deflate"},
		{"deflate", infer, compressed(deflated(t, nil)), []string{"Grpc-Encoding", "deflate"}, codes.InvalidArgument, "model name is empty"},
		{"bomb of deflate", infer, compressed(deflated(t, make([]byte, most+1))), []string{"Grpc-Encoding", "deflate"}, codes.ResourceExhausted, "once it is decompressed: at most 1048576 bytes are allowed (ONDA_MAX_BODY)"},
		{"not compressed", infer, framed(nil), []string{"Grpc-Encoding", "gzip"}, codes.InvalidArgument, "model name is empty"},
		{"bomb", infer, compressed(zipped(t, make([]byte, most+1))), []string{"Grpc-Encoding", "gzip"}, codes.ResourceExhausted, "once it is decompressed: at most 1048576 bytes are allowed (ONDA_MAX_BODY)"},
		{"bomb elsewhere", inferencepb.GRPCInferenceService_ServerLive_FullMethodName, compressed(zipped(t, make([]byte, smallMessage+1))), []string{"Grpc-Encoding", "gzip"}, codes.ResourceExhausted, "at most 65536 bytes are allowed for this call"},
		{"as large as is allowed", infer, compressed(zipped(t, make([]byte, most))), []string{"Grpc-Encoding", "gzip"}, codes.InvalidArgument, "cannot be read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := open(t, echo, func(config *Config) { config.MaxBody = most })
			code, text := statusIn(f.post(t, c.method, bytes.NewReader(c.body), c.header...))
			if code != c.code || !strings.Contains(text, c.text) {
				t.Errorf("got %v %q, want %v %q", code, text, c.code, c.text)
			}
			f.booked(t, 0)
		})
	}
}

// TestBombTakesLittle is not parallel: it measures the memory of the whole process.
func TestBombTakesLittle(t *testing.T) {
	const most = 1 << 20
	f := open(t, echo, func(c *Config) { c.MaxBody = most })
	bomb := compressed(zipped(t, make([]byte, 100<<20)))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	code, _ := statusIn(f.post(t, inferencepb.GRPCInferenceService_ModelInfer_FullMethodName, bytes.NewReader(bomb), "Grpc-Encoding", "gzip"))
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; code != codes.ResourceExhausted || got > 8*most {
		t.Errorf("%v, and %d bytes were allocated for a bomb of %d", code, got, len(bomb))
	}
}

// FuzzDecompress: whatever comes, what is booked is what was taken, within bounds.
func FuzzDecompress(f *testing.F) {
	f.Add(zipped(f, []byte("hello")))
	f.Add(zipped(f, make([]byte, 5000)))
	f.Add(deflated(f, make([]byte, 5000)))
	f.Fuzz(func(t *testing.T, data []byte) {
		const most = 2000
		server := idle(most)
		c := &call{server: server, method: methodOf(inferencepb.GRPCInferenceService_ModelInfer_FullMethodName), wake: make(chan struct{}, 1)}
		e := &envelope{call: c}
		out, err := e.decompress(data)
		if err != nil {
			if code := scoring.CodeOf(err); code != scoring.Invalid && code != scoring.TooLarge {
				t.Fatalf("got %v", err)
			}
		}
		if len(out) > most || e.decoded > most+1 || server.parts.Bodies.Used() != e.decoded {
			t.Fatalf("%d bytes, %d of them noted, %d booked", len(out), e.decoded, server.parts.Bodies.Used())
		}
	})
}
