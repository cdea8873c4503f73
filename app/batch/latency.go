package batch

import (
	"math"
	"time"
)

// latency predicts how long a run takes from its rows. It learns while serving: a straight
// line, fixed cost plus cost per row, fitted by least squares over recent runs, each of
// which weighs a little less than the one after it. For the few sizes that a version is run
// with, a line is near enough, and it has an answer for sizes not seen yet.
type latency struct {
	// Weighted sums over runs of 1, n, n², t and n·t; t in seconds.
	w, n, nn, t, nt float64
	// fastest are the shortest run of this period and of the one before.
	fastest, before time.Duration
	seen            int
}

const (
	// forget is the weight that a run keeps with each later one: about the last hundred count.
	forget = 0.99
	// period is the number of runs after which the shortest run is found anew.
	period = 64
	// unknown is the number of rows that pays while too little is known: the first runs of a
	// large model must not take memory for more rows than will ever pay.
	unknown = 4
	// enough is the number of runs from which on predictions may decide about requests.
	enough = 8
)

// learn adds a run.
func (l *latency) learn(rows int, took time.Duration) {
	n, t := float64(rows), took.Seconds()
	if l.seen >= enough {
		// One run that the system held up must not turn away requests for a hundred runs.
		t = min(t, 4*l.predict(rows).Seconds())
	}
	l.w = forget*l.w + 1
	l.n = forget*l.n + n
	l.nn = forget*l.nn + n*n
	l.t = forget*l.t + t
	l.nt = forget*l.nt + n*t
	if l.seen%period == 0 {
		l.before, l.fastest = l.fastest, math.MaxInt64
		if l.seen == 0 {
			l.before = math.MaxInt64
		}
	}
	l.fastest = min(l.fastest, took)
	l.seen++
}

// line gives fixed cost and cost per row, in seconds, neither below 0.
func (l *latency) line() (fixed, perRow float64) {
	if l.w == 0 {
		return 0, 0
	}
	meanN, meanT := l.n/l.w, l.t/l.w
	spread := l.nn/l.w - meanN*meanN
	if spread < 0.01*meanN*meanN {
		// All runs had about the same size: nothing is known of others. The rows are taken
		// to cost everything, so that a larger run is not promised too early.
		return 0, meanT / meanN
	}
	perRow = (l.nt/l.w - meanN*meanT) / spread
	perRow = min(max(perRow, 0), meanT/meanN)
	return meanT - perRow*meanN, perRow
}

// predict gives the expected time of a run; 0 while nothing is known.
func (l *latency) predict(rows int) time.Duration {
	fixed, perRow := l.line()
	return time.Duration((fixed + perRow*float64(rows)) * float64(time.Second))
}

// least is the least that a run of so many rows takes: what is predicted, or the shortest
// run of late if that was shorter. It is 0 while too little is known.
func (l *latency) least(rows int) time.Duration {
	if l.seen < enough {
		return 0
	}
	return min(l.fastest, l.before, l.predict(rows))
}

// worthwhile is the number of rows from which on a run spends at least half of its time
// on rows, rather than on what each run costs once.
func (l *latency) worthwhile() int {
	fixed, perRow := l.line()
	if l.seen < enough || fixed <= 0 {
		return 1
	}
	if perRow <= 0 {
		return math.MaxInt32
	}
	return int(min(math.Ceil(fixed/perRow), math.MaxInt32))
}

// pays is the number of rows from which on a run spends at least nine tenths of its time on
// rows: more of them in one run gain next to nothing, and make all of them wait for each
// other and take memory together.
func (l *latency) pays() int {
	fixed, perRow := l.line()
	switch {
	case l.seen < enough:
		return unknown
	case perRow <= 0:
		return math.MaxInt32
	default:
		return int(min(math.Ceil(9*fixed/perRow), math.MaxInt32))
	}
}

// pace measures how fast a version gets through its rows while it has any: the time that
// passes, over the rows that are done in it, however many run side by side.
type pace struct {
	since      time.Time
	time, rows float64
	samples    int
}

// start notes that there is work again.
func (p *pace) start(now time.Time) { p.since = now }

// done notes that rows are through.
func (p *pace) done(rows int, now time.Time) {
	const keep = 0.95 // about the last twenty
	p.time = keep*p.time + max(now.Sub(p.since).Seconds(), 0)
	p.rows = keep*p.rows + float64(rows)
	p.since = now
	p.samples++
}

// clears predicts how long so many rows take.
func (p *pace) clears(rows int) time.Duration {
	if p.rows == 0 {
		return 0
	}
	return time.Duration(p.time / p.rows * float64(rows) * float64(time.Second))
}

// known says whether enough was measured to turn requests away.
func (p *pace) known() bool { return p.samples >= enough }
