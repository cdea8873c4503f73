package clients_test

import (
	"crypto/rand"
	"net/http"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/onda-serving/onda/tests/internal/ondatest"
)

// sidecar is a daprd.
type sidecar struct {
	*ondatest.Process

	httpPort, grpcPort int
}

// startSidecar starts the sidecar of an app; appPort is 0 for one that only calls others.
func startSidecar(t *testing.T, id string, appPort int) *sidecar {
	t.Helper()
	daprd, err := ondatest.Fetched("ONDA_TEST_DAPRD", "dapr", "*", ".dapr", "bin", "daprd")
	if err != nil {
		ondatest.Missing(t, err.Error())
	}
	root, err := ondatest.Root()
	if err != nil {
		t.Fatal(err)
	}
	s := &sidecar{httpPort: ondatest.FreePort(t), grpcPort: ondatest.FreePort(t)}
	args := []string{
		"--app-id", id, "--mode", "standalone", "--config", filepath.Join(root, "components", "local", "config.yaml"),
		"--dapr-http-port", strconv.Itoa(s.httpPort), "--dapr-grpc-port", strconv.Itoa(s.grpcPort),
		"--dapr-internal-grpc-port", freePort(t), "--dapr-public-port", freePort(t), "--metrics-port", freePort(t),
		"--dapr-listen-addresses", "127.0.0.1", "--dapr-internal-grpc-listen-address", "127.0.0.1",
		"--metrics-listen-address", "127.0.0.1", "--dapr-public-listen-address", "127.0.0.1",
		"--max-body-size", "64Mi", "--dapr-graceful-shutdown-seconds", "1",
	}
	if appPort != 0 {
		args = append(args, "--app-port", strconv.Itoa(appPort), "--app-protocol", "http", "--app-channel-address", "127.0.0.1")
	}
	s.Process = ondatest.Start(t, "sidecar of "+id, t.TempDir(), nil, daprd, args...)
	s.Wait(t, "the sidecar of "+id+" is up", func() error {
		return ondatest.Answers(s.url("healthz/outbound"), http.StatusNoContent)
	})
	return s
}

// reaches waits until calls from this sidecar arrive at an app: names are found by
// multicast, which can miss an app that has only just started.
func (s *sidecar) reaches(t *testing.T, id string) {
	t.Helper()
	s.Wait(t, "calls arrive at "+id, func() error {
		return ondatest.Answers(s.url("invoke/"+id+"/method/v2/health/ready"), http.StatusOK)
	})
}

func (s *sidecar) url(path string) string {
	return "http://" + ondatest.Loopback(s.httpPort) + "/v1.0/" + path
}

func freePort(t *testing.T) string {
	t.Helper()
	return strconv.Itoa(ondatest.FreePort(t))
}

// unique is an app id that no other test on this machine has: sidecars find each other by it.
func unique() string { return rand.Text()[:8] }
