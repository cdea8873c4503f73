package report

import (
	"github.com/onda-serving/onda/tests/bench/stats"
	"github.com/onda-serving/onda/tests/bench/suite"
)

// swap writes what callers notice of a model that is replaced all the time.
func (p *page) swap(r suite.Result) {
	f := r.Facts
	p.say("The label `live` of image-classification moves to another version every second, while an open loop asks for that label")
	p.say("through Onda's sidecar, %s JPEGs a second. Eight versions take turns, each of which is loaded before it goes live, and freed after", short(f["requests/s"]))
	p.say("others have come; windows without swaps come in between. State is in SQLite.\n")
	p.say("| | swaps in a window | requests/s answered | failed, refused or expired | p50 ms | p90 ms | p99 ms | CPU, cores |\n|---|---|---|---|---|---|---|---|")
	quiet, _ := suite.Find(r.Cells, "phase", "quiet")
	busy, _ := suite.Find(r.Cells, "phase", "swapping")
	for _, c := range []suite.Cell{quiet, busy} {
		v := c.Values
		p.say("| %s | %s | %s | %s | %s | %s | %s | %s |", c.Keys["phase"], spread(v["swaps"]), spread(v["ok_rps"]), short(sum(v["unanswered"])),
			spread(v["p50_ms"]), spread(v["p90_ms"]), spread(v["p99_ms"]), spread(v["server_cores"]))
	}
	p.say("\n%s swaps with %s loads; a swap took %s ms at p50, %s ms at p99 and %s ms at most.\n", short(f["swaps"]), short(f["loads"]),
		short(f["swap_p50_ms"]), short(f["swap_p99_ms"]), short(f["swap_max_ms"]))
	p.memoryOfSwaps(r)
	p.promise(target{part: "swap", what: "requests that did not get an answer while versions were swapped", limit: 0, atMost: true, got: stats.NewSpread(sum(busy.Values["unanswered"]))})
	p.promise(target{part: "swap", what: "p99 while swapping, over p99 without", limit: 1.2, atMost: true, got: stats.Ratio(busy.Values["p99_ms"], quiet.Values["p99_ms"])})
	p.promise(target{part: "swap", what: "resident memory after the last swap, over that after 50", limit: 1.1, atMost: true, got: growth(r.Cells)})
}

// sum is over all rounds.
func sum(s stats.Spread) float64 {
	all := 0.0
	for _, v := range s.Samples {
		all += v
	}
	return all
}

// memoryOfSwaps writes the memory over the swaps.
func (p *page) memoryOfSwaps(r suite.Result) {
	plot := chart{title: "Resident memory over the swaps", unit: "MiB", lines: true, x: "swaps"}
	curve := series{name: "onda"}
	p.say("| swaps | resident memory, MiB |\n|---|---|")
	for _, c := range r.Cells {
		if swaps := c.Keys["swaps"]; swaps != "" {
			p.say("| %s | %s |", swaps, spread(c.Values["rss_mib"]))
			plot.groups, curve.values = append(plot.groups, swaps), append(curve.values, c.Values["rss_mib"])
		}
	}
	plot.series = []series{curve}
	p.say("")
	p.plot("swap.svg", plot.title, plot.svg())
}

// growth is the last look at the memory over the second, by which everything that is made
// once has been made.
func growth(cells []suite.Cell) stats.Spread {
	var looks []stats.Spread
	for _, c := range cells {
		if c.Keys["swaps"] != "" {
			looks = append(looks, c.Values["rss_mib"])
		}
	}
	if len(looks) < 3 {
		return stats.Spread{}
	}
	return stats.Ratio(looks[len(looks)-1], looks[1])
}

// many writes what it takes to serve more models than there is memory for.
func (p *page) many(r suite.Result) {
	f := r.Facts
	p.say("%s models of the smallest kind in the folder, and a budget (`ONDA_MEMORY_BUDGET`) of %s MiB, which %s MiB for each let about 20 of them share.", short(f["models"]), short(f["budget_mib"]), short(f["model_mib"]))
	p.say("Callers ask one request after the other, directly, for models by Zipf's law with the exponent %s: the 20 that are asked for most get %s%%", short(f["exponent"]), short(100*f["share_of_most_asked"]))
	p.say("of the requests. A miss is a request whose model had to be loaded first, and often another put out. Onda was ready %s s after its start.\n", short(f["start_s"]))
	p.say("| callers | requests/s | in memory | p50 ms | p99 ms | miss p50 ms | p99 ms | loads | evictions | failed | memory of models, MiB | resident, MiB |\n|---|---|---|---|---|---|---|---|---|---|---|---|")
	for _, c := range r.Cells {
		v := c.Values
		if len(v) == 0 {
			continue
		}
		p.say("| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |", c.Keys["concurrency"], spread(v["rps"]), spread(v["hit_share"]),
			spread(v["hit_p50_ms"]), spread(v["hit_p99_ms"]), spread(v["miss_p50_ms"]), spread(v["miss_p99_ms"]),
			spread(v["loads"]), spread(v["evictions"]), spread(v["failed"]), spread(v["memory_mib"]), spread(v["rss_mib"]))
		p.promise(target{part: "models", what: c.Keys["concurrency"] + " callers, requests that failed", limit: 0, atMost: true, got: v["failed"]})
		p.promise(target{part: "models", what: c.Keys["concurrency"] + " callers, memory of models over the budget", limit: 1, atMost: true, got: scaled(v["memory_mib"], f["budget_mib"])})
	}
	p.say("")
}

// scaled divides each round.
func scaled(s stats.Spread, by float64) stats.Spread {
	all := make([]float64, len(s.Samples))
	for i, v := range s.Samples {
		all[i] = v / by
	}
	return stats.NewSpread(all...)
}
