package telemetry

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/onda-serving/onda/app/batch"
	"github.com/onda-serving/onda/app/cache"
	"github.com/onda-serving/onda/app/scoring"
)

// rowBuckets are the bounds of the batch size histogram, in rows.
var rowBuckets = []float64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024}

// batchMetrics are about the runs of models.
type batchMetrics struct {
	rows       *prometheus.HistogramVec
	runs       *prometheus.HistogramVec
	failed     *prometheus.CounterVec
	elements   *prometheus.CounterVec
	padding    *prometheus.CounterVec
	misbatched *prometheus.CounterVec
}

func newBatchMetrics(r *prometheus.Registry) *batchMetrics {
	labels := []string{"model", "version"}
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &batchMetrics{
		rows: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "onda_batch_rows", Help: "Rows of a run of a model, of all requests in it.", Buckets: rowBuckets,
		}, labels),
		runs: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "onda_run_duration_seconds", Help: "Time of a run of a model.", Buckets: buckets,
		}, labels),
		failed:     counter("onda_runs_failed_total", "Runs of a model that gave an error. Their requests ran again, apart."),
		elements:   counter("onda_batch_elements_total", "Elements of the inputs of runs of several requests, padding among them."),
		padding:    counter("onda_batch_padding_elements_total", "Elements of padding among the inputs of runs of several requests."),
		misbatched: counter("onda_misbatched_total", "Versions that do not keep one row of outputs for each row of inputs, and are not batched any more."),
	}
	r.MustRegister(m.rows, m.runs, m.failed, m.elements, m.padding, m.misbatched)
	return m
}

// Batches makes the observer of a version's runs.
func (m *Metrics) Batches(id scoring.ModelID) batch.Observer {
	labels := []string{id.Name, strconv.FormatInt(id.Version, 10)}
	b := m.batches
	return runObserver{
		rows: b.rows.WithLabelValues(labels...), runs: b.runs.WithLabelValues(labels...),
		failed: b.failed.WithLabelValues(labels...), elements: b.elements.WithLabelValues(labels...),
		padding: b.padding.WithLabelValues(labels...), misbatched: b.misbatched.WithLabelValues(labels...),
	}
}

// runObserver has the series of one version at hand: to look them up costs more than a
// run of a small model.
type runObserver struct {
	rows, runs                            prometheus.Observer
	failed, elements, padding, misbatched prometheus.Counter
}

// Ran implements batch.Observer.
func (o runObserver) Ran(r batch.Run) {
	if r.Failed {
		o.failed.Inc()
		return
	}
	o.rows.Observe(float64(r.Rows))
	o.runs.Observe(r.Infer.Seconds())
	if r.Requests > 1 {
		o.elements.Add(float64(r.Elements))
		o.padding.Add(float64(r.Padded))
	}
}

// Misbatched implements batch.Observer.
func (o runObserver) Misbatched(string) { o.misbatched.Inc() }

// Flights exports the requests and rows that are under way, as now says at each scrape.
func (m *Metrics) Flights(now func() (requests, rows int)) {
	m.gauge("onda_requests_in_flight", "Requests that were accepted and have no answer yet.", func() float64 {
		requests, _ := now()
		return float64(requests)
	})
	m.gauge("onda_rows_in_flight", "Rows of those requests.", func() float64 {
		_, rows := now()
		return float64(rows)
	})
}

// Slots exports how many models run at once, and how many may.
func (m *Metrics) Slots(s *batch.Scheduler) {
	m.gauge("onda_slots", "Models that may run at once.", func() float64 { return float64(s.Slots()) })
	m.gauge("onda_slots_busy", "Models that run now.", func() float64 { return float64(s.Busy()) })
}

// Cache exports the answer cache's numbers.
func (m *Metrics) Cache(stats func() cache.Stats) {
	for _, c := range []struct {
		name, help string
		value      func(cache.Stats) uint64
	}{
		{"onda_cache_hits_total", "Answers that were kept.", func(s cache.Stats) uint64 { return s.Hits }},
		{"onda_cache_shared_total", "Answers of a computation that another caller began.", func(s cache.Stats) uint64 { return s.Shared }},
		{"onda_cache_misses_total", "Answers that were computed.", func(s cache.Stats) uint64 { return s.Misses }},
		{"onda_cache_evictions_total", "Answers that were dropped for others.", func(s cache.Stats) uint64 { return s.Evictions }},
		{"onda_cache_expired_total", "Answers that were dropped because their time was over.", func(s cache.Stats) uint64 { return s.Expired }},
	} {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: c.name, Help: c.help},
			func() float64 { return float64(c.value(stats())) }))
	}
	m.gauge("onda_cache_bytes", "Memory of the kept answers.", func() float64 { return float64(stats().Bytes) })
	m.gauge("onda_cache_bytes_limit", "Most memory of the kept answers.", func() float64 { return float64(stats().Limit) })
}

func (m *Metrics) gauge(name, help string, value func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
}

// Queues exports what waits for each version, as list says at each scrape. list calls its
// argument once for every version that is loaded.
func (m *Metrics) Queues(list func(yield func(name string, version int64, stats batch.Stats))) {
	m.registry.MustRegister(queueCollector(list))
}

type queueCollector func(yield func(name string, version int64, stats batch.Stats))

var (
	queueRows = prometheus.NewDesc("onda_queue_rows",
		"Rows that were accepted and are not through, by lane.", []string{"model", "version", "lane"}, nil)
	queueLimit = prometheus.NewDesc("onda_queue_rows_limit",
		"Most rows that may be accepted and not through, by lane.", []string{"model", "version", "lane"}, nil)
)

// Describe implements prometheus.Collector.
func (c queueCollector) Describe(out chan<- *prometheus.Desc) {
	out <- queueRows
	out <- queueLimit
}

// Collect implements prometheus.Collector.
func (c queueCollector) Collect(out chan<- prometheus.Metric) {
	c(func(name string, version int64, stats batch.Stats) {
		number := strconv.FormatInt(version, 10)
		for _, lane := range []scoring.Lane{scoring.Interactive, scoring.Bulk} {
			out <- prometheus.MustNewConstMetric(queueRows, prometheus.GaugeValue, float64(stats.Rows[lane]), name, number, lane.String())
			out <- prometheus.MustNewConstMetric(queueLimit, prometheus.GaugeValue, float64(stats.Limit[lane]), name, number, lane.String())
		}
	})
}
