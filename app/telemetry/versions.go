package telemetry

import (
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/onda-serving/onda/app/batch"
	"github.com/onda-serving/onda/app/scoring"
)

// rowBuckets are the bounds of the batch size histogram, in rows.
var rowBuckets = []float64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024}

// versionLabels are those of every series that is about one version of a model.
var versionLabels = []string{"model", "version"}

// versionMetrics are those of versions. There are no more of them than versions that are on this
// replica: callers' made-up names have none, and those of versions that are gone are dropped.
type versionMetrics struct {
	scored     *prometheus.CounterVec
	rows       *prometheus.CounterVec
	durations  *prometheus.HistogramVec
	waits      *prometheus.HistogramVec
	phases     *prometheus.HistogramVec
	missed     *prometheus.CounterVec
	batchRows  *prometheus.HistogramVec
	runs       *prometheus.HistogramVec
	failedRuns *prometheus.CounterVec
	elements   *prometheus.CounterVec
	padding    *prometheus.CounterVec
	misbatched *prometheus.CounterVec

	mu    sync.Mutex // of making and dropping series
	known sync.Map   // versionKey to *series
	gone  map[versionKey]time.Time
}

func newVersionMetrics(registry *prometheus.Registry) *versionMetrics {
	counter := func(name, help string, more ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, append(more, versionLabels...))
		registry.MustRegister(v)
		return v
	}
	histogram := func(name, help string, bounds []float64, more ...string) *prometheus.HistogramVec {
		v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: bounds}, append(more, versionLabels...))
		registry.MustRegister(v)
		return v
	}
	return &versionMetrics{
		scored:     counter("onda_scored_total", "Scorings by model, version and code. Requests for a model that does not exist have no model.", "code"),
		rows:       counter("onda_rows_total", "Rows scored with success, by model and version."),
		durations:  histogram("onda_scoring_duration_seconds", "Time of a successful scoring from admission to its answer, waits among it, without the reading and writing of its door.", buckets),
		waits:      histogram("onda_queue_wait_seconds", "Time that a successful scoring waited for its turns, to be pre-processed and to run, by lane.", buckets, "lane"),
		phases:     histogram("onda_phase_duration_seconds", "Time of a scoring's phases: queue, preprocess, run, postprocess.", buckets, "phase"),
		missed:     counter("onda_budget_missed_total", "Requests whose time budget ended before their answer, by the phase they were in: queue, preprocess, run, postprocess.", "phase"),
		batchRows:  histogram("onda_batch_rows", "Rows of a run of a model, of all requests in it.", rowBuckets),
		runs:       histogram("onda_run_duration_seconds", "Time of a run of a model.", buckets),
		failedRuns: counter("onda_runs_failed_total", "Runs of a model that gave an error, whose requests ran again, apart, and runs that were stopped because nobody waited any more."),
		elements:   counter("onda_batch_elements_total", "Elements of the inputs of runs of several requests, padding among them."),
		padding:    counter("onda_batch_padding_elements_total", "Elements of padding among the inputs of runs of several requests."),
		misbatched: counter("onda_misbatched_total", "Versions that do not keep one row of outputs for each row of inputs, and are not batched any more."),
		gone:       map[versionKey]time.Time{},
	}
}

// versionKey names a version in the map of series.
type versionKey struct {
	name    string
	version int64
}

// series are those of one version that every success touches: to look them up by their
// labels costs more than a small model's run.
type series struct {
	ok, rows                                  prometheus.Counter
	duration                                  prometheus.Observer
	waits                                     [2]prometheus.Observer
	phases                                    [4]prometheus.Observer
	batchRows, runs                           prometheus.Observer
	failedRuns, elements, padding, misbatched prometheus.Counter
	// failures are those of Triton's reasons.
	failures [len(tritonReasons)]atomic.Uint64
}

