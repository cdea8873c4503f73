package httpapi_test

import (
	"context"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/onda-serving/onda/app/artifact"
	"github.com/onda-serving/onda/app/onnx/onnxtest"
	"github.com/onda-serving/onda/app/registry"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/triton/configpb"
	"github.com/onda-serving/onda/app/wire"
)

const oneInput = `"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1]}]`

// fakeRepository notes what it was asked.
type fakeRepository struct {
	loaded   scoring.LoadRequest
	unloaded string
	err      error
}

func (f *fakeRepository) Load(_ context.Context, req scoring.LoadRequest) error {
	f.loaded = req
	return f.err
}

func (f *fakeRepository) Unload(_ context.Context, name string) error {
	f.unloaded = name
	return f.err
}

func TestRepositoryIndex(t *testing.T) {
	t.Parallel()
	r := start(t)
	const ready = `{"name":"m","version":"1","state":"READY","reason":""},{"name":"m","version":"2","state":"READY","reason":""}`
	all := `[{"name":"empty","version":"1","state":"LOADING","reason":""},` + ready + `,{"name":"m","version":"3","state":"UNAVAILABLE","reason":"model.onnx: damaged"}]`
	for _, body := range []string{"", "{}", `{"ready":false}`, `{"ready":null}`, ` {"other":[1]} `} {
		expect(t, r.call(t, "POST", "/v2/repository/index", body), 200, all)
	}
	expect(t, r.call(t, "POST", "/v2/repository/index", `{"ready":true}`), 200, "["+ready+"]")
	expect(t, r.call(t, "POST", "/v2/repository/index", `{"ready":"yes"}`), 400, failure(`"ready": want true or false`))
	expect(t, r.call(t, "POST", "/v2/repository/index", `[]`), 400, failure("the body is a JSON array: want an object"))
	expect(t, r.call(t, "POST", "/v2/repository/index", `{`), 400, failure("the body is not valid JSON: it ends before the value does"))
	for _, path := range []string{"index", "models/m/load", "models/m/unload"} {
		expect(t, r.call(t, "POST", "/v2/repository/store/"+path, ""), 501, failure("naming a repository is not offered: there is one, at /v2/repository/index and /v2/repository/models/MODEL/load or unload"))
	}
}

func TestUnloadedModelInTheIndex(t *testing.T) {
	t.Parallel()
	models := unloaded{registry.New()}
	r := start(t, func(r *rig) { r.parts.Models = models })
	expect(t, r.call(t, "POST", "/v2/repository/index", ""), 200, `[{"name":"gone","version":"4","state":"UNAVAILABLE","reason":"unloaded"}]`)
}

// unloaded is a registry with one version that was taken out of service.
type unloaded struct{ *registry.Registry }

func (unloaded) Models() []registry.Model {
	return []registry.Model{{Name: "gone", Versions: []registry.Status{{Ref: artifact.Ref{Name: "gone", Version: 4}, State: registry.Unloaded}}}}
}

