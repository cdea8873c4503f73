package plan

import (
	"fmt"
	"strings"
)

// quantity is a row of the plan: a formula, and its value for each rate.
type quantity struct {
	name, formula string
	value         func(fleet, around, float64) float64
	unit          string
}

// quantities are the rows; the words in the formulas are those of the first column, of the table of
// costs and of the assumptions.
var quantities = []quantity{
	{"requests/s of a pod", "the least of: cores / core time of a call x use (on a GPU: assumed rate x use, or the node's cores / (core time outside of the run + sidecar's) x use); 0.7 x sidecar's CPU limit / sidecar's core time", func(x fleet, _ around, _ float64) float64 { return x.podRate }, ""},
	{"sidecar's cores in a pod", "the greater of: requests/s of a pod x sidecar's core time; its request", func(x fleet, _ around, _ float64) float64 { return x.sidecar }, ""},
	{"pods on a node", "(cores of the node - node system cores) / (cores of a pod + sidecar's cores), rounded down; one on a GPU", func(x fleet, _ around, _ float64) float64 { return float64(x.perNode) }, ""},
	{"pods", "rate / requests/s of a pod, at least 2", func(x fleet, _ around, _ float64) float64 { return x.pods }, ""},
	{"nodes", "pods / pods on a node, at least 2", func(x fleet, _ around, _ float64) float64 { return x.nodes }, ""},
	{"cells (clusters)", "nodes / nodes per cell", func(x fleet, _ around, _ float64) float64 { return x.cells }, ""},
	{"nodes and clusters", "730 h x (nodes x price + cells x AKS Standard tier)", func(x fleet, _ around, _ float64) float64 { return x.cost }, "USD/month"},
	{"cores of Onda's sidecars", "rate x sidecar's core time (in the pods above)", func(_ fleet, a around, _ float64) float64 { return a.onda }, ""},
	{"cores of callers' sidecars", "rate x caller's sidecar's core time (not in the nodes above)", func(_ fleet, a around, _ float64) float64 { return a.callers }, ""},
	{"network", "rate x body x network overhead x 8", func(_ fleet, a around, _ float64) float64 { return a.network }, "Gbit/s"},
	{"network of a node", "network / nodes", func(_ fleet, a around, _ float64) float64 { return a.perNode }, "Gbit/s"},
	{"callers' pods", "rate / callers per caller pod", func(_ fleet, a around, _ float64) float64 { return a.callerPods }, ""},
	{"connections between sidecars, without cells", "callers' pods x pods (round_robin connects to all); of one pod: callers' pods", func(_ fleet, a around, _ float64) float64 { return a.connections }, ""},
	{"DNS lookups when a pod goes", "callers' pods x DNS refresh, each answered with all pods", func(_ fleet, a around, _ float64) float64 { return a.lookups }, ""},
	{"EndpointSlices to send out on a change", "pods / 100, to every node", func(_ fleet, a around, _ float64) float64 { return a.slices }, ""},
	{"registry reads/s", "pods x registry reads / registry poll", func(_ fleet, a around, _ float64) float64 { return a.polls }, ""},
	{"registry in Cosmos DB", "registry reads/s x RU index", func(_ fleet, a around, _ float64) float64 { return a.pollRU }, "RU/s"},
	{"registry in Cosmos DB, price", "730 h x RU/s / 100 x price", func(_ fleet, a around, _ float64) float64 { return a.pollCost }, "USD/month"},
	{"Prometheus series", "pods x series", func(_ fleet, a around, _ float64) float64 { return a.series }, ""},
	{"Prometheus samples/s; servers are series / series per Prometheus", "series / scrape", func(_ fleet, a around, _ float64) float64 { return a.samples }, ""},
	{firstOfEvents + " events/s of a pod", "cores / (core time of a call + of an event) x use", func(_ fleet, a around, _ float64) float64 { return a.eventRate }, ""},
	{"pods for events", "rate / events/s of a pod", func(_ fleet, a around, _ float64) float64 { return a.eventPods }, ""},
	{"Service Bus messaging units", "rate / Service Bus unit, as they are sold", func(_ fleet, a around, _ float64) float64 { return a.busUnits }, ""},
	{"Service Bus namespaces", "units / Service Bus units", func(_ fleet, a around, _ float64) float64 { return a.busSpaces }, ""},
	{"Service Bus, price", "730 h x units x price", func(_ fleet, a around, _ float64) float64 { return a.busCost }, "USD/month"},
	{"Event Hubs throughput units", "the greater of: 2 x rate / Event Hubs unit rate (requests and results); rate x body / Event Hubs unit bytes", func(_ fleet, a around, _ float64) float64 { return a.hubUnits }, ""},
	{"partitions of Event Hubs or Kafka", "the greater of: throughput units; pods for events (a partition has one reader of a group)", func(_ fleet, a around, _ float64) float64 { return a.partitions }, ""},
	{"Event Hubs, price", "730 h x units x price + 2 x rate x 3600 s x 730 x price of events", func(_ fleet, a around, _ float64) float64 { return a.hubCost }, "USD/month"},
	{"Redis shards", "rate x Redis operations / Redis shard", func(_ fleet, a around, _ float64) float64 { return a.redisShards }, ""},
	{"Redis, price", "730 h x shards x price", func(_ fleet, a around, _ float64) float64 { return a.redisCost }, "USD/month"},
	{"answers in Cosmos DB", "rate x (state reads x RU read + state writes x RU write)", func(_ fleet, a around, _ float64) float64 { return a.stateRU }, "RU/s"},
	{"physical partitions of it", "RU/s / RU partition", func(_ fleet, a around, _ float64) float64 { return a.statePartitions }, ""},
	{"answers in Cosmos DB, price", "730 h x RU/s / 100 x price", func(_ fleet, a around, _ float64) float64 { return a.stateCost }, "USD/month"},
}

