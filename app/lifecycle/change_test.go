package lifecycle_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/onda-serving/onda/app/config"
	"github.com/onda-serving/onda/app/sidecar/sidecartest"
)

// registering gives a configuration with a registry that everybody may change, and a storage
// that takes requests and never answers them. begun hears of each.
func registering(t *testing.T) (cfg config.Config, begun <-chan struct{}) {
	t.Helper()
	requests := make(chan struct{}, 100)
	storage := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		requests <- struct{}{}
		<-r.Context().Done()
	}))
	t.Cleanup(storage.Close)
	fake := sidecartest.Start(t)
	cfg = settings(t)
	cfg.Dapr, cfg.DaprGRPCEndpoint, cfg.DaprHTTPEndpoint = "on", fake.GRPCAddress, fake.HTTPAddress
	cfg.RegistryPoll, cfg.RegistryChanges = 20*time.Millisecond, "open"
	cfg.ArtifactSources = "s3://models?region=eu-west-1&use_path_style=true&anonymous=true&endpoint=" + url.QueryEscape(storage.URL)
	return cfg, requests
}

// TestStopEndsAChangeThatIsNotWritten: it could take a quarter of an hour until a large model
// is fetched and tried. Who asked for it hears that it was not made, and a stop of which nobody
// has to complain is no failure.
func TestStopEndsAChangeThatIsNotWritten(t *testing.T) {
	cfg, begun := registering(t)
	r := run(t, cfg)
	answered := make(chan error, 1)
	go func() { answered <- r.register(`{"location": "s3://models/new/1"}`) }()
	<-begun
	begin := time.Now()
	if err := r.stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	if took := time.Since(begin); took > cfg.ShutdownTimeout/4 {
		t.Errorf("it took %s to stop, want that it does not wait for the change", took)
	}
	if err := <-answered; err != nil {
		t.Error(err)
	}
}

// register asks for a version of the model "new" to be registered. The error is nil where that
// is refused in words.
func (r *running) register(version string) error {
	resp, err := r.client.Post(r.url+"/registry/v1/models/new/versions", "application/json", strings.NewReader(version))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var body struct {
		Error string `json:"error"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil || resp.StatusCode < 400 || body.Error == "" {
		return fmt.Errorf("who asked for the change heard %d %q (%w), want an error in words", resp.StatusCode, body.Error, err)
	}
	return nil
}
