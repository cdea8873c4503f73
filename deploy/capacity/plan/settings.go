package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/onda-serving/onda/deploy/capacity/search"
	"github.com/onda-serving/onda/deploy/capacity/sim"
)

func (p *page) settings() error {
	text, err := p.found.Chosen().YAML()
	if err != nil {
		return err
	}
	p.say("## The chart's scaling settings\n\n```yaml\n%s```\n", text)
	p.say(`A test holds deploy/chart/values.yaml equal to these. They were searched one setting after the other until nothing got better by 5 %%
(`+"`capacity search`"+`, %d sets of settings for calls and %d for events). The cost that is made small is

    Σ over the loads: share of the requests x (pod time / pod time at full use + %d x share of bad requests)

so one percent of bad requests is as dear as half of all pods. Where a load has a limit of bad requests (0.1 %% for the morning, the night job, batches and the
trickle, 0.5 %% for streams that triple), settings beyond it are out of the question, which the cost shows by a very large number. Calls are pictures with a budget of %.0f ms; the pods start with what the target asks for. Events have %d s where no pod may
be there, and %d s in a stream. A cluster of nodes with 8 cores and %d pods on each; a pod starts in %.1f s where the image is, %.0f s more where
it is not, a node in %.0f s.
`, len(p.found.Calls), len(p.found.Events), search.Weight, 1000*search.Budget, search.EventBudget, search.StreamBudget,
		p.facts.Cluster().PodsPerNode, p.facts.Cluster().PodStart(), p.facts.Cluster().Pull(), p.facts.Inputs.Of("node start"))
	p.variants("Calls", p.found.BestCalls, p.found.Calls, search.CallDimensions())
	p.byTarget()
	p.variants("Events", p.found.BestEvents, p.found.Events, search.EventDimensions())
	p.reasons()
	return nil
}

// variants is a table of what one other setting would do.
func (p *page) variants(title string, best search.Outcome, tried []search.Outcome, dimensions []search.Dimension) {
	names := slices.Sorted(maps.Keys(best.Loads))
	p.say("### %s\n", title)
	cells := []string{"changed to", "cost"}
	for _, n := range names {
		cells = append(cells, n+": bad, pods, p99")
	}
	p.header(cells...)
	p.outcome("**chosen**", best, names)
	for _, d := range dimensions {
		var others []search.Outcome
		for _, o := range tried {
			if o.Settings != best.Settings && d.With(o.Settings, d.Get(best.Settings)) == best.Settings {
				others = append(others, o)
			}
		}
		slices.SortFunc(others, func(a, b search.Outcome) int { return cmp.Compare(d.Get(a.Settings), d.Get(b.Settings)) })
		for _, o := range others {
			p.outcome(fmt.Sprintf("%s %g", d.Name, d.Get(o.Settings)), o, names)
		}
	}
	p.say("")
}

func (p *page) outcome(what string, o search.Outcome, names []string) {
	cells := []string{what, fmt.Sprintf("%.2f", o.Cost)}
	for _, n := range names {
		l := o.Loads[n]
		cells = append(cells, fmt.Sprintf("%s, %.2f, %s ms", share(l.Bad), l.Pods, number(l.P99)))
	}
	p.row(cells...)
}

// byTarget draws what the target does to the loads of calls.
func (p *page) byTarget() {
	target := search.CallDimensions()[0]
	var xs, bad, pods []float64
	for _, v := range target.Values {
		for _, o := range p.found.Calls {
			if o.Settings == target.With(p.found.BestCalls.Settings, v) {
				xs = append(xs, v)
				bad = append(bad, 100*o.Loads["step"].Bad)
				pods = append(pods, 10*(o.Loads["step"].Pods-1))
			}
		}
	}
	if len(xs) > 1 {
		p.plot("target.svg", plot{title: "A step to twice the load, by targetSaturation", x: "targetSaturation", xs: xs, lines: []line{{"bad requests, %", bad, false}, {"pods beyond full use, tens of %", pods, false}}})
	}
}