func TestRepositoryControl(t *testing.T) {
	t.Parallel()
	var repository fakeRepository
	r := start(t, func(r *rig) { r.parts.Repository = &repository })
	expect(t, r.call(t, "POST", "/v2/repository/models/m/load", ""), 200, `{"name":"m","load":true}`)
	if repository.loaded.Name != "m" || repository.loaded.Config != "" || repository.loaded.Files != nil {
		t.Errorf("asked to load %+v", repository.loaded)
	}
	file := base64.StdEncoding.EncodeToString([]byte("\x08\x07"))
	expect(t, r.call(t, "POST", "/v2/repository/models/n/load", `{"parameters":{"config":"{\"name\":\"n\"}","file:1/model.onnx":"`+file+`"}}`), 200, `{"name":"n","load":true}`)
	if repository.loaded.Config != `{"name":"n"}` || string(repository.loaded.Files["1/model.onnx"]) != "\x08\x07" {
		t.Errorf("asked to load %+v", repository.loaded)
	}
	for _, body := range []string{"", `{"parameters":{"unload_dependents":true}}`} {
		repository.unloaded = ""
		if expect(t, r.call(t, "POST", "/v2/repository/models/m/unload", body), 200, `{"name":"m","unload":true}`); repository.unloaded != "m" {
			t.Errorf("asked to unload %q", repository.unloaded)
		}
	}
	for _, tt := range []struct{ path, body, want string }{
		{"load", `{"parameters":{"file:1/model.onnx":"AA=="}}`, "the request has files and no config: send the parameter config, too, because files replace the whole folder of the model"},
		{"load", `{"parameters":{"file:1/model.onnx":"A","config":"{}"}}`, `parameter "file:1/model.onnx" is not standard base64 (RFC 4648, section 4)`},
		{"load", `{"parameters":{"file:model.onnx":"AA=="}}`, `parameter "file:model.onnx": want file:VERSION/NAME, such as file:1/model.onnx`},
		{"load", `{"parameters":{"file:1/../../x":"AA=="}}`, `parameter "file:1/../../x": want file:VERSION/NAME, such as file:1/model.onnx`},
		{"load", `{"parameters":{"config":{}}}`, "parameter config: want a string with the JSON of the model's configuration"},
		{"load", `{"parameters":{"wanted":true}}`, `unknown parameter "wanted": want config or file:VERSION/NAME`},
		{"load", `{"parameters":[]}`, `"parameters": want an object`},
		{"unload", `{"parameters":{"unload_dependents":1}}`, "parameter unload_dependents: want true or false"},
	} {
		expect(t, r.call(t, "POST", "/v2/repository/models/m/"+tt.path, tt.body), 400, failure(tt.want))
	}
	repository.err = scoring.Errorf(scoring.NotFound, "no such folder")
	expect(t, r.call(t, "POST", "/v2/repository/models/m/load", ""), 404, failure("no such folder"))
	denied := failure("models are not loaded or unloaded on request here: set ONDA_MODEL_CONTROL=explicit to allow it")
	expect(t, start(t).call(t, "POST", "/v2/repository/models/m/unload", ""), 403, denied)
}

func TestModelConfig(t *testing.T) {
	t.Parallel()
	r := start(t, func(r *rig) {
		v := &registry.Version{ID: scoring.ModelID{Name: "c", Version: 1}, Session: &onnxtest.Fake{}, Config: &configpb.ModelConfig{Name: "c", Backend: "onnxruntime", MaxBatchSize: 8}}
		if err := r.models.Add(artifact.Ref{Name: "c", Version: 1}, v); err != nil {
			t.Fatal(err)
		}
	})
	for _, path := range []string{"/v2/models/c/config", "/v2/models/c/versions/1/config", "/v2/models/c/labels/live/config"} {
		got := r.call(t, "GET", path, "")
		if got.status != 200 || !strings.HasPrefix(got.body, `{"name":"c"`) || !strings.Contains(got.body, `"backend":"onnxruntime"`) || !strings.Contains(got.body, `"max_batch_size":8`) {
			t.Errorf("%s: got %d %s", path, got.status, got.body)
		}
	}
	expect(t, r.call(t, "GET", "/v2/models/empty/config", ""), 503, failure("model empty@1 is not ready: GET /v1/models/empty says why"))
	expect(t, r.call(t, "GET", "/v2/models/m/config", ""), 501, failure("model m@2 has no configuration in Triton's form"))
}

func TestStatistics(t *testing.T) {
	t.Parallel()
	r := start(t)
	stats := func(name, version string) string {
		const none = `{"count":0,"ns":0}`
		return `{"name":"` + name + `","version":"` + version + `","last_inference":0,"inference_count":0,"execution_count":0,"inference_stats":{"success":` + none + `,"fail":` + none + `,"queue":` + none + `,"compute_input":` + none + `,"compute_infer":` + none + `,"compute_output":` + none + `,"cache_hit":` + none + `,"cache_miss":` + none + `},"response_stats":{},"batch_stats":[],"memory_usage":[]}`
	}
	both := `{"model_stats":[` + stats("m", "1") + `,` + stats("m", "2") + `]}`
	expect(t, r.call(t, "GET", "/v2/models/stats", ""), 200, both)
	expect(t, r.call(t, "GET", "/v2/models/m/stats", ""), 200, both)
	expect(t, r.call(t, "GET", "/v2/models/m/versions/1/stats", ""), 200, `{"model_stats":[`+stats("m", "1")+`]}`)
	expect(t, r.call(t, "GET", "/v2/models/m/labels/live/stats", ""), 200, `{"model_stats":[`+stats("m", "2")+`]}`)
	expect(t, r.call(t, "GET", "/v2/models/empty/stats", ""), 200, `{"model_stats":[]}`)
	expect(t, r.call(t, "GET", "/v2/models/m/versions/3/stats", ""), 503, failure("model m@3 is not ready: GET /v1/models/m says why"))
	if got := r.call(t, "GET", "/v2/models/x/stats", ""); got.status != 404 {
		t.Errorf("got %d %s, want 404", got.status, got.body)
	}
}

