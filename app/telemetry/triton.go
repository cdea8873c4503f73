package telemetry

import (
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/procfs"

	"github.com/onda-serving/onda/app/scoring"
)

// tritonReasons are the reasons of nv_inference_request_failure.
var tritonReasons = [...]string{"REJECTED", "CANCELED", "BACKEND", "OTHER"}

// tritonReason is the index of a failure's reason: what the queue gave up, what its caller did,
// what broke, and the rest, which is about the request itself.
func tritonReason(err error) int {
	switch scoring.CodeOf(err) {
	case scoring.Overloaded, scoring.Unavailable, scoring.Expired:
		return 0
	case scoring.Canceled:
		return 1
	case scoring.Internal:
		return 2
	default:
		return 3
	}
}

// VersionStatistics are the numbers of a version since it was loaded.
type VersionStatistics struct {
	scoring.Statistics

	// Waiting counts the requests in its queue.
	Waiting int
	// Cache says that its answers are kept.
	Cache bool
}

// Triton exports numbers under the names that Triton Inference Server has for them, for
// dashboards that know no others; list says them at each scrape. The names are those of Triton's
// user guide; its summaries, histograms and pinned memory, which are off in it by default or are
// of something that Onda does not have, are not among them.
func (m *Metrics) Triton(list func(yield func(VersionStatistics))) {
	m.triton = true
	m.registry.MustRegister(&tritonCollector{metrics: m, list: list})
}

// tritonCollector makes Triton's series at each scrape.
type tritonCollector struct {
	metrics *Metrics
	list    func(yield func(VersionStatistics))

	mu   sync.Mutex
	last procfs.CPUStat // at the scrape before
}

// tritonDesc describes a metric of Triton's.
func tritonDesc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help+" (Triton's name)", labels, nil)
}

// tritonCounter is a counter of a version's.
type tritonCounter struct {
	desc  *prometheus.Desc
	value func(VersionStatistics) float64
}

// us is a time in microseconds.
func us(d time.Duration) float64 { return float64(d / time.Microsecond) }

var tritonCounters = []tritonCounter{
	{tritonDesc("nv_inference_request_success", "Requests answered with success.", "model", "version"), func(s VersionStatistics) float64 { return float64(s.Success.Count) }},
	{tritonDesc("nv_inference_count", "Rows scored.", "model", "version"), func(s VersionStatistics) float64 { return float64(s.Inferences) }},
	{tritonDesc("nv_inference_exec_count", "Runs of the model.", "model", "version"), func(s VersionStatistics) float64 { return float64(s.Executions) }},
	{tritonDesc("nv_inference_request_duration_us", "Time of requests answered with success, in microseconds.", "model", "version"), func(s VersionStatistics) float64 { return us(s.Success.Time) }},
	{tritonDesc("nv_inference_queue_duration_us", "Time that they waited, in microseconds.", "model", "version"), func(s VersionStatistics) float64 { return us(s.Queue.Time) }},
	{tritonDesc("nv_inference_compute_input_duration_us", "Time to make their inputs, pre-processing among it, in microseconds.", "model", "version"), func(s VersionStatistics) float64 { return us(s.Input.Time) }},
	{tritonDesc("nv_inference_compute_infer_duration_us", "Time of their runs, in microseconds.", "model", "version"), func(s VersionStatistics) float64 { return us(s.Infer.Time) }},
	{tritonDesc("nv_inference_compute_output_duration_us", "Time to make their outputs, post-processing among it, in microseconds.", "model", "version"), func(s VersionStatistics) float64 { return us(s.Output.Time) }},
}

// tritonCaches are only of versions whose answers are kept.
var tritonCaches = []tritonCounter{
	{tritonDesc("nv_cache_num_hits_per_model", "Answers from the cache.", "model", "version"), func(s VersionStatistics) float64 { return float64(s.CacheHit.Count) }},
	{tritonDesc("nv_cache_num_misses_per_model", "Answers that were not in the cache.", "model", "version"), func(s VersionStatistics) float64 { return float64(s.CacheMiss.Count) }},
	{tritonDesc("nv_cache_hit_duration_per_model", "Time of answers from the cache, in microseconds.", "model", "version"), func(s VersionStatistics) float64 { return us(s.CacheHit.Time) }},
	{tritonDesc("nv_cache_miss_duration_per_model", "Time of answers that were not in the cache, in microseconds.", "model", "version"), func(s VersionStatistics) float64 { return us(s.CacheMiss.Time) }},
}

var (
	tritonFailures = tritonDesc("nv_inference_request_failure", "Requests that failed, by reason.", "model", "reason", "version")
	tritonPending  = tritonDesc("nv_inference_pending_request_count", "Requests that wait for a run.", "model", "version")
	tritonCPU      = tritonDesc("nv_cpu_utilization", "Share of the machine's processors that worked since the scrape before, 0 to 1.")
	tritonMemory   = tritonDesc("nv_cpu_memory_total_bytes", "Memory of the machine.")
	tritonUsed     = tritonDesc("nv_cpu_memory_used_bytes", "Memory of the machine that is in use.")
)

