package portal_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/onda-serving/onda/app/portal"
	"github.com/onda-serving/onda/app/portal/portaltest"
)

func TestScore(t *testing.T) {
	t.Parallel()

	for _, test := range []struct {
		name, path, media, body string
		onda, query, want       string
	}{
		{"question", "/api/faq?top_k=3", "text/plain; charset=utf-8", "Come si fa? è ✓", portaltest.FAQPath, "top_k=3", portaltest.FAQAnswer},
		{"picture", "/api/image", "image/webp", "\x00RIFF\xff", portaltest.ImagePath, "", portaltest.ImageAnswer},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := start(t, func(c *portal.Config) { c.APIToken = "token" })

			got := b.send(http.MethodPost, test.path,
				http.Header{"Content-Type": {test.media}, "Traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}},
				strings.NewReader(test.body))

			if got.status != http.StatusOK || got.body != test.want {
				t.Errorf("answered %d %s", got.status, got.body)
			}
			if timing := got.header.Get("Server-Timing"); timing != portaltest.ServerTiming {
				t.Errorf("Server-Timing %q did not pass", timing)
			}
			sent := b.sidecar.Requests()[0]
			if sent.Path != test.onda || sent.Query != test.query || string(sent.Body) != test.body || sent.Length != int64(len(test.body)) {
				t.Errorf("Onda got %s?%s with %d bytes %q", sent.Path, sent.Query, sent.Length, sent.Body)
			}
			for key, want := range map[string]string{
				"Content-Type": test.media, "Dapr-Api-Token": "token", "X-Request-Id": got.header.Get("X-Request-Id"),
				"Traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
			} {
				if value := sent.Header.Get(key); value != want {
					t.Errorf("Onda got %s %q, want %q", key, value, want)
				}
			}
			if ms, err := strconv.Atoi(sent.Header.Get("X-Request-Timeout-Ms")); err != nil || ms <= 0 || ms > 5000 {
				t.Errorf("budget %d ms (%v), want at most 5000", ms, err)
			}
		})
	}
}

// TestErrorsPass holds Onda's own errors to be Onda's: nothing is reworded.
func TestErrorsPass(t *testing.T) {
	t.Parallel()

	for _, status := range []int{400, 404, 413, 415, 429, 500, 503, 504} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			t.Parallel()
			b := start(t)
			b.sidecar.Answer(portaltest.FAQPath, portaltest.Respond(status, `{"error":"so it is"}`,
				http.Header{"Retry-After": {"60"}, "Set-Cookie": {"no=pass"}}))

			got := b.ask("Why?")

			if got.status != status || got.body != `{"error":"so it is"}` {
				t.Errorf("answered %d %s", got.status, got.body)
			}
			if after, cookie := got.header.Get("Retry-After"), got.header.Get("Set-Cookie"); after != "60" || cookie != "" {
				t.Errorf("Retry-After %q, Set-Cookie %q; want the first only", after, cookie)
			}
			if tries := len(b.sidecar.Requests()); tries != 1 {
				t.Errorf("%d tries, want 1: the pause is longer than the budget", tries)
			}
		})
	}
}

func TestLongErrorPassesWhole(t *testing.T) {
	t.Parallel()
	b := start(t)
	long := `{"error":"` + strings.Repeat("x", 200<<10) + `"}`
	b.sidecar.Answer(portaltest.FAQPath, portaltest.Respond(http.StatusBadRequest, long, nil))

	if got := b.ask("Why?"); got.body != long {
		t.Errorf("%d bytes of %d arrived", len(got.body), len(long))
	}
}

func TestDaprErrors(t *testing.T) {
	t.Parallel()

	for _, test := range []struct {
		name, dapr string
		status     int
		want       string
	}{
		{"absent", "failed to invoke, id: onda, err: couldn't find service: onda", 503, "Onda is not running"},
		{"unhealthy", "failed to invoke, id: onda, err: app is not in a healthy state", 503, "not able to answer yet"},
		{"refused", "failed to invoke, id: onda, err: rpc error: code = Unavailable desc = dial tcp: connection refused", 503, "Onda is not running"},
		{"breaker", "failed to invoke, id: onda, err: circuit breaker is open", 503, "holding calls back"},
		{"late", "failed to invoke, id: onda, err: context deadline exceeded", 504, "did not answer within 5s"},
		{"large", "failed to invoke, id: onda, err: error on message: stream too large", 413, "larger than the sidecar"},
		{"denied", "failed to invoke, id: onda, err: rpc error: code = PermissionDenied desc = access control policy has denied access", 502, "not allowed"},
		{"other", "something new", 502, "could not deliver"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := start(t)
			b.sidecar.Answer(portaltest.FAQPath, portaltest.DaprError(test.dapr))

			got := b.ask("Why?")

			message, hint := got.fault(t)
			if got.status != test.status || !strings.Contains(message, test.want) || hint == "" {
				t.Errorf("answered %d %q (%q), want %d with %q and a hint", got.status, message, hint, test.status, test.want)
			}
			if strings.Contains(got.body, "rpc error") || strings.Contains(got.body, "ERR_DIRECT_INVOKE") {
				t.Errorf("internals reached the page: %s", got.body)
			}
		})
	}
}

