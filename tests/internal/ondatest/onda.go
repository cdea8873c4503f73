package ondatest

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"testing"
	"time"
)

// Onda is a scoring app that serves, on a port that stays the same when it is started
// again.
type Onda struct {
	*Process

	// Address is the host and port of its one listener; URL is the same for HTTP.
	Address, URL string
	// Port is that of Address.
	Port int

	t      *testing.T
	binary string
	dir    string
	env    map[string]string
}

// Serve starts the binary on the models of a folder, with further settings, and waits
// until every model was tried.
func Serve(t *testing.T, binary, models string, settings map[string]string) *Onda {
	t.Helper()
	o := newOnda(t, binary, models, FreePort(t), settings)
	o.start()
	o.Ready()
	return o
}

func newOnda(t *testing.T, binary, models string, port int, settings map[string]string) *Onda {
	t.Helper()
	library, err := Library()
	if err != nil {
		Missing(t, err.Error())
	}
	o := &Onda{Port: port, Address: Loopback(port), t: t, binary: binary, dir: t.TempDir()}
	o.URL = "http://" + o.Address
	o.env = map[string]string{
		"ONDA_LISTEN": o.Address, "ONDA_METRICS_LISTEN": "", "ONDA_MODELS_DIR": models, "ONDA_ONNXRUNTIME_LIBRARY": library,
		"ONDA_LOG_FORMAT": "json", "ONDA_LOG_LEVEL": "warn", "ONDA_DRAIN_DELAY": "0s",
	}
	maps.Copy(o.env, settings)
	return o
}

// Restart starts the app again, and returns before it is ready: see [Onda.Ready]. One that
// runs is killed first.
func (o *Onda) Restart() {
	o.t.Helper()
	o.Kill()
	o.start()
}

func (o *Onda) start() {
	o.t.Helper()
	o.Process = Start(o.t, "onda", o.dir, o.env, o.binary, "serve")
}

// Ready waits until the app says that it can work.
func (o *Onda) Ready() {
	o.t.Helper()
	o.Wait(o.t, "onda is ready", func() error { return Answers(o.URL+"/healthz", http.StatusOK) })
}

// Answers says whether a GET of url is answered with the status.
func Answers(url string, status int) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return fmt.Errorf("ask %s: %w", url, err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("ask %s: %w", url, err)
	}
	defer response.Body.Close()
	if response.StatusCode != status {
		return fmt.Errorf("GET %s: %s, want %d", url, response.Status, status)
	}
	return nil
}