// tritonGPU is a number of a GPU's.
type tritonGPU struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(GPU) float64
}

var tritonGPUs = []tritonGPU{
	{tritonDesc("nv_gpu_utilization", "Share of the time in which the GPU works, 0 to 1.", "gpu_uuid"), prometheus.GaugeValue, func(g GPU) float64 { return g.Utilization }},
	{tritonDesc("nv_gpu_memory_total_bytes", "Memory of the GPU.", "gpu_uuid"), prometheus.GaugeValue, func(g GPU) float64 { return float64(g.Total) }},
	{tritonDesc("nv_gpu_memory_used_bytes", "Memory of the GPU that is in use.", "gpu_uuid"), prometheus.GaugeValue, func(g GPU) float64 { return float64(g.Used) }},
	{tritonDesc("nv_gpu_power_usage", "Power of the GPU, in watts.", "gpu_uuid"), prometheus.GaugeValue, func(g GPU) float64 { return g.Power }},
	{tritonDesc("nv_gpu_power_limit", "Most power of the GPU, in watts.", "gpu_uuid"), prometheus.GaugeValue, func(g GPU) float64 { return g.PowerLimit }},
	{tritonDesc("nv_energy_consumption", "Energy that the GPU used since its driver was loaded, in joules.", "gpu_uuid"), prometheus.CounterValue, func(g GPU) float64 { return g.Energy }},
}

// Describe implements prometheus.Collector.
func (c *tritonCollector) Describe(out chan<- *prometheus.Desc) {
	for _, counter := range slices.Concat(tritonCounters, tritonCaches) {
		out <- counter.desc
	}
	for _, gpu := range tritonGPUs {
		out <- gpu.desc
	}
	for _, desc := range []*prometheus.Desc{tritonFailures, tritonPending, tritonCPU, tritonMemory, tritonUsed} {
		out <- desc
	}
}

// Collect implements prometheus.Collector.
func (c *tritonCollector) Collect(out chan<- prometheus.Metric) {
	c.list(func(s VersionStatistics) { c.version(out, s) })
	c.machine(out)
	if c.metrics.gpus == nil {
		return
	}
	for _, g := range c.metrics.gpus() {
		for _, metric := range tritonGPUs {
			out <- prometheus.MustNewConstMetric(metric.desc, metric.kind, metric.value(g), g.UUID)
		}
	}
}

// version makes the series of a version.
func (c *tritonCollector) version(out chan<- prometheus.Metric, s VersionStatistics) {
	name, number := s.Model.Name, strconv.FormatInt(s.Model.Version, 10)
	counters := tritonCounters
	if s.Cache {
		counters = slices.Concat(tritonCounters, tritonCaches)
	}
	for _, counter := range counters {
		out <- prometheus.MustNewConstMetric(counter.desc, prometheus.CounterValue, counter.value(s), name, number)
	}
	failures := &c.metrics.versions.of(versionKey{name, s.Model.Version}).failures
	for i, reason := range tritonReasons {
		out <- prometheus.MustNewConstMetric(tritonFailures, prometheus.CounterValue, float64(failures[i].Load()), name, reason, number)
	}
	out <- prometheus.MustNewConstMetric(tritonPending, prometheus.GaugeValue, float64(s.Waiting), name, number)
}

// machine makes the series of the machine; none where there is no /proc.
func (c *tritonCollector) machine(out chan<- prometheus.Metric) {
	proc, err := procfs.NewDefaultFS()
	if err != nil {
		return
	}
	if stat, err := proc.Stat(); err == nil {
		out <- prometheus.MustNewConstMetric(tritonCPU, prometheus.GaugeValue, c.utilization(stat.CPUTotal))
	}
	if m, err := proc.Meminfo(); err == nil && m.MemTotalBytes != nil && m.MemAvailableBytes != nil {
		out <- prometheus.MustNewConstMetric(tritonMemory, prometheus.GaugeValue, float64(*m.MemTotalBytes))
		out <- prometheus.MustNewConstMetric(tritonUsed, prometheus.GaugeValue, float64(*m.MemTotalBytes-*m.MemAvailableBytes))
	}
}

// utilization is the share of the processors' time since the scrape before, or since the machine
// was started, that was not idle.
func (c *tritonCollector) utilization(now procfs.CPUStat) float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	busy := busyTime(now) - busyTime(c.last)
	idle := now.Idle + now.Iowait - c.last.Idle - c.last.Iowait
	c.last = now
	if busy+idle <= 0 {
		return 0 // two scrapes within a tick of the clock
	}
	return min(max(busy/(busy+idle), 0), 1)
}

// busyTime is the time of all processors that was not idle.
func busyTime(s procfs.CPUStat) float64 {
	return s.User + s.Nice + s.System + s.IRQ + s.SoftIRQ + s.Steal
}
