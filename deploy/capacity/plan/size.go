package plan

import (
	"math"

	"github.com/onda-serving/onda/deploy/capacity/sim"
)

// Scenario is what is asked, and on what it runs.
type Scenario struct {
	// Name of it, and whether a GPU runs the model.
	Name string
	GPU  bool
	// Service of a call, and the sizes of a request and its answer together in KiB.
	Service sim.Service
	Body    string
	// Rows that a GPU is assumed to run in a second, by the name of the assumption.
	Rows string
}

// Scenarios are the two of the project, on both profiles.
func (f *Facts) Scenarios() []Scenario {
	return []Scenario{
		{"FAQ matching on CPU", false, f.Question, "FAQ body", ""},
		{"Image classification on CPU", false, f.Picture, "image body", ""},
		{"FAQ matching on GPU (not measured)", true, f.Question, "FAQ body", "GPU FAQ"},
		{"Image classification on GPU (not measured)", true, f.Picture, "image body", "GPU images"},
	}
}

// hours of a month, as Azure counts them.
const hours = 730

// vm is a size of node.
type vm struct {
	name          string
	cores, memory float64
}

var (
	cpuNodes = []vm{{"Standard_D8as_v5", 8, 32}, {"Standard_D16as_v5", 16, 64}, {"Standard_D32as_v5", 32, 128}}
	gpuNodes = []vm{{"Standard_NC4as_T4_v3", 4, 28}, {"Standard_NC8as_T4_v3", 8, 56}}
)

// fleet is how many pods and nodes a rate takes.
type fleet struct {
	node               vm
	podRate, sidecar   float64 // requests/s and sidecar cores of a pod
	bound              string  // what bounds the rate of a pod
	perNode            int
	pods, nodes, cells float64
	cost               float64 // USD a month, clusters included
}

// sidecarShare is how much of its limit the sidecar may use: a Go program at its CPU limit is
// throttled, and its latency shows it.
const sidecarShare = 0.7

// fleets gives the fleet for a rate on each size of node.
func (f *Facts) fleets(s Scenario, use, rate float64) []fleet {
	sizes := cpuNodes
	if s.GPU {
		sizes = gpuNodes
	}
	var all []fleet
	for _, node := range sizes {
		all = append(all, f.fleet(s, node, use, rate))
	}
	return all
}

func (f *Facts) fleet(s Scenario, node vm, use, rate float64) fleet {
	x := fleet{node: node, bound: "cores", podRate: s.Service.Capacity(float64(f.Cores()), 1) * use, perNode: 1}
	if s.GPU {
		x.podRate, x.bound = f.gpuRate(s, node, use)
	}
	if most := sidecarShare * cores(f.Chart.Sidecar.Resources.Limits.CPU) / f.SidecarCost; x.podRate > most {
		x.podRate, x.bound = most, "sidecar"
	}
	x.sidecar = max(x.podRate*f.SidecarCost, cores(f.Chart.Sidecar.Resources.Requests.CPU))
	if !s.GPU {
		x.perNode = f.perNode(node.cores, x.sidecar)
	}
	x.pods = math.Max(math.Ceil(rate/x.podRate), 2)
	x.nodes = math.Max(math.Ceil(x.pods/float64(x.perNode)), 2)
	x.cells = math.Ceil(x.nodes / f.Inputs.Of("nodes per cell"))
	x.cost = hours * (x.nodes*f.Prices.Of(node.name) + x.cells*f.Prices.Of("AKS Standard tier"))
	return x
}

// gpuRate is the least of what the GPU and the processor beside it are taken to do: what a request
// costs outside of runs stays on the processor, and it has the node's cores but the system's and the
// sidecar's.
func (f *Facts) gpuRate(s Scenario, node vm, use float64) (rate float64, bound string) {
	rate, bound = f.Inputs.Of(s.Rows)*use, "GPU"
	left := node.cores - f.Inputs.Of("node system cores")
	// Each request takes Pre of Onda's cores and SidecarCost of the sidecar's.
	if byCores := left * use / (s.Service.Pre + f.SidecarCost); byCores < rate {
		rate, bound = byCores, "cores beside the GPU"
	}
	return rate, bound
}

