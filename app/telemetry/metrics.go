// Package telemetry makes Onda observable: logs and Prometheus metrics. It decides
// nothing and never fails a request.
package telemetry

import (
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/onda-serving/onda/app/scoring"
)

// buckets are the bounds of the duration histograms, in seconds: from a small model's
// run to the longest budget.
var buckets = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}

// Metrics are Onda's Prometheus metrics. The zero value is not usable: see [NewMetrics].
type Metrics struct {
	registry   *prometheus.Registry
	answers    *prometheus.CounterVec
	durations  *prometheus.HistogramVec
	scored     *prometheus.CounterVec
	rows       *prometheus.CounterVec
	phases     *prometheus.HistogramVec
	events     *prometheus.CounterVec
	letters    *prometheus.CounterVec
	panics     prometheus.Counter
	batches    *batchMetrics
	registered *registryMetrics
	versions   sync.Map // versionKey to *series
}

// NewMetrics makes and registers the metrics of one process.
func NewMetrics(version string) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		answers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "onda_requests_total", Help: "Requests answered, by door, operation and code (OK or the name of the error).",
		}, []string{"door", "operation", "code"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "onda_request_duration_seconds", Help: "Time from the first byte of a request to the last byte of its answer.", Buckets: buckets,
		}, []string{"door", "operation"}),
		scored: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "onda_scored_total", Help: "Scorings by model, version and code. Requests for a model that does not exist have no model.",
		}, []string{"model", "version", "code"}),
		rows: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "onda_rows_total", Help: "Rows scored with success, by model and version.",
		}, []string{"model", "version"}),
		phases: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "onda_phase_duration_seconds", Help: "Time of a scoring's phases: queue, preprocess, run, postprocess.", Buckets: buckets,
		}, []string{"model", "version", "phase"}),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "onda_events_total", Help: "Scoring events by outcome: scored, repeated, dead_letter, retry, and by code.",
		}, []string{"outcome", "code"}),
		letters: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "onda_dead_letters_total", Help: "Dead letters by what became of them: kept, repeated, retry, replayed, skipped, failed.",
		}, []string{"outcome"}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "onda_panics_total", Help: "Panics caught on the request path. Any is a defect.",
		}),
	}
	m.batches = newBatchMetrics(m.registry)
	m.registered = newRegistryMetrics(m.registry)
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "onda_build_info", Help: "Always 1; the label says which build runs.", ConstLabels: prometheus.Labels{"version": version},
	})
	build.Set(1)
	m.registry.MustRegister(m.answers, m.durations, m.scored, m.rows, m.phases, m.events, m.letters, m.panics, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Answered counts a request that a door answered. err is nil for success.
func (m *Metrics) Answered(door, operation string, err error, took time.Duration) {
	m.answers.WithLabelValues(door, operation, codeLabel(err)).Inc()
	m.durations.WithLabelValues(door, operation).Observe(took.Seconds())
}

// Scored counts a scoring. id is the zero value where no version was found: names that
// callers make up must not become labels.
func (m *Metrics) Scored(id scoring.ModelID, rows int, timing scoring.Timing, err error) {
	s := m.seriesOf(id)
	if err != nil {
		m.scored.WithLabelValues(id.Name, s.version, codeLabel(err)).Inc()
		return
	}
	s.ok.Inc()
	s.rows.Add(float64(rows))
	for i, took := range [...]time.Duration{timing.Queue, timing.Preprocess, timing.Run, timing.Postprocess} {
		s.phases[i].Observe(took.Seconds())
	}
}

// series are those of one version that every success touches: to look them up by their
// labels costs more than a small model's run.
type series struct {
	version  string
	ok, rows prometheus.Counter
	phases   [4]prometheus.Observer
}

// seriesOf finds the series of a version. There are no more of them than versions that were
// ever loaded, for what is not found has none.
func (m *Metrics) seriesOf(id scoring.ModelID) *series {
	key := versionKey{id.Name, id.Version}
	if s, ok := m.versions.Load(key); ok {
		return s.(*series) //nolint:forcetypeassert // nothing else is stored
	}
	s := &series{}
	if id.Version == 0 {
		return s
	}
	s.version = strconv.FormatInt(id.Version, 10)
	s.ok = m.scored.WithLabelValues(id.Name, s.version, codeLabel(nil))
	s.rows = m.rows.WithLabelValues(id.Name, s.version)
	for i, phase := range [...]string{"queue", "preprocess", "run", "postprocess"} {
		s.phases[i] = m.phases.WithLabelValues(id.Name, s.version, phase)
	}
	m.versions.Store(key, s)
	return s
}

// versionKey names a version in the map of series.
type versionKey struct {
	name    string
	version int64
}

// DeadLetter counts what became of a dead letter: see deadletters.Observer.
func (m *Metrics) DeadLetter(outcome string) { m.letters.WithLabelValues(outcome).Inc() }

// Event counts a scoring event: outcome is "scored", "repeated", "dead_letter" or "retry", err
// the failure that led to the latter two.
func (m *Metrics) Event(outcome string, err error) {
	m.events.WithLabelValues(outcome, codeLabel(err)).Inc()
}

// Models exports which versions answer, as list says at each scrape. list calls its
// argument once for every version.
func (m *Metrics) Models(list func(yield func(name string, version int64, ready bool))) {
	m.registry.MustRegister(modelCollector(list))
}

// modelCollector makes the series of the versions at each scrape: what is not there any
// more then has no series either.
type modelCollector func(yield func(name string, version int64, ready bool))

var modelReady = prometheus.NewDesc("onda_model_ready",
	"1 for a version that answers, 0 for one that is loading or could not be loaded.", []string{"model", "version"}, nil)

// Describe implements prometheus.Collector.
func (c modelCollector) Describe(out chan<- *prometheus.Desc) { out <- modelReady }

// Collect implements prometheus.Collector.
func (c modelCollector) Collect(out chan<- prometheus.Metric) {
	c(func(name string, version int64, ready bool) {
		value := 0.0
		if ready {
			value = 1
		}
		out <- prometheus.MustNewConstMetric(modelReady, prometheus.GaugeValue, value, name, strconv.FormatInt(version, 10))
	})
}

// Panicked counts a panic on the request path.
func (m *Metrics) Panicked() { m.panics.Inc() }

// Handler serves the metrics in Prometheus' formats.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry, EnableOpenMetrics: true})
}

func codeLabel(err error) string {
	if err == nil {
		return "OK"
	}
	return scoring.CodeOf(err).String()
}
