package telemetry

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/onda-serving/onda/app/batch"
	"github.com/onda-serving/onda/app/cache"
	"github.com/onda-serving/onda/app/scoring"
)

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
	m.gauge("onda_yielding_slots", "Models that may run for bulk requests beside them, on what they leave of the processor.", func() float64 {
		slots, _ := s.Yielding()
		return float64(slots)
	})
	m.gauge("onda_yielding_slots_busy", "Models that run so now.", func() float64 {
		_, busy := s.Yielding()
		return float64(busy)
	})
	m.gauge("onda_saturation", "How full this replica is: the share of the slots that are busy, 0 to 1, plus the runs that wait as a share of the slots, 0 to 1, averaged over 10 s.", s.Saturation)
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
