package report

import (
	"github.com/onda-serving/onda/tests/bench/stats"
	"github.com/onda-serving/onda/tests/bench/suite"
)

// lanes writes what a backlog costs those who wait, and what they leave of it.
func (p *page) lanes(r suite.Result) {
	p.say("Interactive requests in an open loop, alone and beside a backlog of bulk for the same model: calls in the lane `bulk`, %s at once, or", short(r.Facts["at once"]))
	p.say("events on Redis, %s at once. The spare capacity is what a backlog gets alone, without the share of CPU time that the interactive", short(r.Facts["backlog"]))
	p.say("requests take alone. Sidecars and Redis are on the same cores and make way for nobody, but in the last row, where")
	p.say("they run on what Onda leaves of the cores (SCHED_IDLE), since in a cluster a broker has cores of its own.\n")
	p.say("| model | backlog | requests/s | p50 ms alone | beside | p99 ms alone | beside | bulk/s alone | beside | of the spare |\n|---|---|---|---|---|---|---|---|---|---|")
	for _, of := range [][2]string{
		{"image-classification", suite.EventsDirect},
		{"faq-matching", suite.EventsDirect},
		{"faq-matching", suite.EventsRedis + suite.InBulk},
		{"faq-matching", suite.EventsRedis + suite.InBulk + suite.Elsewhere},
	} {
		p.lane(r, of[0], of[1])
	}
	p.say("")
}

// lane writes one backlog, and what was promised about it.
func (p *page) lane(r suite.Result, model, way string) {
	value := func(load, name string) stats.Spread {
		return find(r, name, "model", model, "path", way, "load", load)
	}
	if value(suite.LaneBoth, "p99_ms").Median == 0 {
		return
	}
	taken := stats.Ratio(value(suite.LaneAlone, "server_cores"), value(suite.LaneBulk, "server_cores"))
	alone, beside := value(suite.LaneBulk, "bulk_rps"), value(suite.LaneBoth, "bulk_rps")
	share := stats.Ratio(beside, spare(alone, taken))
	p.say("| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |", model, way, short(r.Facts["rate of "+model]),
		spread(value(suite.LaneAlone, "p50_ms")), spread(value(suite.LaneBoth, "p50_ms")),
		spread(value(suite.LaneAlone, "p99_ms")), spread(value(suite.LaneBoth, "p99_ms")), spread(alone), spread(beside), spread(share))
	what := model + ", backlog by " + way
	p.promise(target{part: "lanes", what: what + ": interactive p99 beside it / alone", limit: 1.1, atMost: true, got: stats.Ratio(value(suite.LaneBoth, "p99_ms"), value(suite.LaneAlone, "p99_ms"))})
	p.promise(target{part: "lanes", what: what + ": its share of the spare capacity", limit: 0.8, got: share})
	p.promise(target{part: "lanes", what: what + ": requests that failed", limit: 0, atMost: true, got: stats.NewSpread(value(suite.LaneBoth, "failed").Max + value(suite.LaneBoth, "bulk_failed").Max)})
}

// spare is what others leave of a rate, who take a share of it.
func spare(rate, taken stats.Spread) stats.Spread {
	left := make([]float64, min(len(rate.Samples), len(taken.Samples)))
	for i := range left {
		left[i] = rate.Samples[i] * (1 - taken.Samples[i])
	}
	return stats.NewSpread(left...)
}
