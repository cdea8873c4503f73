package gcs

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// What fails for a while is asked for again, by all that reads.
func TestRetries(t *testing.T) {
	t.Parallel()
	for name, wrong := range map[string]http.HandlerFunc{
		"408": status(408), "429": status(429), "500": status(500), "502": status(502), "503": status(503), "504": status(504), "broken": hangUp,
		"broken within": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			w.Header().Set("X-Goog-Generation", "1700000000000001")
			w.WriteHeader(http.StatusBadGateway)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		},
	} {
		for what, do := range map[string]func(*Client) error{
			"open": func(c *Client) error { _, _, err := read(t, c, "model", 0); return err },
			"size": func(c *Client) error { _, err := c.Size(t.Context(), "model"); return err },
			"list": func(c *Client) error { _, err := list(t, c, ""); return err },
		} {
			t.Run(what+" "+name, func(t *testing.T) {
				t.Parallel()
				s := serve(t)
				s.Put("models", "model", []byte("abc"))
				s.Intercept = times(tries-1, every, wrong)
				if err := do(connect(t, s, "models")); err != nil {
					t.Errorf("got %v after %d that failed", err, tries-1)
				}
				other := serve(t)
				other.Put("models", "model", []byte("abc"))
				other.Intercept = times(tries, every, wrong)
				if err := do(connect(t, other, "models")); err == nil {
					t.Errorf("no error after %d that failed", tries)
				}
			})
		}
	}
}

// Another try is not made where it cannot help.
func TestNoRetry(t *testing.T) {
	t.Parallel()
	for _, code := range []int{400, 401, 403, 404, 412, 416} {
		s := serve(t)
		var asked atomic.Int64
		s.Intercept = func(w http.ResponseWriter, r *http.Request, _ http.Handler) { asked.Add(1); status(code)(w, r) }
		_, _, err := read(t, connect(t, s, "models"), "model", 0)
		refused(t, err, code, "<html>try again</html>")
		if n := asked.Load(); n != 1 {
			t.Errorf("%d: asked %d times", code, n)
		}
	}
}

func TestTransient(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  error
		want bool
	}{
		{lost(&url.Error{Op: "Get", URL: "https://x", Err: io.EOF}), true},
		{lost(&net.OpError{Op: "dial", Err: errors.New("connection refused")}), true},
		{lost(&net.DNSError{Err: "server misbehaving", IsTemporary: true}), true},
		{lost(&net.DNSError{Err: "no such host", IsNotFound: true}), false},
		{lost(&url.Error{Op: "Get", URL: "https://x", Err: &tls.CertificateVerificationError{Err: errors.New("expired")}}), false},
		{errTooLong, false},
		{errReplaced, false},
	} {
		if got := transient(tt.err); got != tt.want {
			t.Errorf("%v: got %v", tt.err, got)
		}
	}
}

// answers is a transport that needs no network, so that time can be made up.
type answers func(*http.Request) (*http.Response, error)

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) { return a(r) }

// The pauses double from one second on, and each is shortened by chance, by half at most.
func TestBackoff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var at []time.Duration
		begin := time.Now()
		c := &Client{bucket: "models", base: host, first: time.Second, http: &http.Client{Transport: answers(func(r *http.Request) (*http.Response, error) {
			at = append(at, time.Since(begin))
			return &http.Response{StatusCode: http.StatusServiceUnavailable, Body: http.NoBody, Request: r}, nil
		})}}
		_, err := c.Size(t.Context(), "model")
		refused(t, err, http.StatusServiceUnavailable, "Google answered 503 Service Unavailable")
		if len(at) != tries {
			t.Fatalf("asked at %v", at)
		}
		for i, wait := 1, time.Second; i < tries; i, wait = i+1, 2*wait {
			if got := at[i] - at[i-1]; got < wait/2-1 || got > wait {
				t.Errorf("pause %d: got %s, want %s to %s", i, got, wait/2, wait)
			}
		}
	})
}

// A caller whose time is up does not wait for the next try.
func TestBackoffEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		begin := time.Now()
		c := &Client{bucket: "models", base: host, first: time.Second, http: &http.Client{Transport: answers(func(*http.Request) (*http.Response, error) {
			return nil, errors.New("connection reset")
		})}}
		_, err := c.Size(ctx, "model")
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "connection reset") || time.Since(begin) != 2*time.Second {
			t.Errorf("got %v after %s", err, time.Since(begin))
		}
	})
}

func TestMessages(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ body, want string }{
		{`{"error":{"code":403,"message":"no storage.objects.get access"}}`, "Google answered 403 Forbidden: no storage.objects.get access"},
		{"No such object:\n\tmodels/a", "Google answered 403 Forbidden: No such object: models/a"},
		{"", "Google answered 403 Forbidden"},
		{strings.Repeat("ä", 1<<20), "Google answered 403 Forbidden: " + strings.Repeat("ä", maxMessageBytes/2) + "..."},
		{"\x1b[31m\xff", "Google answered 403 Forbidden: [31m?"},
	} {
		s := serve(t)
		s.Intercept = func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, tt.body)
		}
		if _, err := connect(t, s, "models").Size(t.Context(), "model"); err == nil || err.Error() != tt.want {
			t.Errorf("got %v, want %s", err, tt.want)
		}
	}
}

func TestEmulator(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ text, want string }{
		{"127.0.0.1:9023", "http://127.0.0.1:9023"},
		{"http://gcs:9023/", "http://gcs:9023"},
		{"https://gcs", "https://gcs"},
		{"ftp://gcs", ""},
		{"http://user:secret@gcs", ""},
		{"http://", ""},
		{"a b", ""},
	} {
		got, err := emulator(tt.text)
		if got != tt.want || (err != nil) != (tt.want == "") || err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %q, %v; want %q", tt.text, got, err, tt.want)
		}
	}
}
