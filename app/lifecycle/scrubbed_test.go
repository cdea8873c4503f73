package lifecycle_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/onda-serving/onda/app/ingress/inferencepb"
	"github.com/onda-serving/onda/app/lifecycle"
	"github.com/onda-serving/onda/app/onnx/onnxtest"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/telemetry"
)

// What must not be in the log, whatever happens: what callers send to be scored, who they say
// they are, and what grants access.
const (
	payload  = "zanzibar is where my patient Mrs Quux lives"
	userKey  = "quokka-4711"
	secret   = "Wombat7Secret9Value"
	appToken = "apptokenNumbat55"
	regToken = "registryNumbat66"
)

// traces of them, in any of the forms in which they could be logged.
func leaks() []string {
	inBase64 := base64.StdEncoding.EncodeToString([]byte(payload))
	return []string{"zanzibar", "Quux", "quokka", "ombat7", "umbat55", "umbat66", inBase64[:20], "7a616e7a69626172", "[122 97 110"}
}

// TestTheLogHoldsNoPayloadsAndNoSecrets tries to get some into it, through every door and what
// can go wrong there, at the level that logs most.
func TestTheLogHoldsNoPayloadsAndNoSecrets(t *testing.T) {
	cfg, collector, fake := traced(t)
	for _, model := range []string{"faq-matching", "image-classification"} {
		if err := os.CopyFS(filepath.Join(cfg.ModelsDir, model, "1"), os.DirFS(filepath.Join("..", "..", "models", model, "1"))); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(cfg.ModelsDir, "echo", "1", "model.onnx"), onnxtest.Identity(scoring.Bytes, []int64{-1}))
	cfg.AppAPIToken, cfg.RegistryToken, cfg.DaprAPIToken = appToken, regToken, secret
	cfg.EventSources = t.TempDir()
	cfg.CacheSize = 1 << 20

	lines := &logBuffer{}
	app, err := lifecycle.New(cfg, "test", telemetry.NewLogger(lines, "trace", "json", cfg.Secrets()...))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- app.Run(ctx) }()
	r := &running{url: "http://" + app.Address(), log: lines}
	r.stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() {
		r.client.CloseIdleConnections()
		http.DefaultClient.CloseIdleConnections()
		_ = r.stop()
	})
	r.await(t, "/healthz", http.StatusOK)

	sent := len(leakHTTP(t, r)) + leakGRPC(t, r) + leakEvents(t, r)
	// The sidecar, and what is behind it, answers with what it was given.
	fake.Fail(errors.New("redis://user:" + secret + "@redis:6379 refused; AccountKey=" + secret + "; token " + secret + "; Authorization: Bearer " + secret))
	sent += len(leakHTTP(t, r)) + leakEvents(t, r)
	fake.Fail(nil)
	time.Sleep(100 * time.Millisecond)
	if err := r.stop(); err != nil {
		t.Error(err)
	}

	text := lines.String()
	for _, leak := range leaks() {
		for line := range strings.Lines(text) {
			if strings.Contains(strings.ToLower(line), strings.ToLower(leak)) {
				t.Errorf("%q is in the log:\n%s", leak, line)
				break
			}
		}
	}
	for _, span := range collector.Spans() { // nor are they in traces
		for _, leak := range leaks() {
			if strings.Contains(strings.ToLower(span.String()), strings.ToLower(leak)) {
				t.Errorf("%q is in the span %v", leak, span)
			}
		}
	}
	n, traces := 0, 0
	for line := range strings.Lines(text) {
		if !json.Valid([]byte(line)) {
			t.Errorf("no JSON: %s", line)
		}
		n++
		if strings.Contains(line, `"trace_id":"`) && strings.Contains(line, `"span_id":"`) {
			traces++
		}
	}
	if n < sent || traces < sent/2 || !strings.Contains(text, telemetry.Hidden) {
		t.Errorf("got %d lines, %d of them with a trace, of %d requests: want a line for each, and %s in some", n, traces, sent, telemetry.Hidden)
	}
}

