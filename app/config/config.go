// Package config holds every setting of the scoring app: its name, default, meaning and
// check. It is the only reader of the environment; everybody else gets values.
package config

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/kelseyhightower/envconfig"
	"github.com/rs/zerolog"
)

// Prefix is what the names of Onda's own settings begin with. Settings that Dapr gives
// to every app (DAPR_..., APP_API_TOKEN) keep Dapr's names.
const Prefix = "ONDA"

// Config is the app's configuration. The tags say it all once: `default`, `desc` and
// the field's type make the table in README.md, and a test keeps that table true.
type Config struct {
	Listen           string        `default:"127.0.0.1:8080" desc:"address of the one listener for HTTP/1.1, HTTP/2 and gRPC"`
	MetricsListen    string        `split_words:"true" default:"127.0.0.1:9464" desc:"address of the Prometheus metrics; empty turns them off"`
	ModelsDir        string        `split_words:"true" default:"models" desc:"folder of the models: <model>/<version>/model.onnx"`
	ONNXRuntime      string        `envconfig:"ONNXRUNTIME_LIBRARY" desc:"path of the ONNX Runtime library; empty looks in .local, beside the binary and in the system"`
	Device           string        `default:"cpu" desc:"where models run: cpu or cuda"`
	DeviceID         int           `split_words:"true" default:"0" desc:"which GPU, for cuda"`
	IntraOpThreads   int           `split_words:"true" default:"0" desc:"threads inside one run of a model; 0 shares the cores among the runs in flight"`
	MaxConcurrency   int           `split_words:"true" default:"0" desc:"rows in flight at once; 0 takes the number of cores the container may use"`
	MaxQueue         int           `split_words:"true" default:"256" desc:"rows that may wait for a place; one more is refused with 429"`
	MaxBody          Size          `split_words:"true" default:"32Mi" desc:"largest request body; keep the sidecar's --max-body-size no smaller"`
	MaxInstances     int           `split_words:"true" default:"64" desc:"most instances in one request"`
	MaxPixels        int           `split_words:"true" default:"50000000" desc:"most pixels of a picture, read from its header before it is decoded"`
	MaxText          Size          `split_words:"true" default:"32Ki" desc:"longest text of one instance"`
	Timeout          time.Duration `default:"30s" desc:"time budget of a request that brings none of its own"`
	ReadTimeout      time.Duration `split_words:"true" default:"30s" desc:"longest time a caller may take to send a body"`
	DrainDelay       time.Duration `split_words:"true" default:"1s" desc:"time between failing readiness and closing the doors, for load balancers to notice"`
	ShutdownTimeout  time.Duration `split_words:"true" default:"25s" desc:"longest time that accepted requests get to finish after SIGTERM"`
	LogLevel         string        `split_words:"true" default:"info" desc:"trace, debug, info, warn or error"`
	LogFormat        string        `split_words:"true" default:"auto" desc:"json, console, or auto: console where stderr is a terminal"`
	ServerName       string        `split_words:"true" default:"onda" desc:"name that GET /v2 reports"`
	Dapr             string        `default:"auto" desc:"on, off, or auto: on where DAPR_GRPC_PORT or DAPR_GRPC_ENDPOINT is set"`
	StateStore       string        `split_words:"true" default:"statestore" desc:"Dapr state store component for the model metadata"`
	PubSub           string        `envconfig:"PUBSUB" default:"pubsub" desc:"Dapr pub/sub component of the scoring events"`
	ResultsTopic     string        `split_words:"true" default:"scoring.results" desc:"topic of result events"`
	DeadLetterTopic  string        `split_words:"true" default:"scoring.deadletter" desc:"topic of events that no retry can mend"`
	DaprGRPCPort     int           `envconfig:"DAPR_GRPC_PORT" desc:"gRPC port of the sidecar; set by Dapr"`
	DaprGRPCEndpoint string        `envconfig:"DAPR_GRPC_ENDPOINT" desc:"gRPC address of the sidecar where it is not on this host"`
	DaprHTTPPort     int           `envconfig:"DAPR_HTTP_PORT" desc:"HTTP port of the sidecar; set by Dapr"`
	DaprHTTPEndpoint string        `envconfig:"DAPR_HTTP_ENDPOINT" desc:"HTTP address of the sidecar where it is not on this host"`
	DaprAPIToken     Secret        `envconfig:"DAPR_API_TOKEN" desc:"token that Onda shows to its sidecar"`
	AppAPIToken      Secret        `envconfig:"APP_API_TOKEN" desc:"token that the sidecar must show to Onda; empty asks for none"`
}

