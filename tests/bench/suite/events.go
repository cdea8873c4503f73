package suite

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/onda-serving/onda/tests/bench/load"
	"github.com/onda-serving/onda/tests/bench/proc"
	"github.com/onda-serving/onda/tests/bench/testmodel"
)

const (
	// eventPart names the part, and its models folder.
	eventPart = "events"
	// eventRate is the load at which latencies are measured, in requests a second: far from
	// what any of the ways can do.
	eventRate = 30
	// eventsAtOnce is how many requests, or events, are under way where throughput is measured.
	eventsAtOnce = manyConnections
	// eventBacklog is how many events are under way where they are published in bulk, which
	// is for those who have many.
	eventBacklog = 256
	// eventRounds are fewer than those of other parts: there are many ways, and each begins with a
	// subscription anew.
	eventRounds = 4
	// eventLatencyWindow and eventRushWindow are how long the measurements of latency and of
	// throughput take.
	eventLatencyWindow, eventRushWindow = 3500 * time.Millisecond, 1500 * time.Millisecond
)

// eventModels are the smallest model, which is asked with tensors, and the FAQ, which is
// asked with text.
var eventModels = []string{testmodel.Synthetics[0].Name, testmodel.FAQ}

// The ways of the part, and what Onda calls its topics.
const (
	EventsDirect   = "HTTP, direct"
	EventsInvoked  = "HTTP, two sidecars"
	EventsInMemory = "events, in memory"
	EventsRedis    = "events, Redis"
	EventsKafka    = "events, Kafka"
	EventsRabbitMQ = "events, RabbitMQ"
	// InBulk is added to a way whose events are published many in a call.
	InBulk = ", in bulk"

	eventPubSub         = "pubsub"
	requestsTopic       = "scoring.requests"
	resultsTopic        = "scoring.results"
	deadLetterTopic     = "scoring.deadletter"
	publishPath         = "/v1.0/publish/" + eventPubSub + "/" + requestsTopic
	bulkPath            = "/v1.0/publish/bulk/" + eventPubSub + "/" + requestsTopic
	cloudEvent          = "application/cloudevents+json"
	throughput, latency = "throughput", "latency"
)

// EventBrokers are the ways by events, in the order of the page.
var EventBrokers = []string{EventsInMemory, EventsRedis, EventsKafka, EventsRabbitMQ}

// events measures how fast events are answered over brokers, beside calls with the same data.
// It fails when one event is not answered: that is not a matter of speed.
func (b *Bench) events(ctx context.Context) (r Result, err error) {
	memory, err := b.startEvents(ctx, "memory", eventBackend{})
	defer memory.stop()
	if err != nil {
		return r, err
	}
	brokers, notes, err := b.startBrokers(ctx)
	defer stopAll(brokers)
	if err != nil {
		return r, err
	}
	r.Notes = notes
	r.Facts = map[string]float64{"rate": eventRate, "at once": eventsAtOnce, "backlog": eventBacklog, "partitions": kafkaPartitions}
	lost, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var all []variant
	for _, model := range eventModels {
		ways, err := eventWays(model, memory, brokers)
		if err != nil {
			return r, err
		}
		for _, w := range ways {
			all = append(all, b.eventVariants(ctx, model, w, fail)...)
		}
	}
	rounds := eventRounds
	if b.Quick {
		rounds = 1
	}
	r.Cells, err = b.rounds(lost, rounds, sameLoad(all))
	if err != nil && ctx.Err() == nil {
		err = context.Cause(lost)
	}
	return r, err
}

// sameLoad puts latencies before throughputs, so that the ways of one load take turns.
func sameLoad(all []variant) []variant {
	slices.SortStableFunc(all, func(x, y variant) int {
		switch {
		case x.keys["load"] == y.keys["load"]:
			return 0
		case x.keys["load"] == latency:
			return -1
		default:
			return 1
		}
	})
	return all
}

