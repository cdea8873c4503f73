package portal_test

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/onda-serving/onda/app/portal"
	"github.com/onda-serving/onda/app/portal/portaltest"
)

func TestPage(t *testing.T) {
	t.Parallel()
	b := start(t, func(c *portal.Config) { c.OndaAppID = "scores" })

	page := b.send("GET", "/", nil, nil)

	if page.status != http.StatusOK || page.header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("answered %d %s", page.status, page.header.Get("Content-Type"))
	}
	for _, want := range []string{"<title>Onda</title>", `data-max-bytes="65536"`, "up to 64 KB", "/invoke/scores/method/v1/models/faq-matching:predict"} {
		if !strings.Contains(page.body, want) {
			t.Errorf("page lacks %q", want)
		}
	}
	if regexp.MustCompile(`(?i)<script(?:>|[^>]*[^>"]>)|\sstyle=|\son[a-z]+=`).MatchString(page.body) {
		t.Error("page has a script or style that its policy forbids")
	}

	again := b.send("GET", "/", http.Header{"If-None-Match": {page.header.Get("Etag")}}, nil)
	if again.status != http.StatusNotModified {
		t.Errorf("unchanged page answered %d, want 304", again.status)
	}
}

func TestAssets(t *testing.T) {
	t.Parallel()
	b := start(t)
	page := b.send("GET", "/", nil, nil)

	paths := regexp.MustCompile(`/assets/[0-9a-f]+/[a-z]+\.[a-z]+`).FindAllString(page.body, -1)
	if len(paths) < 4 {
		t.Fatalf("page names only %v", paths)
	}
	for _, path := range paths {
		got := b.send("GET", path, nil, nil)
		if got.status != http.StatusOK || !strings.Contains(got.header.Get("Cache-Control"), "immutable") {
			t.Errorf("%s answered %d, Cache-Control %q", path, got.status, got.header.Get("Cache-Control"))
		}
	}
	for _, path := range []string{"/assets/000000000000/app.js", strings.Replace(paths[0], "favicon.svg", "index.html", 1), "/assets/"} {
		if got := b.send("GET", path, nil, nil); got.status != http.StatusNotFound {
			t.Errorf("%s answered %d, want 404", path, got.status)
		}
	}
	if got := b.send("GET", "/favicon.ico", nil, nil); got.status != http.StatusFound || got.header.Get("Location") != paths[0] {
		t.Errorf("/favicon.ico answered %d to %q, want %q", got.status, got.header.Get("Location"), paths[0])
	}
}

func TestSecurityHeaders(t *testing.T) {
	t.Parallel()
	b := start(t)

	for _, got := range []answer{b.send("GET", "/", nil, nil), b.ask("Why?"), b.send("GET", "/nowhere", nil, nil)} {
		policy := got.header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'self'", "img-src 'self' blob: data:", "frame-ancestors 'none'"} {
			if !strings.Contains(policy, want) {
				t.Errorf("policy %q lacks %q", policy, want)
			}
		}
		if strings.Contains(policy, "unsafe") {
			t.Errorf("policy %q is unsafe", policy)
		}
		for key, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin",
		} {
			if value := got.header.Get(key); value != want {
				t.Errorf("%s %q, want %q", key, value, want)
			}
		}
	}
	if got := b.ask("Why?").header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("an answer may be cached: %q", got)
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()

	for _, test := range []struct {
		name  string
		onda  http.HandlerFunc
		ready int
		want  string
	}{
		{"ready", portaltest.Respond(http.StatusOK, `{}`, nil), 200, `"ready":true`},
		{"loading", portaltest.Respond(http.StatusServiceUnavailable, `{"error":"loading"}`, nil), 503, "not able to answer yet"},
		{"absent", portaltest.DaprError("couldn't find service: onda"), 503, "Onda is not running"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := start(t)
			b.sidecar.Answer(portaltest.ReadyPath, test.onda)

			if got := b.send("GET", "/healthz", nil, nil); got.status != http.StatusOK {
				t.Errorf("the portal is well, and answered %d", got.status)
			}
			got := b.send("GET", "/readyz", nil, nil)
			if got.status != test.ready || !strings.Contains(got.body, test.want) {
				t.Errorf("answered %d %s, want %d with %s", got.status, got.body, test.ready, test.want)
			}
		})
	}
}