func TestNotOffered(t *testing.T) {
	t.Parallel()
	const memory = "shared memory is not offered: send tensors in the body, with the binary tensor extension for large ones"
	r := start(t)
	for _, kind := range []string{"system", "cuda"} {
		expect(t, r.call(t, "GET", "/v2/"+kind+"sharedmemory/status", ""), 200, "[]")
		expect(t, r.call(t, "GET", "/v2/"+kind+"sharedmemory/region/r/status", ""), 404, failure(`unable to find shared memory region "r": shared memory is not offered, send tensors in the body`))
		for _, path := range []string{"region/r/register", "region/r/unregister", "unregister"} {
			expect(t, r.call(t, "POST", "/v2/"+kind+"sharedmemory/"+path, `{"key":"k"}`), 501, failure(memory))
		}
	}
	for _, path := range []string{"generate", "generate_stream", "versions/1/generate", "versions/1/generate_stream"} {
		expect(t, r.call(t, "POST", "/v2/models/m/"+path, `{}`), 501, failure("generate is for language models and not offered: use infer, or :predict"))
	}
	for _, method := range []string{"GET", "POST"} {
		expect(t, r.call(t, method, "/v2/trace/setting", ""), 501, failure("trace settings are not offered: tracing is set up by the server's environment"))
		expect(t, r.call(t, method, "/v2/models/m/trace/setting", ""), 501, failure("trace settings are not offered: tracing is set up by the server's environment"))
		expect(t, r.call(t, method, "/v2/logging", ""), 501, failure("log settings are not offered: logging is set up by the server's environment"))
	}
}

func TestWrongMethods(t *testing.T) {
	t.Parallel()
	tests := []struct{ method, path, allow string }{
		{"POST", "/v2", "GET"},
		{"POST", "/v2/models", "GET"},
		{"POST", "/v2/models/stats", "GET"},
		{"POST", "/v2/models/m", "GET"},
		{"POST", "/v2/models/m/ready", "GET"},
		{"PUT", "/v2/models/m/versions/1/config", "GET"},
		{"GET", "/v2/models/m/infer", "POST"},
		{"GET", "/v2/models/m/labels/live/infer", "POST"},
		{"GET", "/v2/repository/index", "POST"},
		{"GET", "/v2/repository/models/m/load", "POST"},
		{"POST", "/v2/systemsharedmemory/status", "GET"},
		{"DELETE", "/v2/logging", "GET, POST"},
		{"GET", "/v1/models/m:predict", "POST"},
	}
	r := start(t)
	for _, tt := range tests {
		got := r.call(t, tt.method, tt.path, "")
		if got.status != 405 || got.header.Get("Allow") != tt.allow {
			t.Errorf("%s %s: got %d and Allow %q, want 405 and %q", tt.method, tt.path, got.status, got.header.Get("Allow"), tt.allow)
		}
	}
}

