package chaos

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/onda-serving/onda/app/onnx/onnxtest"
	"github.com/onda-serving/onda/tests/bench/proc"
	"github.com/onda-serving/onda/tests/internal/ondatest"
)

// The model of the run multiplies a number with the number of its version, so that an answer
// shows whether it is right.
const (
	modelName = "times"
	versions  = 2
)

// stack is all that runs.
type stack struct {
	options Options
	ledger  *ledger
	client  *http.Client

	server                     server
	beside                     []*program // what the broker needs
	broker, onda, sidecar, own *program
	running                    *group
	subscriber                 *http.Server
	ondaURL                    string
	sidecarURL, ownURL         string
	subscriberAddress          string

	relabels *group
	labels   atomic.Int64

	mu     sync.Mutex
	killed []string
}

// newStack makes the parts without starting them.
func newStack(ctx context.Context, dir string, o Options) (*stack, error) {
	s := &stack{
		options: o, ledger: newLedger(o.Events),
		client: &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: publishers}},
	}
	root, err := ondatest.Root()
	if err != nil {
		return nil, err
	}
	if s.server, err = newServer(o.Broker, dir); err != nil { //nolint:contextcheck // it writes settings, and is bounded by its own time limit
		return nil, err
	}
	s.broker, s.beside = s.server.programs(dir)
	daprd, err := ondatest.Fetched("ONDA_TEST_DAPRD", "dapr", "*", ".dapr", "bin", "daprd")
	if err != nil {
		return nil, err
	}
	library, err := ondatest.Library()
	if err != nil {
		return nil, err
	}
	fmt.Fprintln(o.Log, "building Onda")
	binary, err := ondatest.Build(dir) //nolint:contextcheck // a build is ended by its own time limit
	if err != nil {
		return nil, err
	}
	if err := writeModels(filepath.Join(dir, "models")); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return s, s.programs(root, dir, daprd, library, binary)
}

