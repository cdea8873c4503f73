package search

import (
	"fmt"
	"math"
	"sync"

	"github.com/onda-serving/onda/deploy/capacity/sim"
)

// Traffic is a load with its share of all requests of a year, which says how much it counts.
type Traffic struct {
	sim.Load
	// Service is what a request costs.
	Service sim.Service
	// Share of the requests, 0 to 1.
	Share float64
	// Limit of the share that may fail: settings that fail more are out of the question, however
	// little they cost. 1 for loads where nothing helps.
	Limit float64
}

// Budget of a call in seconds, and of an event from its sending to its answer: where no pod may
// be there, and in a stream, where some are.
const (
	Budget       = 0.25
	EventBudget  = 30
	StreamBudget = 10
)

// Calls are what calls are searched on: a morning that triples the load, a step to twice the load,
// a flash crowd of ten times within a minute, and a job that wakes a quiet night. The rates are for
// pods of which one answers about a hundred a second.
func Calls(picture sim.Service) []Traffic {
	calls := func(name string, rate func(float64) float64, seconds float64) sim.Load {
		return sim.Load{Name: name, Rate: rate, Seconds: seconds, Budget: Budget}
	}
	return []Traffic{
		{calls("morning", sim.Crowd(150, 3, 300, 1800, 600, 600), 4200), picture, 0.85, 0.001},
		{calls("step", sim.Burst(200, 400, 300, 900), 2400), picture, 0.09, 1},
		{calls("flash crowd", sim.Crowd(200, 10, 300, 60, 300, 300), 2400), picture, 0.01, 1},
		{calls("night job", sim.Burst(5, 150, 600, 900), 3600), picture, 0.05, 0.001},
	}
}

// Events are what events are searched on: a few thousand questions every half hour with nothing in
// between, a stream of them that grows to three times what it was, one of pictures, and a trickle of
// one event every other second, which looks like nothing to who counts the events that wait.
func Events(question, picture sim.Service) []Traffic {
	events := func(name string, rate func(float64) float64, seconds, budget float64) sim.Load {
		return sim.Load{Name: name, Rate: rate, Seconds: seconds, Budget: budget, Events: true}
	}
	batches := func(t float64) float64 {
		if math.Mod(t, 1800) >= 600 && math.Mod(t, 1800) < 620 {
			return 200
		}
		return 0
	}
	return []Traffic{
		{events("batches", batches, 7200, EventBudget), question, 0.05, 0.001},
		{events("stream", sim.Burst(400, 1200, 600, 900), 2700, StreamBudget), question, 0.64, 0.005},
		{events("pictures", sim.Burst(50, 150, 600, 900), 2700, StreamBudget), picture, 0.3, 0.005},
		{events("trickle", sim.Steady(0.5), 7200, EventBudget), question, 0.01, 0.001},
	}
}

// Weight is what a request that fails costs, in requests that are answered: the price of one
// percent of failures is half of the pods that answering takes.
const Weight = 50

// beyond makes every failure beyond a limit dearer than all pods.
const beyond = 1e5

// Outcome is what settings came to.
type Outcome struct {
	Settings Settings `json:"settings"`
	// Loads by name.
	Loads map[string]Numbers `json:"loads"`
	// Cost is what is made small: the pods for each pod that would do at full use, plus Weight
	// times the share of requests that fail, by the shares of the loads; and much more for what
	// fails beyond a limit.
	Cost float64 `json:"cost"`
}

// Numbers of one load.
type Numbers struct {
	// Bad is the share of requests that were not answered within their budget.
	Bad float64 `json:"bad"`
	// Pods is the pod time, with the headroom's, for each second of pods that would do at full use.
	Pods float64 `json:"pods"`
	// P99 of the answers in milliseconds.
	P99 float64 `json:"p99_ms"`
	// Most pods at a time.
	Most int `json:"most"`
}

// Searcher tries settings, and remembers what they came to.
type Searcher struct {
	// Cluster to play in.
	Cluster Cluster
	// Traffic to try them on.
	Traffic []Traffic
	// Seed of the runs.
	Seed uint64

	known map[Settings]Outcome
	// Tried are the outcomes in the order in which they were tried.
	Tried []Outcome
}

// Try plays all traffic under settings.
func (s *Searcher) Try(settings Settings) Outcome {
	if o, ok := s.known[settings]; ok {
		return o
	}
	numbers := make([]Numbers, len(s.Traffic))
	var all sync.WaitGroup
	for i, t := range s.Traffic {
		all.Go(func() { numbers[i] = s.play(settings, t) })
	}
	all.Wait()
	o := Outcome{Settings: settings, Loads: map[string]Numbers{}}
	for i, t := range s.Traffic {
		o.Loads[t.Name] = numbers[i]
		o.Cost += t.Share*(numbers[i].Pods+Weight*numbers[i].Bad) + beyond*max(numbers[i].Bad-t.Limit, 0)
	}
	o.Cost = round(o.Cost)
	if s.known == nil {
		s.known = map[Settings]Outcome{}
	}
	s.known[settings] = o
	s.Tried = append(s.Tried, o)
	return o
}

