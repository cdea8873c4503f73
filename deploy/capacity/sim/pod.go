package sim

import (
	"math"
	"slices"
)

// state of a pod's life.
type state uint8

const (
	pending  state = iota // no node has room
	starting              // on a node, not ready
	serving
	leaving // answers what it has, and takes nothing new
	gone
)

// task is work on a core: the pre-processing of a request, or a run of several. Cores are shared
// evenly by more tasks than there are cores, so tasks end in the pod's own time: see pod.own.
type task struct {
	end  float64
	jobs []request
	run  bool
}

// pod is a replica.
type pod struct {
	number int
	state  state
	notice float64 // until when a leaving pod must stay, for callers that do not know yet

	// own is the pod's own time: it passes slower than the world's while there is more work than
	// cores. at is when it was looked at.
	own, at float64
	tasks   []task
	version uint32
	running int // tasks that are runs

	unread  queue // admitted, not yet pre-processed
	waiting queue // pre-processed, waiting for a run
	rows    int   // admitted and not through

	crowd, tries float64
	pace         pace
	saturation   meter
	scraped      float64 // what the autoscaler knows; negative while nothing
	spare        [][]request
}

// admit says whether the pod takes a request, as app/batch does: where its room is full, or where
// those before will take longer than the budget lasts, it refuses at once.
func (p *pod) admit(w *world, r request) bool {
	if w.Pod.MaxQueue == 0 || p.rows == 0 {
		return true
	}
	if p.rows+1 > w.Pod.limit() {
		return false
	}
	if r.deadline == 0 || p.pace.samples < 8 {
		return true
	}
	wait := p.pace.time / p.pace.rows * float64(p.rows)
	return (wait+w.Service.Run(1))*5/4 <= r.deadline-w.now
}

// take begins an admitted request.
func (w *world) take(p *pod, r request) {
	if p.rows == 0 {
		p.pace.since = w.now
	}
	p.rows++
	p.catchUp(w)
	if w.Service.Pre > 0 {
		p.unread.push(r)
	} else {
		p.waiting.push(r)
	}
	w.dispatch(p)
}

// catchUp moves the pod's own time to now.
func (p *pod) catchUp(w *world) {
	p.own += (w.now - p.at) * p.speed(w)
	p.at = w.now
}

// speed is how fast the pod's own time passes: each task has a core, or its share of them.
func (p *pod) speed(w *world) float64 {
	if len(p.tasks) <= w.Pod.Cores {
		return 1
	}
	return float64(w.Pod.Cores) / float64(len(p.tasks))
}

// dispatch starts what can start, and plans when to look again.
func (w *world) dispatch(p *pod) {
	for p.unread.len > 0 && len(p.tasks)-p.running < w.Pod.Cores {
		p.start(w.Service.Pre, append(p.jobs(), p.unread.pop()), false)
	}
	for p.waiting.len > 0 && p.running < w.Pod.Cores && !p.crowded(w) {
		jobs := w.batch(p)
		if len(jobs) == 0 {
			continue // their time was over
		}
		work := w.Service.Run(len(jobs))
		if w.Service.Exponential {
			work *= w.random.ExpFloat64()
		}
		p.start(work, jobs, true)
		p.running++
		p.crowd = 0.8*p.crowd + 0.2*float64(len(jobs))
	}
	p.note(w)
	if len(p.tasks) == 0 {
		return
	}
	p.version++
	next := slices.MinFunc(p.tasks, byEnd)
	w.events.push(event{at: w.now + max(next.end-p.own, 0)/p.speed(w), kind: podWorks, number: p.number, version: p.version})
}

func byEnd(a, b task) int {
	switch {
	case a.end < b.end:
		return -1
	case a.end > b.end:
		return 1
	}
	return 0
}

// start begins a task.
func (p *pod) start(work float64, jobs []request, run bool) {
	p.tasks = append(p.tasks, task{end: p.own + work, jobs: jobs, run: run})
}

// jobs gives an empty list for the requests of a task.
func (p *pod) jobs() []request {
	if last := len(p.spare) - 1; last >= 0 {
		jobs := p.spare[last]
		p.spare = p.spare[:last]
		return jobs[:0]
	}
	return make([]request, 0, 4)
}

// crowded says whether what waits should wait for a run under way to end, although a slot is
// free: runs that begin early are small, and many small ones cost more.
func (p *pod) crowded(w *world) bool {
	return p.running > 0 && p.crowd >= 2 && p.waiting.len < min(w.Pod.MaxRows, w.Service.worthwhile())
}

// batch closes a batch of what waits: as many rows as pay, in time for the tightest budget.
// Requests whose budget no run can meet any more are not run.
func (w *world) batch(p *pod) []request {
	limit := max(w.Service.pays(), 4)
	if p.tries++; math.Mod(p.tries, 16) == 0 {
		limit *= 2
	}
	limit = min(limit, max(w.Pod.MaxRows, 1))
	jobs, tightest := p.jobs(), math.Inf(1)
	for p.waiting.len > 0 && len(jobs) < limit {
		r := p.waiting.head()
		if r.deadline > 0 && r.deadline-w.now < w.Service.Run(1) {
			w.leave(p, p.waiting.pop())
			w.result.Expired++
			continue
		}
		if r.deadline > 0 {
			tightest = min(tightest, r.deadline)
		}
		if len(jobs) > 0 && w.Service.Run(len(jobs)+1) > tightest-w.now {
			break
		}
		jobs = append(jobs, p.waiting.pop())
	}
	return jobs
}

// work ends the tasks that are done.
func (w *world) work(p *pod, version uint32) {
	if version != p.version {
		return
	}
	p.catchUp(w)
	const moment = 1e-9 // what rounding may leave
	for i := 0; i < len(p.tasks); {
		t := p.tasks[i]
		if t.end > p.own+moment {
			i++
			continue
		}
		p.tasks = slices.Delete(p.tasks, i, i+1)
		w.end(p, t)
	}
	w.dispatch(p)
	w.pull(p)
	if p.state == leaving && p.rows == 0 {
		w.plan(max(p.notice-w.now, 0), podIsGone, p.number)
	}
}

// end passes the requests of a task on.
func (w *world) end(p *pod, t task) {
	if t.run {
		p.running--
		p.pace.done(len(t.jobs), w.now)
	}
	for _, r := range t.jobs {
		if !t.run {
			p.waiting.push(r)
			continue
		}
		w.leave(p, r)
		w.result.answer(w.now-r.arrived, r.deadline == 0 || w.now <= r.deadline)
	}
	p.spare = append(p.spare, t.jobs)
}

// leave gives the room of a request back.
func (w *world) leave(p *pod, r request) {
	p.rows--
	if w.Load.Events {
		w.broker.taken--
		return
	}
	w.callers[r.caller].inFlight--
}
