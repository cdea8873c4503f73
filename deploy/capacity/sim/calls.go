package sim

// Calls says how requests find a pod.
type Calls struct {
	// Callers send the requests, each an equal share, in turn over the pods it knows.
	Callers int
	// Sticky callers know the pods that were there when they last looked, as a Dapr sidecar does:
	// it looks up the name when it opens a connection, and again only when one of its pods
	// goes away or when more than Streams calls are under way on the connection. Otherwise
	// callers know every ready pod within moments.
	Sticky bool
	// Streams are the calls on a connection before another is opened, which looks up the name.
	Streams int
	// Refresh is the least time between two looks of one caller, in seconds.
	Refresh float64
}

// caller is an app with its sidecar.
type caller struct {
	known    []*pod
	turn     int
	looked   float64
	stale    bool // a pod it knows went away
	inFlight int
}

// arrive brings the next request.
func (w *world) arrive() {
	w.result.Offered++
	r := request{arrived: w.now}
	if w.Load.Budget > 0 {
		r.deadline = w.now + w.Load.Budget
	}
	if w.Load.Events {
		w.broker.queue.push(r)
		w.offer()
		return
	}
	r.caller = int(w.random.Int32N(int32(len(w.callers))))
	p := w.choose(&w.callers[r.caller])
	switch {
	case p == nil:
		w.result.Nowhere++
	case !p.admit(w, r):
		w.result.Refused++
	default:
		w.callers[r.caller].inFlight++
		w.take(p, r)
	}
}

// choose gives the pod whose turn it is with a caller; nil where there is none.
func (w *world) choose(c *caller) *pod {
	known := w.ready
	if w.Calls.Sticky {
		w.look(c)
		known = c.known
	}
	if len(known) == 0 {
		return nil
	}
	if c.turn == 0 {
		c.turn = int(w.random.Int32N(1 << 20)) // callers do not begin with the same pod
	}
	c.turn++
	return known[c.turn%len(known)]
}

// look refreshes what a sticky caller knows, where it has a reason to.
func (w *world) look(c *caller) {
	first := len(c.known) == 0
	reason := c.stale || c.inFlight > w.Calls.Streams*max(len(c.known), 1) && len(c.known) < len(w.ready)
	if !first && (!reason || w.now < c.looked+w.Calls.Refresh) {
		return
	}
	c.known = append(c.known[:0], w.ready...)
	c.looked, c.stale = w.now, false
}

// unknown tells callers that a pod is gone.
func (w *world) unknown(p *pod) {
	for i := range w.callers {
		c := &w.callers[i]
		for j, k := range c.known {
			if k == p {
				c.known = append(c.known[:j], c.known[j+1:]...)
				c.stale = true
				break
			}
		}
	}
}

// broker holds events until a pod takes them.
type broker struct {
	queue queue
	taken int // by pods, and not answered
}

// waiting is what the broker has not got an acknowledgement for.
func (b *broker) waiting() int { return b.queue.len + b.taken }

// offer gives waiting events to pods that have a handler free.
func (w *world) offer() {
	for i := range w.ready {
		if w.broker.queue.len == 0 {
			return
		}
		w.pull(w.ready[(i+w.result.Offered)%len(w.ready)])
	}
}

// pull has a pod take as many events as it has handlers for.
func (w *world) pull(p *pod) {
	if !w.Load.Events {
		return
	}
	for p.state == serving && w.broker.queue.len > 0 && p.rows < w.Pod.Handlers {
		r := w.broker.queue.pop()
		w.broker.taken++
		w.take(p, r)
	}
}
