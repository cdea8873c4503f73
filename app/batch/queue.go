package batch

import (
	"container/heap"

	"github.com/onda-serving/onda/app/scoring"
)

// queue holds the waiting jobs of a version. Jobs that can run together form a group.
type queue struct {
	groups map[groupKey]*group
	jobs   [2]int // by lane
}

// groupKey is equal for jobs that can run together.
type groupKey struct {
	// inputs describes what the model takes; "" means that a job runs alone.
	inputs string
	// yielding jobs have runs of their own, which make way for others.
	yielding bool
}

// group holds waiting jobs with one key, by lane.
type group struct {
	key   groupKey
	lanes [2]lane
	rows  int64
}

// push adds a job.
func (q *queue) push(j *job) {
	g := q.groups[j.key]
	if g == nil {
		g = &group{key: j.key}
		q.groups[j.key] = g
	}
	g.rows += j.rows
	heap.Push(&g.lanes[j.lane], j)
	q.jobs[j.lane]++
}

// remove takes a waiting job out.
func (q *queue) remove(j *job) {
	g := q.groups[j.key]
	heap.Remove(&g.lanes[j.lane], j.index)
	g.rows -= j.rows
	q.jobs[j.lane]--
	if len(g.lanes[0])+len(g.lanes[1]) == 0 {
		delete(q.groups, g.key)
	}
}

// empty says whether nothing waits.
func (q *queue) empty() bool { return q.jobs[0]+q.jobs[1] == 0 }

// clear says whether nothing waits that a request of a lane would overtake. Where bulk has runs
// of its own, the lanes do not meet.
func (q *queue) clear(lane scoring.Lane, apart bool) bool {
	if apart {
		return q.jobs[lane] == 0
	}
	return q.empty()
}

// bulk says whether no interactive job is in the group.
func (g *group) bulk() bool { return len(g.lanes[scoring.Interactive]) == 0 }

// head is the most urgent job of a group.
func (g *group) head() *job {
	if len(g.lanes[scoring.Interactive]) > 0 {
		return g.lanes[scoring.Interactive][0]
	}
	return g.lanes[scoring.Bulk][0]
}

// before says whether a goes before b: by lane, priority and arrival.
func before(a, b *job) bool {
	if a.lane != b.lane {
		return a.lane < b.lane
	}
	if a.priority != b.priority {
		return a.priority < b.priority
	}
	return a.seq < b.seq
}

// lane is a heap of jobs, the most urgent first: see container/heap.
type lane []*job

func (l lane) Len() int           { return len(l) }
func (l lane) Less(i, j int) bool { return before(l[i], l[j]) }
func (l lane) Swap(i, j int) {
	l[i], l[j] = l[j], l[i]
	l[i].index, l[j].index = i, j
}

// Push implements heap.Interface.
func (l *lane) Push(x any) {
	j, _ := x.(*job)
	j.index = len(*l)
	*l = append(*l, j)
}

// Pop implements heap.Interface.
func (l *lane) Pop() any {
	last := len(*l) - 1
	j := (*l)[last]
	(*l)[last] = nil
	*l = (*l)[:last]
	j.index = -1
	return j
}