// play runs one load.
func (s *Searcher) play(settings Settings, t Traffic) Numbers {
	load := t.Load
	capacity := t.Service.Capacity(float64(s.Cluster.Cores), 1)
	start := settings.Min
	if load.Budget != EventBudget { // where it begins with nothing, that is the point
		start = max(start, int(math.Ceil(load.Rate(0)/capacity/settings.Target)))
	}
	r := sim.Run(s.Cluster.Config(settings, load, t.Service, min(start, settings.Max), s.Seed))
	paid := r.PodSeconds
	if !load.Events {
		paid += float64(settings.Headroom) * load.Seconds
	}
	n := Numbers{Bad: round(r.Bad()), Most: r.MostPods, Pods: round(paid / (float64(r.Offered) / capacity))}
	if p99 := r.Quantile(0.99); !math.IsNaN(p99) {
		n.P99 = round(p99 * 1000)
	}
	return n
}

// round keeps six digits, so that results can be compared as text.
func round(v float64) float64 { return math.Round(v*1e6) / 1e6 }

// Dimension is a setting and the values that are tried.
type Dimension struct {
	Name   string
	Values []float64
	set    func(*Settings, float64)
	get    func(Settings) float64
}

// CallDimensions and EventDimensions are the settings that are searched.
func CallDimensions() []Dimension {
	return []Dimension{
		{"targetSaturation", []float64{0.5, 0.6, 0.7, 0.8, 0.9}, func(s *Settings, v float64) { s.Target = v }, func(s Settings) float64 { return s.Target }},
		whole("min", []float64{2, 3, 4, 6}, func(s *Settings) *int { return &s.Min }),
		whole("scaleUpPodsPer15Seconds", []float64{4, 16}, func(s *Settings) *int { return &s.UpPods }),
		whole("scaleUpPercentPer15Seconds", []float64{50, 100, 400}, func(s *Settings) *int { return &s.UpPercent }),
		whole("scaleDownStabilizationSeconds", []float64{60, 300, 600}, func(s *Settings) *int { return &s.DownWindow }),
		whole("scaleDownPercentPerMinute", []float64{10, 25, 100}, func(s *Settings) *int { return &s.DownPercent }),
		whole("maxQueue", []float64{16, 64, 256}, func(s *Settings) *int { return &s.MaxQueue }),
		whole("headroom", []float64{0, 4, 8}, func(s *Settings) *int { return &s.Headroom }),
	}
}

// EventDimensions are the settings of events.
func EventDimensions() []Dimension {
	return []Dimension{
		whole("eventsPerReplica", []float64{64, 128, 512, 2048}, func(s *Settings) *int { return &s.PerReplica }),
		whole("pollingInterval", []float64{5, 15, 30}, func(s *Settings) *int { return &s.Poll }),
		whole("cooldownPeriod", []float64{30, 120, 300, 900}, func(s *Settings) *int { return &s.Cooldown }),
		whole("min", []float64{0, 1}, func(s *Settings) *int { return &s.Min }),
		whole("activationEvents", []float64{0, 5}, func(s *Settings) *int { return &s.Activation }),
	}
}

func whole(name string, values []float64, field func(*Settings) *int) Dimension {
	return Dimension{
		name, values,
		func(s *Settings, v float64) { *field(s) = int(v) },
		func(s Settings) float64 { return float64(*field(&s)) },
	}
}

// Get is the value of the dimension in settings.
func (d Dimension) Get(s Settings) float64 { return d.get(s) }

// With is settings with another value.
func (d Dimension) With(s Settings, v float64) Settings {
	d.set(&s, v)
	return s
}

// Descend goes from settings along one dimension after the other to the least cost, until a round
// over all of them changes nothing. A change must be worth it: what costs within 5 % of what is there
// stays, as seeds differ by some of that, and nobody counts here what a change costs that is not needed.
func (s *Searcher) Descend(from Settings, dimensions []Dimension) Outcome {
	const worth = 0.05
	best := s.Try(from)
	for {
		before := best.Settings
		for _, d := range dimensions {
			for _, v := range d.Values {
				if o := s.Try(d.With(best.Settings, v)); o.Cost < best.Cost*(1-worth) {
					best = o
				}
			}
		}
		if best.Settings == before {
			return best
		}
	}
}

// String is what the settings cost, for a log.
func (o Outcome) String() string { return fmt.Sprintf("%.3f %+v", o.Cost, o.Settings) }
