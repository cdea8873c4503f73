package sim

// request is one row that somebody waits for. A deadline of 0 is never.
type request struct {
	arrived, deadline float64
	caller            int
}

// queue is a ring of requests, first come, first served.
type queue struct {
	ring       []request
	first, len int
}

func (q *queue) push(r request) {
	if q.len == len(q.ring) {
		grown := make([]request, max(16, 2*len(q.ring)))
		for i := range q.len {
			grown[i] = q.ring[(q.first+i)%len(q.ring)]
		}
		q.ring, q.first = grown, 0
	}
	q.ring[(q.first+q.len)%len(q.ring)] = r
	q.len++
}

func (q *queue) head() request { return q.ring[q.first] }

func (q *queue) pop() request {
	r := q.ring[q.first]
	q.first = (q.first + 1) % len(q.ring)
	q.len--
	return r
}
