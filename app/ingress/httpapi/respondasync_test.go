package httpapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/onda-serving/onda/app/admit"
	"github.com/onda-serving/onda/app/answers"
	"github.com/onda-serving/onda/app/artifact"
	"github.com/onda-serving/onda/app/async"
	"github.com/onda-serving/onda/app/ingress/httpapi"
	"github.com/onda-serving/onda/app/registry"
	"github.com/onda-serving/onda/app/scoring"
)

// fakeAsync takes requests, and says of all of them the same.
type fakeAsync struct {
	mu       sync.Mutex
	requests []async.Request
	status   answers.Status
	refuse   error
	// state is what Status says, from the time ready on; before it is pending.
	state  async.State
	ready  time.Time
	away   error
	polled int
}

func (f *fakeAsync) Accept(_ context.Context, req async.Request) (async.Accepted, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refuse != nil {
		return async.Accepted{}, f.refuse
	}
	req.Body = slices.Clone(req.Body)
	f.requests = append(f.requests, req)
	if req.ID == "" {
		req.ID = "new"
	}
	if f.status == "" {
		f.status = answers.Pending
	}
	return async.Accepted{ID: req.ID, New: true, Status: f.status}, nil
}

func (f *fakeAsync) Status(_ context.Context, id string) (async.State, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.polled++
	switch {
	case f.away != nil:
		return async.State{}, f.away
	case time.Now().Before(f.ready):
		return async.State{ID: id, Status: answers.Pending}, nil
	}
	state := f.state
	state.ID = id
	return state, nil
}

// last is the request that came last.
func (f *fakeAsync) last(t *testing.T) async.Request {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.requests) == 0 {
		t.Fatal("no request was accepted")
	}
	return f.requests[len(f.requests)-1]
}

var (
	done   = async.State{Status: answers.Done, Response: json.RawMessage(`{"predictions":["a < b"],"id":"7"}`), Model: answeredBy}
	failed = async.State{Status: answers.Failed, Failure: scoring.Errorf(scoring.Expired, "the budget was spent")}
)

const (
	plain  = "Content-Type: text/plain"
	prefer = "Prefer: respond-async"
	tensor = `{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","data":[1,2,3,4]}]}`
)

func withAsync(f *fakeAsync) func(*rig) { return func(r *rig) { r.parts.Async = f } }

