package sim

import "slices"

// Delays are the times that a cluster takes, in seconds.
type Delays struct {
	// Sync is the period of the HPA controller, Scrape that of Prometheus.
	Sync, Scrape float64
	// PodStart is from a place on a node to ready where the node has the image, Pull what the image
	// takes in addition on a node that is new.
	PodStart, Pull float64
	// NodeScan is the period of the cluster autoscaler, NodeStart the time from its decision to a node
	// that takes pods, NodeIdle how long a node must be unneeded to go.
	NodeScan, NodeStart, NodeIdle float64
	// Notice is how long callers may not know that a pod leaves: it goes on to answer them.
	Notice float64
}

// nodes counts nodes and the pods on them. Pods are taken as if they could move: a node is
// free when all pods fit on the others.
type nodes struct {
	ready, coming int
	placed        int // pods that have a place
	fresh         int // places on new nodes, where the image must be pulled
	freeSince     float64
	free          bool
}

// nodesFor is how many nodes so many pods take.
func (w *world) nodesFor(pods int) int {
	per := max(w.Scale.PodsPerNode, 1)
	return (pods + per - 1) / per
}

// newPod makes a pod without a place.
func (w *world) newPod() *pod {
	p := &pod{number: len(w.pods), at: w.now, scraped: -1}
	p.saturation.at = w.now
	w.pods = append(w.pods, p)
	return p
}

// place gives pods that have none a place while there is one.
func (w *world) place() {
	for _, p := range w.pods {
		if p.state != pending {
			continue
		}
		if w.nodes.placed >= w.nodes.ready*max(w.Scale.PodsPerNode, 1) {
			return
		}
		w.nodes.placed++
		p.state = starting
		start := w.Delays.PodStart * (0.9 + 0.2*w.random.Float64())
		if w.nodes.fresh > 0 {
			w.nodes.fresh--
			start += w.Delays.Pull
		}
		w.plan(start, podIsReady, p.number)
	}
}

// becomeReady lets requests come.
func (w *world) becomeReady(p *pod) {
	if p.state == gone || p.state == leaving {
		return // it was taken away while it started
	}
	p.state = serving
	w.ready = append(w.ready, p)
	if w.Delays.Scrape > 0 {
		w.plan(w.random.Float64()*w.Delays.Scrape, scrape, p.number)
	}
	w.pull(p)
}

// scrape notes what Prometheus sees of a pod.
func (w *world) scrape(p *pod) {
	if p.state != serving {
		return
	}
	p.scraped = p.saturation.now(w.now)
	w.plan(w.Delays.Scrape, scrape, p.number)
}

// remove takes pods away: those that are not ready first, then the newest.
func (w *world) remove(n int) {
	alive := slices.DeleteFunc(slices.Clone(w.pods), func(p *pod) bool { return p.state == leaving || p.state == gone })
	slices.SortStableFunc(alive, func(a, b *pod) int {
		if a.state != b.state {
			return int(a.state) - int(b.state)
		}
		return b.number - a.number
	})
	for _, p := range alive[:min(n, len(alive))] {
		w.stop(p)
	}
}

// stop begins the end of a pod.
func (w *world) stop(p *pod) {
	was := p.state
	p.state = leaving
	if was == pending {
		p.state = gone
		return
	}
	if was == starting {
		w.plan(0, podIsGone, p.number)
		return
	}
	w.ready = slices.DeleteFunc(w.ready, func(r *pod) bool { return r == p })
	p.notice = w.now + w.Delays.Notice
	w.plan(w.Delays.Notice, podIsGone, p.number)
}

// forget ends a pod that has nothing left to do.
func (w *world) forget(p *pod) {
	if p.state == gone || w.now < p.notice {
		return
	}
	w.unknown(p) // its sidecar closes the connections
	if p.rows > 0 {
		return // the end of its last request looks again
	}
	p.state = gone
	w.nodes.placed--
	w.place()
}

// lookForNodes is the cluster autoscaler: it adds nodes for pods without a place and for the
// headroom, and removes one that was not needed for a time.
func (w *world) lookForNodes() {
	missing := 0
	for _, p := range w.pods {
		if p.state == pending {
			missing++
		}
	}
	want := w.nodesFor(w.nodes.placed + missing + w.Scale.Headroom)
	for range want - w.nodes.ready - w.nodes.coming {
		w.nodes.coming++
		w.nodes.fresh += w.Scale.PodsPerNode
		w.plan(w.Delays.NodeStart, nodeIsReady, 0)
	}
	switch {
	case want >= w.nodes.ready+w.nodes.coming:
		w.nodes.free = false
	case !w.nodes.free:
		w.nodes.free, w.nodes.freeSince = true, w.now
	case w.now-w.nodes.freeSince >= w.Delays.NodeIdle && w.nodes.coming == 0:
		w.nodes.ready--
		w.nodes.freeSince = w.now
	}
}
