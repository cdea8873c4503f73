// Package portaltest provides a fake Dapr sidecar with a fake Onda behind it,
// for tests of apps that call Onda by service invocation over HTTP.
package portaltest

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// Paths of Onda that the fake answers from the start.
const (
	FAQPath   = "v1/models/faq-matching:predict"
	ImagePath = "v1/models/image-classification:predict"
	ReadyPath = "v2/health/ready"
)

// ServerTiming is the header that comes with the fake's scores.
const ServerTiming = "decode;dur=1.2, queue;dur=0.0, preprocess;dur=7.1, run;dur=20.3, postprocess;dur=0.1"

// FAQAnswer has two matches. The answer of the first has code in it, and what
// would be markup if it were not shown as text.
const FAQAnswer = `{"predictions":[{"matches":[` +
	`{"id":"js-copy","question":"How do I copy an object?","answer":` +
	`"Use ` + "`structuredClone(value)`" + `; it keeps <b>nested</b> objects.\n\n    const copy = structuredClone(value);\n` +
	`    copy.list.push(1);\n\nA shallow copy is enough when no member is an object:\n\n` +
	"```" + `js\nconst copy = { ...value };\n` + "```" + `","score":0.934},` +
	`{"id":"js-equal","question":"How do I compare two objects?","answer":"Member by member.","score":0.312}` +
	`]}],"model":{"name":"faq-matching","version":"1","digest":"sha256:0123456789abcdef0123456789abcdef"},"id":"r-1"}`

// ImageAnswer has three classes.
const ImageAnswer = `{"predictions":[{"classes":[` +
	`{"index":281,"label":"tabby cat","score":0.712},{"index":285,"label":"Egyptian cat","score":0.094},` +
	`{"index":282,"label":"tiger cat","score":0.0003}]}],` +
	`"model":{"name":"image-classification","version":"2","digest":"sha256:fedcba9876543210fedcba9876543210"},"id":"r-2"}`

// Request is what the fake Onda received.
type Request struct {
	Method string
	Path   string // as Onda sees it, without a leading slash
	Query  string
	Header http.Header
	Body   []byte
	Length int64 // as announced; -1 for none
}

// Sidecar is a Dapr sidecar through which one app, Onda, can be invoked. It is
// safe for concurrent use.
type Sidecar struct {
	// URL is the address, without a trailing slash.
	URL string

	mu       sync.Mutex
	answers  map[string]http.HandlerFunc
	requests []Request
}

// NewSidecar starts a sidecar that knows the app onda. It stops with the test.
func NewSidecar(tb testing.TB) *Sidecar {
	tb.Helper()

	timing := http.Header{"Server-Timing": {ServerTiming}}
	s := &Sidecar{answers: map[string]http.HandlerFunc{
		FAQPath:   Respond(http.StatusOK, FAQAnswer, timing),
		ImagePath: Respond(http.StatusOK, ImageAnswer, timing),
		ReadyPath: Respond(http.StatusOK, `{"ready":true}`, nil),
	}}
	server := httptest.NewServer(s)
	tb.Cleanup(server.Close)
	s.URL = server.URL

	return s
}

// Answer sets what a path of Onda answers from now on.
func (s *Sidecar) Answer(path string, handler http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()

	s.answers[path] = handler
}

// Requests returns what has been received so far, in order of arrival.
func (s *Sidecar) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()

	return append([]Request(nil), s.requests...)
}

// ServeHTTP implements http.Handler.
func (s *Sidecar) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, ok := strings.CutPrefix(r.URL.Path, "/v1.0/invoke/onda/method/")
	if !ok {
		DaprError("failed to invoke, id: , err: couldn't find service: ")(w, r)

		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the caller broke off; there is nobody to answer
	}

	s.mu.Lock()
	s.requests = append(s.requests, Request{
		Method: r.Method, Path: path, Query: r.URL.RawQuery, Header: r.Header.Clone(), Body: body, Length: r.ContentLength,
	})
	answer := s.answers[path]
	s.mu.Unlock()

	if answer == nil {
		answer = Respond(http.StatusNotFound, `{"error":"no such model"}`, nil)
	}
	answer(w, r)
}

// Respond answers with JSON and the given headers.
func Respond(status int, body string, header http.Header) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		maps.Copy(w.Header(), header)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body) // fails only if the caller has left
	}
}

// DaprError answers as Dapr does when it cannot deliver a call.
func DaprError(message string) http.HandlerFunc {
	return Respond(http.StatusInternalServerError,
		fmt.Sprintf(`{"errorCode":"ERR_DIRECT_INVOKE","message":%q}`, message), nil)
}
