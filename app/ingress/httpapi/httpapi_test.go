package httpapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/onda-serving/onda/app/admit"
	"github.com/onda-serving/onda/app/artifact"
	"github.com/onda-serving/onda/app/ingress/httpapi"
	"github.com/onda-serving/onda/app/onnx/onnxtest"
	"github.com/onda-serving/onda/app/pipeline"
	"github.com/onda-serving/onda/app/registry"
	"github.com/onda-serving/onda/app/scoring"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeScorer answers with what it was asked, or fails.
type fakeScorer struct {
	mu      sync.Mutex
	err     error
	predict scoring.PredictRequest
	infer   scoring.InferRequest
	budget  time.Duration
	// full is what Admit says; admitted is what it was asked.
	full     error
	admitted []registry.Want
	schedule scoring.Schedule
	// outputs are what Infer gives instead of the inputs.
	outputs []scoring.Tensor
	// block makes Predict say on inside that it was called, and wait for its context.
	block  bool
	inside chan struct{}
}

var answeredBy = scoring.ModelID{Name: "m", Version: 2, Digest: "sha256:2"}

func (f *fakeScorer) note(ctx context.Context) {
	if deadline, ok := ctx.Deadline(); ok {
		f.budget = time.Until(deadline)
	}
}

// Admit implements httpapi.Scorer.
func (f *fakeScorer) Admit(_ context.Context, want registry.Want, schedule scoring.Schedule) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.admitted = append(f.admitted, want)
	f.schedule = schedule
	return f.full
}

func (f *fakeScorer) Predict(ctx context.Context, req *scoring.PredictRequest) (*scoring.PredictResponse, error) {
	if f.block {
		if f.inside != nil {
			f.inside <- struct{}{}
		}
		<-ctx.Done()
		return nil, scoring.AsError(ctx.Err())
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.note(ctx)
	f.predict = *req
	if f.err != nil {
		return nil, f.err
	}
	resp := &scoring.PredictResponse{Model: answeredBy, ID: req.ID, Timing: scoring.Timing{
		Queue: time.Millisecond, Preprocess: 2 * time.Millisecond, Run: 3500 * time.Microsecond, Postprocess: time.Microsecond,
	}}
	for range req.Instances {
		resp.Predictions = append(resp.Predictions, scoring.Matches{Matches: []scoring.Match{{ID: "e", Question: "a < b && c?", Answer: "yes", Score: 0.5}}})
	}
	return resp, nil
}

func (f *fakeScorer) Infer(ctx context.Context, req *scoring.InferRequest) (*scoring.InferResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.note(ctx)
	f.infer = *req
	if f.err != nil {
		return nil, f.err
	}
	resp := &scoring.InferResponse{Model: answeredBy, ID: req.ID, Outputs: req.Inputs}
	if f.outputs != nil {
		resp.Outputs = f.outputs
	}
	return resp, nil
}

// fakeObserver collects "operation code".
type fakeObserver struct {
	mu     sync.Mutex
	seen   []string
	panics int
}

func (o *fakeObserver) Answered(door, operation string, err error, _ time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	code := "OK"
	if err != nil {
		code = scoring.CodeOf(err).String()
	}
	o.seen = append(o.seen, door+" "+operation+" "+code)
}

func (o *fakeObserver) last() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.seen) == 0 {
		return ""
	}
	return o.seen[len(o.seen)-1]
}

// lockedBuilder is a strings.Builder that the server and the test can share.
type lockedBuilder struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedBuilder) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuilder) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Panicked implements httpapi.Observer.
func (o *fakeObserver) Panicked() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.panics++
}

// fakePipeline says that a version takes more than tensors; nobody runs it.
type fakePipeline struct{ pipeline.Pipeline }

// rig is a door on fakes, behind a real server.
type rig struct {
	scorer   fakeScorer
	observer fakeObserver
	models   *registry.Registry
	draining bool
	config   httpapi.Config
	parts    httpapi.Parts
	log      lockedBuilder
	url      string
	client   http.Transport
}