// Load reads the environment and checks it. The error names every wrong setting, a line
// each. Unknown lists variables that begin with [Prefix] but are no setting: likely
// misspelt, and worth a warning, yet no error, because Kubernetes adds ONDA_PORT and
// its like to every pod beside a service called onda.
func Load() (cfg Config, unknown []string, err error) {
	if err := envconfig.Process(Prefix, &cfg); err != nil {
		return Config{}, nil, explain(err)
	}
	if err := cfg.validate(); err != nil {
		return Config{}, nil, err
	}
	return cfg, cfg.unknown(os.Environ()), nil
}

// UseDapr says whether there is a sidecar to talk to.
func (c Config) UseDapr() bool {
	return c.Dapr == "on" || c.Dapr == "auto" && (c.DaprGRPCPort != 0 || c.DaprGRPCEndpoint != "")
}

// SidecarGRPC is the address of the sidecar's gRPC API.
func (c Config) SidecarGRPC() string {
	if c.DaprGRPCEndpoint != "" {
		return c.DaprGRPCEndpoint
	}
	return fmt.Sprintf("127.0.0.1:%d", orDefault(c.DaprGRPCPort, 50001))
}

// SidecarHTTP is the base URL of the sidecar's HTTP API.
func (c Config) SidecarHTTP() string {
	if c.DaprHTTPEndpoint != "" {
		return strings.TrimRight(c.DaprHTTPEndpoint, "/")
	}
	return fmt.Sprintf("http://127.0.0.1:%d", orDefault(c.DaprHTTPPort, 3500))
}

// Concurrency is the number of rows in flight at once. GOMAXPROCS follows the CPU quota
// of the container, so a pod that may use half a machine is not sized for all of it.
func (c Config) Concurrency() int { return orDefault(c.MaxConcurrency, runtime.GOMAXPROCS(0)) }

// Threads is the number of threads inside one run. Runs in flight share the cores: more
// threads than cores make every run slower.
func (c Config) Threads() int {
	return orDefault(c.IntraOpThreads, max(1, runtime.GOMAXPROCS(0)/c.Concurrency()))
}

// LibraryPath finds the ONNX Runtime library: the one that was set, else the first that
// exists of the places where set-up and images put it, else the bare name, which leaves
// the search to the system's loader.
func (c Config) LibraryPath() string {
	if c.ONNXRuntime != "" {
		return c.ONNXRuntime
	}
	name := "libonnxruntime.so"
	if runtime.GOOS == "darwin" {
		name = "libonnxruntime.dylib"
	}
	places := []string{filepath.Join(".local", "onnxruntime", "1.30.0", name)}
	if self, err := os.Executable(); err == nil {
		dir := filepath.Dir(self)
		places = append(places, filepath.Join(dir, name), filepath.Join(dir, "..", "onnxruntime", "1.30.0", name))
	}
	for _, place := range places {
		if _, err := os.Stat(place); err == nil {
			return place
		}
	}
	return name
}

func (c Config) validate() error {
	return errors.Join(
		checkAddress("ONDA_LISTEN", c.Listen, true),
		checkAddress("ONDA_METRICS_LISTEN", c.MetricsListen, false),
		checkOneOf("ONDA_DEVICE", c.Device, "cpu", "cuda"),
		checkOneOf("ONDA_LOG_FORMAT", c.LogFormat, "auto", "json", "console"),
		checkOneOf("ONDA_DAPR", c.Dapr, "auto", "on", "off"),
		checkLevel(c.LogLevel),
		checkFolder("ONDA_MODELS_DIR", c.ModelsDir),
		checkAtLeast("ONDA_DEVICE_ID", c.DeviceID, 0),
		checkAtLeast("ONDA_INTRA_OP_THREADS", c.IntraOpThreads, 0),
		checkAtLeast("ONDA_MAX_CONCURRENCY", c.MaxConcurrency, 0),
		checkAtLeast("ONDA_MAX_QUEUE", c.MaxQueue, 0),
		checkAtLeast("ONDA_MAX_BODY", int(c.MaxBody), 1),
		checkAtLeast("ONDA_MAX_INSTANCES", c.MaxInstances, 1),
		checkAtLeast("ONDA_MAX_PIXELS", c.MaxPixels, 1),
		checkAtLeast("ONDA_MAX_TEXT", int(c.MaxText), 1),
		checkDuration("ONDA_TIMEOUT", c.Timeout, time.Millisecond),
		checkDuration("ONDA_READ_TIMEOUT", c.ReadTimeout, time.Millisecond),
		checkDuration("ONDA_DRAIN_DELAY", c.DrainDelay, 0),
		checkDuration("ONDA_SHUTDOWN_TIMEOUT", c.ShutdownTimeout, time.Millisecond),
		checkPort("DAPR_GRPC_PORT", c.DaprGRPCPort),
		checkPort("DAPR_HTTP_PORT", c.DaprHTTPPort),
		checkNotEmpty("ONDA_STATE_STORE", c.StateStore),
		checkNotEmpty("ONDA_PUBSUB", c.PubSub),
		checkNotEmpty("ONDA_RESULTS_TOPIC", c.ResultsTopic),
		checkNotEmpty("ONDA_DEAD_LETTER_TOPIC", c.DeadLetterTopic),
	)
}

