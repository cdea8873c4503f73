package telemetry_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/onda-serving/onda/app/batch"
	"github.com/onda-serving/onda/app/cache"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// scrape gives the series of Onda, without those of Go and of the process, and without
// the buckets of histograms.
func scrape(t *testing.T, m *telemetry.Metrics) []string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("got status %d, want 200", w.Code)
	}
	var series []string
	for line := range strings.Lines(w.Body.String()) {
		if strings.HasPrefix(line, "onda_") && !strings.Contains(line, "_bucket{") {
			series = append(series, strings.TrimSpace(line))
		}
	}
	return series
}

// fromTheStart are the series of every process that nothing happened to yet.
var fromTheStart = []string{
	"onda_model_evictions_total 0", "onda_model_load_duration_seconds_sum 0", "onda_model_load_duration_seconds_count 0", "onda_panics_total 0",
}

// want compares the series, less those that every process has from its start.
func want(t *testing.T, m *telemetry.Metrics, series ...string) {
	t.Helper()
	got := slices.DeleteFunc(scrape(t, m), func(s string) bool {
		return strings.HasPrefix(s, "onda_build_info") || slices.Contains(fromTheStart, s)
	})
	slices.Sort(series)
	slices.Sort(got)
	if !slices.Equal(got, series) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(series, "\n"))
	}
}

// has looks for series among all there are.
func has(t *testing.T, m *telemetry.Metrics, series ...string) {
	t.Helper()
	got := scrape(t, m)
	for _, s := range series {
		if !slices.Contains(got, s) {
			t.Errorf("no %s in\n%s", s, strings.Join(got, "\n"))
		}
	}
}

func TestNewMetrics(t *testing.T) {
	t.Parallel()
	got := scrape(t, telemetry.NewMetrics("v1.2.3"))
	if series := append([]string{`onda_build_info{version="v1.2.3"} 1`}, fromTheStart...); !slices.Equal(got, series) {
		t.Errorf("got %v, want %v", got, series)
	}
}

func TestAnswered(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics("test")
	m.Answered("http", "predict", nil, 250*time.Millisecond)
	m.Answered("http", "predict", nil, 250*time.Millisecond)
	m.Answered("http", "predict", fmt.Errorf("decode: %w", scoring.Errorf(scoring.Invalid, "no")), time.Second)
	m.Answered("grpc", "infer", context.DeadlineExceeded, 2*time.Second)
	m.Answered("grpc", "infer", errors.New("any other"), 2*time.Second)
	m.Answered("grpc", "infer", scoring.Errorf(scoring.Overloaded, "full").WithReason(scoring.ReasonQueue), 0)
	want(t, m,
		`onda_refused_total{reason="invalid"} 1`, `onda_refused_total{reason="queue_full"} 1`,
		`onda_requests_total{code="Overloaded",door="grpc",operation="infer"} 1`,
		`onda_requests_total{code="OK",door="http",operation="predict"} 2`,
		`onda_requests_total{code="Invalid",door="http",operation="predict"} 1`,
		`onda_requests_total{code="Expired",door="grpc",operation="infer"} 1`,
		`onda_requests_total{code="Internal",door="grpc",operation="infer"} 1`,
		`onda_request_duration_seconds_sum{door="http",operation="predict"} 1.5`,
		`onda_request_duration_seconds_count{door="http",operation="predict"} 3`,
		`onda_request_duration_seconds_sum{door="grpc",operation="infer"} 4`,
		`onda_request_duration_seconds_count{door="grpc",operation="infer"} 3`)
}