// of finds the series of a version, or makes them.
func (v *versionMetrics) of(key versionKey) *series {
	if s, ok := v.known.Load(key); ok {
		return s.(*series) //nolint:forcetypeassert // nothing else is stored
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if s, ok := v.known.Load(key); ok {
		return s.(*series) //nolint:forcetypeassert // nothing else is stored
	}
	name, version := key.name, strconv.FormatInt(key.version, 10)
	s := &series{
		ok: v.scored.WithLabelValues(codeLabel(nil), name, version), rows: v.rows.WithLabelValues(name, version),
		duration: v.durations.WithLabelValues(name, version), batchRows: v.batchRows.WithLabelValues(name, version),
		runs: v.runs.WithLabelValues(name, version), failedRuns: v.failedRuns.WithLabelValues(name, version),
		elements: v.elements.WithLabelValues(name, version), padding: v.padding.WithLabelValues(name, version),
		misbatched: v.misbatched.WithLabelValues(name, version),
	}
	for lane := range s.waits {
		s.waits[lane] = v.waits.WithLabelValues(scoring.Lane(lane).String(), name, version)
	}
	for i, phase := range scoring.Phases() {
		s.phases[i] = v.phases.WithLabelValues(phase.String(), name, version)
	}
	v.known.Store(key, s)
	return s
}

// Scored counts a scoring.
func (m *Metrics) Scored(r scoring.Scored) {
	v := m.versions
	if r.Model.Version == 0 { // names that callers make up must not become labels
		v.scored.WithLabelValues(codeLabel(r.Err), "", "").Inc()
		return
	}
	s := v.of(versionKey{r.Model.Name, r.Model.Version})
	if r.Err != nil {
		v.failed(s, r)
		return
	}
	s.ok.Inc()
	s.rows.Add(float64(r.Rows))
	s.duration.Observe(r.Took.Seconds())
	s.waits[min(r.Lane, scoring.Bulk)].Observe(r.Timing.Queue.Seconds())
	for i, took := range [...]time.Duration{r.Timing.Queue, r.Timing.Preprocess, r.Timing.Run, r.Timing.Postprocess} {
		s.phases[i].Observe(took.Seconds())
	}
}

// failed counts a failure.
func (v *versionMetrics) failed(s *series, r scoring.Scored) {
	number := strconv.FormatInt(r.Model.Version, 10)
	v.scored.WithLabelValues(codeLabel(r.Err), r.Model.Name, number).Inc()
	if scoring.CodeOf(r.Err) == scoring.Expired {
		v.missed.WithLabelValues(r.Timing.At.String(), r.Model.Name, number).Inc()
	}
	s.failures[tritonReason(r.Err)].Add(1)
}

// Batches makes the observer of a version's runs.
func (m *Metrics) Batches(id scoring.ModelID) batch.Observer {
	return runObserver{m.versions, versionKey{id.Name, id.Version}}
}

// runObserver counts the runs of a version. It looks its series up each time: those it found
// first may have been dropped while the version was away.
type runObserver struct {
	versions *versionMetrics
	key      versionKey
}

// Ran implements batch.Observer.
func (o runObserver) Ran(r batch.Run) {
	s := o.versions.of(o.key)
	if r.Failed {
		s.failedRuns.Inc()
		return
	}
	s.batchRows.Observe(float64(r.Rows))
	s.runs.Observe(r.Infer.Seconds())
	if r.Requests > 1 {
		s.elements.Add(float64(r.Elements))
		s.padding.Add(float64(r.Padded))
	}
}

// Misbatched implements batch.Observer.
func (o runObserver) Misbatched(string) { o.versions.of(o.key).misbatched.Inc() }

// goneFor is how long the series of a version are kept that is gone, so that whoever scrapes
// sees their last numbers.
const goneFor = 2 * time.Minute

// forget drops the series of versions that have been gone for a while. present says which are
// there; forgotten is called for each that is dropped.
func (v *versionMetrics) forget(now time.Time, present map[versionKey]bool, forgotten func(name, version string)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.known.Range(func(k, _ any) bool {
		key := k.(versionKey) //nolint:forcetypeassert // nothing else is stored
		since, missing := v.gone[key]
		switch {
		case present[key]:
			delete(v.gone, key)
		case !missing:
			v.gone[key] = now
		case now.Sub(since) >= goneFor:
			v.drop(key)
			forgotten(key.name, strconv.FormatInt(key.version, 10))
		}
		return true
	})
}

// drop drops the series of a version. The lock is held.
func (v *versionMetrics) drop(key versionKey) {
	labels := prometheus.Labels{"model": key.name, "version": strconv.FormatInt(key.version, 10)}
	for _, vec := range []interface{ DeletePartialMatch(prometheus.Labels) int }{
		v.scored, v.rows, v.durations, v.waits, v.phases, v.missed, v.batchRows, v.runs, v.failedRuns, v.elements, v.padding, v.misbatched,
	} {
		vec.DeletePartialMatch(labels)
	}
	v.known.Delete(key)
	delete(v.gone, key)
}