// attempt is a request over HTTP that may leave something in the log.
type attempt struct{ method, path, contentType, body string }

// leakHTTP sends payloads that are taken and payloads that are refused, as early and as late as
// can be.
func leakHTTP(t *testing.T, r *running) []attempt {
	t.Helper()
	inBase64 := base64.StdEncoding.EncodeToString([]byte(payload))
	const faq, image, echo, add = "/v1/models/faq-matching:predict", "/v1/models/image-classification:predict", "/v2/models/echo/infer", "/v2/models/addsub/infer"
	tensor := func(datatype, shape, data string) string {
		return `{"inputs":[{"name":"INPUT","datatype":"` + datatype + `","shape":[` + shape + `],"data":[` + data + `]}]}`
	}
	quoted := `"` + payload + `"`
	all := []attempt{
		{"POST", faq, "application/json", `{"instances":[` + quoted + `]}`},
		{"POST", faq, "application/json", `{"instances":[` + quoted},
		{"POST", faq, "application/json", `{"instances":` + quoted + `}`},
		{"POST", faq, "application/json", `{"instances":[{"text":` + quoted + `,"x":1}]}`},
		{"POST", faq, "application/json", `{"instances":["a"],"parameters":{"top_k":` + quoted + `}}`},
		{"POST", faq, "application/json", `{"instances":["` + payload + "\xff" + `"]}`},
		{"POST", faq, "application/json", `{"instances":["` + strings.Repeat(payload, 2000) + `"]}`},
		{"POST", faq, "application/json", `[` + strings.Repeat(`[`, 100) + quoted},
		{"POST", faq, "text/plain", payload},
		{"POST", faq, "text/plain", payload + "\xff\xfe"},
		{"POST", faq, "application/xml", payload},
		{"POST", faq + "?access_token=" + secret, "application/json", payload},
		{"POST", "/v1/models/none:predict?sig=" + secret, "application/json", quoted},
		{"POST", "/nowhere?sig=" + secret, "application/json", quoted},
		{"POST", image, "image/jpeg", payload},
		{"POST", image, "image/png", "\x89PNG\r\n\x1a\n" + payload},
		{"POST", image, "image/jpeg", "\xff\xd8\xff\xe0" + payload},
		{"POST", image, "application/octet-stream", payload},
		{"POST", image, "application/json", `{"instances":[{"b64":"` + inBase64 + `"}]}`},
		{"POST", image, "application/json", `{"instances":[{"b64":` + quoted + `}]}`},
		{"POST", image, "multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"" + payload + "\"\r\n\r\n" + payload + "\r\n--x--\r\n"},
		{"POST", echo, "application/json", tensor("BYTES", "1", quoted)},
		{"POST", echo, "application/json", tensor("BYTES", "7", quoted)},
		{"POST", echo, "application/json", tensor("INT32", "1", quoted)},
		{"POST", add, "application/json", tensor("INT32", "1,16", quoted)},
		{"POST", echo, "application/octet-stream", payload},
		{"POST", "/registry/v1/models/new/versions", "application/json", `{"location":"https://acc.blob.core.windows.net/m?sv=1&sig=` + secret + `"}`},
		{"POST", "/registry/v1/models/new/versions", "application/json", quoted},
	}
	for i, a := range all {
		for _, token := range []string{appToken, secret} {
			for _, prefer := range []string{"", "respond-async"} {
				req, err := http.NewRequestWithContext(t.Context(), a.method, r.url+a.path, strings.NewReader(a.body))
				if err != nil {
					t.Fatal(err)
				}
				for name, value := range map[string]string{
					"Content-Type": a.contentType, "Dapr-Api-Token": token, "Authorization": "Bearer " + regToken, "X-Onda-Key": userKey, "Cookie": "session=" + secret, "Prefer": prefer,
				} {
					if value != "" {
						req.Header.Set(name, value)
					}
				}
				if i%2 == 1 {
					req.Header.Set("Authorization", "Bearer "+secret)
				}
				resp, err := r.client.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
			}
		}
	}
	return all
}

