package suite

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/onda-serving/onda/tests/bench/load"
	"github.com/onda-serving/onda/tests/bench/proc"
	"github.com/onda-serving/onda/tests/bench/testmodel"
)

const (
	// LaneAlone is the load of interactive requests alone.
	LaneAlone = "interactive"
	// LaneBulk is that of a backlog alone.
	LaneBulk = "bulk"
	// LaneBoth is the two together.
	LaneBoth = "both"

	// laneHeader names a request's lane.
	laneHeader = "x-onda-lane"
	// bulkAtOnce is how many bulk requests wait at once: more than a run takes.
	bulkAtOnce = 64
	// bulkWindow is how long bulk alone is measured.
	bulkWindow = 8 * time.Second
	// laneRounds take turns.
	laneRounds = 3

	// Elsewhere is added to a way whose broker and sidecars take only what Onda leaves of the cores, as if they had others.
	Elsewhere = ", the rest elsewhere"
)

// laneLoads are the loads of interactive requests: a third of what two cores can do at most,
// and so many requests that their p99 is not one of them.
var laneLoads = []struct {
	model  string
	rate   float64
	window time.Duration
}{
	{testmodel.Image, 20, 25 * time.Second},
	{testmodel.FAQ, 100, 10 * time.Second},
}

// lane is a backlog and the interactive requests beside it.
type lane struct {
	model, way  string
	interactive load.Request
	bulk        load.Request
	atOnce      int
	rate        float64
	window      time.Duration
	// pids take part in answering the backlog, those of Onda in answering requests.
	pids, onda []int
	// elsewhere are those of pids that would be on other machines.
	elsewhere []int
}

// lanes measures what a backlog costs interactive requests, and what those leave of it.
func (b *Bench) lanes(ctx context.Context) (r Result, err error) {
	address, server, err := b.startRedis(ctx)
	if err != nil && !errors.Is(err, errNoRedis) {
		return r, err
	}
	if server != nil {
		defer server.Stop()
	} else {
		r.Notes = append(r.Notes, "a backlog of events is not measured: "+err.Error())
	}
	on := eventBackend{}
	if server != nil {
		on = onRedis(address)
	}
	m, err := b.startEvents(ctx, "lanes", on)
	defer m.stop()
	if err != nil {
		return r, err
	}
	all, err := b.backlogs(m, server)
	if err != nil {
		return r, err
	}
	var variants []variant
	r.Facts = map[string]float64{"at once": bulkAtOnce, "backlog": eventBacklog}
	for _, l := range all {
		if _, _, err := probe(ctx, l.interactive); err != nil {
			return r, fmt.Errorf("%s: %w", l.model, err)
		}
		r.Facts["rate of "+l.model] = l.rate
		variants = append(variants, b.laneVariants(l)...)
	}
	rounds := laneRounds
	if b.Quick {
		rounds = 1
	}
	r.Cells, err = b.rounds(ctx, rounds, variants)
	return r, err
}

// backlogs are all that is measured: bulk by calls, and, where there is a broker, by events.
func (b *Bench) backlogs(m *mesh, server *proc.Process) (all []lane, err error) {
	for _, w := range laneLoads {
		request, err := b.laneCall(m.onda.address, w.model)
		if err != nil {
			return nil, err
		}
		l := lane{model: w.model, way: EventsDirect, interactive: request, atOnce: bulkAtOnce, rate: w.rate, window: w.window, pids: m.onda.pids, onda: m.onda.pids}
		l.bulk = l.interactive
		l.bulk.Headers = maps.Clone(l.bulk.Headers)
		l.bulk.Headers[laneHeader] = "bulk"
		all = append(all, l)
		if server == nil || w.model != testmodel.FAQ {
			continue
		}
		others := slices.Concat(server.PIDs(), m.other.PIDs(), m.own.PIDs())
		ways, err := publishing(EventsRedis, w.model, request.Body, m.other, slices.Concat(others, m.onda.pids))
		if err != nil {
			return nil, err
		}
		l.way, l.bulk, l.pids, l.atOnce = ways[1].name, ways[1].request, ways[1].pids, eventBacklog
		all = append(all, l)
		l.way, l.elsewhere = l.way+Elsewhere, others
		all = append(all, l)
	}
	return all, nil
}

// laneCall asks a model with a photo or a question.
func (b *Bench) laneCall(address, model string) (load.Request, error) {
	if model == testmodel.Image {
		return predict(address, model, "image/jpeg", b.photo), nil
	}
	return eventCall(address, model)
}

// laneVariants are the three loads.
func (b *Bench) laneVariants(l lane) []variant {
	of := func(name string, measure func(context.Context) (values, error)) variant {
		return variant{keys: keys("model", l.model, "path", l.way, "load", name), measure: l.yielding(measure)}
	}
	return []variant{
		of(LaneAlone, func(ctx context.Context) (values, error) {
			return b.open(ctx, l.interactive, l.rate, 0, l.window, l.onda)
		}),
		of(LaneBulk, func(ctx context.Context) (values, error) { return b.backlog(ctx, l, bulkWindow) }),
		of(LaneBoth, func(ctx context.Context) (values, error) { return b.beside(ctx, l) }),
	}
}

// yielding has what is elsewhere make way while a load is measured.
func (l lane) yielding(measure func(context.Context) (values, error)) func(context.Context) (values, error) {
	if len(l.elsewhere) == 0 {
		return measure
	}
	return func(ctx context.Context) (v values, err error) {
		restore, err := proc.Yield(l.elsewhere)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, restore()) }()
		return measure(ctx)
	}
}

// backlog measures how fast bulk is answered.
func (b *Bench) backlog(ctx context.Context, l lane, measured time.Duration) (values, error) {
	v, err := b.closed(ctx, l.bulk, l.atOnce, 1, measured, l.pids)
	if err != nil {
		return nil, err
	}
	return values{"bulk_rps": v["rps"], "bulk_failed": v["failed"], "server_cores": v["server_cores"]}, nil
}

// beside measures interactive requests while there is a backlog of bulk, in the same window.
func (b *Bench) beside(ctx context.Context, l lane) (values, error) {
	var v, bulk values
	var err, bulkErr error
	var both sync.WaitGroup
	both.Go(func() { bulk, bulkErr = b.backlog(ctx, l, l.window) })
	both.Go(func() { v, err = b.open(ctx, l.interactive, l.rate, 0, l.window, l.onda) })
	both.Wait()
	if err := errors.Join(err, bulkErr); err != nil {
		return nil, err
	}
	maps.Copy(v, bulk)
	return v, nil
}
