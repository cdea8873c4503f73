package client

import (
	"bytes"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestAddress(t *testing.T) {
	t.Parallel()
	for server, want := range map[string]string{
		"http://127.0.0.1:8080": "http://127.0.0.1:8080/registry/v1/models/faq",
		"https://onda.example/": "https://onda.example/registry/v1/models/faq",
		"127.0.0.1:8080":        "http://127.0.0.1:8080/registry/v1/models/faq",
		"onda":                  "http://onda/registry/v1/models/faq",
		"http://[::1]:8080":     "http://[::1]:8080/registry/v1/models/faq",
		"http://127.0.0.1:3500/v1.0/invoke/onda/method/": "http://127.0.0.1:3500/v1.0/invoke/onda/method/registry/v1/models/faq",
	} {
		c, err := New(Options{Server: server})
		if err != nil {
			t.Errorf("%s: %v", server, err)
			continue
		}
		if got := c.address(nil, registry("models", "faq")...); got != want {
			t.Errorf("%s: got %s, want %s", server, got, want)
		}
	}
	for _, server := range []string{"", "http://", "ftp://a", "http://a?b=c", "http://a#b", "http://a b", ":80", "http://a:b"} {
		if _, err := New(Options{Server: server}); err == nil || !strings.HasSuffix(err.Error(), "want an address such as http://127.0.0.1:8080") {
			t.Errorf("%q: got %v, want an error that says what is right", server, err)
		}
	}
	c, err := New(Options{Server: "http://user:secret@onda"})
	if err != nil || strings.Contains(c.Server(), "secret") {
		t.Errorf("got %v, %q, want the password hidden", err, c.Server())
	}
}

func TestAnswersAreBounded(t *testing.T) {
	t.Parallel()
	c, _ := uploader(t, func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: &endless{}}, nil
	})
	_, _, err := c.Models(t.Context())
	if stranger, ok := errors.AsType[*StrangerError](err); !ok || stranger.Answer != "it sent more than 134217728 bytes" {
		t.Errorf("got %v, want too much", err)
	}
}

type endless struct{}

func (*endless) Read(p []byte) (int, error) { return len(p), nil }

func (*endless) Close() error { return nil }

// TestBudget has a server know how long its caller waits, and give up before.
func TestBudget(t *testing.T) {
	t.Parallel()
	for timeout, want := range map[time.Duration]string{10 * time.Minute: "598000", 10 * time.Second: "9500", 1000 * time.Hour: "2147483647", 0: ""} {
		var got []string
		c, _ := uploader(t, func(r *http.Request) (*http.Response, error) {
			got = append(got, r.Header.Get("x-request-timeout-ms"))
			return reply(200, "{}")
		})
		c.options.Timeout = timeout
		if _, _, err := c.Model(t.Context(), "faq"); err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.Change(t.Context(), Pin("faq", true), Terms{}); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, []string{"", want}) {
			t.Errorf("%s: got %q, want none for a look and %q for a change", timeout, got, want)
		}
	}
	if got := budget(time.Microsecond); got != 1 {
		t.Errorf("got %d ms, want at least one", got)
	}
}

// FuzzStream reads whatever a server may stream. There is a result or an error, never both or
// none, and a result is JSON.
func FuzzStream(f *testing.F) {
	for _, text := range []string{
		"", "\n\n", `{"result": {"a": 1}}`, `{"progress": {"stage": "load", "done": 1, "total": 2}}` + "\n" + `{"result": null}` + "\n",
		`{"error": "no", "status": 409, "yours": {"revision": 1, "labels": {}}, "current": {"revision": 2}}`, `{"error": "no", "yours": 3}`, `{"progress": 1}`, "[]", "hello", `{"result": 1`,
	} {
		f.Add([]byte(text))
	}
	c, err := New(Options{Server: "onda"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		raw, err := c.stream(t.Context(), bytes.NewReader(text), func(Progress) {})
		if (err == nil) == (raw == nil) {
			t.Fatalf("got %q and %v, want one of them", raw, err)
		}
		if err != nil && err.Error() == "" {
			t.Error("the error says nothing")
		}
	})
}

// FuzzRefusal reads whatever may stand in an answer that says no.
func FuzzRefusal(f *testing.F) {
	for _, text := range []string{"", `{"error": "no"}`, `{"errorCode": "ERR", "message": "no"}`, "<html>", `{"error": 1}`, `{"error": "no", "current": {"labels": {"live": "x"}}}`} {
		f.Add(409, []byte(text))
	}
	c, err := New(Options{Server: "onda"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, status int, text []byte) {
		if err := c.refusal(status, "", text); err == nil || err.Error() == "" {
			t.Errorf("got %v, want an error that says something", err)
		}
	})
}