func TestPathsAsClientsWriteThem(t *testing.T) {
	t.Parallel()
	r := start(t)
	for _, path := range []string{"/v2/", "/v2?format=json", "/v2/models/", "/v2/models/%6D", "/v2/models/m/?a=b", "/v2/health/ready/", "/v2/models/m/labels/live/ready"} {
		if got := r.call(t, "GET", path, ""); got.status != 200 {
			t.Errorf("%s: got %d %s", path, got.status, got.body)
		}
	}
	for _, path := range []string{"/v2/models/m/infer?q=1", "/v2/models/m/infer/", "/v2/models/%6d/versions/2/infer"} {
		if got := r.call(t, "POST", path, "{"+oneInput+"}"); got.status != 200 {
			t.Errorf("%s: got %d %s", path, got.status, got.body)
		}
	}
	r.call(t, "POST", "/v2/models/m/labels/live/infer", "{"+oneInput+"}")
	if r.scorer.infer.Model != (scoring.ModelRef{Name: "m", Label: "live"}) {
		t.Errorf("asked for %+v, want the label", r.scorer.infer.Model)
	}
}

func TestSchedule(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, parameters string
		headers          []string
		want             scoring.Schedule
	}{
		{"nothing", `{}`, nil, scoring.Schedule{}},
		{"headers", `{}`, []string{"X-Onda-Lane: bulk", "X-Onda-Priority: 3"}, scoring.Schedule{Lane: scoring.Bulk, Priority: 3}},
		{"body", `{"lane":"bulk","priority":18446744073709551615}`, nil, scoring.Schedule{Lane: scoring.Bulk, Priority: 1<<64 - 1}},
		{"the body counts", `{"lane":"interactive","priority":2}`, []string{"X-Onda-Lane: bulk", "X-Onda-Priority: 3"}, scoring.Schedule{Priority: 2}},
		{"default priority", `{"priority":0}`, []string{"X-Onda-Priority: 3"}, scoring.Schedule{Priority: 3}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := start(t)
			if got := r.call(t, "POST", "/v2/models/m/infer", `{"parameters":`+tt.parameters+`,`+oneInput+`}`, tt.headers...); got.status != 200 || r.scorer.infer.Schedule != tt.want {
				t.Errorf("got %d %s and %+v, want %+v", got.status, got.body, r.scorer.infer.Schedule, tt.want)
			}
			if len(tt.headers) > 0 {
				r.call(t, "POST", "/v1/models/m:predict", strings.Repeat("a", 17<<10), append(tt.headers, "Content-Type: text/plain")...)
				if want := (scoring.Schedule{Priority: 3}); r.scorer.predict.Schedule.Priority != want.Priority || r.scorer.schedule != r.scorer.predict.Schedule {
					t.Errorf(":predict got %+v, admitted with %+v", r.scorer.predict.Schedule, r.scorer.schedule)
				}
			}
		})
	}
	r := start(t)
	expect(t, r.call(t, "POST", "/v1/models/m:predict", "a", "X-Onda-Lane: fast"), 400, failure(`header x-onda-lane: lane "fast": want interactive or bulk`))
	expect(t, r.call(t, "POST", "/v1/models/m:predict", "a", "X-Onda-Priority: -1"), 400, failure(`header x-onda-priority is "-1": want a whole number, 1 for the most urgent and 0 for the model's default`))
}

func TestCaller(t *testing.T) {
	t.Parallel()
	longest := strings.Repeat("k", scoring.MaxKeyLen)
	tests := []struct {
		name    string
		headers []string
		want    scoring.Caller
	}{
		{"nobody", nil, scoring.Caller{}},
		{"key", []string{"X-Onda-Key: user 7"}, scoring.Caller{Key: "user 7"}},
		{"app", []string{"Dapr-Caller-App-Id: shop"}, scoring.Caller{App: "shop"}},
		{"key and app", []string{"x-onda-key: Zoë", "dapr-caller-app-id: shop"}, scoring.Caller{Key: "Zoë", App: "shop"}},
		{"longest key", []string{"X-Onda-Key: " + longest}, scoring.Caller{Key: longest}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.want.Lists = true // who may ask here may list, too
			r := start(t)
			got := r.call(t, "POST", "/v2/models/m/infer", `{`+oneInput+`}`, tt.headers...)
			if got.status != 200 || r.scorer.infer.Caller != tt.want {
				t.Errorf("infer: got %d %s and %+v, want %+v", got.status, got.body, r.scorer.infer.Caller, tt.want)
			}
			// Large enough for Admit, which must be asked for the same caller.
			got = r.call(t, "POST", "/v1/models/m:predict", strings.Repeat("a", 17<<10), append(tt.headers, "Content-Type: text/plain")...)
			if got.status != 200 || r.scorer.predict.Caller != tt.want {
				t.Errorf(":predict: got %d %s and %+v, want %+v", got.status, got.body, r.scorer.predict.Caller, tt.want)
			}
			want := registry.Want{Ref: scoring.ModelRef{Name: "m"}, Caller: tt.want}
			if len(r.scorer.admitted) != 1 || r.scorer.admitted[0] != want {
				t.Errorf("admitted as %+v, want %+v", r.scorer.admitted, want)
			}
		})
	}
	r := start(t)
	for _, path := range []string{"/v1/models/m:predict", "/v2/models/m/infer"} {
		expect(t, r.call(t, "POST", path, "a", "X-Onda-Key: "+longest+"k"), 400, failure("header x-onda-key is 257 bytes long: at most 256 are allowed"))
		expect(t, r.call(t, "POST", path, "a", "X-Onda-Key: a\tb"), 400, failure("header x-onda-key has a control character at offset 1: want text without any"))
	}
}