// start starts the rig; configure may change it first. Model "m" has version 1 and 2
// loaded and 3 failed; "empty" is loading.
func start(t *testing.T, configure ...func(*rig)) *rig {
	t.Helper()
	r := &rig{models: registry.New()}
	r.config = httpapi.Config{ServerName: "onda", ServerVersion: "1.2.3", MaxBody: 1 << 16, MaxInstances: 4, Timeout: 5 * time.Second, ReadTimeout: 5 * time.Second}
	spec := scoring.Signature{
		Inputs:  []scoring.TensorSpec{{Name: "x", Datatype: scoring.FP32, Shape: []int64{-1, 4}}},
		Outputs: []scoring.TensorSpec{{Name: "y", Datatype: scoring.Bytes, Shape: nil}},
	}
	for _, number := range []int64{1, 2} {
		v := &registry.Version{ID: scoring.ModelID{Name: "m", Version: number, Digest: "sha256:d"}, Session: &onnxtest.Fake{Spec: spec}, Pipeline: fakePipeline{}}
		if err := r.models.Add(artifact.Ref{Name: "m", Version: number}, v); err != nil {
			t.Fatal(err)
		}
	}
	r.models.Fail(artifact.Ref{Name: "m", Version: 3}, errors.New("model.onnx: damaged"))
	r.models.Announce([]artifact.Ref{{Name: "empty", Version: 1}})
	r.models.SetLoaded()
	r.parts = httpapi.Parts{
		Scorer: &r.scorer, Models: r.models, Observer: &r.observer, Log: zerolog.New(&r.log), Draining: func() bool { return r.draining },
	}
	for _, c := range configure {
		c(r)
	}
	r.parts.Bodies = admit.NewBytes(8 * r.config.MaxBody)
	server := httptest.NewServer(httpapi.New(r.config, r.parts))
	t.Cleanup(func() {
		r.client.CloseIdleConnections()
		server.Close()
	})
	r.url = server.URL
	return r
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// call sends a request; headers are "Name: value".
func (r *rig) call(t *testing.T, method, path, body string, headers ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, r.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	resp, err := r.client.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(text)}
}

func expect(t *testing.T, got answer, status int, body string) {
	t.Helper()
	if got.status != status || got.body != body {
		t.Errorf("got %d %s\nwant %d %s", got.status, got.body, status, body)
	}
}

func failure(message string) string {
	text, err := json.Marshal(message)
	if err != nil {
		panic(err)
	}
	return `{"error":` + strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(text)) + `}`
}

func TestPredict(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, path string
		want       scoring.ModelRef
	}{
		{"model", "/v1/models/m:predict", scoring.ModelRef{Name: "m"}},
		{"version", "/v1/models/m/versions/2:predict", scoring.ModelRef{Name: "m", Version: 2}},
		{"label", "/v1/models/m/labels/live:predict", scoring.ModelRef{Name: "m", Label: "live"}},
		{"encoded colon", "/v1/models/m%3Apredict", scoring.ModelRef{Name: "m"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := start(t)
			got := r.call(t, "POST", tt.path, "why?", "Content-Type: text/plain", "X-Request-Id: id-7")
			expect(t, got, 200, `{"predictions":[{"matches":[{"id":"e","question":"a < b && c?","answer":"yes","score":0.5}]}],"model":{"name":"m","version":"2","digest":"sha256:2"},"id":"id-7"}`)
			if r.scorer.predict.Model != tt.want {
				t.Errorf("asked for %+v, want %+v", r.scorer.predict.Model, tt.want)
			}
			if got.header.Get("X-Request-Id") != "id-7" || got.header.Get("Onda-Model") != "m@2" || got.header.Get("Content-Type") != "application/json" {
				t.Errorf("headers %v", got.header)
			}
			_, phases, _ := strings.Cut(got.header.Get("Server-Timing"), ", ")
			if want := "queue;dur=1.000, preprocess;dur=2.000, run;dur=3.500, postprocess;dur=0.001"; phases != want {
				t.Errorf("Server-Timing %q, want it to end with %q", got.header.Get("Server-Timing"), want)
			}
			if want := "http predict OK"; r.observer.last() != want {
				t.Errorf("observed %q, want %q", r.observer.last(), want)
			}
		})
	}
}

