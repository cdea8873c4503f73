// Package config holds every setting of the scoring app: its name, default, meaning and
// check. It is the only reader of the environment; everybody else gets values.
package config

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
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

// Config is the app's configuration. The tags say it all once: `envconfig` (the whole name
// of the variable: what stands here is what is read), `default`, `desc` and the field's
// type make the table in README.md, and a test keeps that table true.
type Config struct {
	Listen           string        `envconfig:"ONDA_LISTEN" default:"127.0.0.1:8080" desc:"address of the one listener for HTTP/1.1, HTTP/2 and gRPC"`
	MetricsListen    string        `envconfig:"ONDA_METRICS_LISTEN" default:"127.0.0.1:9464" desc:"address of the Prometheus metrics; empty turns them off"`
	MetricsTriton    bool          `envconfig:"ONDA_METRICS_TRITON" default:"false" desc:"true exports the metrics under Triton's names (nv_inference_...) as well, in the text format alone"`
	ModelsDir        string        `envconfig:"ONDA_MODELS_DIR" default:"models" desc:"folder of the models: <model>/<version>/model.onnx"`
	ONNXRuntime      string        `envconfig:"ONDA_ONNXRUNTIME_LIBRARY" desc:"path of the ONNX Runtime library; empty looks in .local, beside the binary and in the system"`
	Device           string        `envconfig:"ONDA_DEVICE" default:"cpu" desc:"where models run: cpu or cuda"`
	DeviceID         int           `envconfig:"ONDA_DEVICE_ID" default:"0" desc:"which GPU, for cuda"`
	IntraOpThreads   int           `envconfig:"ONDA_INTRA_OP_THREADS" default:"0" desc:"threads inside one run of a model; 0 shares the cores among the runs at once"`
	MaxConcurrency   int           `envconfig:"ONDA_MAX_CONCURRENCY" default:"0" desc:"models that run at once, over all versions; 0 takes the number of cores that Onda may use"`
	SidecarCPU       float64       `envconfig:"ONDA_SIDECAR_CPU" default:"0" desc:"cores to leave to the sidecar, such as 0.5, where both share one CPU limit; 0 where it has a limit of its own, as in Kubernetes"`
	MaxBatch         int           `envconfig:"ONDA_MAX_BATCH" default:"32" desc:"most rows of one run, for models whose files do not say; 1 never puts requests together"`
	MaxQueue         int           `envconfig:"ONDA_MAX_QUEUE" default:"256" desc:"rows that may wait for a model, in each lane; one more is refused with 429"`
	MaxQueueBytes    Size          `envconfig:"ONDA_MAX_QUEUE_BYTES" default:"256Mi" desc:"most memory of tensors that wait, over all models"`
	CacheSize        Size          `envconfig:"ONDA_CACHE_SIZE" default:"0" desc:"memory of the answer cache, for models whose files ask for one; 0 turns it off"`
	CacheTTL         time.Duration `envconfig:"ONDA_CACHE_TTL" default:"10m" desc:"how long an answer is kept, where the model's files do not say"`
	MemoryBudget     Size          `envconfig:"ONDA_MEMORY_BUDGET" default:"0" desc:"memory that loaded models may take together; the least recently used make room, and come back when they are asked for. 0 loads all of them at the start"`
	ModelControl     string        `envconfig:"ONDA_MODEL_CONTROL" default:"none" desc:"explicit lets callers load and unload models over the v2 repository paths; none refuses them"`
	MaxBody          Size          `envconfig:"ONDA_MAX_BODY" default:"32Mi" desc:"largest request body; keep the sidecar's --max-body-size no smaller"`
	MaxInstances     int           `envconfig:"ONDA_MAX_INSTANCES" default:"64" desc:"most instances in one request"`
	MaxPixels        int           `envconfig:"ONDA_MAX_PIXELS" default:"50000000" desc:"most pixels of a picture, read from its header before it is decoded"`
	MaxText          Size          `envconfig:"ONDA_MAX_TEXT" default:"32Ki" desc:"longest text of one instance"`
	Timeout          time.Duration `envconfig:"ONDA_TIMEOUT" default:"30s" desc:"time budget of a request that brings none of its own"`
	ReadTimeout      time.Duration `envconfig:"ONDA_READ_TIMEOUT" default:"30s" desc:"longest time a caller may take to send a body"`
	DrainDelay       time.Duration `envconfig:"ONDA_DRAIN_DELAY" default:"1s" desc:"time between failing readiness and closing the doors, for load balancers to notice"`
	ShutdownTimeout  time.Duration `envconfig:"ONDA_SHUTDOWN_TIMEOUT" default:"25s" desc:"longest time that accepted requests get to finish after SIGTERM"`
	LogLevel         string        `envconfig:"ONDA_LOG_LEVEL" default:"info" desc:"trace, debug, info, warn or error"`
	LogFormat        string        `envconfig:"ONDA_LOG_FORMAT" default:"auto" desc:"json, console, or auto: console where stderr is a terminal"`
	ServerName       string        `envconfig:"ONDA_SERVER_NAME" default:"onda" desc:"name that GET /v2 reports"`
	Dapr             string        `envconfig:"ONDA_DAPR" default:"auto" desc:"on, off, or auto: on where DAPR_GRPC_PORT or DAPR_GRPC_ENDPOINT is set"`
	StateStore       string        `envconfig:"ONDA_STATE_STORE" default:"statestore" desc:"Dapr state store component that holds the registry; empty does without one"`
	RegistryChanges  string        `envconfig:"ONDA_REGISTRY_CHANGES" default:"token" desc:"who may change the registry over /registry/v1, and read and put back dead letters over /events/v1: token (who shows ONDA_REGISTRY_TOKEN), open (everybody who reaches Onda) or off"`
	RegistryToken    Secret        `envconfig:"ONDA_REGISTRY_TOKEN" desc:"token that changes of the registry, and questions about dead letters, must show as authorization: Bearer"`
	RegistryPoll     time.Duration `envconfig:"ONDA_REGISTRY_POLL" default:"1s" desc:"time between two looks for changes that other replicas made to the registry"`
	RegistryWait     time.Duration `envconfig:"ONDA_REGISTRY_WAIT" default:"0s" desc:"how long a replica that starts and knows nothing of the registry waits for the state store before it answers with the newest versions of its folder, which may be others than the live ones; 0 waits for ever"`
	ArtifactStore    string        `envconfig:"ONDA_ARTIFACT_STORE" desc:"folder that keeps the files of models that are uploaded: a path, or azblob://container, s3://bucket or gs://bucket; all replicas need the same. Empty takes no uploads"`
	ArtifactSources  string        `envconfig:"ONDA_ARTIFACT_SOURCES" desc:"places, separated by commas, below which versions may be registered by location, such as azblob://models,/srv/models; empty allows none"`
	ArtifactCache    string        `envconfig:"ONDA_ARTIFACT_CACHE" desc:"folder for files that were fetched, and for what the next start needs to know; empty takes a temporary one"`
	ArtifactSize     Size          `envconfig:"ONDA_ARTIFACT_CACHE_SIZE" default:"20Gi" desc:"most bytes of files in ONDA_ARTIFACT_CACHE"`
	MaxArtifact      Size          `envconfig:"ONDA_MAX_ARTIFACT" default:"2Gi" desc:"largest file of a model that is uploaded"`
	ReplayRequests   int           `envconfig:"ONDA_REPLAY_REQUESTS" default:"32" desc:"newest requests of each model that are kept in memory, to be asked of a new version before it goes live; 0 keeps none"`
	Replica          string        `envconfig:"ONDA_REPLICA" desc:"name of this replica among those that share a registry; empty takes the host's name and the port"`
	PubSub           string        `envconfig:"ONDA_PUBSUB" default:"pubsub" desc:"Dapr pub/sub component of the scoring events"`
	RequestsTopic    string        `envconfig:"ONDA_REQUESTS_TOPIC" default:"scoring.requests" desc:"topic of scoring events; Onda subscribes to it unless the sidecar's components do"`
	RequestsMetadata string        `envconfig:"ONDA_REQUESTS_METADATA" desc:"what the broker wants to know of that subscription, such as queueType:quorum; with commas between"`
	ResultsTopic     string        `envconfig:"ONDA_RESULTS_TOPIC" default:"scoring.results" desc:"topic of result events"`
	MaxPublished     Size          `envconfig:"ONDA_MAX_PUBLISHED" default:"0" desc:"largest event that Onda publishes, in place of the broker's own word: a result that is larger becomes a dead letter. Needed with RabbitMQ, a kilobyte below its max_message_size; 0 leaves it to the broker"`
	DeadLetterTopic  string        `envconfig:"ONDA_DEAD_LETTER_TOPIC" default:"scoring.deadletter" desc:"topic of events that no retry can mend"`
	EventsAtOnce     int           `envconfig:"ONDA_EVENTS_AT_ONCE" default:"256" desc:"events that are scored at a time; the others wait, and with them the broker"`
	AnswerTTL        time.Duration `envconfig:"ONDA_ANSWER_TTL" default:"24h" desc:"how long the state store keeps what events were answered, so that a repeated event gets the same answer; longer than the broker goes on delivering one. 0 keeps nothing: a repeated event is scored again"`
	DeadLetterTTL    time.Duration `envconfig:"ONDA_DEAD_LETTER_TTL" default:"720h" desc:"how long the state store keeps dead letters for onda events deadletters"`
	EventSources     string        `envconfig:"ONDA_EVENT_SOURCES" desc:"places, separated by commas, below which the data of events may lie (dataref), such as azblob://inputs,/srv/inputs; empty allows none"`
	MaxEventData     Size          `envconfig:"ONDA_MAX_EVENT_DATA" default:"128Mi" desc:"largest data that an event may refer to"`
	DaprGRPCPort     int           `envconfig:"DAPR_GRPC_PORT" desc:"gRPC port of the sidecar; set by Dapr"`
	DaprGRPCEndpoint string        `envconfig:"DAPR_GRPC_ENDPOINT" desc:"gRPC address of the sidecar where it is not on this host: host:port, or https://host:port for TLS"`
	DaprHTTPPort     int           `envconfig:"DAPR_HTTP_PORT" desc:"HTTP port of the sidecar; set by Dapr"`
	DaprHTTPEndpoint string        `envconfig:"DAPR_HTTP_ENDPOINT" desc:"HTTP address of the sidecar where it is not on this host"`
	DaprAPIToken     Secret        `envconfig:"DAPR_API_TOKEN" desc:"token that Onda shows to its sidecar"`
	AppAPIToken      Secret        `envconfig:"APP_API_TOKEN" desc:"token that the sidecar must show to Onda; empty asks for none"`
	TracesExporter   string        `envconfig:"OTEL_TRACES_EXPORTER" default:"otlp" desc:"otlp exports traces where an endpoint is set; none exports nothing"`
	OTLPEndpoint     string        `envconfig:"OTEL_EXPORTER_OTLP_ENDPOINT" desc:"URL of the collector that takes traces over OTLP, such as http://otel-collector:4318; empty traces nothing. OpenTelemetry's other variables hold, too"`
	OTLPTraces       string        `envconfig:"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" desc:"the same for traces alone, with its path"`
	OTLPProtocol     string        `envconfig:"OTEL_EXPORTER_OTLP_PROTOCOL" default:"http/protobuf" desc:"protocol of that collector: http/protobuf, or grpc (usually on port 4317)"`
}

