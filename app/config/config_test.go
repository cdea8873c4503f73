package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/onda-serving/onda/app/config"
)

// The environment belongs to the whole process: the tests that set it cannot be parallel.

// setenv makes env the only settings of the environment. Without one for the models'
// folder it takes one that exists.
func setenv(t *testing.T, env map[string]string) {
	t.Helper()
	for _, pair := range os.Environ() {
		name, _, _ := strings.Cut(pair, "=")
		if strings.HasPrefix(name, "ONDA_") || strings.HasPrefix(name, "DAPR_") || strings.HasPrefix(name, "OTEL_") || name == "APP_API_TOKEN" {
			t.Setenv(name, "") // restores the value after the test
			if err := os.Unsetenv(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Setenv("ONDA_MODELS_DIR", t.TempDir())
	for name, value := range env {
		t.Setenv(name, value)
	}
}

func load(t *testing.T, env map[string]string) config.Config {
	t.Helper()
	setenv(t, env)
	cfg, unknown, err := config.Load()
	if err != nil || len(unknown) != 0 {
		t.Fatalf("got unknown %v, error %v, want none", unknown, err)
	}
	return cfg
}

func TestDefaults(t *testing.T) {
	got := load(t, nil)
	want := config.Config{
		Listen: "127.0.0.1:8080", MetricsListen: "127.0.0.1:9464", ModelsDir: os.Getenv("ONDA_MODELS_DIR"),
		Device: "cpu", MaxBatch: 32, MaxQueue: 256, MaxQueueBytes: 256 << 20, CacheTTL: 10 * time.Minute, ModelControl: "none", MaxBody: 32 << 20, MaxInstances: 64, MaxPixels: 50_000_000, MaxText: 32 << 10,
		Timeout: 30 * time.Second, ReadTimeout: 30 * time.Second, DrainDelay: time.Second, ShutdownTimeout: 25 * time.Second,
		LogLevel: "info", LogFormat: "auto", ServerName: "onda", Dapr: "auto", StateStore: "statestore", PubSub: "pubsub",
		RegistryChanges: "token", RegistryPoll: time.Second, ArtifactSize: 20 << 30, MaxArtifact: 2 << 30, ReplayRequests: 32,
		RequestsTopic: "scoring.requests", EventsAtOnce: 256, AnswerTTL: 24 * time.Hour, DeadLetterTTL: 720 * time.Hour, MaxEventData: 128 << 20, ResultsTopic: "scoring.results", DeadLetterTopic: "scoring.deadletter",
		TracesExporter: "otlp", OTLPProtocol: "http/protobuf",
	}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestModelsDirDefault(t *testing.T) {
	setenv(t, nil)
	if err := os.Unsetenv("ONDA_MODELS_DIR"); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.Mkdir("models", 0o755); err != nil {
		t.Fatal(err)
	}
	if cfg, _, err := config.Load(); err != nil || cfg.ModelsDir != "models" {
		t.Errorf("got %q, %v, want %q", cfg.ModelsDir, err, "models")
	}
}

// TestEverySettingArrives sets each variable that [config.Settings] names and looks for
// the value in the field it describes: a field whose tag is wrong cannot pass.
func TestEverySettingArrives(t *testing.T) {
	dir := t.TempDir()
	special := map[string]string{
		"ONDA_LISTEN": "[::1]:1", "ONDA_METRICS_LISTEN": ":2", "ONDA_MODELS_DIR": dir, "ONDA_DEVICE": "cuda",
		"ONDA_LOG_LEVEL": "debug", "ONDA_LOG_FORMAT": "json", "ONDA_DAPR": "on",
		"ONDA_MODEL_CONTROL": "explicit", "ONDA_REGISTRY_CHANGES": "open", "ONDA_REQUESTS_METADATA": "queueType:quorum",
		"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:4317", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://a/traces",
		"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
	}
	kinds := map[reflect.Type]struct {
		text string
		want any
	}{
		reflect.TypeFor[string]():        {"some-text", "some-text"},
		reflect.TypeFor[int]():           {"7", 7},
		reflect.TypeFor[bool]():          {"true", true},
		reflect.TypeFor[float64]():       {"0.7", 0.7},
		reflect.TypeFor[config.Size]():   {"7Ki", config.Size(7 << 10)},
		reflect.TypeFor[time.Duration](): {"7s", 7 * time.Second},
		reflect.TypeFor[config.Secret](): {"hunter2", config.Secret("hunter2")},
	}
	settings := config.Settings()
	fields := reflect.VisibleFields(reflect.TypeFor[config.Config]())
	if len(settings) != len(fields) {
		t.Fatalf("got %d settings, want one for each of the %d fields", len(settings), len(fields))
	}
	for i, s := range settings {
		kind, ok := kinds[fields[i].Type]
		if !ok {
			t.Errorf("%s: add the type %s to this test", s.Name, fields[i].Type)
			continue
		}
		if text, ok := special[s.Name]; ok {
			kind.text, kind.want = text, text
		}
		t.Run(s.Name, func(t *testing.T) {
			cfg := load(t, map[string]string{s.Name: kind.text})
			if got := reflect.ValueOf(cfg).Field(i).Interface(); got != kind.want {
				t.Errorf("%s=%s: got %v in the field %s, want %v", s.Name, kind.text, got, fields[i].Name, kind.want)
			}
			if kind.text == s.Default {
				t.Errorf("%s: this test sets the default, and so shows nothing", s.Name)
			}
		})
	}
}

// TestOnlyTheWholeNameCounts sets what envconfig would take by itself: the variables of
// other programs must not become settings of this one.
func TestOnlyTheWholeNameCounts(t *testing.T) {
	want := load(t, nil)
	env := map[string]string{"ONDA_MODELS_DIR": want.ModelsDir}
	for _, s := range config.Settings() {
		bare := strings.TrimPrefix(s.Name, "ONDA_")
		if bare != s.Name {
			env[bare] = "1"
		} else {
			env["ONDA_"+s.Name] = "1"
		}
	}
	setenv(t, env)
	if got, _, err := config.Load(); err != nil || got != want {
		t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
	}
}

func TestWrongSettings(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	const (
		address  = `: want "host:port", such as "127.0.0.1:8080"`
		whole    = ": want a whole number"
		size     = `: want a size, such as "32Mi", "512Ki" or a number of bytes`
		duration = `: want a duration, such as "30s" or "500ms"`
		folder   = "; want the folder that holds <model>/<version>/model.onnx"
		empty    = " is empty: want the name of a Dapr component or topic"
	)
	tests := []struct {
		variable, value, want string
	}{
		{"ONDA_LISTEN", "8080", `ONDA_LISTEN="8080"` + address},
		{"ONDA_LISTEN", "localhost:", `ONDA_LISTEN="localhost:"` + address},
		{"ONDA_LISTEN", "::1:8080", `ONDA_LISTEN="::1:8080"` + address},
		{"ONDA_LISTEN", "", `ONDA_LISTEN=""` + address},
		{"ONDA_METRICS_LISTEN", "off", `ONDA_METRICS_LISTEN="off"` + address},
		{"ONDA_MODELS_DIR", "/no/such/folder", `ONDA_MODELS_DIR="/no/such/folder": no such folder` + folder},
		{"ONDA_MODELS_DIR", "", `ONDA_MODELS_DIR="": no such folder` + folder},
		{"ONDA_MODELS_DIR", file, `ONDA_MODELS_DIR="` + file + `": this is a file` + folder},
		{"ONDA_METRICS_TRITON", "yes", `ONDA_METRICS_TRITON="yes": want a truth value: true or false`},
		{"OTEL_TRACES_EXPORTER", "zipkin", `OTEL_TRACES_EXPORTER="zipkin": want one of otlp, none`},
		{"OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", `OTEL_EXPORTER_OTLP_PROTOCOL="http/json": want one of http/protobuf, grpc`},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317", `OTEL_EXPORTER_OTLP_ENDPOINT: want a URL, such as "http://otel-collector:4318", or "http://otel-collector:4317" for grpc`},
		{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://u:p@collector", `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: want a URL without a password: what the collector wants to see belongs into OTEL_EXPORTER_OTLP_HEADERS`},
		{"ONDA_DEVICE", "gpu", `ONDA_DEVICE="gpu": want one of cpu, cuda`},
		{"ONDA_DEVICE", "CPU", `ONDA_DEVICE="CPU": want one of cpu, cuda`},
		{"ONDA_DEVICE_ID", "-1", "ONDA_DEVICE_ID=-1: want at least 0"},
		{"ONDA_DEVICE_ID", "first", `ONDA_DEVICE_ID="first"` + whole},
		{"ONDA_INTRA_OP_THREADS", "-1", "ONDA_INTRA_OP_THREADS=-1: want at least 0"},
		{"ONDA_MAX_CONCURRENCY", "-1", "ONDA_MAX_CONCURRENCY=-1: want at least 0"},
		{"ONDA_SIDECAR_CPU", "-0.5", "ONDA_SIDECAR_CPU=-0.5: want a number of cores, 0 to 1024"},
		{"ONDA_SIDECAR_CPU", "NaN", "ONDA_SIDECAR_CPU=NaN: want a number of cores, 0 to 1024"},
		{"ONDA_SIDECAR_CPU", "half", `ONDA_SIDECAR_CPU="half": want a number, such as "0.5"`},
		{"ONDA_MAX_BATCH", "0", "ONDA_MAX_BATCH=0: want at least 1"},
		{"ONDA_MAX_QUEUE_BYTES", "0", "ONDA_MAX_QUEUE_BYTES=0: want at least 1"},
		{"ONDA_CACHE_TTL", "0s", "ONDA_CACHE_TTL=0s: want at least 1ms"},
		{"ONDA_MODEL_CONTROL", "poll", `ONDA_MODEL_CONTROL="poll": want one of none, explicit`},
		{"ONDA_MAX_QUEUE", "-1", "ONDA_MAX_QUEUE=-1: want at least 0"},
		{"ONDA_MAX_QUEUE", "", `ONDA_MAX_QUEUE=""` + whole},
		{"ONDA_MAX_QUEUE", "1.5", `ONDA_MAX_QUEUE="1.5"` + whole},
		{"ONDA_MAX_QUEUE", "9223372036854775808", `ONDA_MAX_QUEUE="9223372036854775808"` + whole},
		{"ONDA_MAX_BODY", "0", "ONDA_MAX_BODY=0: want at least 1"},
		{"ONDA_MAX_BODY", "32MB", `ONDA_MAX_BODY="32MB"` + size},
		{"ONDA_MAX_BODY", "-1Mi", `ONDA_MAX_BODY="-1Mi"` + size},
		{"ONDA_MAX_BODY", "99999999999Gi", `ONDA_MAX_BODY="99999999999Gi"` + size},
		{"ONDA_MAX_INSTANCES", "0", "ONDA_MAX_INSTANCES=0: want at least 1"},
		{"ONDA_MAX_PIXELS", "0", "ONDA_MAX_PIXELS=0: want at least 1"},
		{"ONDA_MAX_TEXT", "0", "ONDA_MAX_TEXT=0: want at least 1"},
		{"ONDA_MAX_TEXT", "", `ONDA_MAX_TEXT=""` + size},
		{"ONDA_TIMEOUT", "30", `ONDA_TIMEOUT="30"` + duration},
		{"ONDA_TIMEOUT", "0s", "ONDA_TIMEOUT=0s: want at least 1ms"},
		{"ONDA_TIMEOUT", "1us", "ONDA_TIMEOUT=1µs: want at least 1ms"},
		{"ONDA_READ_TIMEOUT", "-1s", "ONDA_READ_TIMEOUT=-1s: want at least 1ms"},
		{"ONDA_DRAIN_DELAY", "-1s", "ONDA_DRAIN_DELAY=-1s: want at least 0s"},
		{"ONDA_SHUTDOWN_TIMEOUT", "0", "ONDA_SHUTDOWN_TIMEOUT=0s: want at least 1ms"},
		{"ONDA_LOG_LEVEL", "verbose", `ONDA_LOG_LEVEL="verbose": want one of trace, debug, info, warn, error`},
		{"ONDA_LOG_LEVEL", "fatal", `ONDA_LOG_LEVEL="fatal": want one of trace, debug, info, warn, error`},
		{"ONDA_LOG_LEVEL", "disabled", `ONDA_LOG_LEVEL="disabled": want one of trace, debug, info, warn, error`},
		{"ONDA_LOG_LEVEL", "", `ONDA_LOG_LEVEL="": want one of trace, debug, info, warn, error`},
		{"ONDA_LOG_FORMAT", "text", `ONDA_LOG_FORMAT="text": want one of auto, json, console`},
		{"ONDA_DAPR", "true", `ONDA_DAPR="true": want one of auto, on, off`},
		{"ONDA_REGISTRY_CHANGES", "yes", `ONDA_REGISTRY_CHANGES="yes": want one of token, open, off`},
		{"ONDA_REGISTRY_POLL", "1ms", "ONDA_REGISTRY_POLL=1ms: want at least 10ms"},
		{"ONDA_REGISTRY_WAIT", "-1s", "ONDA_REGISTRY_WAIT=-1s: want at least 0s"},
		{"ONDA_ARTIFACT_CACHE_SIZE", "0", "ONDA_ARTIFACT_CACHE_SIZE=0: want at least 1"},
		{"ONDA_MAX_ARTIFACT", "0", "ONDA_MAX_ARTIFACT=0: want at least 1"},
		{"ONDA_MEMORY_BUDGET", "much", `ONDA_MEMORY_BUDGET="much"` + size},
		{"ONDA_REPLAY_REQUESTS", "-1", "ONDA_REPLAY_REQUESTS=-1: want at least 0"},
		{"ONDA_PUBSUB", " ", "ONDA_PUBSUB" + empty},
		{"ONDA_RESULTS_TOPIC", "", "ONDA_RESULTS_TOPIC" + empty},
		{"ONDA_DEAD_LETTER_TOPIC", "", "ONDA_DEAD_LETTER_TOPIC" + empty},
		{"DAPR_GRPC_PORT", "http", `DAPR_GRPC_PORT="http"` + whole},
		{"DAPR_GRPC_PORT", "65536", "DAPR_GRPC_PORT=65536: want a port, 1 to 65535"},
		{"DAPR_HTTP_PORT", "-1", "DAPR_HTTP_PORT=-1: want a port, 1 to 65535"},
	}
	for _, test := range tests {
		t.Run(test.variable+"="+test.value, func(t *testing.T) {
			setenv(t, map[string]string{test.variable: test.value})
			cfg, _, err := config.Load()
			if err == nil || err.Error() != test.want {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
			if cfg != (config.Config{}) {
				t.Errorf("got the settings %+v beside an error, want none", cfg)
			}
		})
	}
}

// TestAllWrongSettingsAreNamed mixes values that cannot be read with values that can and
// are wrong: nobody wants to mend a deployment one restart at a time.
func TestAllWrongSettingsAreNamed(t *testing.T) {
	setenv(t, map[string]string{
		"ONDA_DEVICE": "gpu", "ONDA_MAX_BODY": "lots", "ONDA_MAX_INSTANCES": "many", "ONDA_TIMEOUT": "0s", "ONDA_PUBSUB": "", "DAPR_HTTP_PORT": "70000",
	})
	_, _, err := config.Load()
	want := strings.Join([]string{
		`ONDA_MAX_BODY="lots": want a size, such as "32Mi", "512Ki" or a number of bytes`,
		`ONDA_MAX_INSTANCES="many": want a whole number`,
		`ONDA_DEVICE="gpu": want one of cpu, cuda`,
		`ONDA_TIMEOUT=0s: want at least 1ms`,
		`DAPR_HTTP_PORT=70000: want a port, 1 to 65535`,
		`ONDA_PUBSUB is empty: want the name of a Dapr component or topic`,
	}, "\n")
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestUnknownSettings(t *testing.T) {
	setenv(t, map[string]string{
		"ONDA_MAX_QUEU": "1", "ONDA_LISTEN_ADDRESS": "x", "ONDA_onda": "",
		// What the tests' own set-up uses.
		"ONDA_TEST_DAPRD": "x",
		// What Kubernetes adds beside a service called onda, and one called onda-metrics.
		"ONDA_SERVICE_HOST": "10.0.0.1", "ONDA_SERVICE_PORT": "80", "ONDA_SERVICE_PORT_HTTP": "80", "ONDA_PORT": "tcp://10.0.0.1:80",
		"ONDA_PORT_8080_TCP": "tcp://10.0.0.1:8080", "ONDA_PORT_8080_TCP_ADDR": "10.0.0.1", "ONDA_METRICS_SERVICE_HOST": "10.0.0.2",
		// What is not ours.
		"ONDAX": "x", "DAPR_TRUST_ANCHORS": "x",
	})
	_, unknown, err := config.Load()
	if want := []string{"ONDA_LISTEN_ADDRESS", "ONDA_MAX_QUEU", "ONDA_onda"}; err != nil || !slices.Equal(unknown, want) {
		t.Errorf("got %v, %v, want %v", unknown, err, want)
	}
}

func TestMetricsCanBeTurnedOff(t *testing.T) {
	if got := load(t, map[string]string{"ONDA_METRICS_LISTEN": ""}).MetricsListen; got != "" {
		t.Errorf("got %q, want none", got)
	}
}

func TestSidecar(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name       string
		cfg        config.Config
		use        bool
		grpc, http string
	}{
		{"auto without a sidecar", config.Config{Dapr: "auto"}, false, "127.0.0.1:50001", "http://127.0.0.1:3500"},
		{"auto with only an HTTP port", config.Config{Dapr: "auto", DaprHTTPPort: 3501}, false, "127.0.0.1:50001", "http://127.0.0.1:3501"},
		{"auto with a port", config.Config{Dapr: "auto", DaprGRPCPort: 50002}, true, "127.0.0.1:50002", "http://127.0.0.1:3500"},
		{"auto with an endpoint", config.Config{Dapr: "auto", DaprGRPCPort: 1, DaprGRPCEndpoint: "sidecar:443"}, true, "sidecar:443", "http://127.0.0.1:3500"},
		{"on", config.Config{Dapr: "on", DaprHTTPPort: 1, DaprHTTPEndpoint: "https://sidecar/"}, true, "127.0.0.1:50001", "https://sidecar"},
		{"off", config.Config{Dapr: "off", DaprGRPCPort: 50002}, false, "127.0.0.1:50002", "http://127.0.0.1:3500"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := test.cfg.UseDapr(); got != test.use {
				t.Errorf("UseDapr: got %v, want %v", got, test.use)
			}
			if got, tls := test.cfg.SidecarGRPC(); got != test.grpc || tls {
				t.Errorf("SidecarGRPC: got %q with TLS %v, want %q without", got, tls, test.grpc)
			}
			if got := test.cfg.SidecarHTTP(); got != test.http {
				t.Errorf("SidecarHTTP: got %q, want %q", got, test.http)
			}
		})
	}
}

// TestEndpointForms reads addresses as Dapr's own clients do.
func TestEndpointForms(t *testing.T) {
	t.Parallel()
	tests := []struct {
		endpoint, address string
		tls               bool
	}{
		{"sidecar:443", "sidecar:443", false},
		{"http://127.0.0.1:50001", "127.0.0.1:50001", false},
		{"https://dapr.example:4443", "dapr.example:4443", true},
		{"https://dapr.example", "dapr.example:443", true},
		{"dapr.example:443?tls=true", "dapr.example:443", true},
		{"[::1]:50001", "[::1]:50001", false},
	}
	for _, test := range tests {
		t.Run(test.endpoint, func(t *testing.T) {
			t.Parallel()
			address, tls := config.Config{DaprGRPCEndpoint: test.endpoint}.SidecarGRPC()
			if address != test.address || tls != test.tls {
				t.Errorf("got %q with TLS %v, want %q with %v", address, tls, test.address, test.tls)
			}
		})
	}
}

// TestLibraryPath takes the places away one by one, the first choice first.
func TestLibraryPath(t *testing.T) {
	name := "libonnxruntime.so"
	if runtime.GOOS == "darwin" {
		name = "libonnxruntime.dylib"
	}
	t.Chdir(t.TempDir())
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	local := filepath.Join(".local", "onnxruntime", "1.30.0", name)
	beside := filepath.Join(filepath.Dir(self), name)
	for _, path := range []string{local, beside} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Remove(path) })
	}
	if got, want := (config.Config{ONNXRuntime: "/opt/ort.so"}).LibraryPath(), "/opt/ort.so"; got != want {
		t.Errorf("set: got %q, want %q", got, want)
	}
	for _, want := range []string{local, beside, name} {
		if got := (config.Config{}).LibraryPath(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if want != name {
			if err := os.Remove(want); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestTracing(t *testing.T) {
	for _, test := range []struct {
		env      map[string]string
		protocol string
		on       bool
	}{
		{nil, "http/protobuf", false},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:4318"}, "http/protobuf", true},
		{map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://a:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "grpc", true},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:4318", "OTEL_TRACES_EXPORTER": "none"}, "http/protobuf", false},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:4318", "OTEL_TRACES_EXPORTER": "", "OTEL_EXPORTER_OTLP_PROTOCOL": ""}, "http/protobuf", true},
	} {
		t.Run(fmt.Sprint(test.env), func(t *testing.T) {
			if protocol, on := load(t, test.env).Tracing(); protocol != test.protocol || on != test.on {
				t.Errorf("got %q, %v, want %q, %v", protocol, on, test.protocol, test.on)
			}
		})
	}
}
