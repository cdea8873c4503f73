package suite

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/onda-serving/onda/tests/bench/proc"
	"github.com/onda-serving/onda/tests/internal/ondatest"
)

// kafkaPartitions is how many partitions a topic has: components/kafka says 32 for each replica.
const kafkaPartitions = 32

// eventBroker is a broker that is a server, and Onda on it.
type eventBroker struct {
	way       string
	processes []*proc.Process
	mesh      *mesh
	state     string // the address of the Redis that it is, if it is one
}

// pids are all processes of the server.
func (e eventBroker) pids() (all []int) {
	for _, p := range e.processes {
		all = append(all, p.PIDs()...)
	}
	return all
}

// stop ends the mesh, and then the server.
func (e eventBroker) stop() {
	if e.mesh != nil {
		e.mesh.stop()
	}
	for _, p := range slices.Backward(e.processes) {
		p.Stop()
	}
}

func stopAll(brokers []eventBroker) {
	for _, e := range slices.Backward(brokers) {
		e.stop()
	}
}

// startBrokers starts all brokers that are on this machine, each with an Onda. The notes say what
// each is, or why it is not there. What it started is in brokers even if there is an error.
func (b *Bench) startBrokers(ctx context.Context) (brokers []eventBroker, notes []string, err error) {
	state := "" // the Redis of the first, if it is there: it is what replicas of Onda can share
	for _, start := range []func(ctx context.Context, state string) (eventBroker, string, error){b.redisBroker, b.kafkaBroker, b.rabbitBroker} {
		e, note, err := start(ctx, state)
		switch {
		case errors.Is(err, errNoRedis), errors.Is(err, ondatest.ErrNotInstalled):
			notes = append(notes, e.way+": not measured: "+err.Error())
			continue
		case err != nil:
			e.stop()
			return brokers, nil, err
		}
		brokers, notes = append(brokers, e), append(notes, note)
		state = cmp.Or(state, e.state)
	}
	return brokers, notes, nil
}

// withState is a backend with its state on the Redis at an address, if there is one.
func withState(of func(state string) ondatest.Backend, redis string) func(state string) ondatest.Backend {
	if redis == "" {
		return of
	}
	return func(state string) ondatest.Backend { return of(state).WithStateOn(redis) }
}

// redisBroker keeps events and state.
func (b *Bench) redisBroker(ctx context.Context, _ string) (e eventBroker, note string, err error) {
	e.way = EventsRedis
	address, server, err := b.startRedis(ctx)
	if err != nil {
		return e, "", err
	}
	e.processes, e.state = []*proc.Process{server}, address
	e.mesh, err = b.startEvents(ctx, "redis", onRedis(address))
	return e, b.redisVersion(ctx) + "; its append-only file is synced every second (appendfsync everysec): what it acknowledged in the last second is lost with the machine, and not with the program", err
}

// kafkaBroker is one node that is broker and controller.
func (b *Bench) kafkaBroker(ctx context.Context, state string) (e eventBroker, note string, err error) {
	e.way = EventsKafka
	folder, err := b.emptied("events-kafka-server")
	if err != nil {
		return e, "", err
	}
	server, err := ondatest.NewKafka(folder) //nolint:contextcheck // it writes settings, and is bounded by its own time limit
	if err != nil {
		return e, "", err
	}
	if err := b.startBroker(ctx, &e, server); err != nil {
		return e, "", err
	}
	e.mesh, err = b.startEvents(ctx, "kafka", eventBackend{of: withState(server.Backend, state)})
	return e, server.Name + ": one node, replication factor 1, a Java that starts fast (384 MB, no second compiler), and its own settings for writing to disk: in the time of the kernel, not for each message", err
}

// rabbitBroker is one node, with quorum queues for requests.
func (b *Bench) rabbitBroker(ctx context.Context, state string) (e eventBroker, note string, err error) {
	e.way = EventsRabbitMQ
	folder, err := b.emptied("events-rabbitmq-server")
	if err != nil {
		return e, "", err
	}
	server, err := ondatest.NewRabbitMQ(folder)
	if err != nil {
		return e, "", err
	}
	if err := b.startBroker(ctx, &e, server); err != nil {
		return e, "", err
	}
	// What components/rabbitmq says to set with it.
	e.mesh, err = b.startEvents(ctx, "rabbitmq", eventBackend{of: withState(server.Backend, state), env: []string{"ONDA_REQUESTS_METADATA=queueType:quorum"}})
	return e, server.Name + ": one node; requests are in a quorum queue and results in a classic one, both on disk, and each message is confirmed once it is there", err
}

// startBroker starts the programs of a server, and makes the topics.
func (b *Bench) startBroker(ctx context.Context, e *eventBroker, server *ondatest.Broker) error {
	for _, program := range server.Programs {
		env := make([]string, 0, len(program.Env))
		for name, value := range program.Env {
			env = append(env, name+"="+value)
		}
		p, err := proc.Start(proc.Command{Name: program.Name, Args: append([]string{program.Path}, program.Args...), Dir: program.Dir, Env: env, Logs: b.logs()})
		if err != nil {
			return err
		}
		e.processes = append(e.processes, p)
		if _, err := p.Ready(ctx, readyWithin, program.Up); err != nil {
			return err
		}
	}
	if _, err := e.processes[len(e.processes)-1].Ready(ctx, readyWithin, server.Answers); err != nil {
		return err
	}
	return server.MakeTopics(ctx, kafkaPartitions)
}
