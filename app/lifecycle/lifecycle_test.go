package lifecycle_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/onda-serving/onda/app/config"
	"github.com/onda-serving/onda/app/lifecycle"
	"github.com/onda-serving/onda/app/onnx/onnxtest"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/sidecar/sidecartest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The tests run one after the other: a process has one ONNX Runtime.

// settings gives a configuration with two models: one that adds, and one that is damaged.
func settings(t *testing.T) config.Config {
	t.Helper()
	models := t.TempDir()
	write(t, filepath.Join(models, "addsub", "1", "model.onnx"), onnxtest.AddSub())
	write(t, filepath.Join(models, "damaged", "1", "model.onnx"), []byte("no model"))
	t.Setenv("ONDA_MODELS_DIR", models)
	t.Setenv("ONDA_ONNXRUNTIME_LIBRARY", onnxtest.Library(t))
	cfg, _, err := config.Load()
	if err != nil {
		t.Fatal(err)
	}
	cfg.Listen, cfg.MetricsListen, cfg.Dapr = "127.0.0.1:0", "127.0.0.1:0", "off"
	cfg.DrainDelay = 0
	return cfg
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// running is an app under test.
type running struct {
	url    string
	stop   func() error
	log    *logBuffer
	client http.Client
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// run starts an app and waits until it is ready.
func run(t *testing.T, cfg config.Config) *running {
	t.Helper()
	r := start(t, cfg)
	r.await(t, "/healthz", http.StatusOK)
	return r
}

// start starts an app.
func start(t *testing.T, cfg config.Config) *running {
	t.Helper()
	log := &logBuffer{}
	app, err := lifecycle.New(cfg, "test", zerolog.New(log))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- app.Run(ctx) }()
	r := &running{url: "http://" + app.Address(), log: log}
	r.stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		r.client.CloseIdleConnections()
		if err := r.stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
		if t.Failed() {
			t.Log(log)
		}
	})
	return r
}

// eventually polls until ok holds.
func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("did not happen within 20 seconds")
		}
	}
}

// await polls until path answers with status.
func (r *running) await(t *testing.T, path string, status int) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if resp, err := http.Get(r.url + path); err == nil {
			resp.Body.Close()
			if resp.StatusCode == status {
				return
			}
		}
	}
	t.Fatalf("%s did not answer %d", path, status)
}

const addRequest = `{"inputs":[{"name":"INPUT0","shape":[1,16],"datatype":"INT32","data":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]},` +
	`{"name":"INPUT1","shape":[1,16],"datatype":"INT32","data":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]}]}`

