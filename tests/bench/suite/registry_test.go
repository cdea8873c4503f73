package suite

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestParseMetrics(t *testing.T) {
	t.Parallel()
	const page = "# HELP onda_model_loads_total Versions loaded.\n# TYPE onda_model_loads_total counter\n" +
		"onda_model_loads_total{outcome=\"failed\"} 2\nonda_model_loads_total{outcome=\"loaded\"} 41\n" +
		"onda_models_memory_bytes 1.5e+06\nonda_models_memory_bytes_other 7\n"
	got, err := parseMetrics(page, seriesMemory, seriesLoads, seriesFailed, seriesEvictions)
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]float64{seriesMemory: 1.5e6, seriesLoads: 41, seriesFailed: 2}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for name, page := range map[string]string{"no number": seriesMemory + " much\n", "another page": "<html>\n", "empty": ""} {
		if got, err := parseMetrics(page, seriesMemory); err == nil {
			t.Errorf("%s: got %v, want an error", name, got)
		}
	}
}

// TestNextVersion wants each version to come again only after all others: so it is neither
// the live one nor the one before.
func TestNextVersion(t *testing.T) {
	t.Parallel()
	live, previous := int64(1), int64(0)
	seen := map[int64]int{}
	for done := range 30 {
		next := nextVersion(done)
		if next < 1 || next > swapVersions || next == live || next == previous {
			t.Fatalf("swap %d goes from %d to %d, and %d was before", done, live, next, previous)
		}
		live, previous = next, live
		seen[next]++
	}
	if len(seen) != swapVersions {
		t.Errorf("versions %v went live, want %d", seen, swapVersions)
	}
}

func TestZipf(t *testing.T) {
	t.Parallel()
	const draws = 50_000
	pick, again := zipf(7), zipf(7)
	var counts [manyModels]int
	for range draws {
		i := pick()
		if i != again() {
			t.Fatal("the same seed gives another series")
		}
		counts[i]++ // panics for a model that is not there
	}
	top := 0
	for _, n := range counts[:manyResident] {
		top += n
	}
	if got, want := float64(top)/draws, topShare(manyModels, manyResident, zipfExponent); got < want-0.02 || got > want+0.02 {
		t.Errorf("the first %d models get %.3f of the requests, want %.3f", manyResident, got, want)
	}
	if counts[0] < 5*counts[9] {
		t.Errorf("the first model gets %d requests and the tenth %d: want many more", counts[0], counts[9])
	}
}

func TestTopShare(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		n, few   int
		exponent float64
		want     float64
	}{{2, 1, 1, 2. / 3}, {4, 4, 1.1, 1}, {10, 5, 0, 0.5}, {10, 0, 1, 0}} {
		if got := topShare(tt.n, tt.few, tt.exponent); got < tt.want-1e-9 || got > tt.want+1e-9 {
			t.Errorf("the first %d of %d with exponent %g: got %g, want %g", tt.few, tt.n, tt.exponent, got, tt.want)
		}
	}
}

func TestManyTally(t *testing.T) {
	t.Parallel()
	var tally manyTally
	for range 3 {
		tally.add(true, time.Millisecond, nil)
	}
	tally.add(false, 20*time.Millisecond, nil)
	tally.add(false, time.Hour, http.ErrServerClosed)
	v := tally.values(2)
	if v["rps"] != 2 || v["hit_share"] != 0.75 || v["failed"] != 1 || tally.first != http.ErrServerClosed.Error() {
		t.Errorf("got %v, first failure %q", v, tally.first)
	}
	if v["hit_p99_ms"] < 0.99 || v["hit_p99_ms"] > 1.01 || v["miss_p50_ms"] < 19.8 || v["miss_p50_ms"] > 20.2 {
		t.Errorf("latencies are %v: a failed request must not count", v)
	}
}

// registryOf answers as Onda's registry does.
func registryOf(t *testing.T, asked *[]string) door {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*asked = append(*asked, r.Method+" "+r.URL.Path)
		switch {
		case r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/labels/busy"):
			w.WriteHeader(http.StatusConflict)
			_, _ = w.Write([]byte(`{"error":"somebody was faster"}`))
		case r.Method == http.MethodPut:
			_, _ = w.Write([]byte(`{}`))
		default:
			_, _ = w.Write([]byte(`{"labels":{"live":2},"versions":{"1":{"digest":"a"},"2":{}},"serving":{"labels":{"live":2},"versions":[
				{"version":1,"state":"cold"},{"version":2,"state":"available","memory_bytes":7,"loaded_at":"2026-01-02T03:04:05Z"}]}}`))
		}
	}))
	t.Cleanup(s.Close)
	return door{s.URL}
}

func TestDoor(t *testing.T) {
	t.Parallel()
	var asked []string
	d := registryOf(t, &asked)
	m, err := d.model(t.Context(), "m")
	if err != nil {
		t.Fatal(err)
	}
	if v := m.version(2); v.State != "available" || v.MemoryBytes != 7 || v.LoadedAt.Year() != 2026 || m.version(1).State != "cold" || m.version(3).State != "" || m.Serving.Labels["live"] != 2 || len(m.Versions) != 2 {
		t.Errorf("read %+v", m)
	}
	if err := d.label(t.Context(), "m", "live", 2); err != nil {
		t.Error(err)
	}
	if err := d.label(t.Context(), "m", "busy", 2); err == nil || !strings.Contains(err.Error(), "status 409") || !strings.Contains(err.Error(), "somebody was faster") {
		t.Errorf("a refused change gives %v", err)
	}
	if got, want := strings.Join(asked, ", "), "GET /registry/v1/models/m, PUT /registry/v1/models/m/labels/live, PUT /registry/v1/models/m/labels/busy"; got != want {
		t.Errorf("asked %s, want %s", got, want)
	}
}
