package portal_test

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/onda-serving/onda/app/portal"
	"github.com/onda-serving/onda/app/portal/portaltest"
)

// bench is a portal in front of a fake sidecar.
type bench struct {
	t       *testing.T
	sidecar *portaltest.Sidecar
	url     string
}

func config(sidecar string) portal.Config {
	return portal.Config{
		Listen: "127.0.0.1:0", OndaAppID: "onda", Sidecar: sidecar, MaxBody: 64 << 10, Timeout: 5 * time.Second,
		FAQModel: "faq-matching", ImageModel: "image-classification",
	}
}

func start(t *testing.T, change ...func(*portal.Config)) *bench {
	t.Helper()

	return startLogged(t, io.Discard, change...)
}

func startLogged(t *testing.T, logs io.Writer, change ...func(*portal.Config)) *bench {
	t.Helper()

	sidecar := portaltest.NewSidecar(t)
	cfg := config(sidecar.URL)
	for _, c := range change {
		c(&cfg)
	}
	server, err := portal.New(cfg, zerolog.New(logs))
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(server.Handler())
	t.Cleanup(func() { web.Close(); server.Close() })

	return &bench{t: t, sidecar: sidecar, url: web.URL}
}

// answer is a response that has been read.
type answer struct {
	status int
	header http.Header
	body   string
}

// fault is the body of an error.
func (a answer) fault(t *testing.T) (message, hint string) {
	t.Helper()

	var body struct{ Error, Hint string }
	if err := json.Unmarshal([]byte(a.body), &body); err != nil {
		t.Fatalf("error %q is not JSON: %v", a.body, err)
	}

	return body.Error, body.Hint
}

func (b *bench) send(method, path string, header http.Header, body io.Reader) answer {
	b.t.Helper()

	req, err := http.NewRequestWithContext(b.t.Context(), method, b.url+path, body)
	if err != nil {
		b.t.Fatal(err)
	}
	maps.Copy(req.Header, header)
	if host := header.Get("Host"); host != "" {
		req.Host = host
	}
	client := http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()

	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}

	return answer{resp.StatusCode, resp.Header, string(text)}
}

func (b *bench) ask(question string) answer {
	b.t.Helper()

	return b.send(http.MethodPost, "/api/faq?top_k=5", http.Header{"Content-Type": {"text/plain"}}, strings.NewReader(question))
}

func (b *bench) show(picture io.Reader) answer {
	b.t.Helper()

	return b.send(http.MethodPost, "/api/image", http.Header{"Content-Type": {"image/png"}}, picture)
}