func TestScored(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics("test")
	id := scoring.ModelID{Name: "faq", Version: 3, Digest: "sha256:00"}
	timing := scoring.Timing{Decode: time.Hour, Queue: time.Second, Preprocess: 2 * time.Second, Run: 4 * time.Second, Postprocess: 8 * time.Second}
	m.Scored(scoring.Scored{Model: id, Rows: 5, Timing: timing, Took: 16 * time.Second})
	m.Scored(scoring.Scored{Model: id, Rows: 2, Lane: scoring.Bulk})
	// A failure has a code, and neither rows nor phases: they would pass for a success's.
	m.Scored(scoring.Scored{Model: id, Rows: 7, Timing: timing, Err: scoring.Errorf(scoring.Overloaded, "full")})
	// Of one whose budget ended it is told where.
	m.Scored(scoring.Scored{Model: id, Rows: 1, Timing: scoring.Timing{At: scoring.Run}, Err: context.DeadlineExceeded})
	m.Scored(scoring.Scored{Model: id, Rows: 1, Err: context.DeadlineExceeded})
	// Callers make up names: an unknown model must not become a series of its own.
	m.Scored(scoring.Scored{Rows: 1, Err: scoring.Errorf(scoring.NotFound, "model %q", "made-up")})
	got := slices.DeleteFunc(scrape(t, m), func(s string) bool { return strings.HasSuffix(s, " 0") })
	has(t, m,
		`onda_scored_total{code="OK",model="faq",version="3"} 2`,
		`onda_scored_total{code="Overloaded",model="faq",version="3"} 1`,
		`onda_scored_total{code="NotFound",model="",version=""} 1`,
		`onda_scored_total{code="Expired",model="faq",version="3"} 2`,
		`onda_budget_missed_total{model="faq",phase="run",version="3"} 1`,
		`onda_budget_missed_total{model="faq",phase="queue",version="3"} 1`,
		`onda_scoring_duration_seconds_sum{model="faq",version="3"} 16`,
		`onda_scoring_duration_seconds_count{model="faq",version="3"} 2`,
		`onda_queue_wait_seconds_sum{lane="interactive",model="faq",version="3"} 1`,
		`onda_queue_wait_seconds_count{lane="interactive",model="faq",version="3"} 1`,
		`onda_queue_wait_seconds_count{lane="bulk",model="faq",version="3"} 1`,
		`onda_rows_total{model="faq",version="3"} 7`,
		`onda_phase_duration_seconds_sum{model="faq",phase="queue",version="3"} 1`,
		`onda_phase_duration_seconds_sum{model="faq",phase="preprocess",version="3"} 2`,
		`onda_phase_duration_seconds_sum{model="faq",phase="run",version="3"} 4`,
		`onda_phase_duration_seconds_sum{model="faq",phase="postprocess",version="3"} 8`,
		`onda_phase_duration_seconds_count{model="faq",phase="queue",version="3"} 2`,
		`onda_phase_duration_seconds_count{model="faq",phase="preprocess",version="3"} 2`,
		`onda_phase_duration_seconds_count{model="faq",phase="run",version="3"} 2`,
		`onda_phase_duration_seconds_count{model="faq",phase="postprocess",version="3"} 2`)
	if most := 21; len(got) != most {
		t.Errorf("got %d series that are not 0, want %d:\n%s", len(got), most, strings.Join(got, "\n"))
	}
}

func TestEveryCodeIsCounted(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics("test")
	series := []string{`onda_events_total{code="OK",outcome="scored"} 1`}
	m.Event("scored", nil)
	refusals := map[scoring.Code]string{
		scoring.Invalid: "invalid", scoring.UnsupportedMedia: "media_type", scoring.Unimplemented: "not_offered", scoring.TooLarge: "too_large",
		scoring.Unauthenticated: "unauthenticated", scoring.Denied: "denied", scoring.NotFound: "not_found", scoring.Conflict: "conflict",
		scoring.Overloaded: "overloaded", scoring.Unavailable: "unavailable", // and no others: those were taken
	}
	for _, code := range scoring.Codes() {
		m.Event("dead_letter", scoring.Errorf(code, "no"))
		series = append(series, fmt.Sprintf(`onda_events_total{code=%q,outcome="dead_letter"} 1`, code.String()))
		if reason := refusals[code]; reason != "" {
			series = append(series, fmt.Sprintf(`onda_refused_total{reason=%q} 1`, reason))
		}
	}
	m.Event("retry", context.Canceled)
	want(t, m, append(series, `onda_events_total{code="Canceled",outcome="retry"} 1`)...)
}

func TestModelReady(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics("test")
	m.Models(func(yield func(string, int64, bool)) {
		yield("faq", 1, true)
		yield("faq", 2, false)
	})
	want(t, m, `onda_model_ready{model="faq",version="1"} 1`, `onda_model_ready{model="faq",version="2"} 0`)
}