// Load reads the environment and checks it. The error names every wrong setting, a line
// each. Unknown lists variables that begin with [Prefix] but are no setting: likely
// misspelt, and worth a warning, yet no error, because Kubernetes adds ONDA_PORT and
// its like to every pod beside a service called onda.
//
// A variable that is set and empty is a value, not a variable that is not set: for most
// settings it is an error, and for ONDA_METRICS_LISTEN it is a meaning.
func Load() (cfg Config, unknown []string, err error) {
	wrong := cfg.read()
	for _, w := range cfg.validate() {
		if !slices.ContainsFunc(wrong, func(other settingError) bool { return other.name == w.name }) {
			wrong = append(wrong, w)
		}
	}
	if len(wrong) > 0 {
		errs := make([]error, len(wrong))
		for i, w := range wrong {
			errs[i] = w
		}
		return Config{}, nil, errors.Join(errs...)
	}
	return cfg, unknownSettings(os.Environ()), nil
}

// settingError says what is wrong with a setting.
type settingError struct{ name, text string }

// Error begins with the setting's name.
func (w settingError) Error() string { return w.name + w.text }

// read fills c from the environment. It hands envconfig one field at a time, because
// envconfig stops at the first value that it cannot read, and without a prefix, because
// with one it takes every variable under its bare name as well: ONDA_PUBSUB as PUBSUB.
func (c *Config) read() (wrong []settingError) {
	all := reflect.ValueOf(c).Elem()
	for i := range all.NumField() {
		field := all.Type().Field(i)
		one := reflect.New(reflect.StructOf([]reflect.StructField{field}))
		if err := envconfig.Process("", one.Interface()); err != nil {
			wrong = append(wrong, explain(field, err))
			continue
		}
		all.Field(i).Set(one.Elem().Field(0))
	}
	return wrong
}

