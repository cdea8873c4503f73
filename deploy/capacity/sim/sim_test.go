package sim_test

import (
	"math"
	"reflect"
	"testing"

	"github.com/onda-serving/onda/deploy/capacity/sim"
)

// config is two pods of two cores for calls that take 10 ms of one, with quick clocks.
func config(kind sim.ScaleKind) sim.Config {
	return sim.Config{
		Seed:    3,
		Load:    sim.Load{Rate: sim.Steady(100), Seconds: 600, Budget: 0.2},
		Service: sim.Service{Pre: 0.004, PerRow: 0.006},
		Pod:     sim.Pod{Cores: 2, MaxRows: 8, MaxQueue: 64, Handlers: 16},
		Calls:   sim.Calls{Callers: 4, Streams: 100, Refresh: 30},
		Delays:  sim.Delays{Sync: 15, Scrape: 15, PodStart: 10, NodeScan: 10, NodeStart: 60, NodeIdle: 120, Notice: 10},
		Scale: sim.Scale{
			Kind: kind, Start: 2, Min: 2, Max: 20, Target: 0.6, Tolerance: 0.1, UpPercent: 100, UpPods: 4, DownPercent: 25,
			DownWindow: 120, Poll: 15, Cooldown: 60, PodsPerNode: 3,
		},
	}
}

// TestNothingIsLost holds that every request ends in one of the ways that are counted, and that a seed
// decides all of it.
func TestNothingIsLost(t *testing.T) {
	t.Parallel()
	for _, kind := range []sim.ScaleKind{sim.Fixed, sim.HPA, sim.KEDA} {
		for _, sticky := range []bool{false, true} {
			c := config(kind)
			c.Calls.Sticky = sticky
			c.Load.Rate = sim.Burst(50, 900, 120, 200)
			r := sim.Run(c)
			if ended := r.Good + r.Late + r.Refused + r.Expired + r.Nowhere; r.Offered != ended || r.Offered < 100_000 {
				t.Errorf("%s, sticky %v: %d offered, %d ended", kind, sticky, r.Offered, ended)
			}
			if again := sim.Run(c); !reflect.DeepEqual(r, again) {
				t.Errorf("%s, sticky %v: the same seed gave another run", kind, sticky)
			}
		}
	}
}

// TestOverload holds that admission by budget keeps the goodput at the capacity when twice as much comes,
// and that without a bound next to everything would be late.
func TestOverload(t *testing.T) {
	t.Parallel()
	c := config(sim.Fixed)
	capacity := 2 * c.Service.Capacity(2, 1)
	c.Load.Rate = sim.Steady(2 * capacity)
	r := sim.Run(c)
	if goodput := float64(r.Good) / 600; goodput < 0.9*capacity || goodput > 1.01*capacity {
		t.Errorf("goodput %.0f/s of a capacity of %.0f/s", goodput, capacity)
	}
	if r.Refused == 0 || float64(r.Late) > 0.02*float64(r.Offered) {
		t.Errorf("%d refused, %d late of %d", r.Refused, r.Late, r.Offered)
	}
	c.Pod.MaxQueue = 0
	if r := sim.Run(c); float64(r.Good) > 0.2*float64(r.Offered) || r.Refused > 0 {
		t.Errorf("without a bound %d of %d were in time, %d refused", r.Good, r.Offered, r.Refused)
	}
}

// TestHPA holds the number of pods against the documented formula: at a steady load the saturation comes
// near the target, after a step pods come, and after the window they go.
func TestHPA(t *testing.T) {
	t.Parallel()
	c := config(sim.HPA)
	c.Service.Pre = 0 // busy slots are then exactly the load
	c.Service.PerRow = 0.01
	c.Load.Rate, c.Load.Seconds = sim.Burst(100, 800, 300, 900), 3000
	r := sim.Run(c)
	for _, want := range []struct {
		at          float64
		least, most int
	}{
		{290, 2, 2},  // 100/s x 10 ms / 2 cores / 0.6 = 0.83, and min is 2
		{1150, 6, 8}, // 6.7, within the tolerance
		{1250, 6, 8}, // the window
		{2900, 2, 2}, // gone
	} {
		s := r.Samples[int(want.at/10)]
		if s.Ready < want.least || s.Ready > want.most {
			t.Errorf("%.0f s: %d pods, %d to %d expected", want.at, s.Ready, want.least, want.most)
		}
	}
	quiet := config(sim.HPA)
	quiet.Load.Rate = sim.Steady(1)
	quiet.Scale.Start = 10
	if last := sim.Run(quiet); last.Samples[11].Ready != 10 {
		t.Errorf("%d of 10 pods after 110 s: the window of 120 s should keep them", last.Samples[11].Ready)
	}
}