func TestPredictParameters(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.call(t, "POST", "/v1/models/m:predict?top_k=7", "why?", "Content-Type: text/plain")
	if got := r.scorer.predict.Parameters.TopK; got != 7 {
		t.Errorf("top_k from the query is %d, want 7", got)
	}
	r.call(t, "POST", "/v1/models/m:predict", `{"instances":["why?"],"parameters":{"top_k":9},"id":"from-body"}`, "Content-Type: application/json", "X-Request-Id: from-header")
	if got := r.scorer.predict; got.Parameters.TopK != 9 || got.ID != "from-body" {
		t.Errorf("got top_k %d and id %q, want those of the body", got.Parameters.TopK, got.ID)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	const text = "Content-Type: text/plain"
	tests := []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		want                     string
	}{
		{"query", "POST", "/v1/models/m:predict?topk=1", "a", []string{text}, 400, `unknown query parameter "topk": want top_k`},
		{"top_k no number", "POST", "/v1/models/m:predict?top_k=x", "a", []string{text}, 400, `top_k is "x": want a whole number, at least 1`},
		{"top_k zero", "POST", "/v1/models/m:predict?top_k=0", "a", []string{text}, 400, "top_k is 0: want a whole number, at least 1"},
		{"top_k twice", "POST", "/v1/models/m:predict?top_k=1&top_k=2", "a", []string{text}, 400, "top_k is given more than once: want it in the query or in the body"},
		{"top_k in query and body", "POST", "/v1/models/m:predict?top_k=1", `{"instances":["a"],"parameters":{"top_k":2}}`, []string{"Content-Type: application/json"}, 400, "top_k is given more than once: want it in the query or in the body"},
		{"verb", "POST", "/v1/models/m:guess", "a", []string{text}, 404, `unknown verb ":guess": want :predict`},
		{"verb not offered", "POST", "/v1/models/m:explain", "a", []string{text}, 501, ":explain is not offered: use :predict"},
		{"no verb", "POST", "/v1/models/m", "a", []string{text}, 405, "method POST is not allowed here: use GET"},
		{"version", "POST", "/v1/models/m/versions/0:predict", "a", []string{text}, 400, `version "0": want a positive whole number`},
		{"version no number", "POST", "/v1/models/m/versions/x:predict", "a", []string{text}, 400, `version "x": want a positive whole number`},
		{"name", "POST", "/v1/models/..%2Fm:predict", "a", []string{text}, 400, `model name "../m": use letters, digits, '.', '_' and '-', a letter or digit first`},
		{"method", "DELETE", "/v1/models/m:predict", "", nil, 405, "method DELETE is not allowed here: use POST"},
		{"path", "GET", "/v3", "", nil, 404, "there is nothing at GET /v3: want /v1/models/MODEL:predict, /v2/models/MODEL/infer or another path of README.md"},
		{"compressed", "POST", "/v1/models/m:predict", "a", []string{text, "Content-Encoding: br"}, 415, `content-encoding "br" is not supported: send the body with gzip, deflate or uncompressed`},
		{"budget", "POST", "/v1/models/m:predict", "a", []string{text, "X-Request-Timeout-Ms: soon"}, 400, `header x-request-timeout-ms is "soon": want a whole number of milliseconds, at least 1`},
		{"id too long", "POST", "/v1/models/m:predict", "a", []string{text, "X-Request-Id: " + strings.Repeat("x", 257)}, 400, "the request's id is 257 bytes long: at most 256 are allowed"},
		{"id not printable", "POST", "/v1/models/m:predict", `{"id":"a\nb","instances":["a"]}`, []string{"Content-Type: application/json"}, 400, "the request's id has a character that is not printable ASCII at offset 1"},
		{"too large", "POST", "/v1/models/m:predict", strings.Repeat("a", 1<<16+1), []string{text}, 413, "the body is too large: at most 65536 bytes are allowed (ONDA_MAX_BODY), got 65537 bytes"},
		{"too many", "POST", "/v1/models/m:predict", `{"instances":["a","a","a","a","a"]}`, []string{"Content-Type: application/json"}, 413, "5 instances in one request: at most 4 are allowed; split the request"},
		{"unknown model", "GET", "/v1/models/x", "", nil, 404, `Request for unknown model: 'x' is not found: there are empty, m: GET /v1/models lists the models`},
		{"unknown version", "GET", "/v2/models/m/versions/9", "", nil, 404, `model "m" has no version 9: there are 3, 2, 1: GET /v1/models/m lists its versions`},
		{"metadata of a failed version", "GET", "/v2/models/m/versions/3", "", nil, 503, "model m@3 is not ready: GET /v1/models/m says why"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			expect(t, start(t).call(t, tt.method, tt.path, tt.body, tt.headers...), tt.status, failure(tt.want))
		})
	}
}

func TestMethodNotAllowedNamesTheMethods(t *testing.T) {
	t.Parallel()
	got := start(t).call(t, "PUT", "/v2/health/live", "")
	if got.status != 405 || got.header.Get("Allow") != "GET" {
		t.Errorf("got %d with Allow %q, want 405 with GET", got.status, got.header.Get("Allow"))
	}
}

