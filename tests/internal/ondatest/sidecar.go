package ondatest

import (
	"cmp"
	"maps"
	"net/http"
	"path/filepath"
	"strconv"
	"testing"
)

// Sidecar is a daprd, on ports that stay the same when it is started again.
type Sidecar struct {
	*Process

	// AppID of its app.
	AppID string
	// HTTPPort and GRPCPort are those of its API.
	HTTPPort, GRPCPort int

	t       *testing.T
	program string
	args    []string
	dir     string
	env     map[string]string
}

// SidecarOptions say what a sidecar is for.
type SidecarOptions struct {
	// AppID of the app. Sidecars find each other by it on the whole machine, so a test needs
	// one that no other test has.
	AppID string
	// AppPort is 0 for an app that only calls others.
	AppPort int
	// Components is their folder: see [Components]. "" is for a sidecar without any.
	Components string
	// Env is the sidecar's environment, such as APP_API_TOKEN.
	Env map[string]string
	// MaxBody bounds what the sidecar takes at once, such as 256Ki; "" is for 64Mi.
	MaxBody string
}

// StartSidecar starts a sidecar for the time of a test and waits until its components can
// be called. It waits for no app.
func StartSidecar(t *testing.T, o SidecarOptions) *Sidecar {
	t.Helper()
	s := newSidecar(t, o)
	s.start()
	s.ready()
	return s
}

// newSidecar chooses the ports.
func newSidecar(t *testing.T, o SidecarOptions) *Sidecar {
	t.Helper()
	program, err := Fetched("ONDA_TEST_DAPRD", "dapr", "*", ".dapr", "bin", "daprd")
	if err != nil {
		Missing(t, err.Error())
	}
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	s := &Sidecar{
		AppID: o.AppID, HTTPPort: FreePort(t), GRPCPort: FreePort(t),
		t: t, program: program, dir: t.TempDir(), env: maps.Clone(o.Env),
	}
	port := func() string { return strconv.Itoa(FreePort(t)) }
	s.args = []string{
		"--app-id", o.AppID, "--mode", "standalone", "--log-level", "info",
		"--config", filepath.Join(root, "components", "local", "config.yaml"),
		"--dapr-http-port", strconv.Itoa(s.HTTPPort), "--dapr-grpc-port", strconv.Itoa(s.GRPCPort),
		"--dapr-internal-grpc-port", port(), "--dapr-public-port", port(), "--metrics-port", port(),
		"--dapr-listen-addresses", "127.0.0.1", "--dapr-internal-grpc-listen-address", "127.0.0.1",
		"--metrics-listen-address", "127.0.0.1", "--dapr-public-listen-address", "127.0.0.1",
		"--max-body-size", cmp.Or(o.MaxBody, "64Mi"), "--dapr-graceful-shutdown-seconds", "1",
	}
	if o.Components != "" {
		s.args = append(s.args, "--resources-path", o.Components)
	}
	if o.AppPort != 0 {
		s.args = append(s.args, "--app-port", strconv.Itoa(o.AppPort), "--app-protocol", "http", "--app-channel-address", "127.0.0.1",
			"--enable-app-health-check", "--app-health-check-path", "/healthz", "--app-health-probe-interval", "1",
			"--app-health-probe-timeout", "900", "--app-health-threshold", "3")
	}
	return s
}

// Restart starts the sidecar again and waits until its components can be called. One that
// runs is killed first.
func (s *Sidecar) Restart() {
	s.t.Helper()
	s.Kill()
	s.start()
	s.ready()
}

func (s *Sidecar) start() {
	s.t.Helper()
	s.Process = Start(s.t, "sidecar of "+s.AppID, s.dir, s.env, s.program, s.args...)
}

func (s *Sidecar) ready() {
	s.t.Helper()
	s.Wait(s.t, "the sidecar of "+s.AppID+" is up", func() error {
		return Answers(s.URL("healthz/outbound"), http.StatusNoContent)
	})
}

// URL is a URL of the sidecar's own API, such as that of "invoke/onda/method/v1/models".
func (s *Sidecar) URL(path string) string {
	return "http://" + Loopback(s.HTTPPort) + "/v1.0/" + path
}

// Reaches waits until calls from this sidecar arrive at an app: names are found by
// multicast, which can miss an app that has only just started.
func (s *Sidecar) Reaches(appID string) {
	s.t.Helper()
	s.Wait(s.t, "calls arrive at "+appID, func() error {
		return Answers(s.URL("invoke/"+appID+"/method/v2/health/live"), http.StatusOK)
	})
}