func TestRespondAsync(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, path, body string
		headers          []string
		want             async.Request
	}{
		{"predict", "/v1/models/m:predict", "why?", []string{plain, prefer}, async.Request{Subject: "m", ContentType: "text/plain"}},
		{"version", "/v1/models/m/versions/2:predict", `{"instances":["why?"]}`, []string{"Content-Type: application/json", prefer}, async.Request{Subject: "m/versions/2", ContentType: "application/json"}},
		{"label", "/v1/models/m/labels/live:predict", "why?", []string{plain, prefer}, async.Request{Subject: "m/labels/live", ContentType: "text/plain"}},
		{"infer", "/v2/models/m/infer", tensor, []string{prefer}, async.Request{Subject: "m", ContentType: "application/json"}},
		{
			"attributes", "/v1/models/m:predict", "why?",
			[]string{plain, "Prefer: foo; x=\"a, respond-async\", RESPOND-ASYNC ;y=1", "Idempotency-Key: \"order-7\"", "X-Onda-Key: user 7", "Traceparent: 00-1-2-01", "Tracestate: a=1"},
			async.Request{ID: "order-7", Subject: "m", ContentType: "text/plain", PartitionKey: "user 7", TraceParent: "00-1-2-01", TraceState: "a=1"},
		},
		{"key without quotation marks", "/v1/models/m:predict", "why?", []string{plain, prefer, "Idempotency-Key: order-7", "Tracestate: caf\xe9"}, async.Request{ID: "order-7", Subject: "m", ContentType: "text/plain"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var f fakeAsync
			r := start(t, withAsync(&f))
			got := r.call(t, "POST", tt.path, tt.body, tt.headers...)
			id := tt.want.ID
			if id == "" {
				id = "new"
			}
			expect(t, got, 202, `{"id":"`+id+`","status":"pending","url":"/v1/requests/`+id+`"}`)
			for name, want := range map[string]string{"Location": "/v1/requests/" + id, "Preference-Applied": "respond-async", "Retry-After": "1", "Content-Type": "application/json"} {
				if got := got.header.Get(name); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
			req := f.last(t)
			if string(req.Body) != tt.body {
				t.Errorf("got the body %q, want %q", req.Body, tt.body)
			}
			req.Body = nil
			if a, b := mustJSON(t, req), mustJSON(t, tt.want); a != b {
				t.Errorf("got  %s\nwant %s", a, b)
			}
			if r.scorer.budget != 0 || len(r.scorer.admitted) != 0 {
				t.Error("it was scored at once")
			}
		})
	}
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestWithoutThePreference is answered at once, whatever else the caller likes.
func TestWithoutThePreference(t *testing.T) {
	t.Parallel()
	for _, header := range []string{"Prefer: wait=5", "Prefer: return=minimal", `Prefer: x="respond-async"`, "Prefer:  ", `Prefer: x="\", respond-async`} {
		var f fakeAsync
		r := start(t, withAsync(&f))
		if got := r.call(t, "POST", "/v1/models/m:predict", "why?", plain, header); got.status != 200 || len(f.requests) != 0 {
			t.Errorf("%s: got %d %s", header, got.status, got.body)
		}
	}
}

// TestRespondAsyncRefuses at once what would be refused later.
func TestRespondAsyncRefuses(t *testing.T) {
	t.Parallel()
	const query = `the query is not taken with the header prefer: respond-async: send {"instances": [...], "parameters": {"top_k": N}}`
	const binary = "binary tensors are not taken with the header prefer: respond-async: send and ask for JSON, or leave out the header"
	tests := []struct {
		name, path, body string
		headers          []string
		status           int
		want             string
	}{
		{"model", "/v1/models/x:predict", "a", []string{plain}, 404, "Request for unknown model: 'x' is not found: there are empty, m: GET /v1/models lists the models"},
		{"verb", "/v1/models/m:guess", "a", []string{plain}, 404, `unknown verb ":guess": want :predict`},
		{"body", "/v1/models/m:predict", "{}", []string{"Content-Type: application/json"}, 400, `"instances" is missing: want {"instances": [...]}`},
		{"empty body", "/v1/models/m:predict", "", []string{plain}, 400, "the body is empty: send the text"},
		{"too many", "/v1/models/m:predict", `{"instances":["a","a","a","a","a"]}`, []string{"Content-Type: application/json"}, 413, "5 instances in one request: at most 4 are allowed; split the request"},
		{"too large", "/v1/models/m:predict", strings.Repeat("a", 1<<16+1), []string{plain}, 413, "the body is too large: at most 65536 bytes are allowed (ONDA_MAX_BODY), got 65537 bytes"},
		{"tensors", "/v2/models/m/infer", `{"inputs":[{"name":"x"}]}`, nil, 400, `input "x" has no "shape"`},
		{"query", "/v1/models/m:predict?top_k=2", "a", []string{plain}, 400, query},
		{"binary tensors", "/v2/models/m/infer", tensor, []string{"Inference-Header-Content-Length: 10"}, 501, binary},
		{"binary answer", "/v2/models/m/infer", strings.Replace(tensor, "{", `{"parameters":{"binary_data_output":true},`, 1), nil, 501, binary},
		{"binary output", "/v2/models/m/infer", strings.Replace(tensor, "{", `{"outputs":[{"name":"y","parameters":{"binary_data":true}}],`, 1), nil, 501, binary},
		{"wait", "/v1/models/m:predict", "a", []string{plain, "Prefer: respond-async, wait=soon"}, 400, `header prefer: wait is "soon": want a whole number of seconds`},
		{"negative wait", "/v1/models/m:predict", "a", []string{plain, "Prefer: wait=-1, respond-async"}, 400, `header prefer: wait is "-1": want a whole number of seconds`},
		{"budget", "/v1/models/m:predict", "a", []string{plain, "X-Request-Timeout-Ms: soon"}, 400, `header x-request-timeout-ms is "soon": want a whole number of milliseconds, at least 1`},
		{"lane", "/v1/models/m:predict", "a", []string{plain, "X-Onda-Key: " + strings.Repeat("x", scoring.MaxKeyLen+1)}, 400, "header x-onda-key is 257 bytes long: at most 256 are allowed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var f fakeAsync
			r := start(t, withAsync(&f))
			got := r.call(t, "POST", tt.path, tt.body, append([]string{prefer}, tt.headers...)...)
			expect(t, got, tt.status, failure(tt.want))
			if len(f.requests) != 0 || got.header.Get("Location") != "" {
				t.Errorf("accepted %v, with the headers %v", f.requests, got.header)
			}
		})
	}
}

