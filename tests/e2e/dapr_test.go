package e2e_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// sidecar is a daprd with ports that stay the same when it is started again.
type sidecar struct {
	*process

	// owner is the test that made it, with which it ends; parts of that test start it again.
	owner *testing.T
	appID string
	// appPort is 0 for an app that only calls others.
	appPort                       int
	httpPort, grpcPort, innerPort int
	metricsPort, publicPort       int
	config, resources, dir        string
	env                           map[string]string
}

// newSidecar chooses the ports.
func newSidecar(t *testing.T, appID string, appPort int, dir, resources string) *sidecar {
	t.Helper()
	return &sidecar{
		owner: t, appID: appID, appPort: appPort, dir: dir, resources: resources, config: deployment(t).config,
		httpPort: freePort(t), grpcPort: freePort(t), innerPort: freePort(t), metricsPort: freePort(t), publicPort: freePort(t),
	}
}

// start starts the sidecar, or starts it again.
func (s *sidecar) start(t *testing.T) {
	t.Helper()
	args := []string{
		"--app-id", s.appID, "--mode", "standalone", "--log-level", "info",
		"--dapr-http-port", strconv.Itoa(s.httpPort), "--dapr-grpc-port", strconv.Itoa(s.grpcPort),
		"--dapr-internal-grpc-port", strconv.Itoa(s.innerPort), "--dapr-public-port", strconv.Itoa(s.publicPort),
		"--metrics-port", strconv.Itoa(s.metricsPort),
		"--dapr-listen-addresses", "127.0.0.1", "--dapr-internal-grpc-listen-address", "127.0.0.1",
		"--metrics-listen-address", "127.0.0.1", "--dapr-public-listen-address", "127.0.0.1",
		"--max-body-size", "32Mi", "--dapr-graceful-shutdown-seconds", "5",
		"--config", s.config,
	}
	if s.resources != "" {
		args = append(args, "--resources-path", s.resources)
	}
	if s.appPort != 0 {
		args = append(args, "--app-port", strconv.Itoa(s.appPort), "--app-protocol", "http", "--app-channel-address", "127.0.0.1",
			"--enable-app-health-check", "--app-health-check-path", "/healthz", "--app-health-probe-interval", "1",
			"--app-health-probe-timeout", "900", "--app-health-threshold", "3")
	}
	s.process = launch(s.owner, "sidecar of "+s.appID, s.dir, s.env, daprd(t), args...)
}

// api is a URL of the sidecar's own API.
func (s *sidecar) api(path string) string { return "http://" + local(s.httpPort) + "/v1.0/" + path }

// invoke is the base URL of an app called through this sidecar.
func (s *sidecar) invoke(appID string) string { return s.api("invoke/" + appID + "/method") }

// outbound waits until the sidecar's components and its name resolution are there.
func (s *sidecar) outbound(t *testing.T) {
	t.Helper()
	eventually(t, "the "+s.name+" is up", func() error {
		if s.gone() {
			t.Fatalf("the %s ended: %v", s.name, s.err)
		}
		return wants(http.StatusNoContent, get(s.api("healthz/outbound")))
	})
}

// deployed is what dapr.yaml says.
type deployed struct{ resources, config string }

// deployment reads dapr.yaml, so that the tests run what users run.
func deployment(t *testing.T) deployed {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "dapr.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Common struct {
			Resources string `yaml:"resourcesPath"`
			Config    string `yaml:"configFilePath"`
		} `yaml:"common"`
	}
	if err := yaml.Unmarshal(text, &file); err != nil || file.Common.Resources == "" || file.Common.Config == "" {
		t.Fatalf("dapr.yaml has no common.resourcesPath or no common.configFilePath (%v)", err)
	}
	return deployed{filepath.Join(root, file.Common.Resources), filepath.Join(root, file.Common.Config)}
}

// components copies the local components for an app id: their scopes name it, and the
// state lives in the test's own folder.
func components(t *testing.T, appID, dir string) string {
	t.Helper()
	from, to := deployment(t).resources, filepath.Join(dir, "components")
	if err := os.MkdirAll(to, 0o700); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(from, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no components in %s (%v)", from, err)
	}
	stores := 0
	for _, file := range files {
		text := string(read(t, file))
		adapted := strings.ReplaceAll(text, "scopes: [onda]", fmt.Sprintf("scopes: [%s]", appID))
		if with := strings.Replace(adapted, ".local/state/onda.db", filepath.Join(dir, "state.db"), 1); with != adapted {
			adapted = with
			stores++
		}
		if err := os.WriteFile(filepath.Join(to, filepath.Base(file)), []byte(adapted), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if stores != 1 {
		t.Fatalf("%d components keep their state in .local/state/onda.db: want 1, or the tests would share it", stores)
	}
	return to
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
