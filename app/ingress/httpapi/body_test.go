package httpapi_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// raw sends bytes over a connection of its own and reads the answer. The connection
// stays open for writing, so an answer cannot depend on its end.
func raw(t *testing.T, r *rig, request string) *http.Response {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

func TestAnnouncedGigabyteIsRefusedBeforeItIsSent(t *testing.T) {
	t.Parallel()
	resp := raw(t, start(t), "POST /v1/models/m:predict HTTP/1.1\r\nHost: onda\r\nContent-Type: image/jpeg\r\nContent-Length: 1073741824\r\n\r\n")
	body, _ := io.ReadAll(resp.Body)
	want := failure("the body is too large: at most 65536 bytes are allowed (ONDA_MAX_BODY), got 1073741824 bytes")
	if resp.StatusCode != 413 || string(body) != want {
		t.Errorf("got %d %s, want 413 %s", resp.StatusCode, body, want)
	}
	if !resp.Close {
		t.Error("the connection was kept open for a body that nobody will read")
	}
}

func TestChunkedBodyIsBoundedToo(t *testing.T) {
	t.Parallel()
	chunk := "8000\r\n" + strings.Repeat("a", 0x8000) + "\r\n"
	resp := raw(t, start(t), "POST /v1/models/m:predict HTTP/1.1\r\nHost: onda\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"+chunk+chunk+"1\r\na\r\n0\r\n\r\n")
	body, _ := io.ReadAll(resp.Body)
	if want := failure("the body is too large: at most 65536 bytes are allowed (ONDA_MAX_BODY), got more than that"); resp.StatusCode != 413 || string(body) != want {
		t.Errorf("got %d %s, want 413 %s", resp.StatusCode, body, want)
	}
}

// TestRefusedBodyIsNotWaitedFor sends the headers of requests that are refused without a
// look at their bodies, and no body at all.
func TestRefusedBodyIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, path, headers string
		status              int
	}{
		{"unknown path", "/nothing", "", 404},
		{"method", "/v1/models/m", "", 405},
		{"budget", "/v1/models/m:predict", "X-Request-Timeout-Ms: soon\r\n", 400},
		{"encoding", "/v1/models/m:predict", "Content-Encoding: br\r\n", 415},
		{"unknown model", "/v1/models/x:predict", "", 404},
		{"unknown model, infer", "/v2/models/x/infer", "", 404},
		{"lane", "/v2/models/m/infer", "X-Onda-Lane: fast\r\n", 400},
		{"priority", "/v2/models/m/infer", "X-Onda-Priority: -1\r\n", 400},
		{"key", "/v2/models/m/infer", "X-Onda-Key: a\tb\r\n", 400},
		{"model control", "/v2/repository/models/m/load", "", 403},
		{"not offered", "/v2/models/m/generate", "", 501},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			// Ten minutes: who waited for the body would wait that long.
			r := start(t, func(r *rig) { r.config.ReadTimeout = 10 * time.Minute })
			resp := raw(t, r, "POST "+tt.path+" HTTP/1.1\r\nHost: onda\r\nContent-Type: text/plain\r\n"+tt.headers+"Content-Length: 100\r\n\r\n")
			if resp.StatusCode != tt.status || !resp.Close {
				t.Errorf("got %d, closing %v; want %d and the connection closed", resp.StatusCode, resp.Close, tt.status)
			}
		})
	}
}

func TestRefusedTokenDoesNotWaitForTheBody(t *testing.T) {
	t.Parallel()
	r := start(t, func(r *rig) { r.config.AppToken, r.config.ReadTimeout = "secret", 10*time.Minute })
	resp := raw(t, r, "POST /v1/models/m:predict HTTP/1.1\r\nHost: onda\r\nContent-Length: 100\r\n\r\n")
	if resp.StatusCode != 401 || r.observer.last() != "http unauthorised Unauthenticated" {
		t.Errorf("got %d and observed %q, want 401 and counted", resp.StatusCode, r.observer.last())
	}
}

func TestSlowBodyIsGivenUp(t *testing.T) {
	t.Parallel()
	r := start(t, func(r *rig) { r.config.ReadTimeout = 50 * time.Millisecond })
	resp := raw(t, r, "POST /v1/models/m:predict HTTP/1.1\r\nHost: onda\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\nstill typing")
	body, _ := io.ReadAll(resp.Body)
	if want := failure("the body did not arrive within 50ms"); resp.StatusCode != 504 || string(body) != want {
		t.Errorf("got %d %s, want 504 %s", resp.StatusCode, body, want)
	}
}

func TestBodiesInMemoryAreBounded(t *testing.T) {
	t.Parallel()
	r := start(t, func(r *rig) { r.config.MaxBody = 1 << 10 })
	r.scorer.block, r.scorer.inside = true, make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	var callers sync.WaitGroup
	// Eight bodies of the largest size fit; they wait inside the scorer.
	for range 8 {
		callers.Go(func() {
			req, _ := http.NewRequestWithContext(ctx, http.MethodPost, r.url+"/v1/models/m:predict", strings.NewReader(strings.Repeat("a", 1<<10)))
			req.Header.Set("Content-Type", "text/plain")
			if resp, err := r.client.RoundTrip(req); err == nil {
				resp.Body.Close()
			}
		})
	}
	defer callers.Wait()
	defer cancel()
	for range 8 {
		<-r.scorer.inside
	}
	got := r.call(t, "POST", "/v1/models/m:predict", "b", "Content-Type: text/plain")
	expect(t, got, 429, failure("the server holds as many request bodies as it may: try again"))
	if got.header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After %q, want 1", got.header.Get("Retry-After"))
	}
}
