package mux

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// running is a mux in front of both kinds of servers, as in production.
type running struct {
	addr     string
	listener net.Listener
	web      *http.Server
	rpc      *grpc.Server
	served   chan error
}

// start starts servers behind a mux.
func start(t *testing.T, handler http.HandlerFunc) *running {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := New(listener)
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	r := &running{addr: listener.Addr().String(), listener: listener, rpc: grpc.NewServer(grpc.WaitForHandlers(true)), served: make(chan error, 1)}
	r.web = &http.Server{Handler: handler, Protocols: &protocols, ReadHeaderTimeout: time.Second}
	healthpb.RegisterHealthServer(r.rpc, health.NewServer())
	var group sync.WaitGroup
	group.Go(func() { r.served <- m.Serve() })
	group.Go(func() { _ = r.web.Serve(m.HTTP()) })
	group.Go(func() { _ = r.rpc.Serve(m.GRPC()) })
	t.Cleanup(func() {
		_ = listener.Close()
		_ = r.web.Close()
		r.rpc.Stop()
		group.Wait()
	})
	return r
}

// echo answers with the protocol and the body.
func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	_, _ = fmt.Fprintf(w, "%s %s %s", r.Proto, r.Method, body)
}

func (r *running) dial(t *testing.T) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(r.addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func check(t *testing.T, conn *grpc.ClientConn) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{}); err != nil {
		t.Errorf("over gRPC: %v", err)
	}
}

func TestEveryProtocolHasItsServer(t *testing.T) {
	t.Parallel()
	r := start(t, echo)
	conn := r.dial(t)
	for range 3 {
		check(t, conn)
	}
	for _, version := range []string{"HTTP/1.1", "HTTP/2.0"} {
		transport := &http.Transport{Protocols: new(http.Protocols)}
		transport.Protocols.SetHTTP1(version == "HTTP/1.1")
		transport.Protocols.SetUnencryptedHTTP2(version == "HTTP/2.0")
		client := http.Client{Transport: transport}
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, "PROPFIND", http.MethodGet} {
			body := strings.Repeat("x", 200_000)
			if method == http.MethodGet {
				body = ""
			}
			req, err := http.NewRequestWithContext(t.Context(), method, "http://"+r.addr, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			resp, err := client.Do(req)
			if err != nil {
				t.Fatalf("%s %s: %v", version, method, err)
			}
			got, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if want := version + " " + method + " " + body; err != nil || string(got) != want {
				t.Errorf("%s %s: got %.60q, %v", version, method, got, err)
			}
		}
		transport.CloseIdleConnections()
	}
}

// frames writes what an HTTP/2 client begins with, and a request if there are fields.
func frames(t testing.TB, fields ...string) []byte {
	t.Helper()
	var all bytes.Buffer
	all.WriteString(http2.ClientPreface)
	framer := http2.NewFramer(&all, nil)
	if err := errors.Join(framer.WriteSettings(), framer.WriteWindowUpdate(0, 1000)); err != nil {
		t.Fatal(err)
	}
	if len(fields) == 0 {
		return all.Bytes()
	}
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for i := 0; i+1 < len(fields); i += 2 {
		if err := encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}); err != nil {
			t.Fatal(err)
		}
	}
	if err := framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: true}); err != nil {
		t.Fatal(err)
	}
	return all.Bytes()
}

var (
	grpcRequest = []string{":method", "POST", ":scheme", "http", ":path", "/a.B/C", "content-type", "application/grpc+proto"}
	webRequest  = []string{":method", "GET", ":scheme", "http", ":path", "/", "accept", "application/grpc"}
)

// TestLook gives the bytes in pieces of any size: what is seen must not depend on how they
// arrive, and every byte must be there for the server.
func TestLook(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		bytes []byte
		want  string
	}{
		{"HTTP/1.1", []byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), "http"},
		{"HTTP/1.1 like HTTP/2", []byte("PRIVATE / HTTP/1.1\r\nHost: a\r\n\r\n"), "http"},
		{"a newline", []byte("\n"), "http"},
		{"gRPC", frames(t, grpcRequest...), "grpc"},
		{"HTTP/2", frames(t, webRequest...), "http"},
		{"HTTP/2 without content type", frames(t, ":method", "GET", ":scheme", "http", ":path", "/"), "http"},
		{"broken HTTP/2", append([]byte(http2.ClientPreface), bytes.Repeat([]byte{0xff}, 100)...), "http"},
		{"headers without a name", frames(t, "", ""), "http"},
		{"nothing", nil, "closed"},
		{"half a greeting", []byte(http2.ClientPreface[:10]), "closed"},
		{"a greeting alone", frames(t), "closed"},
	} {
		for _, size := range []int{1, 7, 1 << 20} {
			t.Run(fmt.Sprintf("%s by %d", c.name, size), func(t *testing.T) {
				t.Parallel()
				if got, read := lookAt(t, c.bytes, size); got != c.want || c.want != "closed" && !bytes.Equal(read, c.bytes) {
					t.Errorf("got %s and %q, want %s and %q", got, read, c.want, c.bytes)
				}
			})
		}
	}
}