// TestReadyTimeout takes the whole time-out of four seconds.
func TestReadyTimeout(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes four seconds")
	}
	b := start(t)
	b.sidecar.Answer(portaltest.ReadyPath, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })

	got := b.send("GET", "/readyz", nil, nil)

	if message, _ := got.fault(t); got.status != http.StatusServiceUnavailable || message != "Onda does not answer." {
		t.Errorf("answered %d %q", got.status, message)
	}
}

// TestLog holds that what a person asks stays with the person.
func TestLog(t *testing.T) {
	t.Parallel()

	var logs lockedBuffer
	b := startLogged(t, &logs)
	b.sidecar.Answer(portaltest.ImagePath, portaltest.DaprError("couldn't find service: onda"))

	b.ask("Am I being watched?")
	b.show(strings.NewReader("picture"))

	got := logs.String()
	for _, want := range []string{`"path":"/api/faq","status":200`, `"path":"/api/image","status":503`, "couldn't find service"} {
		if !strings.Contains(got, want) {
			t.Errorf("log lacks %s:\n%s", want, got)
		}
	}
	for _, payload := range []string{"watched", "picture\"", "top_k", "structuredClone"} {
		if strings.Contains(got, payload) {
			t.Errorf("log has a payload, %s:\n%s", payload, got)
		}
	}
}

// lockedBuffer takes log lines from many requests.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()

	return l.buf.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()

	return l.buf.String()
}

// TestStopFinishesWork ends the portal while a question is being answered.
func TestStopFinishesWork(t *testing.T) {
	t.Parallel()

	sidecar := portaltest.NewSidecar(t)
	arrived, release := make(chan struct{}), make(chan struct{})
	sidecar.Answer(portaltest.FAQPath, func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-release
		portaltest.Respond(http.StatusOK, portaltest.FAQAnswer, nil)(w, r)
	})
	server, err := portal.New(config(sidecar.URL), zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- server.Serve(ctx, listener) }()

	b := &bench{t: t, sidecar: sidecar, url: "http://" + listener.Addr().String()}
	answered := make(chan answer, 1)
	go func() { answered <- b.ask("Is there time?") }()
	<-arrived
	stop()
	select {
	case err := <-stopped:
		t.Fatalf("stopped with a question open: %v", err)
	case <-time.After(50 * time.Millisecond): // draining now
	}
	close(release)

	if got := <-answered; got.status != http.StatusOK {
		t.Errorf("answered %d %s", got.status, got.body)
	}
	if err := <-stopped; err != nil {
		t.Errorf("stopped with %v", err)
	}
}

func TestAddressTaken(t *testing.T) {
	t.Parallel()

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	cfg := config("http://127.0.0.1:1")
	cfg.Listen = listener.Addr().String()
	server, err := portal.New(cfg, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}

	if err := server.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("got %v", err)
	}
}

// TestBusy fills every place, and finds the next request refused at once.
func TestBusy(t *testing.T) {
	t.Parallel()
	b := start(t)
	release := make(chan struct{})
	b.sidecar.Answer(portaltest.FAQPath, func(w http.ResponseWriter, r *http.Request) {
		<-release
		portaltest.Respond(http.StatusOK, portaltest.FAQAnswer, nil)(w, r)
	})

	var waiting sync.WaitGroup
	for range 32 {
		waiting.Go(func() { b.ask("Why?") })
	}
	for len(b.sidecar.Requests()) < 32 {
		time.Sleep(time.Millisecond)
	}
	got := b.ask("Why?")
	close(release)
	waiting.Wait()

	if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") != "1" {
		t.Errorf("answered %d, Retry-After %q", got.status, got.header.Get("Retry-After"))
	}
	if got := b.ask("Why?"); got.status != http.StatusOK {
		t.Errorf("with all places free again answered %d", got.status)
	}
}