// TestEveryCode walks the error table: each code gives its status, the public message
// and nothing of the cause, on both scoring paths.
func TestEveryCode(t *testing.T) {
	t.Parallel()
	for _, code := range scoring.Codes() {
		t.Run(code.String(), func(t *testing.T) {
			t.Parallel()
			r := start(t)
			r.scorer.err = scoring.Errorf(code, "say this").WithCause(errors.New("hide this")).WithRetryAfter(1500 * time.Millisecond)
			for _, got := range []answer{
				r.call(t, "POST", "/v1/models/m:predict", "a", "Content-Type: text/plain"),
				r.call(t, "POST", "/v2/models/m/infer", `{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1]}]}`),
			} {
				expect(t, got, code.HTTPStatus(), `{"error":"say this"}`)
				if got.header.Get("Retry-After") != "2" {
					t.Errorf("Retry-After %q, want 2: seconds, rounded up", got.header.Get("Retry-After"))
				}
				if want := "http infer " + code.String(); strings.Contains(r.observer.last(), "infer") && r.observer.last() != want {
					t.Errorf("observed %q, want %q", r.observer.last(), want)
				}
			}
			if logged := strings.Contains(r.log.String(), `"level":"error"`); logged != (code == scoring.Internal) {
				t.Errorf("logged as an error: %v; only failures of ours are", logged)
			}
		})
	}
}

func TestPanicIsAnsweredAndCounted(t *testing.T) {
	t.Parallel()
	r := start(t, func(r *rig) { r.parts.Draining = func() bool { panic("oops") } })
	expect(t, r.call(t, "GET", "/healthz", ""), 500, failure("internal error: the request was not answered; the server's log has the details"))
	if r.observer.panics != 1 || !strings.Contains(r.log.String(), `"panic":"oops"`) {
		t.Errorf("%d panics counted, log %s", r.observer.panics, r.log.String())
	}
}

func TestBudgets(t *testing.T) {
	t.Parallel()
	const infer = `{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1]}]`
	tests := []struct {
		name, path, body string
		headers          []string
		most             time.Duration
	}{
		{"ours", "/v1/models/m:predict", "a", []string{"Content-Type: text/plain"}, 5 * time.Second},
		{"the caller's", "/v1/models/m:predict", "a", []string{"Content-Type: text/plain", "X-Request-Timeout-Ms: 2000"}, 2 * time.Second},
		{"longer than ours", "/v1/models/m:predict", "a", []string{"Content-Type: text/plain", "X-Request-Timeout-Ms: 60000"}, 5 * time.Second},
		{"the protocol's", "/v2/models/m/infer", infer + `,"parameters":{"timeout":1000000}}`, nil, time.Second},
		{"the protocol's, longer than ours", "/v2/models/m/infer", infer + `,"parameters":{"timeout":60000000}}`, nil, 5 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := start(t)
			if got := r.call(t, "POST", tt.path, tt.body, tt.headers...); got.status != 200 {
				t.Fatalf("got %d %s", got.status, got.body)
			}
			if r.scorer.budget > tt.most || r.scorer.budget < tt.most/2 {
				t.Errorf("budget %v, want about %v", r.scorer.budget, tt.most)
			}
		})
	}
}

func TestSpentBudgetIsAnswered(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.scorer.block = true
	got := r.call(t, "POST", "/v1/models/m:predict", "a", "Content-Type: text/plain", "X-Request-Timeout-Ms: 1")
	expect(t, got, 504, failure("the request's time budget was spent before there was an answer"))
}

func TestInfer(t *testing.T) {
	t.Parallel()
	r := start(t)
	got := r.call(t, "POST", "/v2/models/m/versions/2/infer", `{"id":"i","inputs":[{"name":"x","shape":[2],"datatype":"FP32","data":[1.5,-2]}],"outputs":[{"name":"y"}]}`)
	expect(t, got, 200, `{"model_name":"m","model_version":"2","id":"i","parameters":{"digest":"sha256:2"},"outputs":[{"name":"x","datatype":"FP32","shape":[2],"data":[1.5,-2]}]}`)
	if r.scorer.infer.Model.Version != 2 || len(r.scorer.infer.Outputs) != 1 || r.scorer.infer.Outputs[0].Name != "y" {
		t.Errorf("asked %+v", r.scorer.infer)
	}
}

