package e2e_test

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"testing"
	"time"
)

// client has a time-out of its own, so that a lost answer fails the test and not the run.
var client = &http.Client{Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// request is what a test sends, by any way.
type request struct {
	// method is POST where there is a body, else GET.
	method      string
	path        string
	contentType string
	header      map[string]string
	body        []byte
	// chunked hides the body's length.
	chunked bool
}

// reply is what came back; err is set where nothing did.
type reply struct {
	status int
	header http.Header
	body   string
	err    error
}

// get asks for a URL.
func get(url string) reply { return request{}.send(way{url: url}) }

// to sends the request one way and fails the test where no answer comes back.
func (r request) to(t *testing.T, w way) reply {
	t.Helper()
	got := r.send(w)
	if got.err != nil {
		t.Fatalf("%s %s %s: %s", r.verb(), r.path, w.name, got.err)
	}
	return got
}

func (r request) verb() string {
	switch {
	case r.method != "":
		return r.method
	case r.body != nil:
		return http.MethodPost
	default:
		return http.MethodGet
	}
}

// send sends the request one way.
func (r request) send(w way) reply { return r.sendOver(client, w) }

// sendOver sends the request with a client of its own.
func (r request) sendOver(client *http.Client, w way) reply {
	var body io.Reader
	if r.body != nil {
		body = bytes.NewReader(r.body)
	}
	if r.chunked {
		body = struct{ io.Reader }{body}
	}
	req, err := http.NewRequest(r.verb(), w.url+r.path, body)
	if err != nil {
		return reply{err: err}
	}
	if r.contentType != "" {
		req.Header.Set("Content-Type", r.contentType)
	}
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	return do(client, req)
}

// do sends a request and reads the whole answer.
func do(client *http.Client, req *http.Request) reply {
	resp, err := client.Do(req)
	if err != nil {
		return reply{err: err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, string(body), err}
}

// everyWay sends the request by every way. All must give the same answer, with the
// headers that Onda sets; that answer is returned.
func (s *stack) everyWay(t *testing.T, r request) reply {
	t.Helper()
	r.header = maps.Clone(r.header)
	if r.header == nil {
		r.header = map[string]string{}
	}
	if r.header["X-Request-Id"] == "" {
		r.header["X-Request-Id"] = "every-way-" + unique()
	}
	first := r.to(t, s.direct())
	for _, w := range s.ways()[1:] {
		got := r.to(t, w)
		if got.status != first.status || got.body != first.body {
			t.Errorf("%s %s: %s the answer is %d %s\ndirectly it is %d %s", r.verb(), r.path, w.name, got.status, clip(got.body), first.status, clip(first.body))
		}
		for _, name := range []string{"Content-Type", "X-Request-Id", "Onda-Model", "Allow", "Retry-After", "X-Content-Type-Options"} {
			if got, want := got.header.Get(name), first.header.Get(name); got != want {
				t.Errorf("%s %s: header %s is %q %s, %q directly", r.verb(), r.path, name, got, w.name, want)
			}
		}
		if got, want := got.header.Get("Server-Timing") != "", first.header.Get("Server-Timing") != ""; got != want {
			t.Errorf("%s %s: header Server-Timing is there %s: %t, directly: %t", r.verb(), r.path, w.name, got, want)
		}
	}
	return first
}

// into reads a JSON answer with the status 200.
func (r reply) into(t *testing.T, to any) {
	t.Helper()
	if err := wants(http.StatusOK, r); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(r.body), to); err != nil {
		t.Fatalf("%s: %s", err, clip(r.body))
	}
}

// asJSON writes a value, for bodies.
func asJSON(t *testing.T, value any) []byte {
	t.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// clip shortens long bodies in failures.
func clip(s string) string {
	const most = 600
	if len(s) <= most {
		return s
	}
	return s[:most] + "[...]"
}

// since is a duration for people.
func since(start time.Time) time.Duration { return time.Since(start).Round(time.Millisecond) }
