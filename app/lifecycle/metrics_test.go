package lifecycle_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// scrapeOf gives the metrics of an address.
func scrapeOf(t *testing.T, address string) string {
	t.Helper()
	resp, err := http.Get("http://" + address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestMetricsOfTheWholeApp scrapes an app with Triton's names, before and after a version is
// loaded again and taken out of service.
func TestMetricsOfTheWholeApp(t *testing.T) {
	cfg := settings(t)
	cfg.MetricsListen, cfg.MetricsTriton, cfg.ModelControl = freePort(t), true, "explicit"
	r := run(t, cfg)
	post := func(path string) {
		t.Helper()
		resp, err := r.client.Post(r.url+path, "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s: got %d", path, resp.StatusCode)
		}
	}
	has := func(wanted ...string) {
		t.Helper()
		text := scrapeOf(t, cfg.MetricsListen)
		for _, want := range wanted {
			if !strings.Contains(text, want) {
				t.Errorf("no %s in the metrics", want)
			}
		}
	}
	post("/v2/repository/models/addsub/load")
	if _, _, err := r.add(); err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post(r.url+"/v2/models/none/infer", "application/json", strings.NewReader(addRequest))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	has(
		`onda_model_loads_total{outcome="loaded"} `, `onda_scoring_duration_seconds_count{model="addsub",version="1"} 1`+"\n",
		`onda_queue_wait_seconds_count{lane="interactive",model="addsub",version="1"} 1`+"\n", `onda_refused_total{reason="not_found"} 1`+"\n", "\nonda_saturation ",
		`nv_inference_request_success{model="addsub",version="1"} 1`+"\n", `nv_inference_exec_count{model="addsub",version="1"} 1`+"\n",
		`nv_inference_pending_request_count{model="addsub",version="1"} 0`+"\n",
	)
	post("/v2/repository/models/addsub/unload")
	if text := scrapeOf(t, cfg.MetricsListen); strings.Contains(text, `onda_model_ready{model="addsub"`) || strings.Contains(text, `nv_inference_count{model="addsub"`) {
		t.Error("a version that was taken out of service is still there")
	}
}

// TestLoadsByRequestAreCounted counts a load that a caller asked for.
func TestLoadsByRequestAreCounted(t *testing.T) {
	cfg := settings(t)
	cfg.MetricsListen, cfg.ModelControl = freePort(t), "explicit"
	r := run(t, cfg)
	before := scrapeOf(t, cfg.MetricsListen)
	for range 2 {
		resp, err := r.client.Post(r.url+"/v2/repository/models/addsub/load", "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	if was, is := loadsIn(before), loadsIn(scrapeOf(t, cfg.MetricsListen)); was != "1" || is != "3" {
		t.Errorf("counted %q loads, and %q after two more, want 1 and 3", was, is)
	}
}

// loadsIn finds the number of loads in a scrape.
func loadsIn(text string) string {
	_, rest, _ := strings.Cut(text, `onda_model_loads_total{outcome="loaded"} `)
	number, _, _ := strings.Cut(rest, "\n")
	return number
}
