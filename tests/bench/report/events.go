package report

import (
	"fmt"

	"github.com/onda-serving/onda/tests/bench/stats"
	"github.com/onda-serving/onda/tests/bench/suite"
)

// eventModels in the order of the page.
var eventModels = []string{"mlp-32", "faq-matching"}

// eventWays in the order of the page.
func eventWays() []string {
	ways := []string{suite.EventsDirect, suite.EventsInvoked}
	for _, broker := range suite.EventBrokers {
		ways = append(ways, broker, broker+suite.InBulk)
	}
	return ways
}

// events writes what events cost beside calls.
func (p *page) events(r suite.Result) {
	p.say("The same question to the same model by every way: the JSON of a call (`/v2/models/mlp-32/infer` and `/v1/models/faq-matching:predict`)")
	p.say("is the `data` of an event. An event is over when a streaming subscription heard its result, so its time has everything in it: the broker")
	p.say("twice, and the answer that Onda keeps in the state store before it publishes it. Components are those of `components/local`")
	p.say("(state in SQLite), and of `redis`, `kafka` and `rabbitmq` (state in Redis). Topics in memory live in Onda's own sidecar: events are published")
	p.say("and heard there. On the others another app publishes and listens, through its own sidecar and under its own consumer id: each event goes")
	p.say("through each sidecar twice, and through the broker twice. The calls, direct and through the caller's sidecar and Onda's,")
	p.say("go to the Onda with the broker in memory. All ways take turns in each round, so that what they have in common is the machine.\n")
	p.say("The broker in memory delivers one event after the other, and so no two share a run of the model. From Redis, Kafka and RabbitMQ Onda takes")
	p.say("events over a stream, many at a time: on Kafka one of each partition (topics of %.0f partitions), on RabbitMQ up to `prefetchCount`. Azure", r.Facts["partitions"])
	p.say("Service Bus and Event Hubs have no server that could run here: they are not measured.\n")
	p.eventLatency(r)
	p.eventThroughput(r)
	p.eventDelivery(r)
}

// eventLatency writes what one of few events waits.
func (p *page) eventLatency(r suite.Result) {
	rate := fmt.Sprintf("%.0f", r.Facts["rate"])
	p.say("**Latency**, in an open loop of %s/s, from when a request or an event was due until its answer was there:\n", rate)
	p.say("| model | way | p50 ms | p90 ms | p99 ms | added to direct, p50 | CPU ms each |\n|---|---|---|---|---|---|---|")
	plot := chart{title: "Latency by way, faq-matching at " + rate + "/s", unit: "ms", series: []series{{name: "p50"}, {name: "p90"}, {name: "p99"}}}
	for _, model := range eventModels {
		direct := find(r, "p50_ms", "model", model, "path", suite.EventsDirect, "load", "latency")
		for _, way := range eventWays() {
			c, ok := suite.Find(r.Cells, "model", model, "path", way, "load", "latency")
			if !ok {
				continue
			}
			v := c.Values
			added := ""
			if way != suite.EventsDirect {
				added = spread(stats.Difference(v["p50_ms"], direct))
			}
			p.say("| %s | %s | %s | %s | %s | %s | %s |", model, way, spread(v["p50_ms"]), spread(v["p90_ms"]), spread(v["p99_ms"]),
				added, short(1e3*stats.Ratio(v["server_cores"], v["offered_rps"]).Median))
			if model == "faq-matching" {
				plot.groups = append(plot.groups, way)
				for i, q := range []string{"p50_ms", "p90_ms", "p99_ms"} {
					plot.series[i].values = append(plot.series[i].values, v[q])
				}
			}
		}
	}
	p.say("")
	p.plot("events.svg", plot.title, plot.svg())
}

// eventThroughput writes how many there can be.
func (p *page) eventThroughput(r suite.Result) {
	p.say("**Throughput**, in a closed loop: the next one is sent when an answer is there. %.0f requests or events are under way, each published by a", r.Facts["at once"])
	p.say("call of its own. In bulk it is a backlog of %.0f: all that waits while two calls are under way goes into the next one. Only where that is", r.Facts["backlog"])
	p.say("much faster is it publishing that holds events up.\n")
	p.say("| model | way | answers/s | of direct | in bulk / one by one | per CPU second | p50 ms | p99 ms |\n|---|---|---|---|---|---|---|---|")
	for _, model := range eventModels {
		of := func(way string) stats.Spread {
			return find(r, "rps", "model", model, "path", way, "load", "throughput")
		}
		for _, way := range eventWays() {
			c, ok := suite.Find(r.Cells, "model", model, "path", way, "load", "throughput")
			if !ok {
				continue
			}
			v := c.Values
			gain, p50, p99 := "", spread(v["p50_ms"]), spread(v["p99_ms"])
			for _, broker := range suite.EventBrokers {
				if way == broker+suite.InBulk {
					gain = spread(stats.Ratio(v["rps"], of(broker)))
					p50, p99 = "", "" // a backlog says how long it is, not how long one event takes
				}
			}
			p.say("| %s | %s | %s | %s | %s | %s | %s | %s |", model, way, spread(v["rps"]), spread(stats.Ratio(v["rps"], of(suite.EventsDirect))),
				gain, spread(v["rps_per_cpu"]), p50, p99)
		}
	}
	p.say("")
}

// eventDelivery writes what became of the events, all rounds and loads together.
func (p *page) eventDelivery(r suite.Result) {
	p.say("What became of all events, those of the warm-ups too:\n")
	p.say("| broker | events published | lost | answered twice | answered by an error |\n|---|---|---|---|---|")
	for _, broker := range suite.EventBrokers {
		sums := map[string]float64{}
		for _, c := range r.Cells {
			if c.Keys["path"] == broker || c.Keys["path"] == broker+suite.InBulk {
				for _, name := range []string{"published", "lost", "duplicates", "dead_letters"} {
					sums[name] += sum(c.Values[name])
				}
			}
		}
		if sums["published"] == 0 {
			continue
		}
		p.say("| %s | %s | %s | %s | %s |", broker, short(sums["published"]), short(sums["lost"]), short(sums["duplicates"]), short(sums["dead_letters"]))
		p.promise(target{
			part: "events", what: broker + ": events that nothing answered, or an error did", limit: 0, atMost: true,
			got: stats.NewSpread(sums["lost"] + sums["dead_letters"]),
		})
	}
	p.say("")
}