func TestStatusAndMetadata(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, path, want string }{
		{"models", "/v1/models", `{"models":["empty","m"]}`},
		{"models, v2", "/v2/models", `{"models":["empty","m"]}`},
		{"model", "/v1/models/m", `{"name":"m","ready":true,"labels":{"live":"2"},"model_version_status":[` +
			`{"version":"1","state":"AVAILABLE","status":{"error_code":"OK","error_message":""},"digest":"sha256:d"},` +
			`{"version":"2","state":"AVAILABLE","status":{"error_code":"OK","error_message":""},"digest":"sha256:d"},` +
			`{"version":"3","state":"FAILED","status":{"error_code":"INTERNAL","error_message":"model.onnx: damaged"}}]}`},
		{"version", "/v1/models/m/versions/1", `{"name":"m","ready":true,"model_version_status":[{"version":"1","state":"AVAILABLE","status":{"error_code":"OK","error_message":""},"digest":"sha256:d"}]}`},
		{"label", "/v1/models/m/labels/live", `{"name":"m","ready":true,"model_version_status":[{"version":"2","state":"AVAILABLE","status":{"error_code":"OK","error_message":""},"digest":"sha256:d"}]}`},
		{"loading", "/v1/models/empty", `{"name":"empty","ready":false,"labels":{"live":"1"},"model_version_status":[{"version":"1","state":"LOADING","status":{"error_code":"OK","error_message":""}}]}`},
		{"server", "/v2", `{"name":"onda","version":"1.2.3","extensions":["classification","model_repository","schedule_policy","model_configuration","binary_tensor_data","statistics"]}`},
		{"metadata", "/v2/models/m", `{"name":"m","versions":["1","2","3"],"platform":"onnxruntime_onnx","inputs":[{"name":"x","datatype":"FP32","shape":[-1,4]}],"outputs":[{"name":"y","datatype":"BYTES","shape":[]}]}`},
		{"model ready", "/v2/models/m/ready", `{"name":"m","ready":true}`},
		{"dapr", "/dapr/subscribe", `[]`},
	}
	r := start(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			expect(t, r.call(t, "GET", tt.path, ""), 200, tt.want)
		})
	}
	expect(t, r.call(t, "GET", "/v2/models/m/versions/3/ready", ""), 503, `{"name":"m","ready":false}`)
}

func TestHealth(t *testing.T) {
	t.Parallel()
	empty := func(r *rig) { r.models = registry.New(); r.parts.Models = r.models }
	draining := func(r *rig) { r.draining = true }
	tests := []struct {
		name   string
		setup  func(*rig)
		path   string
		status int
		want   string
	}{
		{"ready", func(*rig) {}, "/healthz", 200, `{"ready":true}`},
		{"not loaded", empty, "/healthz", 503, `{"ready":false}`},
		{"draining", draining, "/healthz", 503, `{"ready":false}`},
		{"v2 ready", func(*rig) {}, "/v2/health/ready", 200, `{"live":true,"ready":true}`},
		{"v2 not ready", empty, "/v2/health/ready", 503, `{"live":true,"ready":false}`},
		{"v2 live while draining", draining, "/v2/health/live", 200, `{"live":true,"ready":false}`},
		{"model while draining", draining, "/v2/models/m/ready", 503, `{"name":"m","ready":false}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			expect(t, start(t, tt.setup).call(t, "GET", tt.path, ""), tt.status, tt.want)
		})
	}
}

func TestAppToken(t *testing.T) {
	t.Parallel()
	r := start(t, func(r *rig) { r.config.AppToken = "secret" })
	denied := failure("the header dapr-api-token is missing or wrong: call Onda through its sidecar, or send the token of APP_API_TOKEN")
	for _, path := range []string{"/v2", "/v2/health", "/v2/health/live/x", "/v2//health/live", "/v2/models/m/ready", "/v1/models/m", "/registry/v1/models", "/openapi.json"} {
		expect(t, r.call(t, "GET", path, ""), 401, denied)
		expect(t, r.call(t, "GET", path, "", "Dapr-Api-Token: guess"), 401, denied)
	}
	expect(t, r.call(t, "GET", "/v2/models/m/ready", "", "Dapr-Api-Token: secret"), 200, `{"name":"m","ready":true}`)
	// What probes ask: they have no token, and what one shows does not matter.
	for path, want := range map[string]string{
		"/healthz": `{"ready":true}`, "/v2/health/live": `{"live":true,"ready":true}`, "/v2/health/ready": `{"live":true,"ready":true}`, "/v2/health/ready/": `{"live":true,"ready":true}`,
	} {
		expect(t, r.call(t, "GET", path, ""), 200, want)
		expect(t, r.call(t, "GET", path, "", "Dapr-Api-Token: guess"), 200, want)
	}
}

// TestProbesWithoutToken: a replica that cannot work says so to whoever asks, and stays alive.
func TestProbesWithoutToken(t *testing.T) {
	t.Parallel()
	r := start(t, func(r *rig) {
		r.config.AppToken = "secret"
		r.parts.Models = registry.New()
	})
	expect(t, r.call(t, "GET", "/v2/health/live", ""), 200, `{"live":true,"ready":false}`)
	expect(t, r.call(t, "GET", "/v2/health/ready", ""), 503, `{"live":true,"ready":false}`)
}