// unknown finds the variables of env that begin like Onda's and are none.
func (c Config) unknown(env []string) []string {
	known := map[string]bool{}
	for _, s := range Settings() {
		known[s.Name] = true
	}
	var found []string
	for _, pair := range env {
		name, _, _ := strings.Cut(pair, "=")
		kubernetes := strings.Contains(name, "_PORT") || strings.Contains(name, "_SERVICE_")
		if strings.HasPrefix(name, Prefix+"_") && !known[name] && !kubernetes && !strings.HasPrefix(name, Prefix+"_TEST_") {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	return found
}

// explain turns envconfig's error into one that names the variable and the value.
func explain(err error) error {
	var parse *envconfig.ParseError
	if errors.As(err, &parse) {
		return fmt.Errorf("%s=%q: want a %s", parse.KeyName, parse.Value, typeName(parse.TypeName))
	}
	return fmt.Errorf("read the environment: %w", err)
}

func typeName(t string) string {
	switch {
	case strings.HasSuffix(t, "Duration"):
		return `duration, such as "30s" or "500ms"`
	case strings.HasSuffix(t, "Size"):
		return `size, such as "32Mi", "512Ki" or a number of bytes`
	case strings.HasPrefix(t, "int"):
		return "whole number"
	default:
		return t
	}
}

func orDefault(n, def int) int {
	if n != 0 {
		return n
	}
	return def
}

func checkAddress(name, value string, required bool) error {
	if value == "" && !required {
		return nil
	}
	if _, port, err := net.SplitHostPort(value); err != nil || port == "" {
		return fmt.Errorf(`%s=%q: want "host:port", such as "127.0.0.1:8080"`, name, value)
	}
	return nil
}

func checkOneOf(name, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return fmt.Errorf("%s=%q: want one of %s", name, value, strings.Join(allowed, ", "))
}

func checkLevel(value string) error {
	if level, err := zerolog.ParseLevel(value); err == nil && level >= zerolog.TraceLevel && level <= zerolog.ErrorLevel {
		return nil
	}
	return checkOneOf("ONDA_LOG_LEVEL", value, "trace", "debug", "info", "warn", "error")
}

func checkFolder(name, value string) error {
	info, err := os.Stat(value)
	switch {
	case err != nil:
		return fmt.Errorf("%s=%q: no such folder; want the folder that holds <model>/<version>/model.onnx", name, value)
	case !info.IsDir():
		return fmt.Errorf("%s=%q: this is a file; want the folder that holds <model>/<version>/model.onnx", name, value)
	default:
		return nil
	}
}

func checkAtLeast(name string, value, least int) error {
	if value >= least {
		return nil
	}
	return fmt.Errorf("%s=%d: want at least %d", name, value, least)
}

func checkDuration(name string, value, least time.Duration) error {
	if value >= least {
		return nil
	}
	return fmt.Errorf("%s=%s: want at least %s", name, value, least)
}

func checkPort(name string, value int) error {
	if value >= 0 && value <= 65535 {
		return nil
	}
	return fmt.Errorf("%s=%d: want a port, 1 to 65535", name, value)
}

func checkNotEmpty(name, value string) error {
	if strings.TrimSpace(value) != "" {
		return nil
	}
	return fmt.Errorf("%s is empty: want the name of a Dapr component or topic", name)
}