func TestRespondAsyncFails(t *testing.T) {
	t.Parallel()
	f := fakeAsync{refuse: scoring.Errorf(scoring.Conflict, "used before").WithCause(errors.New("a secret"))}
	r := start(t, withAsync(&f))
	expect(t, r.call(t, "POST", "/v1/models/m:predict", "why?", plain, prefer, "Idempotency-Key: 7"), 409, failure("used before"))

	const text = "asynchronous requests need a sidecar with a pub/sub component and a state store, and Onda runs without a sidecar: set ONDA_DAPR=on, or send the request without the header prefer"
	alone := start(t)
	expect(t, alone.call(t, "POST", "/v1/models/m:predict", "why?", plain, prefer), 501, failure(text))
	expect(t, alone.call(t, "GET", "/v1/requests/7", ""), 501, failure(text))
}

// TestExpiration is the caller's budget, which ours does not bound.
func TestExpiration(t *testing.T) {
	t.Parallel()
	var f fakeAsync
	r := start(t, withAsync(&f))
	before := time.Now()
	r.call(t, "POST", "/v1/models/m:predict", "why?", plain, prefer, "X-Request-Timeout-Ms: 3600000")
	if at := f.last(t).Expiration; at.Before(before.Add(time.Hour)) || at.After(time.Now().Add(time.Hour)) {
		t.Errorf("got %s, want an hour from now", at)
	}
	r.call(t, "POST", "/v1/models/m:predict", "why?", plain, prefer)
	if at := f.last(t).Expiration; !at.IsZero() {
		t.Errorf("got %s, want none", at)
	}
}

func TestStateOfARequest(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		state  async.State
		away   error
		status int
		want   string
		retry  string
	}{
		{"pending", async.State{Status: answers.Pending}, nil, 200, `{"id":"order:7","status":"pending"}`, "1"},
		{"done", done, nil, 200, `{"id":"order:7","status":"done","response":{"predictions":["a < b"],"id":"7"},"model":{"name":"m","version":"2","digest":"sha256:2"}}`, ""},
		{"failed", failed, nil, 200, `{"id":"order:7","status":"failed","error":{"code":"Expired","error":"the budget was spent"}}`, ""},
		{"unknown", async.State{}, scoring.Errorf(scoring.NotFound, "kept for 1h"), 404, failure("kept for 1h"), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := fakeAsync{state: tt.state, away: tt.away}
			r := start(t, withAsync(&f))
			got := r.call(t, "GET", "/v1/requests/order:7", "")
			expect(t, got, tt.status, tt.want)
			if got.header.Get("Retry-After") != tt.retry || tt.away == nil && got.header.Get("Cache-Control") != "no-store" {
				t.Errorf("headers %v", got.header)
			}
		})
	}
	r := start(t, withAsync(&fakeAsync{}))
	expect(t, r.call(t, "POST", "/v1/requests/7", ""), 405, failure("method POST is not allowed here: use GET"))
}

// TestSentAgain says so when the answer is there already.
func TestSentAgain(t *testing.T) {
	t.Parallel()
	f := fakeAsync{status: answers.Done, state: done}
	r := start(t, withAsync(&f))
	got := r.call(t, "POST", "/v1/models/m:predict", "why?", plain, prefer, "Idempotency-Key: 7")
	expect(t, got, 202, `{"id":"7","status":"done","url":"/v1/requests/7"}`)
	if retry := got.header.Get("Retry-After"); retry != "" {
		t.Errorf("Retry-After is %q for an answer that is there", retry)
	}
	expect(t, r.call(t, "POST", "/v1/models/m:predict", "why?", plain, "Prefer: respond-async, wait=1", "Idempotency-Key: 7"), 200, string(done.Response))
}

// TestWait asks for the answer until there is one, in a bubble of time.
func TestWait(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, prefer string
		after        time.Duration // until there is an answer
		state        async.State
		away         error
		status       int
		atLeast, by  time.Duration
	}{
		{"at once", "respond-async, wait=2", 0, done, nil, 200, 0, 0},
		{"in time", "wait=2, respond-async", 1200 * time.Millisecond, done, nil, 200, 1200 * time.Millisecond, 1450 * time.Millisecond},
		{"in quotation marks", `respond-async, wait="2"`, time.Second, done, nil, 200, time.Second, 1250 * time.Millisecond},
		{"too late", "respond-async, wait=2", 3 * time.Second, done, nil, 202, 2 * time.Second, 2 * time.Second},
		{"the first wait counts", "respond-async, wait=1, wait=9", 3 * time.Second, done, nil, 202, time.Second, time.Second},
		{"no longer than we wait", "respond-async, wait=3600", time.Minute, done, nil, 202, 5 * time.Second, 5 * time.Second},
		{"no wait", "respond-async, wait=0", 0, done, nil, 202, 0, 0},
		{"failed", "respond-async, wait=2", time.Second, failed, nil, 504, time.Second, 1250 * time.Millisecond},
		{"store away", "respond-async, wait=2", 0, done, errors.New("gone"), 202, 2 * time.Second, 2 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			models := start(t).models // outside of the bubble
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				f := &fakeAsync{state: tt.state, ready: began.Add(tt.after), away: tt.away}
				w := direct(models, f, tt.prefer)
				took := time.Since(began)
				if w.Code != tt.status || took < tt.atLeast || took > tt.by {
					t.Errorf("got %d after %s, want %d after %s to %s: %s", w.Code, took, tt.status, tt.atLeast, tt.by, w.Body)
				}
				switch tt.status {
				case 200:
					if w.Body.String() != string(done.Response) || w.Header().Get("Onda-Model") != "m@2" || w.Header().Get("X-Request-Id") != "new" || w.Header().Get("Location") != "" {
						t.Errorf("got %s with %v", w.Body, w.Header())
					}
				case 202:
					if w.Body.String() != `{"id":"new","status":"pending","url":"/v1/requests/new"}` {
						t.Errorf("got %s", w.Body)
					}
				default:
					if w.Body.String() != failure("the budget was spent") {
						t.Errorf("got %s", w.Body)
					}
				}
				if f.polled > 40 {
					t.Errorf("asked %d times", f.polled)
				}
			})
		})
	}
}

