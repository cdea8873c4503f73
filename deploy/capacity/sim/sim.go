// Package sim is a discrete-event simulation of Onda in a cluster: requests arrive, callers spread
// them over pods, pods admit, batch and run them as Onda does, and the autoscalers of Kubernetes
// add and remove pods and nodes behind what they can see.
//
// Time is in seconds from the start of a run, work in seconds of one core. A seed decides
// everything that happens: the same [Config] gives the same [Result].
package sim

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
)

// Config is all that decides a run.
type Config struct {
	// Seed of every random number of the run.
	Seed uint64
	// Load is what arrives.
	Load Load
	// Service is what a request costs.
	Service Service
	// Pod is what a replica has.
	Pod Pod
	// Calls says how requests find a pod.
	Calls Calls
	// Scale is the autoscaler.
	Scale Scale
	// Delays are the times that the cluster takes.
	Delays Delays
}

// kind of an event.
type kind uint8

const (
	podWorks kind = iota // the next piece of work of a pod is done
	podIsReady
	podIsGone
	nodeIsReady
	scrape
	sync
	poll
	lookForNodes
	sample
)

// event is something that happens at a time. number tells a pod, and version whether what was
// planned still holds.
type event struct {
	at      float64
	number  int
	version uint32
	kind    kind
}

// world is the state of a run.
type world struct {
	Config
	random   *rand.Rand
	now      float64
	events   heap
	arrivals arrivals
	pods     []*pod // all that ever were; numbers are their places
	ready    []*pod
	callers  []caller
	broker   broker
	scaler   scaler
	nodes    nodes
	result   Result
}

// Run plays a configuration to the end of its load and of the work that came with it.
func Run(c Config) Result {
	w := &world{Config: c, random: rand.New(rand.NewPCG(c.Seed, 0x6f6e6461))} //nolint:gosec // chance, no secret
	w.begin()
	for {
		due, ok := w.events.peek()
		next := w.arrivals.next
		if next <= c.Load.Seconds && (!ok || next <= due.at) {
			w.advance(next)
			w.arrive()
			w.arrivals.draw(w.random)
			continue
		}
		if !ok || due.at > c.Load.Seconds && w.idle() || due.at > c.Load.Seconds+drain {
			break
		}
		w.events.pop()
		w.advance(due.at)
		w.happen(due)
	}
	w.result.finish(w)
	return w.result
}

// drain is how long after the last arrival the run goes on at most, for what still waits.
const drain = 600

// begin makes the pods that are there at the start, and the clocks that tick.
func (w *world) begin() {
	w.arrivals = arrivals{rate: w.Load.Rate}
	w.arrivals.draw(w.random)
	w.callers = make([]caller, max(w.Calls.Callers, 1))
	w.scaler.desired = w.Scale.Start
	w.nodes.ready = w.nodesFor(max(w.Scale.Start, w.Scale.Min) + w.Scale.Headroom)
	w.result.latency = newHistogram()
	for range w.Scale.Start {
		p := w.newPod()
		w.nodes.placed++
		w.becomeReady(p)
	}
	if w.Scale.Kind != Fixed {
		w.plan(w.random.Float64()*w.Delays.Sync, sync, 0)
		w.plan(w.random.Float64()*w.Scale.Poll, poll, 0)
		w.plan(w.Delays.NodeScan, lookForNodes, 0)
	}
	w.plan(0, sample, 0)
}

// plan puts an event into the future, in so many seconds.
func (w *world) plan(in float64, k kind, number int) {
	w.events.push(event{at: w.now + in, kind: k, number: number})
}

// advance moves the clock, and counts what passes with it.
func (w *world) advance(to float64) {
	passed := to - w.now
	if to <= w.Load.Seconds {
		w.result.PodSeconds += passed * float64(w.nodes.placed)
		w.result.NodeSeconds += passed * float64(w.nodes.ready+w.nodes.coming)
	}
	w.now = to
}

// happen does what an event means.
func (w *world) happen(e event) {
	switch e.kind {
	case podWorks:
		w.work(w.pods[e.number], e.version)
	case podIsReady:
		w.becomeReady(w.pods[e.number])
	case podIsGone:
		w.forget(w.pods[e.number])
	case nodeIsReady:
		w.nodes.coming--
		w.nodes.ready++
		w.place()
	case scrape:
		w.scrape(w.pods[e.number])
	case sync:
		w.sync()
		w.plan(w.Delays.Sync, sync, 0)
	case poll:
		w.poll()
		w.plan(w.Scale.Poll, poll, 0)
	case lookForNodes:
		w.lookForNodes()
		w.plan(w.Delays.NodeScan, lookForNodes, 0)
	case sample:
		w.result.sample(w)
		w.plan(sampleEvery, sample, 0)
	}
}

// idle says that nothing is under way.
func (w *world) idle() bool {
	return w.broker.waiting() == 0 && !slices.ContainsFunc(w.pods, func(p *pod) bool { return p.rows > 0 })
}

// heap is a binary heap of events, the earliest first; of two at one time the one with the lower
// number, so that a run does not depend on the order of pushes.
type heap struct{ events []event }

func before(a, b event) bool {
	if c := cmp.Compare(a.at, b.at); c != 0 {
		return c < 0
	}
	if a.kind != b.kind {
		return a.kind < b.kind
	}
	return a.number < b.number
}

func (h *heap) peek() (event, bool) {
	if len(h.events) == 0 {
		return event{at: math.Inf(1)}, false
	}
	return h.events[0], true
}

func (h *heap) push(e event) {
	h.events = append(h.events, e)
	i := len(h.events) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !before(e, h.events[up]) {
			break
		}
		h.events[i] = h.events[up]
		i = up
	}
	h.events[i] = e
}

func (h *heap) pop() {
	last := len(h.events) - 1
	e := h.events[last]
	h.events = h.events[:last]
	if last == 0 {
		return
	}
	i := 0
	for {
		child := 2*i + 1
		if child >= last {
			break
		}
		if child+1 < last && before(h.events[child+1], h.events[child]) {
			child++
		}
		if !before(h.events[child], e) {
			break
		}
		h.events[i] = h.events[child]
		i = child
	}
	h.events[i] = e
}
