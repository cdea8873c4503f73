package telemetry

import (
	"os"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/procfs"
)

func TestUtilization(t *testing.T) {
	t.Parallel()
	var c tritonCollector
	for i, test := range []struct {
		now  procfs.CPUStat
		want float64
	}{
		{procfs.CPUStat{User: 25, System: 25, Idle: 40, Iowait: 10}, 0.5},
		{procfs.CPUStat{User: 25, System: 25, Idle: 40, Iowait: 10}, 0}, // within a tick
		{procfs.CPUStat{User: 40, System: 25, IRQ: 10, SoftIRQ: 10, Steal: 10, Nice: 30, Idle: 40, Iowait: 10}, 1},
		{procfs.CPUStat{User: 41, System: 25, IRQ: 10, SoftIRQ: 10, Steal: 10, Nice: 30, Idle: 41, Iowait: 12}, 0.25},
	} {
		if got := c.utilization(test.now); got != test.want {
			t.Errorf("scrape %d: got %g, want %g", i, got, test.want)
		}
	}
}

// TestMachine reads the machine that the test runs on.
func TestMachine(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/stat"); err != nil {
		t.Skip("there is no /proc here")
	}
	out := make(chan prometheus.Metric, 8)
	var c tritonCollector
	c.machine(out)
	if len(out) != 3 {
		t.Errorf("got %d series, want the use of the processors, and all and used memory", len(out))
	}
}