// UseDapr says whether there is a sidecar to talk to.
func (c Config) UseDapr() bool {
	return c.Dapr == "on" || c.Dapr == "auto" && (c.DaprGRPCPort != 0 || c.DaprGRPCEndpoint != "")
}

// SidecarGRPC is the address of the sidecar's gRPC API, and whether it speaks TLS.
func (c Config) SidecarGRPC() (address string, tls bool) {
	if address, tls, ok := endpoint(c.DaprGRPCEndpoint); ok {
		return address, tls
	}
	return fmt.Sprintf("127.0.0.1:%d", orDefault(c.DaprGRPCPort, 50001)), false
}

// endpoint reads an address as Dapr has it: "host:port", or a URL whose scheme https, or
// whose query tls=true, asks for TLS. A URL without port means 443.
func endpoint(value string) (address string, tls, ok bool) {
	if !strings.Contains(value, "://") {
		value = "http://" + value
	}
	u, err := url.Parse(value)
	if err != nil || u.Hostname() == "" || u.Path != "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", false, false
	}
	port := u.Port()
	if port == "" {
		port = "443"
	}
	return net.JoinHostPort(u.Hostname(), port), u.Scheme == "https" || u.Query().Get("tls") == "true", true
}

// SidecarHTTP is the base URL of the sidecar's HTTP API.
func (c Config) SidecarHTTP() string {
	if c.DaprHTTPEndpoint != "" {
		return strings.TrimRight(c.DaprHTTPEndpoint, "/")
	}
	return fmt.Sprintf("http://127.0.0.1:%d", orDefault(c.DaprHTTPPort, 3500))
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

// validate lists what is wrong.
func (c Config) validate() (wrong []settingError) {
	for _, check := range []settingError{
		{"ONDA_LISTEN", checkAddress(c.Listen, true)},
		{"ONDA_METRICS_LISTEN", checkAddress(c.MetricsListen, false)},
		{"ONDA_DEVICE", checkOneOf(c.Device, "cpu", "cuda")},
		{"ONDA_LOG_FORMAT", checkOneOf(c.LogFormat, "auto", "json", "console")},
		{"ONDA_DAPR", checkOneOf(c.Dapr, "auto", "on", "off")},
		{"ONDA_LOG_LEVEL", checkLevel(c.LogLevel)},
		{"ONDA_MODELS_DIR", checkFolder(c.ModelsDir)},
		{"ONDA_DEVICE_ID", checkAtLeast(c.DeviceID, 0)},
		{"ONDA_INTRA_OP_THREADS", checkAtLeast(c.IntraOpThreads, 0)},
		{"ONDA_MAX_CONCURRENCY", checkAtLeast(c.MaxConcurrency, 0)},
		{"ONDA_SIDECAR_CPU", checkCores(c.SidecarCPU)},
		{"ONDA_MAX_QUEUE", checkAtLeast(c.MaxQueue, 0)},
		{"ONDA_MAX_BATCH", checkAtLeast(c.MaxBatch, 1)},
		{"ONDA_MAX_QUEUE_BYTES", checkAtLeast(int(c.MaxQueueBytes), 1)},
		{"ONDA_CACHE_TTL", checkDuration(c.CacheTTL, time.Millisecond)},
		{"ONDA_MODEL_CONTROL", checkOneOf(c.ModelControl, "none", "explicit")},
		{"ONDA_MAX_BODY", cmp.Or(checkAtLeast(int(c.MaxBody), 1), checkMaxBody(c.MaxBody))},
		{"DAPR_GRPC_ENDPOINT", checkEndpoint(c.DaprGRPCEndpoint)},
		{"ONDA_MAX_INSTANCES", checkAtLeast(c.MaxInstances, 1)},
		{"ONDA_MAX_PIXELS", checkAtLeast(c.MaxPixels, 1)},
		{"ONDA_MAX_TEXT", checkAtLeast(int(c.MaxText), 1)},
		{"ONDA_TIMEOUT", checkDuration(c.Timeout, time.Millisecond)},
		{"ONDA_READ_TIMEOUT", checkDuration(c.ReadTimeout, time.Millisecond)},
		{"ONDA_DRAIN_DELAY", checkDuration(c.DrainDelay, 0)},
		{"ONDA_SHUTDOWN_TIMEOUT", checkDuration(c.ShutdownTimeout, time.Millisecond)},
		{"DAPR_GRPC_PORT", checkPort(c.DaprGRPCPort)},
		{"DAPR_HTTP_PORT", checkPort(c.DaprHTTPPort)},
		{"ONDA_REGISTRY_CHANGES", checkOneOf(c.RegistryChanges, "token", "open", "off")},
		{"ONDA_REGISTRY_POLL", checkDuration(c.RegistryPoll, 10*time.Millisecond)},
		{"ONDA_REGISTRY_WAIT", checkDuration(c.RegistryWait, 0)},
		{"ONDA_ARTIFACT_CACHE_SIZE", checkAtLeast(int(c.ArtifactSize), 1)},
		{"ONDA_MAX_ARTIFACT", checkAtLeast(int(c.MaxArtifact), 1)},
		{"ONDA_MEMORY_BUDGET", checkAtLeast(int(c.MemoryBudget), 0)},
		{"ONDA_REPLAY_REQUESTS", checkAtLeast(c.ReplayRequests, 0)},
		{"ONDA_PUBSUB", checkNotEmpty(c.PubSub)},
		{"ONDA_REQUESTS_TOPIC", checkNotEmpty(c.RequestsTopic)},
		{"ONDA_REQUESTS_METADATA", checkPairs(c.RequestsMetadata)},
		{"ONDA_RESULTS_TOPIC", checkNotEmpty(c.ResultsTopic)},
		{"ONDA_DEAD_LETTER_TOPIC", checkNotEmpty(c.DeadLetterTopic)},
		{"ONDA_EVENTS_AT_ONCE", checkAtLeast(c.EventsAtOnce, 1)},
		{"ONDA_ANSWER_TTL", checkTTL(c.AnswerTTL)},
		{"ONDA_DEAD_LETTER_TTL", checkDuration(c.DeadLetterTTL, time.Second)},
		{"OTEL_TRACES_EXPORTER", checkOneOf(cmp.Or(c.TracesExporter, otlp), otlp, "none")},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", checkCollector(c.OTLPEndpoint)},
		{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", checkCollector(c.OTLPTraces)},
		{"OTEL_EXPORTER_OTLP_PROTOCOL", checkOneOf(cmp.Or(c.OTLPProtocol, otlpHTTP), otlpHTTP, "grpc")},
	} {
		if check.text != "" {
			wrong = append(wrong, check)
		}
	}
	return wrong
}

// unknownSettings finds the variables of env that begin like Onda's and are none.
func unknownSettings(env []string) []string {
	known := map[string]bool{}
	for _, s := range Settings() {
		known[s.Name] = true
	}
	for _, name := range clientVariables() {
		known[name] = true
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

// explain gives envconfig's error a form that names the variable and the value.
func explain(field reflect.StructField, err error) settingError {
	if parse, ok := errors.AsType[*envconfig.ParseError](err); ok {
		return settingError{variable(field), fmt.Sprintf("=%q: want a %s", parse.Value, typeName(parse.TypeName))}
	}
	return settingError{variable(field), ": " + err.Error()}
}

func typeName(t string) string {
	switch {
	case strings.HasSuffix(t, "Duration"):
		return `duration, such as "30s" or "500ms"`
	case strings.HasSuffix(t, "Size"):
		return `size, such as "32Mi", "512Ki" or a number of bytes`
	case t == "bool":
		return "truth value: true or false"
	case strings.HasPrefix(t, "int"):
		return "whole number"
	case strings.HasPrefix(t, "float"):
		return `number, such as "0.5"`
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

// The checks give what is wrong with a value, to be read after the setting's name, or "".

func checkAddress(value string, required bool) string {
	if value == "" && !required {
		return ""
	}
	if _, port, err := net.SplitHostPort(value); err != nil || port == "" {
		return fmt.Sprintf(`=%q: want "host:port", such as "127.0.0.1:8080"`, value)
	}
	return ""
}

func checkOneOf(value string, allowed ...string) string {
	if slices.Contains(allowed, value) {
		return ""
	}
	return fmt.Sprintf("=%q: want one of %s", value, strings.Join(allowed, ", "))
}

func checkLevel(value string) string {
	if level, err := zerolog.ParseLevel(value); err == nil && level >= zerolog.TraceLevel && level <= zerolog.ErrorLevel {
		return ""
	}
	return checkOneOf(value, "trace", "debug", "info", "warn", "error")
}

func checkFolder(value string) string {
	info, err := os.Stat(value)
	switch {
	case err != nil:
		return fmt.Sprintf("=%q: no such folder; want the folder that holds <model>/<version>/model.onnx", value)
	case !info.IsDir():
		return fmt.Sprintf("=%q: this is a file; want the folder that holds <model>/<version>/model.onnx", value)
	default:
		return ""
	}
}

func checkAtLeast(value, least int) string {
	if value >= least {
		return ""
	}
	return fmt.Sprintf("=%d: want at least %d", value, least)
}

// checkCores refuses what is no number of cores; NaN fails every comparison.
func checkCores(value float64) string {
	if value >= 0 && value <= 1024 {
		return ""
	}
	return fmt.Sprintf("=%g: want a number of cores, 0 to 1024", value)
}

// maxMaxBody is what a message between Onda and its sidecar may have: with a larger body
// a result could not get out.
const maxMaxBody Size = 64 << 20

func checkMaxBody(value Size) string {
	if value <= maxMaxBody {
		return ""
	}
	return fmt.Sprintf("want at most %s", maxMaxBody)
}

func checkEndpoint(value string) string {
	if value == "" {
		return ""
	}
	if _, _, ok := endpoint(value); ok {
		return ""
	}
	return `want "host:port", "http://host:port" or "https://host:port"`
}

func checkDuration(value, least time.Duration) string {
	if value >= least {
		return ""
	}
	return fmt.Sprintf("=%s: want at least %s", value, least)
}

// checkTTL refuses times that a state store, which counts seconds, cannot keep.
func checkTTL(value time.Duration) string {
	if value == 0 || value >= time.Second {
		return ""
	}
	return fmt.Sprintf("=%s: want at least 1s, or 0 to keep nothing", value)
}

func checkPort(value int) string {
	if value >= 0 && value <= 65535 {
		return ""
	}
	return fmt.Sprintf("=%d: want a port, 1 to 65535", value)
}

func checkNotEmpty(value string) string {
	if strings.TrimSpace(value) != "" {
		return ""
	}
	return " is empty: want the name of a Dapr component or topic"
}

// What OpenTelemetry takes for granted.
const otlp, otlpHTTP = "otlp", "http/protobuf"

// Tracing says whether traces are exported, and by which protocol. Where to, and all else, is in
// OpenTelemetry's own variables, which its SDK reads.
func (c Config) Tracing() (protocol string, on bool) {
	on = cmp.Or(c.OTLPTraces, c.OTLPEndpoint) != "" && c.TracesExporter != "none"
	return cmp.Or(c.OTLPProtocol, otlpHTTP), on
}

// checkCollector refuses what OpenTelemetry's SDK would replace by an address of its own.
func checkCollector(value string) string {
	if value == "" {
		return ""
	}
	u, err := url.Parse(value)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return `: want a URL, such as "http://otel-collector:4318", or "http://otel-collector:4317" for grpc`
	}
	if u.User != nil {
		return ": want a URL without a password: what the collector wants to see belongs into OTEL_EXPORTER_OTLP_HEADERS"
	}
	return ""
}

// Sources lists the URLs of ONDA_ARTIFACT_SOURCES.
func (c Config) Sources() []string { return places(c.ArtifactSources) }

// EventPlaces lists the URLs of ONDA_EVENT_SOURCES.
func (c Config) EventPlaces() []string { return places(c.EventSources) }

func places(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}
