package telemetry_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/telemetry"
)

// lines gives all series that begin with prefix, whatever format a scraper asks for.
func lines(t *testing.T, m *telemetry.Metrics, prefix string) string {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	r.Header.Set("Accept", "application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, r)
	var all strings.Builder
	for line := range strings.Lines(w.Body.String()) {
		if strings.HasPrefix(line, prefix) || strings.HasPrefix(line, "# TYPE "+prefix) {
			all.WriteString(line)
		}
	}
	return all.String()
}

func TestTritonNames(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics("test")
	id := scoring.ModelID{Name: "faq", Version: 3}
	stats := telemetry.VersionStatistics{Waiting: 4, Cache: true, Statistics: scoring.Statistics{
		Model: id, Inferences: 30, Executions: 5,
		Success: scoring.Total{Count: 10, Time: time.Second}, Fail: scoring.Total{Count: 2},
		Queue: scoring.Total{Time: 2 * time.Millisecond}, Input: scoring.Total{Time: 3 * time.Millisecond},
		Infer: scoring.Total{Time: 4 * time.Millisecond}, Output: scoring.Total{Time: 5 * time.Millisecond},
		CacheHit: scoring.Total{Count: 6, Time: 7 * time.Microsecond}, CacheMiss: scoring.Total{Count: 8, Time: 9 * time.Microsecond},
	}}
	m.Triton(func(yield func(telemetry.VersionStatistics)) { yield(stats) })
	m.GPUs(func() []telemetry.GPU {
		return []telemetry.GPU{{UUID: "GPU-1", Total: 80, Used: 30, Free: 50, Utilization: 0.25, Power: 200.5, PowerLimit: 700, Energy: 1e6}}
	})
	for _, err := range []error{
		scoring.Errorf(scoring.Overloaded, "full"), context.DeadlineExceeded, context.Canceled,
		scoring.Errorf(scoring.Internal, "broken"), scoring.Errorf(scoring.Invalid, "no"), scoring.Errorf(scoring.TooLarge, "no"),
	} {
		m.Scored(scoring.Scored{Model: id, Err: err})
	}
	got := lines(t, m, "nv_inference") + lines(t, m, "nv_gpu") + lines(t, m, "nv_energy") + lines(t, m, "nv_cache")
	for _, want := range []string{
		"# TYPE nv_inference_request_success counter\nnv_inference_request_success{model=\"faq\",version=\"3\"} 10\n",
		`nv_inference_request_failure{model="faq",reason="REJECTED",version="3"} 2`,
		`nv_inference_request_failure{model="faq",reason="CANCELED",version="3"} 1`,
		`nv_inference_request_failure{model="faq",reason="BACKEND",version="3"} 1`,
		`nv_inference_request_failure{model="faq",reason="OTHER",version="3"} 2`,
		`nv_inference_count{model="faq",version="3"} 30`, `nv_inference_exec_count{model="faq",version="3"} 5`,
		`nv_inference_request_duration_us{model="faq",version="3"} 1e+06`, `nv_inference_queue_duration_us{model="faq",version="3"} 2000`,
		`nv_inference_compute_input_duration_us{model="faq",version="3"} 3000`,
		`nv_inference_compute_infer_duration_us{model="faq",version="3"} 4000`,
		`nv_inference_compute_output_duration_us{model="faq",version="3"} 5000`,
		"# TYPE nv_inference_pending_request_count gauge\nnv_inference_pending_request_count{model=\"faq\",version=\"3\"} 4\n",
		`nv_cache_num_hits_per_model{model="faq",version="3"} 6`, `nv_cache_num_misses_per_model{model="faq",version="3"} 8`,
		`nv_cache_hit_duration_per_model{model="faq",version="3"} 7`, `nv_cache_miss_duration_per_model{model="faq",version="3"} 9`,
		`nv_gpu_utilization{gpu_uuid="GPU-1"} 0.25`, `nv_gpu_memory_total_bytes{gpu_uuid="GPU-1"} 80`, `nv_gpu_memory_used_bytes{gpu_uuid="GPU-1"} 30`,
		`nv_gpu_power_usage{gpu_uuid="GPU-1"} 200.5`, `nv_gpu_power_limit{gpu_uuid="GPU-1"} 700`,
		"# TYPE nv_energy_consumption counter\nnv_energy_consumption{gpu_uuid=\"GPU-1\"} 1e+06\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
	has(t, m, `onda_gpu_memory_bytes{gpu="0",kind="total"} 80`, `onda_gpu_memory_bytes{gpu="0",kind="used"} 30`, `onda_gpu_memory_bytes{gpu="0",kind="free"} 50`)
	stats.Cache = false
	if got := lines(t, m, "nv_cache"); got != "" {
		t.Errorf("got %s of a version without a cache, want nothing", got)
	}
	if got := lines(t, telemetry.NewMetrics("without"), "nv_"); got != "" {
		t.Errorf("got %s without the setting, want nothing", got)
	}
}