// direct asks a door without a server.
func direct(models *registry.Registry, f *fakeAsync, prefer string) *httptest.ResponseRecorder {
	door := httpapi.New(httpapi.Config{MaxBody: 1 << 16, MaxInstances: 4, Timeout: 5 * time.Second, ReadTimeout: 5 * time.Second}, httpapi.Parts{
		Scorer: &fakeScorer{}, Models: models, Observer: &fakeObserver{}, Log: zerolog.Nop(), Async: f, Bodies: admit.NewBytes(1 << 20),
	})
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, "/v1/models/m:predict", strings.NewReader("why?"))
	r.Header.Set("Content-Type", "text/plain")
	r.Header.Set("Prefer", prefer)
	door.ServeHTTP(w, r)
	return w
}

// TestCallerWhoLeavesWhileItWaits frees the door.
func TestCallerWhoLeavesWhileItWaits(t *testing.T) {
	t.Parallel()
	f := &fakeAsync{ready: time.Now().Add(time.Hour)}
	r := start(t, withAsync(f))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "POST", r.url+"/v1/models/m:predict", strings.NewReader("why?"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "text/plain")
	req.Header.Set("Prefer", "respond-async, wait=5")
	if resp, err := r.client.RoundTrip(req); err == nil {
		resp.Body.Close()
		t.Fatalf("got %d, want no answer", resp.StatusCode)
	}
	for began := time.Now(); r.observer.last() == ""; time.Sleep(5 * time.Millisecond) {
		if time.Since(began) > 3*time.Second {
			t.Fatal("the door still waits")
		}
	}
}

// FuzzPrefer reads what a caller may write into the header.
func FuzzPrefer(f *testing.F) {
	for _, seed := range []string{"respond-async", "respond-async, wait=5", `wait="5";x=y,respond-async`, `x="a\",respond-async`, "wait=x, respond-async", ",;=,", `"`} {
		f.Add(seed)
	}
	models := registry.New()
	v := &registry.Version{ID: answeredBy, Pipeline: fakePipeline{}}
	if err := models.Add(artifact.Ref{Name: "m", Version: 2}, v); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, header string) {
		fake := &fakeAsync{state: done}
		w := direct(models, fake, header)
		switch accepted := len(fake.requests) == 1; {
		case w.Code == 200 && accepted && fake.polled > 0, w.Code == 202 && accepted && fake.polled == 0:
			if !strings.Contains(strings.ToLower(header), "respond-async") {
				t.Errorf("%q: accepted, and nobody asked for that", header)
			}
		case w.Code == 200 && !accepted, w.Code == 400 && !accepted:
		default:
			t.Errorf("%q: got %d %s after %d polls", header, w.Code, w.Body, fake.polled)
		}
	})
}

// TestTensorsOnlyLater refuses to predict with a version without a pipeline.
func TestTensorsOnlyLater(t *testing.T) {
	t.Parallel()
	var f fakeAsync
	r := start(t, withAsync(&f), func(r *rig) {
		if err := r.models.Add(artifact.Ref{Name: "raw", Version: 1}, &registry.Version{ID: scoring.ModelID{Name: "raw", Version: 1}}); err != nil {
			t.Error(err)
		}
	})
	expect(t, r.call(t, "POST", "/v1/models/raw:predict", "why?", plain, prefer), 400, failure("model raw@1 has no pipeline: send tensors to /v2/models/raw/infer"))
	if len(f.requests) != 0 {
		t.Error("it was accepted")
	}
}