// lookAt gives b to a mux in pieces and says who got it, and what.
func lookAt(t testing.TB, b []byte, size int) (kind string, read []byte) {
	t.Helper()
	m := New(closedListener{})
	looked, part := m.look(&script{in: bytes.NewReader(b), size: size})
	switch part {
	case m.grpc:
		kind = "grpc"
	case m.http:
		kind = "http"
	default:
		return "closed", nil
	}
	read, _ = io.ReadAll(looked)
	return kind, read
}

// closedListener is a listener that was closed before anybody came.
type closedListener struct{}

func (closedListener) Accept() (net.Conn, error) { return nil, net.ErrClosed }
func (closedListener) Close() error              { return nil }
func (closedListener) Addr() net.Addr            { return &net.TCPAddr{} }

// TestClientThatWaits: a client of gRPC sends no request before it has the settings of the
// server, and may then have none for a long time.
func TestClientThatWaits(t *testing.T) {
	t.Parallel()
	r := start(t, echo)
	conn := r.dial(t)
	conn.Connect()
	time.Sleep(requestPatience + 200*time.Millisecond)
	check(t, conn)
}

// TestUnacknowledged: net/http ends a connection that acknowledges settings which it has
// not sent.
func TestUnacknowledged(t *testing.T) {
	t.Parallel()
	r := start(t, echo)
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write(frames(t)); err != nil {
		t.Fatal(err)
	}
	framer := http2.NewFramer(conn, bufio.NewReader(conn))
	framer.ReadMetaHeaders = hpack.NewDecoder(headerTable, nil)
	acknowledge := func() {
		t.Helper()
		for {
			frame, err := framer.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			if s, ok := frame.(*http2.SettingsFrame); ok && !s.IsAck() {
				if err := framer.WriteSettingsAck(); err != nil {
					t.Fatal(err)
				}
				return
			}
		}
	}
	acknowledge() // those of the mux
	request := bytes.TrimPrefix(frames(t, webRequest...), frames(t))
	if _, err := conn.Write(request); err != nil {
		t.Fatal(err)
	}
	acknowledge() // those of the server
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if goAway, ok := frame.(*http2.GoAwayFrame); ok {
			t.Fatalf("the server ends the connection: %v", goAway.ErrCode)
		}
		if headers, ok := frame.(*http2.MetaHeadersFrame); ok {
			if status := headers.PseudoValue("status"); status != "200" {
				t.Errorf("status %s", status)
			}
			return
		}
	}
}

// TestClosing: what was accepted before the listener closed is given away, and a connection
// without a request does not hold up the end.
func TestClosing(t *testing.T) {
	t.Parallel()
	r := start(t, echo)
	var conns []net.Conn
	for range 2 {
		conn, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conns = append(conns, conn)
	}
	if _, err := conns[0].Write([]byte("G")); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond) // until both are accepted
	_ = r.listener.Close()
	if _, err := conns[0].Write([]byte("ET / HTTP/1.0\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	_ = conns[0].SetReadDeadline(time.Now().Add(5 * time.Second))
	if answer, err := io.ReadAll(conns[0]); err != nil || !strings.Contains(string(answer), "200 OK") {
		t.Errorf("the request under way: %q, %v", answer, err)
	}
	_ = conns[1].SetReadDeadline(time.Now().Add(5 * time.Second))
	if n, err := conns[1].Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("the connection without a request: %d, %v, want it closed", n, err)
	}
	select {
	case err := <-r.served:
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("Serve: %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Error("Serve goes on")
	}
}

// FuzzLook: whatever a connection begins with, somebody gets it with every byte, or it is
// closed.
func FuzzLook(f *testing.F) {
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"), 3)
	f.Add(frames(f, grpcRequest...), 5)
	f.Add(frames(f, webRequest...), 9)
	f.Fuzz(func(t *testing.T, b []byte, size int) {
		m := New(closedListener{})
		conn := &script{in: bytes.NewReader(b), size: max(size%64, 1)}
		looked, part := m.look(conn)
		if part == nil {
			return
		}
		got, err := io.ReadAll(looked)
		if part == m.grpc || !bytes.HasPrefix(b, []byte(http2.ClientPreface)) {
			if err != nil || !bytes.Equal(got, b) {
				t.Fatalf("got %q, %v of %q", got, err, b)
			}
		} else if len(got) > len(b) {
			t.Fatalf("got %d bytes of %d", len(got), len(b))
		}
	})
}

// script is a connection that says this and no more.
type script struct {
	net.Conn

	in   io.Reader
	size int
}

func (s *script) Read(b []byte) (int, error) { return s.in.Read(b[:min(len(b), s.size)]) }
func (*script) Write(b []byte) (int, error)  { return len(b), nil }
func (*script) SetDeadline(time.Time) error  { return nil }
