// Package search chooses the chart's scaling settings: it plays the same traffic under many of them
// in package sim, and weighs what they cost against the requests that they fail.
package search

import (
	"github.com/onda-serving/onda/deploy/capacity"
	"github.com/onda-serving/onda/deploy/capacity/sim"
)

// Settings are what is searched: the values of the chart under autoscaling, and two beside them.
type Settings struct {
	// Kind is hpa or keda.
	Kind string `json:"kind"`
	// Target is targetSaturation.
	Target float64 `json:"targetSaturation"`
	// Min and Max replicas.
	Min int `json:"min"`
	Max int `json:"max"`
	// DownWindow is behavior.scaleDownStabilizationSeconds.
	DownWindow int `json:"scaleDownStabilizationSeconds"`
	// DownPercent is behavior.scaleDownPercentPerMinute.
	DownPercent int `json:"scaleDownPercentPerMinute"`
	// UpPercent is behavior.scaleUpPercentPer15Seconds.
	UpPercent int `json:"scaleUpPercentPer15Seconds"`
	// UpPods is behavior.scaleUpPodsPer15Seconds.
	UpPods int `json:"scaleUpPodsPer15Seconds"`
	// Poll, Cooldown, PerReplica and Activation are keda.pollingInterval, keda.cooldownPeriod,
	// keda.eventsPerReplica and keda.activationEvents.
	Poll       int `json:"pollingInterval"`
	Cooldown   int `json:"cooldownPeriod"`
	PerReplica int `json:"eventsPerReplica"`
	Activation int `json:"activationEvents"`
	// MaxQueue is ONDA_MAX_QUEUE.
	MaxQueue int `json:"maxQueue"`
	// Headroom is the number of pods that nodes are kept free for.
	Headroom int `json:"headroom"`
}

// Start is where the search begins, and where a setting stays that makes no difference.
func Start() Settings {
	return Settings{
		Kind: "hpa", Target: 0.7, Min: 2, Max: 40, DownWindow: 300, DownPercent: 25, UpPercent: 100, UpPods: 4,
		Poll: 15, Cooldown: 300, PerReplica: 128, MaxQueue: 256,
	}
}

// EventStart is where the search for events begins.
func EventStart() Settings {
	s := Start()
	s.Kind, s.Min, s.Headroom = "keda", 0, 1 // there is a node without Onda, too
	return s
}

// Cluster is what does not change with the settings.
type Cluster struct {
	// Inputs are the assumptions.
	Inputs capacity.Inputs
	// OndaStart is the measured time from the start of the process to its first answer, in seconds.
	OndaStart float64
	// Cores of a pod.
	Cores int
	// PodsPerNode fit on a node.
	PodsPerNode int
}

// PodStart is the time from a place on a node to ready, in seconds, with the image there.
func (c Cluster) PodStart() float64 {
	return c.Inputs.Of("schedule", "sandbox", "daprd start", "sidecar readiness", "readiness probe", "endpoints") + c.OndaStart
}

// Pull is the time that the image takes, in seconds.
func (c Cluster) Pull() float64 { return c.Inputs.Of("image") / c.Inputs.Of("pull rate") }

// Delays are the times of a cluster with CPU nodes.
func (c Cluster) Delays() sim.Delays {
	in := c.Inputs
	return sim.Delays{
		Sync: in.Of("hpa sync"), Scrape: in.Of("scrape"), PodStart: c.PodStart(), Pull: c.Pull(),
		NodeScan: in.Of("node scan"), NodeStart: in.Of("node start"), NodeIdle: in.Of("node idle"), Notice: in.Of("notice"),
	}
}

// Config is a run of a load under settings.
func (c Cluster) Config(s Settings, load sim.Load, service sim.Service, start int, seed uint64) sim.Config {
	target := s.Target
	if load.Events {
		target = float64(s.PerReplica)
	}
	return sim.Config{
		Seed: seed, Load: load, Service: service,
		Pod:    sim.Pod{Cores: c.Cores, MaxRows: 32, MaxQueue: s.MaxQueue, Handlers: int(c.Inputs.Of("event handlers"))},
		Calls:  sim.Calls{Callers: 8},
		Delays: c.Delays(),
		Scale: sim.Scale{
			Kind: sim.ScaleKind(s.Kind), Start: start, Min: s.Min, Max: s.Max, Target: target, Tolerance: c.Inputs.Of("hpa tolerance"),
			UpPercent: float64(s.UpPercent), UpPods: s.UpPods, DownPercent: float64(s.DownPercent), DownWindow: float64(s.DownWindow),
			Poll: float64(s.Poll), Cooldown: float64(s.Cooldown), Activation: s.Activation,
			PodsPerNode: c.PodsPerNode, Headroom: s.Headroom,
		},
	}
}