func TestBadAPIToken(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.sidecar.Answer(portaltest.FAQPath, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "invalid api token", http.StatusUnauthorized)
	})

	got := b.ask("Why?")

	if message, _ := got.fault(t); got.status != http.StatusBadGateway || !strings.Contains(message, "API token") {
		t.Errorf("answered %d %q", got.status, message)
	}
}

func TestNoSidecar(t *testing.T) {
	t.Parallel()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	b := start(t, func(c *portal.Config) { c.Sidecar = gone.URL })

	got := b.ask("Why?")

	message, hint := got.fault(t)
	if got.status != http.StatusBadGateway || !strings.Contains(message, "sidecar is not running") || !strings.Contains(hint, gone.URL) {
		t.Errorf("answered %d %q (%q)", got.status, message, hint)
	}
}

func TestTooSlow(t *testing.T) {
	t.Parallel()
	b := start(t, func(c *portal.Config) { c.Timeout = 100 * time.Millisecond })
	b.sidecar.Answer(portaltest.FAQPath, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })

	got := b.ask("Why?")

	if message, _ := got.fault(t); got.status != http.StatusGatewayTimeout || !strings.Contains(message, "100ms") {
		t.Errorf("answered %d %q", got.status, message)
	}
}

func TestTooLarge(t *testing.T) {
	t.Parallel()

	for _, test := range []struct {
		name string
		send func(*bench) answer
		want string
	}{
		{"announced", func(b *bench) answer { return b.show(strings.NewReader(strings.Repeat("x", 64<<10+1))) }, "64 KB"},
		// Without a length it shows only on the way, when the sidecar has begun to receive it.
		{"chunked", func(b *bench) answer { return b.show(io.LimitReader(endless{}, 64<<10+1)) }, "64 KB"},
		{"question", func(b *bench) answer { return b.ask(strings.Repeat("x", 16<<10+1)) }, "16 KB"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := start(t)

			got := test.send(b)

			if message, _ := got.fault(t); got.status != http.StatusRequestEntityTooLarge || !strings.Contains(message, test.want) {
				t.Errorf("answered %d %q, want 413 with %q", got.status, message, test.want)
			}
			if n := len(b.sidecar.Requests()); n != 0 {
				t.Errorf("Onda got %d requests", n)
			}
		})
	}
}

// endless is a body whose length nobody can announce.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestLargestPasses(t *testing.T) {
	t.Parallel()
	b := start(t)

	if got := b.show(strings.NewReader(strings.Repeat("x", 64<<10))); got.status != http.StatusOK {
		t.Errorf("answered %d %s", got.status, got.body)
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()

	plain := http.Header{"Content-Type": {"text/plain"}}
	for _, test := range []struct {
		name, method, path string
		header             http.Header
		want               int
	}{
		{"other site", "POST", "/api/faq", http.Header{"Sec-Fetch-Site": {"cross-site"}, "Content-Type": {"text/plain"}}, 403},
		{"same site, other origin", "POST", "/api/faq", http.Header{"Sec-Fetch-Site": {"same-site"}, "Content-Type": {"text/plain"}}, 403},
		{"old browser", "POST", "/api/faq", http.Header{"Origin": {"https://example.com"}, "Content-Type": {"text/plain"}}, 403},
		{"other host", "GET", "/", http.Header{"Host": {"example.com"}}, 421},
		{"method", "GET", "/api/faq", plain, 405},
		{"path", "GET", "/nowhere", nil, 404},
		{"no type", "POST", "/api/faq", nil, 415},
		{"form", "POST", "/api/faq", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, 415},
		{"text for a picture", "POST", "/api/image", plain, 415},
		{"vector picture", "POST", "/api/image", http.Header{"Content-Type": {"image/svg+xml"}}, 415},
		{"top_k no number", "POST", "/api/faq?top_k=all", plain, 400},
		{"top_k too small", "POST", "/api/faq?top_k=0", plain, 400},
		{"top_k too large", "POST", "/api/faq?top_k=101", plain, 400},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := start(t)

			if got := b.send(test.method, test.path, test.header, strings.NewReader("Why?")); got.status != test.want {
				t.Errorf("answered %d %s, want %d", got.status, got.body, test.want)
			}
			if n := len(b.sidecar.Requests()); n != 0 {
				t.Errorf("Onda got %d requests", n)
			}
		})
	}
}

func TestOwnPageMayAsk(t *testing.T) {
	t.Parallel()
	b := start(t)

	got := b.send("POST", "/api/faq", http.Header{
		"Sec-Fetch-Site": {"same-origin"}, "Origin": {b.url}, "Content-Type": {"text/plain"},
	}, strings.NewReader("Why?"))

	if got.status != http.StatusOK {
		t.Errorf("answered %d %s", got.status, got.body)
	}
}
