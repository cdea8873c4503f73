package e2e_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestLoading looks at Onda while its models load: it is there, and says that it is not
// ready. A pipe in place of a model's file keeps it in that state for as long as the test
// likes, as storage does that does not answer.
func TestLoading(t *testing.T) {
	group(t)
	models := t.TempDir()
	linkModel(t, models, imageModel)
	blocked := blockedModel(t, models)
	s := newStack(t, map[string]string{"ONDA_MODELS_DIR": models})
	s.start(t)
	eventually(t, "onda listens", func() error { return wants(http.StatusServiceUnavailable, get(s.onda.url()+"/healthz")) })

	picture := golden(t, imageModel).cases[0].picture
	eventually(t, "the model is announced", func() error {
		return wants(http.StatusOK, get(s.onda.url()+"/v1/models/"+imageModel))
	})
	for _, c := range []struct {
		request

		status int
		body   string
	}{
		{request{path: "/v2/health/live"}, 200, `{"live":true,"ready":false}`},
		{request{path: "/v2/health/ready"}, 503, `{"live":true,"ready":false}`},
		{request{path: "/v2/models/image-classification/ready"}, 503, `{"name":"image-classification","ready":false}`},
		{request{path: "/v1/models"}, 200, `{"models":["a-blocked-one","image-classification"]}`},
		{predictOf(imageModel+"/versions/1", "image/png", picture), 503, `{"error":"model image-classification@1 is loading"}`},
	} {
		got := c.request.to(t, s.direct())
		if got.status != c.status || got.body != c.body {
			t.Errorf("%s %s while loading: %d %s, want %d %s", c.verb(), c.path, got.status, got.body, c.status, c.body)
		}
		if c.body == `{"error":"model image-classification@1 is loading"}` && got.header.Get("Retry-After") != "1" {
			t.Errorf("Retry-After is %q while loading, want 1", got.header.Get("Retry-After"))
		}
	}
	var st status
	request{path: "/v1/models/" + imageModel}.to(t, s.direct()).into(t, &st)
	if st.Ready || st.states() != "1 LOADING OK" {
		t.Errorf("the status while loading is %+v", st)
	}
	// The sidecar is up, sends nothing to an app that is not ready, and says so.
	s.own.outbound(t)
	eventually(t, "the sidecar knows that the app is not ready", func() error {
		got := request{path: "/v2/health/ready"}.to(t, s.ways()[1])
		if got.status != http.StatusInternalServerError || !strings.Contains(got.body, "app is not in a healthy state") {
			return fmt.Errorf("%d %s", got.status, got.body)
		}
		return nil
	})

	unblock(t, blocked)
	s.ready(t)
	if got := s.everyWay(t, predictOf(imageModel, "image/png", picture)); got.status != http.StatusOK {
		t.Errorf("after loading: %d %s", got.status, clip(got.body))
	}
}

// TestStopWhileLoading stops Onda while a model's file does not answer: it does not wait
// for it longer than it would for requests.
func TestStopWhileLoading(t *testing.T) {
	group(t)
	models := t.TempDir()
	blocked := blockedModel(t, models)
	o := newOnda(t, t.TempDir(), map[string]string{
		"ONDA_MODELS_DIR": models, "ONDA_DAPR": "off", "ONDA_DRAIN_DELAY": "100ms", "ONDA_SHUTDOWN_TIMEOUT": "2s",
	})
	o.start(t)
	eventually(t, "onda listens", func() error { return wants(http.StatusServiceUnavailable, get(o.url()+"/healthz")) })
	start := time.Now()
	o.signal(t, syscall.SIGTERM)
	select {
	case <-o.ended:
		if took := since(start); took > 5*time.Second {
			t.Errorf("onda took %s to stop", took)
		}
		o.logs(t, "a model was still being loaded when ONDA_SHUTDOWN_TIMEOUT=2s was over")
	case <-time.After(10 * time.Second):
		t.Error("onda still waits for the model after 10s, with ONDA_SHUTDOWN_TIMEOUT=2s")
		unblock(t, blocked)
	}
}

// blockedModel adds a model whose file is a pipe: opening it waits for a writer.
func blockedModel(t *testing.T, models string) string {
	t.Helper()
	dir := filepath.Join(models, "a-blocked-one", "1")
	makeDir(t, dir)
	pipe := filepath.Join(dir, "model.onnx")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	return pipe
}

// unblock lets the reader of a pipe go on.
func unblock(t *testing.T, pipe string) {
	t.Helper()
	eventually(t, "the pipe has a reader", func() error {
		// Without waiting: with nobody at the other end this fails instead.
		f, err := os.OpenFile(pipe, os.O_WRONLY|syscall.O_NONBLOCK, 0)
		if err != nil {
			return fmt.Errorf("open: %w", err)
		}
		return f.Close()
	})
}
