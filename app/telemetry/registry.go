package telemetry

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/onda-serving/onda/app/compare"
	"github.com/onda-serving/onda/app/scoring"
)

// registryMetrics tell how versions come and go, and how they compare.
type registryMetrics struct {
	loads     *prometheus.CounterVec
	loading   prometheus.Histogram
	evictions prometheus.Counter
	mirrored  *prometheus.CounterVec
	dropped   *prometheus.CounterVec
	changes   *prometheus.CounterVec
}

func newRegistryMetrics(registry *prometheus.Registry) *registryMetrics {
	m := &registryMetrics{
		loads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "onda_model_loads_total", Help: "Versions loaded, by outcome: loaded or failed.",
		}, []string{"outcome"}),
		loading: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "onda_model_load_duration_seconds", Help: "Time to fetch, check, load and warm a version.", Buckets: buckets,
		}),
		evictions: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "onda_model_evictions_total", Help: "Versions put out of memory to make room for others.",
		}),
		mirrored: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "onda_mirrored_total", Help: "Requests copied to a second version, by the version that answered, the mirror that was asked as well, and outcome: agreed, disagreed or failed.",
		}, []string{"model", "version", "mirror", "outcome"}),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "onda_mirrors_dropped_total", Help: "Copies of requests that were not made, by reason.",
		}, []string{"model", "reason"}),
		changes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "onda_registry_changes_total", Help: "Changes of the registry asked of this replica, by action and code.",
		}, []string{"action", "code"}),
	}
	registry.MustRegister(m.loads, m.loading, m.evictions, m.mirrored, m.dropped, m.changes)
	return m
}

// Loaded counts a load of a version.
func (m *Metrics) Loaded(_ scoring.ModelRef, took time.Duration, err error) {
	outcome := "loaded"
	if err != nil {
		outcome = "failed"
	}
	m.registered.loads.WithLabelValues(outcome).Inc()
	m.registered.loading.Observe(took.Seconds())
}

// Evicted counts a version that made room for another.
func (m *Metrics) Evicted(scoring.ModelRef) { m.registered.evictions.Inc() }

// Mirrored counts a copy of a request that a second version was asked.
func (m *Metrics) Mirrored(answered, mirror scoring.ModelID, d compare.Difference, _ time.Duration, err error) {
	outcome := "agreed"
	switch {
	case err != nil:
		outcome = "failed"
	case d.Disagrees:
		outcome = "disagreed"
	}
	m.registered.mirrored.WithLabelValues(answered.Name, strconv.FormatInt(answered.Version, 10), strconv.FormatInt(mirror.Version, 10), outcome).Inc()
}

// MirrorDropped counts a copy that was not made.
func (m *Metrics) MirrorDropped(answered scoring.ModelID, reason string) {
	m.registered.dropped.WithLabelValues(answered.Name, reason).Inc()
}

// Changed counts a change of the registry that this replica was asked for.
func (m *Metrics) Changed(action, code string) {
	m.registered.changes.WithLabelValues(action, code).Inc()
}

// FollowedModel says how far a replica is with a model's document.
type FollowedModel struct {
	// Name of the model.
	Name string
	// Revision that is in force.
	Revision int64
	// InSync says that it is the newest that is known.
	InSync bool
}

// Following is how a replica follows the registry.
type Following struct {
	// Reachable says whether the state store answers.
	Reachable bool
	// Models that are followed.
	Models []FollowedModel
}

// Registry exports how this replica follows the registry, as now says at each scrape.
func (m *Metrics) Registry(now func() Following) { m.registry.MustRegister(followCollector(now)) }

// Memory exports the memory of loaded models and its budget, in bytes.
func (m *Metrics) Memory(used, budget func() int64) {
	for name, g := range map[string]struct {
		help  string
		value func() int64
	}{
		"onda_models_memory_bytes":        {"Memory of the loaded versions, as far as it can be measured.", used},
		"onda_models_memory_budget_bytes": {"Memory that loaded versions may take together; 0 sets no bound.", budget},
	} {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: g.help}, func() float64 { return float64(g.value()) }))
	}
}

// followCollector makes the series of followed models at each scrape.
type followCollector func() Following

var (
	reachableDesc = prometheus.NewDesc("onda_registry_store_reachable", "Whether the state store of the registry answers: 1 or 0.", nil, nil)
	inSyncDesc    = prometheus.NewDesc("onda_registry_in_sync", "Whether this replica answers as the newest document of a model says: 1 or 0.", []string{"model"}, nil)
	revisionDesc  = prometheus.NewDesc("onda_registry_revision", "Revision of a model's document that is in force on this replica.", []string{"model"}, nil)
)

// Describe implements prometheus.Collector.
func (c followCollector) Describe(descs chan<- *prometheus.Desc) {
	descs <- reachableDesc
	descs <- inSyncDesc
	descs <- revisionDesc
}

// Collect implements prometheus.Collector.
func (c followCollector) Collect(series chan<- prometheus.Metric) {
	now := c()
	series <- prometheus.MustNewConstMetric(reachableDesc, prometheus.GaugeValue, oneIf(now.Reachable))
	for _, m := range now.Models {
		series <- prometheus.MustNewConstMetric(inSyncDesc, prometheus.GaugeValue, oneIf(m.InSync), m.Name)
		series <- prometheus.MustNewConstMetric(revisionDesc, prometheus.GaugeValue, float64(m.Revision), m.Name)
	}
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