// eventVariants are the latency and the throughput of a way. An event that fails ends the
// part by fail.
func (b *Bench) eventVariants(ctx context.Context, model string, w way, fail context.CancelCauseFunc) []variant {
	atOnce := eventsAtOnce
	if w.request.Bulk {
		atOnce = eventBacklog
	}
	rush := variant{keys: keys("model", model, "path", w.name, "load", throughput), measure: func(ctx context.Context) (values, error) {
		return b.closed(ctx, w.request, atOnce, 1, eventRushWindow, w.pids)
	}}
	calm := variant{keys: keys("model", model, "path", w.name, "load", latency), measure: func(ctx context.Context) (values, error) {
		return b.open(ctx, w.request, eventRate, 0, eventLatencyWindow, w.pids)
	}}
	switch {
	case w.request.Protocol != load.Events:
		_, _, err := probe(ctx, w.request)
		rush.unable, calm.unable = err, err
		return []variant{calm, rush}
	case w.request.Bulk:
		return []variant{guarded(rush, fail)} // one event alone is no bulk
	default:
		return []variant{guarded(calm, fail), guarded(rush, fail)}
	}
}

// guarded is a variant whose failure ends all.
func guarded(v variant, fail context.CancelCauseFunc) variant {
	measure := v.measure
	v.measure = func(ctx context.Context) (values, error) {
		got, err := measure(ctx)
		if err != nil {
			fail(fmt.Errorf("%s: %w", label(v.keys), err))
		}
		return got, err
	}
	return v
}

// eventWays are all ways to a model, from the shortest to the longest.
func eventWays(model string, memory *mesh, brokers []eventBroker) ([]way, error) {
	direct, err := eventCall(memory.onda.address, model)
	if err != nil {
		return nil, err
	}
	invoked := direct
	invoked.Address, invoked.Path = proc.Local(memory.other.http), "/v1.0/invoke/"+memory.id+"/method"+direct.Path
	own := slices.Concat(memory.own.PIDs(), memory.onda.pids)
	ways := []way{{EventsDirect, direct, memory.onda.pids}, {EventsInvoked, invoked, slices.Concat(memory.other.PIDs(), own)}}
	// Topics in memory are those of one sidecar.
	more, err := publishing(EventsInMemory, model, direct.Body, memory.own, own)
	if err != nil {
		return nil, err
	}
	ways = append(ways, more...)
	for _, broker := range brokers {
		m := broker.mesh
		more, err := publishing(broker.way, model, direct.Body, m.other, slices.Concat(broker.pids(), m.other.PIDs(), m.own.PIDs(), m.onda.pids))
		if err != nil {
			return nil, err
		}
		ways = append(ways, more...)
	}
	return ways, nil
}

// eventCall asks a model with the JSON that its events have as data, too.
func eventCall(address, model string) (load.Request, error) {
	if s, ok := testmodel.ByName(model); ok {
		return oipJSON(address, s), nil
	}
	body, err := json.Marshal(map[string]any{"instances": []string{question}})
	return predict(address, model, "application/json", body), err
}

// publishing are the two ways to publish events for a model through a sidecar, which also
// delivers their answers.
func publishing(name, model string, data []byte, through *sidecar, pids []int) ([]way, error) {
	body, err := load.Event(model, data)
	if err != nil {
		return nil, err
	}
	single := load.Request{
		Protocol: load.Events, Address: proc.Local(through.http), Path: publishPath, Body: body,
		Headers: map[string]string{"content-type": cloudEvent},
		Answers: load.Answers{Sidecar: proc.Local(through.grpc), PubSub: eventPubSub, Results: resultsTopic, DeadLetters: deadLetterTopic},
	}
	bulk := single
	bulk.Path, bulk.Bulk, bulk.Headers = bulkPath, true, map[string]string{"content-type": "application/json"}
	return []way{{name, single, pids}, {name + InBulk, bulk, pids}}, nil
}

// deliveries adds what became of events, if there were any. The error says that some were
// lost.
func deliveries(v values, r load.Result) error {
	if r.Events == nil {
		return nil
	}
	v["published"], v["lost"] = float64(r.Events.Published), float64(r.Events.Lost)
	v["duplicates"], v["dead_letters"] = float64(r.Events.Duplicates), float64(r.Events.DeadLetters)
	if r.Events.Lost > 0 {
		return fmt.Errorf("%d of %d events were not answered: %s", r.Events.Lost, r.Events.Published, r.Error)
	}
	return nil
}