// TestNodes holds that pods that find no room wait for the scan and the node.
func TestNodes(t *testing.T) {
	t.Parallel()
	c := config(sim.HPA)
	c.Load.Rate = sim.Step(100, 1000, 60)
	when := func(c sim.Config) float64 {
		for _, s := range sim.Run(c).Samples {
			if s.Ready >= 6 {
				return s.At
			}
		}
		return math.Inf(1)
	}
	slow := when(c)
	c.Scale.Headroom = 6
	quick := when(c)
	if quick > 130 || slow < quick+50 || math.IsInf(slow, 1) {
		t.Errorf("6 pods after %.0f s with room on nodes, after %.0f s without", quick, slow)
	}
}

// TestSticky holds that callers that look up names as Dapr's sidecars do leave added pods idle.
func TestSticky(t *testing.T) {
	t.Parallel()
	c := config(sim.HPA)
	c.Load.Rate = sim.Step(100, 600, 120)
	fresh := sim.Run(c)
	c.Calls.Sticky = true
	sticky := sim.Run(c)
	if fresh.Bad() > 0.25 || sticky.Bad() < 2*fresh.Bad() {
		t.Errorf("bad: %.3f where callers see all pods, %.3f where they do not", fresh.Bad(), sticky.Bad())
	}
}

// TestZero holds that KEDA wakes up the first pod at its next look, and lets the last go after the
// cooldown.
func TestZero(t *testing.T) {
	t.Parallel()
	c := config(sim.KEDA)
	c.Load = sim.Load{Rate: sim.Burst(0, 50, 100, 20), Seconds: 600, Events: true, Budget: 60}
	c.Scale.Start, c.Scale.Min, c.Scale.Target, c.Scale.Headroom = 0, 0, 64, 1
	r := sim.Run(c)
	if r.Offered < 800 || r.Good != r.Offered || r.Left != 0 {
		t.Errorf("%d of %d events in time, %d left", r.Good, r.Offered, r.Left)
	}
	if p99 := r.Quantile(0.99); p99 < 10 || p99 > 15+11+5 {
		t.Errorf("p99 %.1f s: it should be a start of 10 s, and at most one poll of 15 s more", p99)
	}
	if r.Samples[9].Ready != 0 || r.Samples[14].Ready == 0 || r.Samples[45].Ready != 0 {
		t.Errorf("pods before, in and after the burst: %d, %d, %d", r.Samples[9].Ready, r.Samples[14].Ready, r.Samples[45].Ready)
	}
}

// TestBatching holds that runs get larger under load where that saves time, and the capacity with them.
func TestBatching(t *testing.T) {
	t.Parallel()
	c := config(sim.Fixed)
	c.Service = sim.Service{Fixed: 0.01, PerRow: 0.001}
	c.Load.Rate = sim.Steady(800) // single rows: 2 x 2 / 11 ms = 364/s
	if r := sim.Run(c); r.Bad() > 0.01 {
		t.Errorf("in batches %.3f were bad", r.Bad())
	}
	c.Pod.MaxRows = 1
	if r := sim.Run(c); r.Bad() < 0.4 {
		t.Errorf("one by one only %.3f were bad", r.Bad())
	}
}

// TestArrivals holds the number of arrivals against the area below the rate.
func TestArrivals(t *testing.T) {
	t.Parallel()
	const day = 86400
	for name, load := range map[string]struct {
		rate func(float64) float64
		want float64
	}{
		"day":   {sim.Day(40, 0.2, 14*3600), 40 * (0.2 + 0.8/2) * day},
		"crowd": {sim.Crowd(10, 10, 3600, 60, 600, 300), 10*day + 90*(30+600+300/math.Ln2)},
	} {
		c := config(sim.Fixed)
		c.Load.Rate, c.Load.Seconds = load.rate, day
		r := sim.Run(c)
		if off := math.Abs(float64(r.Offered)/load.want - 1); off > 0.005 {
			t.Errorf("%s: %d arrivals, %.0f expected", name, r.Offered, load.want)
		}
	}
}