func TestPanicked(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics("test")
	m.Panicked()
	m.Panicked()
	want(t, m, "onda_panics_total 2")
}

// TestPresentNumbers shows that the numbers are those of the scrape, not of the registration.
func TestPresentNumbers(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics("v")
	rows := 2
	m.Flights(func() (int, int) { return 1, rows })
	m.Slots(batch.NewScheduler(3, 0))
	m.Queues(func(yield func(string, int64, batch.Stats)) {
		yield("m", 7, batch.Stats{Rows: [2]int{4, 5}, Limit: [2]int{8, 9}})
	})
	has(t, m, "onda_requests_in_flight 1", "onda_rows_in_flight 2", "onda_slots 3", "onda_slots_busy 0",
		`onda_queue_rows{lane="interactive",model="m",version="7"} 4`, `onda_queue_rows{lane="bulk",model="m",version="7"} 5`,
		`onda_queue_rows_limit{lane="bulk",model="m",version="7"} 9`)
	rows = 0
	has(t, m, "onda_rows_in_flight 0")
}

func TestRunsOfModels(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics("v")
	o := m.Batches(scoring.ModelID{Name: "m", Version: 7})
	o.Ran(batch.Run{Rows: 3, Requests: 2, Padded: 4, Elements: 10, Infer: time.Millisecond})
	o.Ran(batch.Run{Rows: 1, Requests: 1, Elements: 5, Infer: time.Millisecond})
	o.Ran(batch.Run{Rows: 3, Requests: 2, Failed: true})
	o.Misbatched("because")
	has(t, m, `onda_batch_rows_sum{model="m",version="7"} 4`, `onda_batch_rows_count{model="m",version="7"} 2`,
		`onda_runs_failed_total{model="m",version="7"} 1`, `onda_batch_padding_elements_total{model="m",version="7"} 4`,
		`onda_batch_elements_total{model="m",version="7"} 10`, `onda_misbatched_total{model="m",version="7"} 1`)
}

func TestCacheNumbers(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics("v")
	m.Cache(func() cache.Stats {
		return cache.Stats{Hits: 1, Shared: 2, Misses: 3, Evictions: 4, Bytes: 5, Limit: 6}
	})
	want(t, m, "onda_cache_hits_total 1", "onda_cache_shared_total 2", "onda_cache_misses_total 3", "onda_cache_evictions_total 4", "onda_cache_expired_total 0", "onda_cache_bytes 5", "onda_cache_bytes_limit 6")
}

// TestHandler looks at what is exported beside Onda's own series, and at the forms.
func TestHandler(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics("test")
	m.Answered("http", "predict", nil, 3*time.Millisecond)
	for accept, contentType := range map[string]string{
		"":                              "text/plain",
		"application/openmetrics-text":  "application/openmetrics-text",
		"application/json":              "text/plain",
		"text/html;q=0.5, text/plain":   "text/plain",
		"application/x-made-up;q=0.001": "text/plain",
	} {
		r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
		r.Header.Set("Accept", accept)
		w := httptest.NewRecorder()
		m.Handler().ServeHTTP(w, r)
		if got := w.Header().Get("Content-Type"); w.Code != http.StatusOK || !strings.HasPrefix(got, contentType) {
			t.Errorf("accept %q: got %d %q, want 200 %q", accept, w.Code, got, contentType)
		}
		for _, series := range []string{
			"go_goroutines ", "process_", "# HELP onda_requests",
			`onda_request_duration_seconds_bucket{door="http",operation="predict",le="0.0025"} 0`,
			`onda_request_duration_seconds_bucket{door="http",operation="predict",le="0.005"} 1`,
		} {
			if !strings.Contains(w.Body.String(), series) {
				t.Errorf("accept %q: got no %s", accept, series)
			}
		}
	}
}

// TestTwoProcessesInOne shows that metrics are no globals.
func TestTwoProcessesInOne(t *testing.T) {
	t.Parallel()
	a, b := telemetry.NewMetrics("a"), telemetry.NewMetrics("b")
	a.Panicked()
	want(t, a, "onda_panics_total 1")
	want(t, b)
}
