// Package plan turns measurements, assumptions and simulated runs into PLAN.md: how many pods, nodes
// and dollars a rate of requests takes, what breaks first, and the scaling settings of the chart.
package plan

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/onda-serving/onda/deploy/capacity"
	"github.com/onda-serving/onda/deploy/capacity/measured"
	"github.com/onda-serving/onda/deploy/capacity/search"
	"github.com/onda-serving/onda/deploy/capacity/sim"
)

// Facts are what everything here is computed from. They are not safe for concurrent use.
type Facts struct {
	// Results of the benchmarks, Inputs that nobody measured, and Prices.
	Results        measured.Results
	Inputs, Prices capacity.Inputs
	// Chart is what the plan reads of deploy/chart/values.yaml.
	Chart Chart
	// Question and Picture are what a call of the two scenarios costs on a core, as measured and
	// slowed down by Derate.
	Question, Picture sim.Service
	// Derate is the least measured share of the goodput that the simulation predicts.
	Derate float64
	// EventCost is what an event costs on top of a call, in core seconds: everything between the
	// broker and the answer that is kept, sidecars and Redis included.
	EventCost float64
	// SidecarCost is the CPU time of Onda's own sidecar for a call, CallerCost that of the caller's.
	SidecarCost, CallerCost float64
	// OndaStart is the time to the first answer, in seconds.
	OndaStart float64
	// Checks are the comparisons of the simulation with measurements.
	Checks []Check

	uses map[useKey]float64 // what Use found
}

// Chart is the part of the chart's values that the plan reads.
type Chart struct {
	Resources struct {
		Requests struct{ CPU, Memory string } `yaml:"requests"`
	} `yaml:"resources"`
	Sidecar struct {
		Resources struct {
			Requests struct{ CPU, Memory string } `yaml:"requests"`
			Limits   struct{ CPU, Memory string } `yaml:"limits"`
		} `yaml:"resources"`
	} `yaml:"sidecar"`
	Autoscaling Autoscaling `yaml:"autoscaling"`
}

// Autoscaling are the settings that the search chooses, as the chart names them.
type Autoscaling struct {
	Min              int      `yaml:"min"`
	TargetSaturation float64  `yaml:"targetSaturation"`
	Behavior         Behavior `yaml:"behavior"`
	KEDA             KEDA     `yaml:"keda"`
}

// Behavior is autoscaling.behavior.
type Behavior struct {
	DownWindow  int `yaml:"scaleDownStabilizationSeconds"`
	DownPercent int `yaml:"scaleDownPercentPerMinute"`
	UpPercent   int `yaml:"scaleUpPercentPer15Seconds"`
	UpPods      int `yaml:"scaleUpPodsPer15Seconds"`
}

// KEDA is autoscaling.keda.
type KEDA struct {
	Poll       int `yaml:"pollingInterval"`
	Cooldown   int `yaml:"cooldownPeriod"`
	PerReplica int `yaml:"eventsPerReplica"`
	Activation int `yaml:"activationEvents"`
}

// ReadFacts reads everything below the root of the repository.
func ReadFacts(root string) (*Facts, error) {
	f := &Facts{}
	var err error
	if f.Results, err = measured.Load(filepath.Join(root, "tests/bench/results")); err != nil {
		return nil, err
	}
	if f.Inputs, err = capacity.Assumptions(); err != nil {
		return nil, err
	}
	if f.Prices, err = capacity.Prices(); err != nil {
		return nil, err
	}
	values, err := os.ReadFile(filepath.Join(root, "deploy/chart/values.yaml")) //nolint:gosec // a file of the repository
	if err != nil {
		return nil, err
	}
	if err := yaml.Unmarshal(values, &f.Chart); err != nil {
		return nil, fmt.Errorf("deploy/chart/values.yaml: %w", err)
	}
	return f, f.derive()
}

// derive computes the costs from the measurements.
func (f *Facts) derive() error {
	var err error
	value := func(part, name string, keys ...string) float64 {
		v, e := f.Results.Value(part, name, keys...)
		if err == nil {
			err = e
		}
		if err == nil {
			err = measured.MustPositive(part+" "+name, v)
		}
		return v
	}
	if f.Question, err = f.Results.Service("faq-matching", "Onda, encoded input"); err != nil {
		return err
	}
	if f.Picture, err = f.Results.Service("image-classification", "Onda, encoded input"); err != nil {
		return err
	}
	event := value("events", "rps_per_cpu", "model", "faq-matching", "load", "throughput", "path", "events, Redis")
	f.EventCost = 1/event - 1/f.Question.Capacity(1, 1)
	rate := value("dapr", "offered_rps", "load", "400", "path", "HTTP, two sidecars")
	direct := value("dapr", "server_cores", "load", "400", "path", "HTTP, direct")
	own := value("dapr", "server_cores", "load", "400", "path", "HTTP, own sidecar")
	both := value("dapr", "server_cores", "load", "400", "path", "HTTP, two sidecars")
	f.SidecarCost, f.CallerCost = (own-direct)/rate, (both-own)/rate
	f.OndaStart = value("peers", "start_s", "server", "onda")
	if err != nil {
		return err
	}
	if err := f.check(); err != nil {
		return err
	}
	f.Question, f.Picture = slower(f.Question, f.Derate), slower(f.Picture, f.Derate)
	return nil
}

// slower is a service on cores that give a share of what they gave to ONNX Runtime alone.
func slower(s sim.Service, share float64) sim.Service {
	s.Pre, s.Fixed, s.PerRow = s.Pre/share, s.Fixed/share, s.PerRow/share
	return s
}

// AsEvents is a service that is asked by events.
func (f *Facts) AsEvents(s sim.Service) sim.Service {
	s.Pre += f.EventCost / f.Derate
	return s
}

// Cluster is what settings are searched in: pods of the chart's size on nodes with 8 cores.
func (f *Facts) Cluster() search.Cluster {
	return search.Cluster{Inputs: f.Inputs, OndaStart: f.OndaStart, Cores: f.Cores(), PodsPerNode: f.perNode(8, 0)}
}

// Cores of a pod: what the chart requests, rounded down as Onda does.
func (f *Facts) Cores() int { return int(cores(f.Chart.Resources.Requests.CPU)) }

// perNode is how many pods fit on a node, each with at least so many cores for its sidecar.
func (f *Facts) perNode(nodeCores, sidecar float64) int {
	sidecar = max(sidecar, cores(f.Chart.Sidecar.Resources.Requests.CPU))
	return int((nodeCores - f.Inputs.Of("node system cores")) / (float64(f.Cores()) + sidecar))
}

// cores reads a quantity of CPU of Kubernetes: 2, 0.5 or 500m.
func cores(quantity string) float64 {
	milli, found := strings.CutSuffix(quantity, "m")
	v, err := strconv.ParseFloat(milli, 64)
	if err != nil {
		return math.NaN()
	}
	if found {
		v /= 1000
	}
	return v
}