// TestRefusedBeforeTheBodyIsRead checks what needs no body: no body is booked, and its
// decoding is not tried.
func TestRefusedBeforeTheBodyIsRead(t *testing.T) {
	t.Parallel()
	r := start(t, func(r *rig) { addRaw(t, r, "tensors") })
	expect(t, r.call(t, "POST", "/v1/models/tensors:predict", `{"instances":`, "Content-Type: application/json"), 400, failure("model tensors@1 has no pipeline: send tensors to /v2/models/tensors/infer"))
	expect(t, r.call(t, "POST", "/v1/models/m/labels/canary:predict", "", "Content-Type: application/json"), 404, failure(`model "m" has no label "canary": there is live: GET /v1/models/m lists its labels`))
	r.scorer.full = scoring.Errorf(scoring.Overloaded, "full")
	for _, path := range []string{"/v1/models/m:predict", "/v2/models/m/infer"} {
		resp := raw(t, r, "POST "+path+" HTTP/1.1\r\nHost: onda\r\nExpect: 100-continue\r\nContent-Length: 20000\r\n\r\n")
		if resp.StatusCode != 429 || !resp.Close {
			t.Errorf("%s: got %d, closing %v; want 429 at once", path, resp.StatusCode, resp.Close)
		}
	}
	if len(r.scorer.admitted) != 2 || r.scorer.admitted[0].Ref.Name != "m" {
		t.Errorf("asked to admit %v", r.scorer.admitted)
	}
}

func TestClassification(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.scorer.outputs = []scoring.Tensor{{Name: "y", Datatype: scoring.Bytes, Shape: []int64{1, 2}, Strings: [][]byte{[]byte("0.9:281:tabby"), []byte("0.1:0")}}}
	const outputs = `,"outputs":[{"name":"y","parameters":{"classification":2,"binary_data":`
	got := r.call(t, "POST", "/v2/models/m/infer", `{"id":"i",`+oneInput+outputs+`false}}]}`)
	expect(t, got, 200, `{"model_name":"m","model_version":"2","id":"i","parameters":{"digest":"sha256:2"},"outputs":[{"name":"y","datatype":"BYTES","shape":[1,2],"data":["0.9:281:tabby","0.1:0"]}]}`)
	if want := []scoring.Output{{Name: "y", Classes: 2}}; len(r.scorer.infer.Outputs) != 1 || r.scorer.infer.Outputs[0] != want[0] {
		t.Errorf("asked for %+v, want %+v", r.scorer.infer.Outputs, want)
	}
	got = r.call(t, "POST", "/v2/models/m/infer", `{`+oneInput+outputs+`true}}]}`)
	if !strings.HasSuffix(got.body, "\x0d\x00\x00\x000.9:281:tabby\x05\x00\x00\x000.1:0") {
		t.Errorf("binary: got %q", got.body)
	}
	expect(t, r.call(t, "POST", "/v2/models/m/infer", `{`+oneInput+`,"outputs":[{"name":"y","parameters":{"classification":-1}}]}`), 400,
		failure("parameter classification of an output: want a whole number of classes, 0 or more"))
}