// reasons says what the tables show.
func (p *page) reasons() {
	best, use := p.found.BestCalls.Settings, p.facts.Use(p.facts.Picture, p.found.BestCalls.Settings.Target)
	p.say(`Why these:

- **targetSaturation %g.** A pod of pictures reaches it at %.0f %% of its capacity: decoding uses cores that are not busy slots, so the
  saturation of a full pod is below 1, and a higher target is reached when it is too late: it breaks the limit of 0.1 %% bad requests in
  loads that are no surprise. A lower one buys steps of load for pods that idle all day.
- **targetCPU is not simulated.** At this target a pod of pictures uses about as much of its CPU as of its capacity: with kind: hpa the larger
  number of replicas of the two counts, so a targetCPU below that decides instead.
- **How fast replicas come makes no difference** between the values that were tried: the HPA looks every 15 s, and then nodes are
  waited for. So the defaults of Kubernetes stay. What helps a step is a lower target or a larger min; what helps a flash crowd is room
  on nodes (headroom), and a queue that refuses early.
- **ONDA_MAX_QUEUE makes no difference to requests with a budget**: admission by budget refuses first. It bounds those without.
- **Removing slowly** costs a few percent of pods, less than what counts here, and keeps the caches of pods and the connections of callers,
  whose loss is not simulated.
- **cooldownPeriod %d s.** KEDA looks at events that wait, and a fast pod leaves none to see: a short cooldown takes the last
  replica away between two events of a trickle, and even out of a stream (cooldownPeriod 30 in the table), and then events wait for a new one. Whoever needs answers within %.0f s sets min: 1.
- **eventsPerReplica %d** is to be read with what an event costs: a replica gets through %.0f questions or %.0f pictures a second, so the
  backlog that a replica may have is %.1f s of questions, or %.1f s of pictures. A Redis trigger counts events that nobody has read, Service Bus those
  that nobody has acknowledged: simulated is the latter.
`, best.Target, 100*use, p.found.BestEvents.Settings.Cooldown, float64(p.found.BestEvents.Settings.Poll)+p.facts.Cluster().PodStart(),
		p.found.BestEvents.Settings.PerReplica, p.facts.AsEvents(p.facts.Question).Capacity(float64(p.facts.Cores()), 1), p.facts.AsEvents(p.facts.Picture).Capacity(float64(p.facts.Cores()), 1),
		p.backlog(p.facts.Question), p.backlog(p.facts.Picture))
}

// backlog is how long a replica works on the events that it may have waiting, in seconds.
func (p *page) backlog(s sim.Service) float64 {
	return float64(p.found.BestEvents.Settings.PerReplica) / p.facts.AsEvents(s).Capacity(float64(p.facts.Cores()), 1)
}

// Crowd is the flash crowd of the search, under settings, with what callers know of new pods, and
// with room kept on nodes.
func (f *Facts) Crowd(s search.Settings, sticky bool, load string) sim.Result {
	var traffic search.Traffic
	for _, t := range search.Calls(f.Picture) {
		if t.Name == load {
			traffic = t
		}
	}
	start := max(s.Min, int(traffic.Rate(0)/f.Picture.Capacity(float64(f.Cores()), 1)/s.Target)+1)
	c := f.Cluster().Config(s, traffic.Load, f.Picture, start, 1)
	c.Calls = sim.Calls{Callers: 8, Sticky: sticky, Streams: int(f.Inputs.Of("sidecar streams")), Refresh: f.Inputs.Of("name refresh")}
	return sim.Run(c)
}

func (p *page) crowds() {
	p.say(`## Callers that do not see new pods

A calling app's sidecar finds Onda by the headless Service that Dapr makes, and spreads calls in turn (round_robin of grpc-go). Read in the
source of Dapr 1.18.1 and of grpc-go, and not tried in a cluster: connections have no greatest age, and the name is looked up when a connection
is made, again when one of its pods goes away, or when more than %.0f calls are under way on it. **So callers that are already there send
nothing to pods that are added**, until something ends. Simulated with the chosen settings, 8 callers:
`, p.facts.Inputs.Of("sidecar streams"))
	p.header("load", "callers know", "headroom, pods", "bad", "refused", "most pods", "pod hours")
	var shown sim.Result
	for _, load := range []string{"step", "flash crowd"} {
		for _, sticky := range []bool{false, true} {
			for _, headroom := range []int{0, 8} {
				s := p.found.BestCalls.Settings
				s.Headroom = headroom
				r := p.facts.Crowd(s, sticky, load)
				if load == "flash crowd" && !sticky && headroom == 0 {
					shown = r
				}
				p.row(load, map[bool]string{false: "every ready pod", true: "as Dapr's sidecars"}[sticky], number(float64(headroom)), share(r.Bad()), thousands(float64(r.Refused)), number(float64(r.MostPods)), fmt.Sprintf("%.1f", r.PodHours()))
			}
		}
	}
	p.say(`
What to do about it: keep min at what the busiest hour needs where callers come by Dapr; let calls of a load that jumps come
through a gateway, which follows EndpointSlices; restart one replica after a scale-out (each caller then looks again, all replicas at
once); or have callers ask by events. The alert on it: the saturation of the newest replica stays near 0 while the oldest refuses.
`)
	var xs, rate, ready, bad []float64
	for _, s := range shown.Samples {
		xs = append(xs, s.At/60)
		rate = append(rate, s.Rate/100)
		ready = append(ready, float64(s.Ready))
		bad = append(bad, 10*s.Bad)
	}
	p.plot("crowd.svg", plot{title: "A flash crowd of ten times within a minute", x: "minutes", xs: xs, lines: []line{{"requests, hundreds/s", rate, false}, {"ready pods", ready, false}, {"bad, tens of %", bad, true}}})
	p.say("%s\n", strings.TrimSpace(`
In the first minutes a flash crowd is served by the pods that are there, and the others are refused within milliseconds: that is
what the bounded queue is for. Nodes that are kept free are the only thing that shortens it.`))
}
