// Package telemetry makes Onda observable: logs and Prometheus metrics. It decides
// nothing and never fails a request.
package telemetry

import (
	"net/http"
	"strconv"
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
	refused    *prometheus.CounterVec
	events     *prometheus.CounterVec
	letters    *prometheus.CounterVec
	panics     prometheus.Counter
	spans      *prometheus.CounterVec
	registered *registryMetrics
	versions   *versionMetrics
	// gpus reads the GPUs; nil where none is used.
	gpus func() []GPU
	// triton says that Triton's names are exported, too.
	triton bool
	// list lists the versions of this replica; nil until it is known.
	list func(yield func(name string, version int64, ready bool))
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
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "onda_refused_total", Help: "Requests and events that were not taken, by reason: queue_full, budget, queue_memory, body_memory, events, overloaded, unavailable, not_found, invalid, too_large, media_type, not_offered, unauthenticated, denied, conflict.",
		}, []string{"reason"}),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "onda_events_total", Help: "Scoring events by outcome: scored, repeated, dead_letter, retry, and by code.",
		}, []string{"outcome", "code"}),
		letters: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "onda_dead_letters_total", Help: "Dead letters by what became of them: kept, repeated, retry, replayed, skipped, failed.",
		}, []string{"outcome"}),
		spans: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "onda_spans_total", Help: "Spans of traces by what became of them: exported, failed (the collector did not take them) or dropped (as many waited as may).",
		}, []string{"outcome"}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "onda_panics_total", Help: "Panics caught on the request path. Any is a defect.",
		}),
	}
	m.versions = newVersionMetrics(m.registry)
	m.registered = newRegistryMetrics(m.registry)
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "onda_build_info", Help: "Always 1; the label says which build runs.", ConstLabels: prometheus.Labels{"version": version},
	})
	build.Set(1)
	m.registry.MustRegister(m.answers, m.durations, m.refused, m.events, m.letters, m.panics, m.spans, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Answered counts a request that a door answered. err is nil for success.
func (m *Metrics) Answered(door, operation string, err error, took time.Duration) {
	m.answers.WithLabelValues(door, operation, codeLabel(err)).Inc()
	m.durations.WithLabelValues(door, operation).Observe(took.Seconds())
	m.Refused(err)
}

// Refused counts err where it says that a request was not taken; nil and other errors are not
// counted.
func (m *Metrics) Refused(err error) {
	if err == nil {
		return
	}
	if reason := scoring.AsError(err).Refusal(); reason != "" {
		m.refused.WithLabelValues(reason).Inc()
	}
}

// DeadLetter counts what became of a dead letter: see deadletters.Observer.
func (m *Metrics) DeadLetter(outcome string) { m.letters.WithLabelValues(outcome).Inc() }

// Event counts a scoring event: outcome is "scored", "repeated", "dead_letter" or "retry", err
// the failure that led to the latter two.
func (m *Metrics) Event(outcome string, err error) {
	m.events.WithLabelValues(outcome, codeLabel(err)).Inc()
	m.Refused(err)
}

// Models exports which versions answer, as list says at each scrape. list calls its
// argument once for every version. The series of versions that it does not name any more are
// dropped after [goneFor]. It must be called before [Metrics.Handler].
func (m *Metrics) Models(list func(yield func(name string, version int64, ready bool))) {
	m.list = list
	m.registry.MustRegister(modelCollector(list))
}

// modelCollector makes the series of the versions at each scrape: what is not there any
// more then has no series either.
type modelCollector func(yield func(name string, version int64, ready bool))

var modelReady = prometheus.NewDesc("onda_model_ready",
	"1 for a version that answers, if need be after it was loaded, 0 for one that is loading or could not be loaded.", []string{"model", "version"}, nil)

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

// Spans counts spans of traces by what became of them: exported, failed or dropped.
func (m *Metrics) Spans(outcome string, n int) { m.spans.WithLabelValues(outcome).Add(float64(n)) }

// Panicked counts a panic on the request path.
func (m *Metrics) Panicked() { m.panics.Inc() }

// Handler serves the metrics in Prometheus' formats.
func (m *Metrics) Handler() http.Handler {
	// OpenMetrics would put _total behind the names of Triton's counters, which have none.
	handler := promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry, EnableOpenMetrics: !m.triton})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.forget(time.Now())
		handler.ServeHTTP(w, r)
	})
}

// forget drops the series of versions that are gone.
func (m *Metrics) forget(now time.Time) {
	if m.list == nil {
		return
	}
	present, models := map[versionKey]bool{}, map[string]bool{}
	m.list(func(name string, version int64, _ bool) {
		present[versionKey{name, version}], models[name] = true, true
	})
	m.versions.forget(now, present, func(name, version string) {
		m.registered.mirrored.DeletePartialMatch(prometheus.Labels{"model": name, "version": version})
		m.registered.mirrored.DeletePartialMatch(prometheus.Labels{"model": name, "mirror": version})
		if !models[name] {
			m.registered.dropped.DeletePartialMatch(prometheus.Labels{"model": name})
		}
	})
}

func codeLabel(err error) string {
	if err == nil {
		return "OK"
	}
	return scoring.CodeOf(err).String()
}