// leakGRPC is the same over gRPC.
func leakGRPC(t *testing.T, r *running) (sent int) {
	t.Helper()
	conn, err := grpc.NewClient(strings.TrimPrefix(r.url, "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := inferencepb.NewGRPCInferenceServiceClient(conn)
	input := func(datatype string, shape int64, contents *inferencepb.InferTensorContents) []*inferencepb.ModelInferRequest_InferInputTensor {
		return []*inferencepb.ModelInferRequest_InferInputTensor{{Name: "INPUT", Datatype: datatype, Shape: []int64{shape}, Contents: contents}}
	}
	typed := &inferencepb.InferTensorContents{BytesContents: [][]byte{[]byte(payload)}}
	for _, token := range []string{appToken, secret} {
		ctx := metadata.AppendToOutgoingContext(t.Context(), "dapr-api-token", token, "authorization", "Bearer "+secret, "x-onda-key", userKey)
		for _, req := range []*inferencepb.ModelInferRequest{
			{ModelName: "echo", Inputs: input("BYTES", 1, typed)},
			{ModelName: "echo", Inputs: input("BYTES", 3, typed)},
			{ModelName: "echo", Inputs: input("INT32", 1, typed)},
			{ModelName: "none", Inputs: input("BYTES", 1, typed)},
			{ModelName: "echo", Inputs: input("BYTES", 1, nil), RawInputContents: [][]byte{[]byte(payload)}},
			{ModelName: "echo", Inputs: input("BYTES", 1, nil), RawInputContents: [][]byte{append([]byte{byte(len(payload)), 0, 0, 0}, payload...)}},
		} {
			_, _ = client.ModelInfer(ctx, req)
			sent++
		}
		// A message that is none.
		_ = conn.Invoke(ctx, "/inference.GRPCInferenceService/ModelInfer", &inferencepb.ModelInferRequest{ModelName: "\xff" + payload}, &inferencepb.ModelInferResponse{})
	}
	return sent
}

// leakEvents is the same as events.
func leakEvents(t *testing.T, r *running) (sent int) {
	t.Helper()
	event := func(extra map[string]any) []byte {
		e := map[string]any{"specversion": "1.0", "id": uuid.NewString(), "source": "test", "type": "onda.score.request.v1", "subject": "echo", "datacontenttype": "application/json"}
		maps.Copy(e, extra)
		encoded, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		return encoded
	}
	infer := json.RawMessage(`{"inputs":[{"name":"INPUT","datatype":"BYTES","shape":[1],"data":["` + payload + `"]}]}`)
	for _, body := range [][]byte{
		event(map[string]any{"data": infer}), event(map[string]any{"data": payload}), event(map[string]any{"data_base64": payload}),
		event(map[string]any{"data": map[string]any{"instances": []string{payload}}}), event(map[string]any{"subject": "faq-matching", "data": map[string]any{"instances": []string{payload}}}),
		event(map[string]any{"data_base64": base64.StdEncoding.EncodeToString([]byte(payload))}), event(map[string]any{"data": infer, "expiration": payload}),
		event(map[string]any{"dataref": "https://acc.blob.core.windows.net/inputs/a?sv=1&sig=" + secret, "datarefsha256": strings.Repeat("0", 64)}),
		event(map[string]any{"data": infer, "partitionkey": userKey + "\n"}), event(map[string]any{"data": infer, "partitionkey": userKey}),
		[]byte(payload), []byte(`{"specversion":"1.0","data":"` + payload), event(map[string]any{"specversion": "7", "data": infer}),
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+"/events/scoring", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/cloudevents+json")
		req.Header.Set("Dapr-Api-Token", appToken)
		resp, err := r.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		sent++
	}
	return sent
}