func (r *running) add() (int, string, error) {
	resp, err := r.client.Post(r.url+"/v2/models/addsub/infer", "application/json", strings.NewReader(addRequest))
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

func TestServesWhatLoadsAndSaysWhatDoesNot(t *testing.T) {
	r := run(t, settings(t))
	status, body, err := r.add()
	if err != nil || status != 200 || !strings.Contains(body, `"data":[2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]`) {
		t.Errorf("got %d %s %v", status, body, err)
	}
	resp, err := http.Get(r.url + "/v1/models/damaged")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	if !strings.Contains(string(text), `"state":"FAILED"`) || !strings.Contains(string(text), "load damaged@1") {
		t.Errorf("status of the damaged model: %s", text)
	}
	if !strings.Contains(r.log.String(), `"model":"damaged"`) {
		t.Error("the log does not name the damaged model")
	}
}

func TestMetricsHaveTheirOwnPort(t *testing.T) {
	cfg := settings(t)
	port := freePort(t)
	cfg.MetricsListen = port
	r := run(t, cfg)
	if _, _, err := r.add(); err != nil {
		t.Fatal(err)
	}
	resp, err := http.Get("http://" + port + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	for _, want := range []string{
		`onda_requests_total{code="OK",door="http",operation="infer"} 1`,
		`onda_scored_total{code="OK",model="addsub",version="1"} 1`,
		`onda_rows_total{model="addsub",version="1"} 1`,
		`onda_phase_duration_seconds_count{model="addsub",phase="run",version="1"} 1`,
		`onda_model_ready{model="addsub",version="1"} 1`,
		`onda_model_ready{model="damaged",version="1"} 0`,
		`onda_rows_in_flight 0`,
		`onda_build_info{version="test"} 1`,
	} {
		if !strings.Contains(string(text), want+"\n") {
			t.Errorf("metrics lack %s", want)
		}
	}
	if resp, err := http.Get(r.url + "/metrics"); err != nil || resp.StatusCode != http.StatusNotFound {
		t.Errorf("the public port answered /metrics: %v %v", resp, err)
	} else {
		resp.Body.Close()
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// TestWaitsForTheRegistry: the newest version of its folder may not be the live one.
func TestWaitsForTheRegistry(t *testing.T) {
	fake := sidecartest.Start(t)
	fake.SetReady(false)
	cfg := settings(t)
	cfg.Dapr, cfg.DaprGRPCEndpoint, cfg.DaprHTTPEndpoint = "on", fake.GRPCAddress, fake.HTTPAddress
	cfg.RegistryPoll = 20 * time.Millisecond
	r := start(t, cfg)
	eventually(t, func() bool { return strings.Contains(r.log.String(), "models loaded") })
	if status, body, err := r.add(); err != nil || status != http.StatusServiceUnavailable || !strings.Contains(body, "the registry was not read yet") {
		t.Errorf("before the registry was read: %d %s %v", status, body, err)
	}
	fake.SetReady(true)
	r.await(t, "/healthz", http.StatusOK)
	r.await(t, "/registry/v1/models/addsub", http.StatusOK)
	if status, _, err := r.add(); err != nil || status != http.StatusOK {
		t.Errorf("after the registry was read: %d %v", status, err)
	}
	eventually(t, func() bool {
		return fake.Document("statestore", "registry:index") == `{"revision":1,"models":{"addsub":1}}`
	})
}

func TestStopFinishesWhatWasAccepted(t *testing.T) {
	cfg := settings(t)
	cfg.DrainDelay = 50 * time.Millisecond
	write(t, filepath.Join(cfg.ModelsDir, "slow", "1", "model.onnx"), onnxtest.Slow(1))
	r := run(t, cfg)
	var callers sync.WaitGroup
	var mu sync.Mutex
	answered := 0
	begun := make(chan struct{}, 1)
	// Callers that keep a connection each, as a sidecar does.
	r.client.Transport = &http.Transport{MaxIdleConnsPerHost: 4}
	for range 4 {
		callers.Go(func() {
			for {
				status, _, err := r.add()
				if err != nil {
					// Only a listener that is closed may turn a caller away.
					if !strings.Contains(err.Error(), "connection refused") {
						t.Errorf("a request was lost: %v", err)
					}
					return
				}
				if status != http.StatusOK && status != http.StatusServiceUnavailable {
					t.Errorf("status %d", status)
				}
				mu.Lock()
				answered++
				mu.Unlock()
				select {
				case begun <- struct{}{}:
				default:
				}
			}
		})
	}
	<-begun
	if err := r.stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	callers.Wait()
	if answered == 0 {
		t.Error("nothing was answered")
	}
}

func TestNewSaysWhatIsWrong(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	tests := []struct {
		name   string
		change func(*config.Config)
		want   string
	}{
		{
			"port in use", func(c *config.Config) { c.Listen = taken.Addr().String() },
			fmt.Sprintf("ONDA_LISTEN=%s: the port is in use by another process: stop it, or set another address", taken.Addr()),
		},
		{
			"metrics port in use", func(c *config.Config) { c.MetricsListen = taken.Addr().String() },
			fmt.Sprintf("ONDA_METRICS_LISTEN=%s: the port is in use by another process: stop it, or set another address", taken.Addr()),
		},
		{
			"no library", func(c *config.Config) { c.ONNXRuntime = "/nowhere/libonnxruntime.so" },
			"(ONDA_ONNXRUNTIME_LIBRARY sets the path; `make setup` fetches the library)",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := settings(t)
			tt.change(&cfg)
			_, err := lifecycle.New(cfg, "test", zerolog.Nop())
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want it to say %q", err, tt.want)
			}
		})
	}
}

// TestCodesAreThoseOfTheTable keeps the import of the vocabulary honest: a request for a
// model that does not exist passes every layer.
func TestUnknownModelPassesEveryLayer(t *testing.T) {
	r := run(t, settings(t))
	resp, err := http.Post(r.url+"/v2/models/none/infer", "application/json", strings.NewReader(addRequest))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != scoring.NotFound.HTTPStatus() || string(body) != `{"error":"Request for unknown model: 'none' is not found: there are addsub, damaged: GET /v1/models lists the models"}` {
		t.Errorf("got %d %s", resp.StatusCode, body)
	}
}