// writeModels makes the models folder.
func writeModels(folder string) error {
	for version := 1; version <= versions; version++ {
		to := filepath.Join(folder, modelName, strconv.Itoa(version))
		if err := os.MkdirAll(to, 0o750); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, "model.onnx"), onnxtest.MatMul(1, 1, []float32{float32(version)}), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// programs says how each part is started.
func (s *stack) programs(root, dir, daprd, library, binary string) error {
	ports, err := freePorts(12)
	if err != nil {
		return err
	}
	next := func() int {
		port := ports[0]
		ports = ports[1:]
		return port
	}
	ondaPort, subscriberPort := next(), next()
	s.ondaURL, s.subscriberAddress = "http://"+proc.Local(ondaPort), proc.Local(subscriberPort)
	ondaID, ownID := fmt.Sprintf("onda-chaos-%d", os.Getpid()), fmt.Sprintf("chaos-%d", os.Getpid())
	ondaComponents, ownComponents := filepath.Join(dir, "components-onda"), filepath.Join(dir, "components-own")
	backend := s.server.Backend(filepath.Join(dir, "state.db")).With(s.server.settings)
	if err := errors.Join(writeComponents(ondaComponents, ondaID, backend, s.server.subscription...), writeOwnComponents(ownComponents, ownID, backend)); err != nil {
		return err
	}
	ondaSidecar, ownSidecar := [5]int{next(), next(), next(), next(), next()}, [5]int{next(), next(), next(), next(), next()}
	s.sidecarURL, s.ownURL = "http://"+proc.Local(ondaSidecar[0]), "http://"+proc.Local(ownSidecar[0])
	config := filepath.Join(root, "components", "local", "config.yaml")
	s.sidecar = &program{name: "sidecar", path: daprd, dir: dir, log: logPath(dir, "sidecar"), args: append(sidecarArgs(ondaID, config, ondaComponents, ondaPort, ondaSidecar),
		"--enable-app-health-check", "--app-health-check-path", "/healthz", "--app-health-probe-interval", "1", "--app-health-probe-timeout", "900", "--app-health-threshold", "3")}
	s.own = &program{name: "own sidecar", path: daprd, dir: dir, log: logPath(dir, "own-sidecar"), args: sidecarArgs(ownID, config, ownComponents, subscriberPort, ownSidecar)}
	s.onda = &program{name: "onda", path: binary, args: []string{"serve"}, dir: dir, log: logPath(dir, "onda"), env: []string{
		"ONDA_LISTEN=" + proc.Local(ondaPort), "ONDA_METRICS_LISTEN=", "ONDA_MODELS_DIR=" + filepath.Join(dir, "models"), "ONDA_ONNXRUNTIME_LIBRARY=" + library,
		"ONDA_LOG_FORMAT=json", "ONDA_LOG_LEVEL=warn", "ONDA_DRAIN_DELAY=0s", "ONDA_REGISTRY_CHANGES=open",
		"DAPR_HTTP_PORT=" + strconv.Itoa(ondaSidecar[0]), "DAPR_GRPC_PORT=" + strconv.Itoa(ondaSidecar[1]),
	}}
	if s.options.Forget {
		s.onda.env = append(s.onda.env, "ONDA_ANSWER_TTL=0s")
	}
	return nil
}

// sidecarArgs are those of daprd; the ports are of its HTTP, gRPC, inner, public and metrics
// listeners.
func sidecarArgs(appID, config, components string, appPort int, ports [5]int) []string {
	return []string{
		"--app-id", appID, "--mode", "standalone", "--log-level", "warn", "--config", config, "--resources-path", components,
		"--dapr-http-port", strconv.Itoa(ports[0]), "--dapr-grpc-port", strconv.Itoa(ports[1]), "--dapr-internal-grpc-port", strconv.Itoa(ports[2]),
		"--dapr-public-port", strconv.Itoa(ports[3]), "--metrics-port", strconv.Itoa(ports[4]),
		"--dapr-listen-addresses", "127.0.0.1", "--dapr-internal-grpc-listen-address", "127.0.0.1",
		"--metrics-listen-address", "127.0.0.1", "--dapr-public-listen-address", "127.0.0.1", "--dapr-graceful-shutdown-seconds", "1",
		"--app-port", strconv.Itoa(appPort), "--app-protocol", "http", "--app-channel-address", "127.0.0.1",
	}
}

// freePorts gives ports that nobody listens on, each another one.
func freePorts(n int) ([]int, error) {
	seen := map[int]bool{}
	ports := make([]int, 0, n)
	for len(ports) < n {
		port, err := proc.Port()
		if err != nil {
			return nil, err
		}
		if !seen[port] {
			seen[port] = true
			ports = append(ports, port)
		}
	}
	return ports, nil
}

// start starts all parts, and waits until events can be published and answered.
func (s *stack) start(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	s.running, s.relabels = newGroup(cancel), newGroup(cancel)
	if err := s.listen(ctx); err != nil {
		return err
	}
	if err := s.startBroker(ctx); err != nil {
		return err
	}
	for _, p := range []*program{s.onda, s.sidecar, s.own} {
		s.running.spawn(func() error { return p.keep(ctx) })
	}
	for url, status := range map[string]int{s.sidecarURL + "/v1.0/healthz/outbound": 204, s.ownURL + "/v1.0/healthz/outbound": 204, s.ondaURL + "/healthz": 200} {
		if err := eventually(ctx, url, func(ctx context.Context) error { return s.get(ctx, url, status) }); err != nil {
			return err
		}
	}
	for version := 1; version <= versions; version++ {
		url := fmt.Sprintf("%s/registry/v1/models/%s/versions/%d", s.ondaURL, modelName, version)
		if err := eventually(ctx, "version "+strconv.Itoa(version)+" is in the registry", func(ctx context.Context) error { return s.get(ctx, url, http.StatusOK) }); err != nil {
			return err
		}
	}
	return s.flows(ctx)
}

// startBroker starts the broker, and waits until it is in service.
func (s *stack) startBroker(ctx context.Context) error {
	for _, p := range append(s.beside, s.broker) {
		s.running.spawn(func() error { return p.keep(ctx) })
		if err := eventually(ctx, p.name+" takes connections", p.up); err != nil {
			return err
		}
	}
	if err := eventually(ctx, s.server.name+" answers", s.server.Answers); err != nil {
		return err
	}
	return s.server.MakeTopics(ctx, partitions)
}

// flows waits until events are answered: what is published before somebody listens, some brokers
// throw away.
func (s *stack) flows(ctx context.Context) error {
	number := 0
	return eventually(ctx, "the first event is answered", func(ctx context.Context) error {
		if s.ledger.probed() {
			return nil
		}
		if number++; number%25 == 1 {
			if status, err := s.send(ctx, http.MethodPost, s.publishURL(), cloudEvents, scoringEvent(probe+strconv.Itoa(number), 1)); err != nil || status != http.StatusNoContent {
				return fmt.Errorf("publish: status %d, %w", status, err)
			}
		}
		return errors.New("none was")
	})
}

// wait waits until all parts are gone; the context has ended.
func (s *stack) wait() {
	if s.running != nil {
		_ = s.running.wait() // the run has said what there was to say
	}
}

// eventually looks until there is no error any more, for a minute at most.
func eventually(ctx context.Context, what string, look func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		err := look(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: not within a minute: %w", what, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (s *stack) get(ctx context.Context, url string, status int) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	response, err := s.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != status {
		return fmt.Errorf("GET %s: %s, want %d", url, response.Status, status)
	}
	return nil
}
