package monitoring_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/onda-serving/onda/tests/internal/ondatest"
)

// appID is that of the stage's Onda; sidecars find each other by it on the whole machine.
const appID = "onda-under-prometheus"

// stage is a running Onda with its sidecar, both of which a Prometheus scrapes.
type stage struct {
	onda       *ondatest.Onda
	daprd      *ondatest.Process
	daprURL    string
	binary     string
	prometheus *prometheus
}

// newStage starts everything, and waits until calls arrive through the sidecar.
func newStage(t *testing.T) *stage {
	t.Helper()
	tool(t, "prometheus") // before Onda is built in vain
	dir := t.TempDir()
	binary, err := ondatest.Build(dir)
	if err != nil {
		t.Fatal(err)
	}
	port := func() string { return strconv.Itoa(ondatest.FreePort(t)) }
	httpPort, grpcPort, metricsPort := port(), port(), port()
	metrics := ondatest.Loopback(ondatest.FreePort(t))
	s := &stage{binary: binary, daprURL: "http://127.0.0.1:" + httpPort + "/v1.0/"}
	s.onda = ondatest.Serve(t, binary, models(t, dir), map[string]string{
		"ONDA_METRICS_LISTEN": metrics, "DAPR_HTTP_PORT": httpPort, "DAPR_GRPC_PORT": grpcPort, "ONDA_REGISTRY_WAIT": "1s",
		"ONDA_CACHE_SIZE": "16Mi", "ONDA_REGISTRY_CHANGES": "open",
		"ONDA_ARTIFACT_STORE": filepath.Join(dir, "store"), "ONDA_ARTIFACT_CACHE": filepath.Join(dir, "cache"),
		// Nobody listens there: the spans are lost, and counted.
		"OTEL_EXPORTER_OTLP_ENDPOINT": "http://" + ondatest.Loopback(ondatest.FreePort(t)),
	})
	program, err := ondatest.Fetched("ONDA_TEST_DAPRD", "dapr", "*", ".dapr", "bin", "daprd")
	if err != nil {
		ondatest.Missing(t, err.Error())
	}
	s.daprd = ondatest.Start(t, "sidecar", dir, nil, program,
		"--app-id", appID, "--mode", "standalone", "--config", filepath.Join(root, "components", "local", "config.yaml"),
		"--resources-path", ondatest.Components(t, appID, ondatest.SQLite(filepath.Join(dir, "state.db"))),
		"--app-port", strconv.Itoa(s.onda.Port), "--app-protocol", "http", "--app-channel-address", "127.0.0.1",
		"--dapr-http-port", httpPort, "--dapr-grpc-port", grpcPort, "--metrics-port", metricsPort,
		"--dapr-internal-grpc-port", port(), "--dapr-public-port", port(), "--max-body-size", "32Mi", "--dapr-graceful-shutdown-seconds", "1",
		"--dapr-listen-addresses", "127.0.0.1", "--dapr-internal-grpc-listen-address", "127.0.0.1",
		"--metrics-listen-address", "127.0.0.1", "--dapr-public-listen-address", "127.0.0.1")
	s.daprd.Wait(t, "calls arrive through the sidecar", func() error { return ondatest.Answers(s.invoke("/v2/health/live"), http.StatusOK) })
	s.prometheus = startPrometheus(t, map[string]string{"onda": metrics, "daprd": "127.0.0.1:" + metricsPort})
	return s
}

func (s *stage) invoke(path string) string { return s.daprURL + "invoke/" + appID + "/method" + path }

// models is a folder with those of the repository and one that cannot be loaded.
func models(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(dir, "models")
	for _, name := range []string{"faq-matching", "image-classification"} {
		from := filepath.Join(root, "models", name, "1")
		if err := os.CopyFS(filepath.Join(to, name, "1"), os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
	}
	broken := filepath.Join(to, "broken", "1")
	if err := os.MkdirAll(broken, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(broken, "model.onnx"), []byte("no model"), 0o600); err != nil {
		t.Fatal(err)
	}
	return to
}

// register adds two versions of the FAQ model: one that is live, and one that answers copies
// of its requests. Both keep their answers.
func (s *stage) register(t *testing.T, dir string) {
	t.Helper()
	for _, number := range []string{"2", "3"} {
		version := filepath.Join(dir, number)
		if err := os.CopyFS(version, os.DirFS(filepath.Join(root, "models", "faq-matching", "1"))); err != nil {
			t.Fatal(err)
		}
		manifest := filepath.Join(version, "model.yaml")
		text, err := os.ReadFile(manifest)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(manifest, []byte(strings.Replace(string(text), "version: 1", "version: "+number, 1)+"\ncache: {ttl: 5m}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		s.changes(t, "register", "faq-matching", "--from", version)
	}
	s.changes(t, "label", "faq-matching", "live", "2")
	s.changes(t, "shadow", "faq-matching", "3", "--share", "1")
}

// changes runs a command of onda models until it succeeds: the registry is reached some
// moments after the start.
func (s *stage) changes(t *testing.T, args ...string) {
	t.Helper()
	s.onda.Wait(t, "onda models "+args[0], func() error {
		cmd := exec.Command(s.binary, append([]string{"models"}, args...)...)
		cmd.Env = append(os.Environ(), "ONDA_SERVER="+s.onda.URL)
		if output, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, output)
		}
		return nil
	})
}

// traffic is one round of requests of all kinds: well, wrong, in a hurry, and as events.
func (s *stage) traffic(t *testing.T, round int) {
	t.Helper()
	photo, err := os.ReadFile(filepath.Join(root, "models", "image-classification", "1", "golden-1.png"))
	if err != nil {
		t.Fatal(err)
	}
	faq, image := s.onda.URL+"/v1/models/faq-matching:predict", s.onda.URL+"/v1/models/image-classification:predict"
	question := fmt.Sprintf("how do I copy an object for the %dth time", round)
	for range 2 {
		send(t, faq, "text/plain", question, nil)
	}
	send(t, s.invoke("/v1/models/faq-matching:predict"), "text/plain", question, nil)
	// At once, so that some wait and run together.
	var together sync.WaitGroup
	for range 6 {
		together.Go(func() { send(t, image, "image/png", string(photo), nil) })
	}
	together.Wait()
	send(t, image, "image/png", string(photo), map[string]string{"x-request-timeout-ms": "1"})
	send(t, s.onda.URL+"/v1/models/nobody:predict", "text/plain", question, nil)
	send(t, faq, "image/tiff", question, nil)
	send(t, faq, "application/json", "{", nil)
	for _, subject := range []string{"faq-matching", "faq-matching", "nobody"} {
		send(t, s.daprURL+"publish/pubsub/scoring.requests", "application/cloudevents+json", fmt.Sprintf(
			`{"specversion": "1.0", "id": "%[1]s-%[2]d", "source": "test", "type": "onda.score.request.v1", "subject": %[1]q, "datacontenttype": "application/json", "data": {"instances": ["%[3]s"]}}`,
			subject, round, question), nil)
	}
}

// send sends a request whose answer may be a failure, but has to come.
func send(t *testing.T, url, contentType, body string, header map[string]string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return
	}
	request.Header.Set("Content-Type", contentType)
	for name, value := range header {
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Error(err)
		return
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		t.Error(err)
	}
}
