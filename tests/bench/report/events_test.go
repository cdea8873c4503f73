package report

import (
	"strings"
	"testing"

	"github.com/onda-serving/onda/tests/bench/suite"
)

func TestEvents(t *testing.T) {
	t.Parallel()
	at := func(model, path, load string, values map[string][]float64) suite.Cell {
		return cell(map[string]string{"model": model, "path": path, "load": load}, values)
	}
	page := written(t, suite.Result{
		Part: "events", Facts: map[string]float64{"rate": 25, "at once": 64, "backlog": 512, "partitions": 16}, Notes: []string{"Redis 7 syncs every second"},
		Cells: []suite.Cell{
			at("faq-matching", suite.EventsDirect, "latency", map[string][]float64{"p50_ms": {2, 4}, "server_cores": {0.05, 0.05}, "offered_rps": {25, 25}}),
			at("faq-matching", suite.EventsRedis, "latency", map[string][]float64{
				"p50_ms": {12, 15}, "p90_ms": {20, 20}, "p99_ms": {30, 30}, "server_cores": {0.25, 0.25}, "offered_rps": {25, 25},
				"published": {100, 100}, "duplicates": {0, 3}, "lost": {0, 0}, "dead_letters": {1, 0},
			}),
			at("mlp-32", suite.EventsDirect, "throughput", map[string][]float64{"rps": {1000, 2000}}),
			at("mlp-32", suite.EventsRedis, "throughput", map[string][]float64{"rps": {100, 400}, "published": {300, 500}}),
			at("mlp-32", suite.EventsRedis+suite.InBulk, "throughput", map[string][]float64{"rps": {150, 400}, "published": {1, 1}}),
			at("faq-matching", suite.EventsKafka, "latency", map[string][]float64{
				"p50_ms": {22, 24}, "p90_ms": {30, 30}, "p99_ms": {60, 60}, "server_cores": {0.3, 0.3}, "offered_rps": {25, 25}, "published": {100, 100}, "lost": {0, 0},
			}),
			at("mlp-32", suite.EventsRabbitMQ, "throughput", map[string][]float64{"rps": {200, 200}, "published": {300, 300}, "dead_letters": {0, 0}}),
			at("mlp-32", suite.EventsRabbitMQ+suite.InBulk, "throughput", map[string][]float64{"rps": {100, 100}, "published": {1, 1}}),
			{Keys: map[string]string{"model": "mlp-32", "path": suite.EventsInvoked, "load": "latency"}, Error: "it broke"},
		},
	})
	for _, want := range []string{
		"open loop of 25/s",
		"| faq-matching | HTTP, direct | 3.00 (2.00–4.00) | - | - |  | 2.00 |",
		"| faq-matching | events, Redis | 13.5 (12.0–15.0) | 20.0 (20.0–20.0) | 30.0 (30.0–30.0) | 10.5 (10.0–11.0) | 10.0 |",
		"| mlp-32 | events, Redis | 250 (100–400) | 0.15 (0.10–0.20) |  |",
		"| mlp-32 | events, Redis, in bulk | 275 (150–400) | 0.17 (0.15–0.20) | 1.25 (1.00–1.50) |",
		"64 requests or events are under way",
		"a backlog of 512",
		"| events, Redis | 1,002 | 0 | 3.00 | 1.00 |",
		"| events | events, Redis: events that nothing answered, or an error did | ≤ 0 | 1.00 | **missed** |",
		"- not measured: load latency, model mlp-32, path HTTP, two sidecars: it broke",
		"- Redis 7 syncs every second",
		"| faq-matching | events, Kafka | 23.0 (22.0–24.0) | 30.0 (30.0–30.0) | 60.0 (60.0–60.0) | 20.0 (20.0–20.0) | 12.0 |",
		"| mlp-32 | events, RabbitMQ | 200 (200–200) | 0.15 (0.10–0.20) |  |",
		"| mlp-32 | events, RabbitMQ, in bulk | 100 (100–100) | 0.075 (0.05–0.10) | 0.50 (0.50–0.50) |",
		"| events, Kafka | 200 | 0 | 0 | 0 |",
		"| events | events, RabbitMQ: events that nothing answered, or an error did | ≤ 0 | 0 | met |",
		"topics of 16 partitions",
		"make bench PARTS=events",
		"Service Bus and Event Hubs have no server",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
	if strings.Contains(page, "| events, in memory |") {
		t.Errorf("the page has a broker that was not measured:\n%s", page)
	}
}