func TestSequencesAreRefused(t *testing.T) {
	t.Parallel()
	r := start(t)
	call := func(parameters string) answer {
		return r.call(t, "POST", "/v2/models/m/infer", `{`+oneInput+`,"parameters":{`+parameters+`}}`)
	}
	for _, none := range []string{`"sequence_id":0`, `"sequence_id":""`, `"sequence_id":0,"sequence_start":true,"sequence_end":false`, `"headers":{"a":"b"},"mine":[1]`} {
		if got := call(none); got.status != 200 {
			t.Errorf("%s: got %d %s", none, got.status, got.body)
		}
	}
	for _, one := range []string{`"sequence_id":7`, `"sequence_id":"a","sequence_start":true`} {
		expect(t, call(one), 501, failure("sequences are not offered: send each request without sequence_id"))
	}
	expect(t, call(`"triton_enable_empty_final_response":true`), 400, failure(`parameter "triton_enable_empty_final_response": names that start with triton_ are reserved: choose another`))
}

func TestWireTrap3MetadataHasNoKeysOfOneServerAlone(t *testing.T) {
	t.Parallel()
	got := start(t).call(t, "GET", "/v2/models/m", "")
	if strings.Contains(got.body, "properties") || strings.Contains(got.body, "parameters") {
		t.Errorf("got %s: MLServer and KServe disagree about what the key means", got.body)
	}
}

func TestWireTrap4AnswersHaveAnIDAndData(t *testing.T) {
	t.Parallel()
	got := start(t).call(t, "POST", "/v2/models/m/infer", `{`+oneInput+`}`)
	for _, key := range []string{`"id":`, `"model_name":"m"`, `"data":[1]`} {
		if !strings.Contains(got.body, key) {
			t.Errorf("got %s, want %s in it: KServe's client fails without", got.body, key)
		}
	}
}

func TestWireTrap5LiveAndReadyBothKeys(t *testing.T) {
	t.Parallel()
	r := start(t)
	for _, path := range []string{"/v2/health/live", "/v2/health/ready"} {
		expect(t, r.call(t, "GET", path, ""), 200, `{"live":true,"ready":true}`)
	}
}

func TestWireTrap6NotReadyIs503(t *testing.T) {
	t.Parallel()
	expect(t, start(t).call(t, "GET", "/v2/models/empty/ready", ""), 503, `{"name":"empty","ready":false}`)
}

func TestWireTrap7VersionsAreDigitsAndLabelsHaveTheirOwnPath(t *testing.T) {
	t.Parallel()
	r := start(t)
	expect(t, r.call(t, "GET", "/v2/models/m/versions/live/ready", ""), 400, failure(`version "live": want a positive whole number`))
	expect(t, r.call(t, "GET", "/v2/models/m/versions/1/ready", ""), 200, `{"name":"m","ready":true}`)
	expect(t, r.call(t, "GET", "/v2/models/m/labels/1/ready", ""), 404, failure(`model "m" has no label "1": there is live: GET /v1/models/m lists its labels`))
}

func TestWireTrap8ServerNameIsConfigurable(t *testing.T) {
	t.Parallel()
	r := start(t, func(r *rig) { r.config.ServerName = "triton" })
	if got := r.call(t, "GET", "/v2", ""); !strings.HasPrefix(got.body, `{"name":"triton",`) {
		t.Errorf("got %s", got.body)
	}
}

// TestSameBytesEveryTime is why times and counters are in headers.
func TestSameBytesEveryTime(t *testing.T) {
	t.Parallel()
	r := start(t)
	for _, path := range []string{"/v2/models/m/infer", "/v2/models/m/versions/2/infer", "/v2/models/m/labels/live/infer"} {
		want, err := wire.EncodeInfer(&scoring.InferResponse{Model: answeredBy, ID: "i", Outputs: []scoring.Tensor{{Name: "x", Datatype: scoring.FP32, Shape: []int64{1}, Data: []byte(floats(1))}}})
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			expect(t, r.call(t, http.MethodPost, path, `{"id":"i",`+oneInput+`}`), 200, string(want))
		}
	}
}