// cheapest is the fleet that costs the least.
func cheapest(all []fleet) fleet {
	best := all[0]
	for _, x := range all[1:] {
		if x.cost < best.cost {
			best = x
		}
	}
	return best
}

// around is the load on what stands around the pods.
type around struct {
	network, perNode                         float64 // Gbit/s
	onda, callers                            float64 // sidecar cores
	callerPods, connections, perSidecar      float64
	polls, pollRU, pollCost                  float64
	series, prometheus, samples              float64
	slices, lookups                          float64
	busUnits, busSpaces, busCost             float64
	hubUnits, partitions, hubSpaces, hubCost float64
	redisShards, redisCost                   float64
	stateRU, statePartitions, stateCost      float64
	eventPods, eventRate                     float64
}

// around computes it for a rate of calls, and of events at the same rate.
func (f *Facts) around(s Scenario, x fleet, use, rate float64) around {
	in, a := f.Inputs.Of, around{}
	bytes := rate * in(s.Body) * 1024 * in("network overhead")
	a.network = bytes * 8 / 1e9
	a.perNode = a.network / x.nodes
	a.onda, a.callers = rate*f.SidecarCost, rate*f.CallerCost
	a.callerPods = math.Ceil(rate / in("callers per caller pod"))
	a.connections, a.perSidecar = a.callerPods*x.pods, a.callerPods
	a.polls = x.pods * in("registry reads") / in("registry poll")
	a.pollRU = a.polls * in("RU index")
	a.pollCost = f.cosmos(a.pollRU)
	a.series = x.pods * in("series")
	a.prometheus = math.Ceil(a.series / in("series per Prometheus"))
	a.samples = a.series / in("scrape")
	a.slices = math.Ceil(x.pods / 100)
	a.lookups = a.callerPods * in("DNS refresh")
	f.events(&a, s, use, rate)
	return a
}

// events computes the load of events.
func (f *Facts) events(a *around, s Scenario, use, rate float64) {
	in := f.Inputs.Of
	a.eventRate = f.AsEvents(s.Service).Capacity(float64(f.Cores()), 1) * use
	a.eventPods = math.Ceil(rate / a.eventRate)
	a.busUnits = powerOf2(rate / in("Service Bus unit"))
	a.busSpaces = math.Ceil(a.busUnits / in("Service Bus units"))
	a.busCost = hours * a.busUnits * f.Prices.Of("Service Bus Premium unit")
	bytes := rate * in(s.Body) * 1024 / 1e6
	a.hubUnits = math.Ceil(math.Max(2*rate/in("Event Hubs unit rate"), bytes/in("Event Hubs unit bytes")))
	a.hubSpaces = math.Ceil(a.hubUnits / in("Event Hubs units"))
	a.partitions = math.Max(a.hubUnits, a.eventPods)
	a.hubCost = hours * (a.hubUnits*f.Prices.Of("Event Hubs throughput unit") + 2*rate*3600/1e6*f.Prices.Of("Event Hubs million events"))
	a.redisShards = math.Ceil(rate * in("Redis operations") / in("Redis shard"))
	a.redisCost = hours * a.redisShards * f.Prices.Of("Redis shard")
	a.stateRU = rate * (in("state reads")*in("RU read") + in("state writes")*in("RU write"))
	a.statePartitions = math.Ceil(a.stateRU / in("RU partition"))
	a.stateCost = f.cosmos(a.stateRU)
}

// cosmos is what a rate of request units costs in a month.
func (f *Facts) cosmos(units float64) float64 {
	return hours * math.Ceil(units/100) * f.Prices.Of("Cosmos DB 100 RU/s")
}

// powerOf2 is the least number of messaging units that are sold: 1, 2, 4, 8, 16, and whole sixteens
// above.
func powerOf2(units float64) float64 {
	for _, sold := range []float64{1, 2, 4, 8, 16} {
		if units <= sold {
			return sold
		}
	}
	return 16 * math.Ceil(units/16)
}
