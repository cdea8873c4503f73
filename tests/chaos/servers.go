package chaos

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/onda-serving/onda/tests/internal/ondatest"
)

// Brokers that a run can be on.
const (
	Redis    = "redis"
	Kafka    = "kafka"
	RabbitMQ = "rabbitmq"
)

// partitions of each topic, where there are any: one event of each is in work at a time.
const partitions = 16

// server is a broker, and what a run has to know of it.
type server struct {
	*ondatest.Broker

	// name of the part, when it is killed.
	name string
	// settings of the components that a run changes, or it would wait most of its time.
	settings map[string]string
	// redelivery is how long an event stays with a sidecar that was killed.
	redelivery time.Duration
	// subscription replaces texts of subscription.yaml, each with the one after it.
	subscription []string
	// hasty says that the sidecar may tell a sender of success before the broker has an event: such
	// a sender sends it again until it is answered.
	hasty bool
}

// newServer gives the broker of a name, with its data in a folder.
func newServer(name, dir string) (s server, err error) {
	folder := filepath.Join(dir, name)
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return s, err
	}
	s.name = name
	switch name {
	case Redis:
		s.redelivery = 4 * time.Second
		s.settings = map[string]string{"processingTimeout": s.redelivery.String(), "redeliverInterval": "1000"}
		// So that what was lost can be traced: every command with its time, from the beginning.
		s.Broker, err = ondatest.NewRedis(folder, "--maxmemory-policy", "noeviction", "--aof-timestamp-enabled", "yes", "--auto-aof-rewrite-percentage", "0")
	case Kafka:
		// The least that the broker allows.
		s.redelivery = 6 * time.Second
		s.settings = map[string]string{"sessionTimeout": s.redelivery.String(), "heartbeatInterval": "2s"}
		s.Broker, err = ondatest.NewKafka(folder)
	case RabbitMQ:
		// It sees at once that a sidecar is gone; a queue comes back within this time.
		s.redelivery = 4 * time.Second
		s.hasty = true
		// One node: a quorum queue of a single member may have no leader any more after a restart
		// (rabbitmq-server#10070, seen with 3.10.8), and then takes nothing and confirms nothing.
		s.subscription = []string{"queueType: quorum", "queueType: classic"}
		s.Broker, err = ondatest.NewRabbitMQ(folder)
	default:
		err = fmt.Errorf("there is no broker %q: want %s, %s or %s", name, Redis, Kafka, RabbitMQ)
	}
	return s, err
}

// programs are the broker itself, and what it needs beside it, which is not killed.
func (s server) programs(dir string) (broker *program, beside []*program) {
	for i, p := range s.Programs {
		one := &program{name: p.Name, path: p.Path, args: p.Args, dir: p.Dir, log: logPath(dir, p.Name), up: p.Up}
		for name, value := range p.Env {
			one.env = append(one.env, name+"="+value)
		}
		if i == len(s.Programs)-1 {
			one.name = s.name
			broker = one
			continue
		}
		beside = append(beside, one)
	}
	return broker, beside
}
