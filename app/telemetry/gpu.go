package telemetry

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// GPU is what a GPU says of itself.
type GPU struct {
	// UUID names it among all GPUs.
	UUID string
	// Total, Used and Free are its memory, in bytes: that of all processes on it.
	Total, Used, Free uint64
	// Utilization is the share of the time in which it works, 0 to 1.
	Utilization float64
	// Power and PowerLimit are in watts.
	Power, PowerLimit float64
	// Energy is what it used since its driver was loaded, in joules.
	Energy float64
}

// GPUs exports the memory of the GPUs, as read says at each scrape.
func (m *Metrics) GPUs(read func() []GPU) {
	m.registry.MustRegister(gpuCollector(read))
	m.gpus = read
}

// gpuCollector makes the series of the GPUs at each scrape.
type gpuCollector func() []GPU

var gpuMemory = prometheus.NewDesc("onda_gpu_memory_bytes",
	"Memory of a GPU by kind: total, used and free; that of all processes on it.", []string{"gpu", "kind"}, nil)

// Describe implements prometheus.Collector.
func (c gpuCollector) Describe(out chan<- *prometheus.Desc) { out <- gpuMemory }

// Collect implements prometheus.Collector.
func (c gpuCollector) Collect(out chan<- prometheus.Metric) {
	for i, g := range c() {
		for kind, bytes := range map[string]uint64{"total": g.Total, "used": g.Used, "free": g.Free} {
			out <- prometheus.MustNewConstMetric(gpuMemory, prometheus.GaugeValue, float64(bytes), strconv.Itoa(i), kind)
		}
	}
}