// firstOfEvents begins the half of the table that sends all requests as events.
const firstOfEvents = "*all requests as events:*"

func (p *page) sizes() {
	p.say(`## 1,000, 100,000 and 1,000,000 requests a second

Each on the size of node that is the cheapest of those in the prices. "Use" is the share of a pod's capacity at which its saturation is
the target %g, simulated. The second half of each table sends **all** requests as events instead, to size the broker and the state.
`, p.found.Chosen().TargetSaturation)
	for _, s := range p.facts.Scenarios() {
		p.scenario(s)
	}
}

func (p *page) scenario(s Scenario) {
	use := p.facts.Use(s.Service, p.found.Chosen().TargetSaturation)
	p.say("### %s\n", s.Name)
	if s.GPU {
		p.say("**Assumed, not measured**: %s on a GPU (%s). A new GPU node is assumed to take %.0f s.\n", number(p.facts.Inputs.Of(s.Rows))+" "+p.facts.Inputs[s.Rows].Unit, p.facts.Inputs[s.Rows].Source, p.facts.Inputs.Of("GPU node start"))
	}
	cells := []string{"", "formula"}
	fleets, arounds := make([]fleet, len(Rates)), make([]around, len(Rates))
	for i, rate := range Rates {
		fleets[i] = cheapest(p.facts.fleets(s, use, rate))
		arounds[i] = p.facts.around(s, fleets[i], use, rate)
		cells = append(cells, thousands(rate)+"/s")
	}
	p.say("Use: %.2f. A pod is bound by: %s.\n", use, fleets[len(Rates)-1].bound)
	p.header(cells...)
	nodes := []string{"node", "the cheapest"}
	for _, x := range fleets {
		nodes = append(nodes, x.node.name)
	}
	p.row(nodes...)
	for _, q := range quantities {
		if s.GPU && strings.HasPrefix(q.name, firstOfEvents) {
			p.row("*events, brokers and state*", "as on CPU, but for the pods", "", "", "")
			break
		}
		cells := []string{q.name, q.formula}
		for i, rate := range Rates {
			cells = append(cells, fmt.Sprintf("%s %s", number(q.value(fleets[i], arounds[i], rate)), q.unit))
		}
		p.row(cells...)
	}
	p.say("\nOther nodes at %s/s:\n", thousands(Rates[1]))
	p.header("node", "requests/s of a pod", "bound by", "pods", "nodes", "USD/month")
	for _, x := range p.facts.fleets(s, use, Rates[1]) {
		p.row(x.node.name, number(x.podRate), x.bound, number(x.pods), number(x.nodes), thousands(x.cost))
	}
	p.say("")
}

