package simulation_test

import (
	"fmt"
	"strconv"
	"time"
)

// plan is what kind of world a seed makes.
type plan struct {
	// calm worlds have no faults and fast loads: changes are in force soon.
	calm bool
	// active is how long operators work and things fail.
	active time.Duration
	// replicas, models and operators count what there is.
	replicas, models, operators int
	// latency is the time of a call of the state store, in one direction.
	latency span
	// fault and slow are the shares of its calls that fail, and that take very long.
	fault, slow float64
	// plain is a state store that has no Conflict for a document that must be new, and exists.
	plain bool
	// bad is the share of versions that are bad in some way, and load how long one loads.
	bad  float64
	load span
	// die says that operators end in the middle of what they do.
	die bool
	// snapshots says that replicas keep the documents in a file.
	snapshots bool
	// folder says that the first versions came with the replicas, and odd that they are not
	// the same on all of them.
	folder, odd bool
	// away are the times when the state store does not answer, and ends those of processes.
	away []outage
	ends []ending
	// aged worlds begin with a model whose history is about to be archived.
	aged bool
	// patient worlds are watched for all of the quiet time.
	patient bool
}

// outage is a time when a replica, or all of them, cannot reach the state store.
type outage struct {
	from, to time.Duration
	// replica that is cut off; "" cuts off everybody.
	replica string
	// silent outages swallow calls; others refuse them.
	silent bool
}

// ending is the end of a replica's process.
type ending struct {
	at, down time.Duration
	replica  int
	// orderly ends are those of a process that is asked to stop, and busy those of one that is
	// trying hard to load something.
	orderly, busy bool
	// renamed is a process that comes back under another name.
	renamed bool
	// forever is one that does not come back.
	forever bool
}

// draw makes the plan of a world.
func (w *world) draw() plan {
	c := w.chance("plan")
	p := plan{
		calm:      c.yes(0.2),
		active:    c.between(15*time.Second, 40*time.Second),
		replicas:  c.from(2, 4),
		models:    pick(c, 1, 1, 2, 3),
		operators: c.from(1, 4),
		latency:   pick(c, span{time.Millisecond, 4 * time.Millisecond}, span{time.Millisecond, 20 * time.Millisecond}),
		bad:       0.4,
		folder:    c.yes(0.6),
		patient:   c.yes(0.06),
	}
	if p.calm {
		p.latency, p.load, p.bad = span{time.Millisecond, 5 * time.Millisecond}, span{20 * time.Millisecond, 100 * time.Millisecond}, 0.2
		return p
	}
	p.fault = pick(c, 0, 0.01, 0.05, 0.2)
	p.slow = pick(c, 0, 0, 0.01, 0.03)
	p.plain = c.yes(0.3)
	p.aged = c.yes(0.05)
	p.load = pick(c, span{20 * time.Millisecond, 300 * time.Millisecond}, span{100 * time.Millisecond, 3 * time.Second}, span{100 * time.Millisecond, 20 * time.Second})
	p.die = c.yes(0.5)
	p.snapshots = c.yes(0.2)
	p.odd = c.yes(0.15)
	for range pick(c, 0, 1, 1, 2, 3) {
		p.away = append(p.away, p.outage(c))
	}
	for range pick(c, 0, 1, 2, 4) {
		p.ends = append(p.ends, p.ending(c))
	}
	return p
}

func (p plan) outage(c chance) outage {
	o := outage{from: c.between(0, p.active), silent: c.yes(0.4)}
	o.to = o.from + c.between(500*time.Millisecond, 15*time.Second)
	if c.yes(0.6) {
		o.replica = replicaName(c.IntN(p.replicas))
	}
	return o
}

func (p plan) ending(c chance) ending {
	return ending{
		at: c.between(time.Second, p.active), down: c.between(20*time.Millisecond, 6*time.Second), replica: c.IntN(p.replicas),
		orderly: c.yes(0.4), busy: c.yes(0.4), renamed: c.yes(0.4), forever: c.yes(0.15),
	}
}

// outage gives the time when an actor cannot reach the state store at now.
func (p plan) outageOf(replica string, now time.Duration) (outage, bool) {
	for _, o := range p.away {
		if (o.replica == "" || o.replica == replica) && now >= o.from && now < o.to {
			return o, true
		}
	}
	return outage{}, false
}

// number writes a version.
func number(version int64) string { return strconv.FormatInt(version, 10) }

func replicaName(i int) string { return fmt.Sprintf("replica%d", i) }

// nature is how a version is, which nobody in the world knows before it tried.
type nature string

const (
	good      nature = "good"
	diverging nature = "diverging" // answers that disagree
	failing   nature = "failing"   // requests that fail
	slow      nature = "slow"      // three times the latency
	broken    nature = "broken"    // never loads
	partial   nature = "partial"   // does not load on one of the replicas
	flaky     nature = "flaky"     // loads with the third try
	late      nature = "late"      // loads with the fifth try, because its files are not there before
)

// nature of a version. The first ones of a model are good.
func (w *world) nature(model string, version int64) nature {
	c := w.chance("nature", model, number(version))
	if version == 1 || !c.yes(w.plan.bad) {
		return good
	}
	if w.plan.calm {
		return pick(c, diverging, failing, slow)
	}
	return pick(c, diverging, diverging, failing, failing, slow, broken, partial, partial, partial, flaky, flaky, late)
}

// loads says whether a version can be loaded on a replica at all.
func (w *world) loads(replica int, model string, version int64) bool {
	switch w.nature(model, version) {
	case broken:
		return false
	case partial:
		return w.chance("partial", model, number(version)).IntN(w.plan.replicas) != replica
	default:
		return true
	}
}
