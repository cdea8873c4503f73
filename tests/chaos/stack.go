package chaos

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
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

	redis, onda, sidecar, own *program
	running                   *group
	subscriber                *http.Server
	redisAddress, ondaURL     string
	sidecarURL, ownURL        string
	subscriberAddress         string

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
	redis, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, errors.New("redis-server is not there: install Redis, which is the package redis-server of Debian and redis of Homebrew")
	}
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
	return s, s.programs(root, dir, redis, daprd, library, binary)
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
func (s *stack) programs(root, dir, redis, daprd, library, binary string) error {
	ports, err := freePorts(14)
	if err != nil {
		return err
	}
	next := func() int {
		port := ports[0]
		ports = ports[1:]
		return port
	}
	redisPort, ondaPort, subscriberPort := next(), next(), next()
	s.redisAddress, s.ondaURL, s.subscriberAddress = proc.Local(redisPort), "http://"+proc.Local(ondaPort), proc.Local(subscriberPort)
	ondaID, ownID := fmt.Sprintf("onda-chaos-%d", os.Getpid()), fmt.Sprintf("chaos-%d", os.Getpid())
	ondaComponents, ownComponents := filepath.Join(dir, "components-onda"), filepath.Join(dir, "components-own")
	if err := writeComponents(root, ondaComponents, ondaID, s.redisAddress); err != nil {
		return err
	}
	if err := writeComponents(root, ownComponents, ownID, s.redisAddress, "Component pubsub", "Resiliency onda"); err != nil {
		return err
	}
	redisDir := filepath.Join(dir, "redis")
	if err := os.MkdirAll(redisDir, 0o750); err != nil {
		return err
	}
	s.redis = &program{name: "redis", path: redis, dir: redisDir, log: logPath(dir, "redis"), args: []string{
		"--port", strconv.Itoa(redisPort), "--bind", "127.0.0.1", "--dir", redisDir, "--daemonize", "no",
		"--appendonly", "yes", "--appendfsync", "always", "--save", "", "--maxmemory-policy", "noeviction",
		// So that what was lost can be traced: every command with its time, from the beginning.
		"--aof-timestamp-enabled", "yes", "--auto-aof-rewrite-percentage", "0",
	}}
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
	s.running.spawn(func() error { return s.redis.keep(ctx) })
	if err := eventually(ctx, "Redis answers", s.ping); err != nil {
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
	return nil
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

// ping asks Redis whether it takes commands.
func (s *stack) ping(ctx context.Context) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.redisAddress)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && strings.TrimSpace(answer) != "+PONG" {
		err = fmt.Errorf("redis answers %q", answer)
	}
	return err
}