// breaks says what gives way first at each size.
func (p *page) breaks() {
	f := p.facts
	target := p.found.Chosen().TargetSaturation
	faq, picture := f.Scenarios()[0], f.Scenarios()[1]
	useQ, useP := f.Use(faq.Service, target), f.Use(picture.Service, target)
	at := func(s Scenario, use, rate float64) (fleet, around) {
		x := cheapest(f.fleets(s, use, rate))
		return x, f.around(s, x, use, rate)
	}
	x1, _ := at(picture, useP, Rates[0])
	x2, a2 := at(picture, useP, Rates[1])
	x3, a3 := at(picture, useP, Rates[2])
	q1, _ := at(faq, useQ, Rates[0])
	_, e2 := at(faq, useQ, Rates[1])
	_, e3 := at(faq, useQ, Rates[2])
	p.say(`## What breaks first, and what is done about it

**1,000/s: one cluster, nothing breaks; jumps of the load do.** %s pods for questions, %s for pictures.
- A pod of questions is bound by its *sidecar*: a call takes %.2f ms of the sidecar's CPU, more than half of what it takes of Onda's. At the chart's
  limit of %s core it can carry %.0f/s at 100 %%. Raise sidecar.resources before replicas, and its CPU *request* (%s in the chart) to what it
  uses, or nodes fill up with pods that starve each other; or call Onda's port directly (service.enabled), or with several questions in a request.
- New pods are not seen by callers that are there (above).
- Two replicas lose half of the capacity with a node: three, over three zones, if that must not be seen.

**100,000/s: things that are looked up by all, from all.** %s pods of pictures on %s nodes.
- Connections: each of %s callers' sidecars connects to each pod, %s in all. Cells of at most %.0f nodes, each with its own Dapr control
  plane, Redis or Cosmos DB and broker, and callers that know one cell. A front door (Azure Front Door, or a gateway in each cell) spreads over cells.
- The registry: %s reads a second for models that change once a day. ONDA_REGISTRY_POLL=10s makes it a tenth; a registry for each cell keeps
  it level. Cosmos DB puts the index on one partition (%.0f RU/s): without either, that is the first limit, since it cannot be split.
- DNS: each pod that goes makes %s lookups, answered with all pods, over TCP as it does not fit a datagram. NodeLocal DNSCache, and
  scaling down by a few pods a minute (autoscaling.behavior).
- As events: Service Bus needs %s units, and a namespace has at most %.0f; Event Hubs or Kafka need %s partitions for
  questions. Shard by topic and namespace, a cell on each. Answers kept for every event take %s RU/s; ONDA_ANSWER_TTL bounds the size, and
  ONDA_ANSWER_TTL=0 gives up the guarantee for the price.
- Prometheus: %s series; one in each cell, recording rules for the sums.

**1,000,000/s: no part is one any more.** %s pods of pictures on %s nodes, %s cells.
- Quotas come first: cores of a VM family in a region, and addresses for pods (use an overlay network). Several regions, each of which
  carries the load without one of the others.
- Network: %s Gbit/s of pictures; decode close to where they come in, send references (dataref) instead of bytes, or send them smaller: the
  model reads 224 x 224.
- As events: %s partitions, %s RU/s in %s physical partitions for questions. At this size answers belong into a Redis of each cell, and exactly-once
  answers to those who need them: another topic for the others.
- Caches first: with cache.ttl in model.yaml, questions that repeat cost no run; half as many runs is half of the pods. How many repeat was
  not measured.
- A cell is lost as a whole: the others must have 1 / (cells - 1) of room, and callers retry in another cell on 429 with its Retry-After.
- The GPU tables above: with pictures the processor beside the GPU decodes less than the GPU runs, so more cores for each GPU,
  or tensors from callers, come before larger GPUs. Questions gain nothing from one.
`,
		number(q1.pods), number(x1.pods), 1000*f.SidecarCost, f.Chart.Sidecar.Resources.Limits.CPU, cores(f.Chart.Sidecar.Resources.Limits.CPU)/f.SidecarCost, f.Chart.Sidecar.Resources.Requests.CPU,
		number(x2.pods), number(x2.nodes), number(a2.callerPods), number(a2.connections), f.Inputs.Of("nodes per cell"),
		number(a2.polls), f.Inputs.Of("RU partition"), number(a2.lookups), number(e2.busUnits), f.Inputs.Of("Service Bus units"), number(e2.partitions), number(e2.stateRU), number(a2.series),
		number(x3.pods), number(x3.nodes), number(x3.cells), number(a3.network), number(e3.partitions), number(e3.stateRU), number(e3.statePartitions))
}
