package ondatest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Broker is a server of events of one node, with nothing in it at first, and all that it takes to
// run it. Tests start one with [Redis], [Kafka] or [RabbitMQ]; other programs start the Programs of
// [NewRedis], [NewKafka] or [NewRabbitMQ] in their own way.
type Broker struct {
	// Name is what people call it, with its version.
	Name string
	// Addr is its host and port, the same after a restart.
	Addr string
	// Programs are what to start, each when the one before takes connections. The last one is the
	// broker itself; what it acknowledged survives that it is killed.
	Programs []Program
	// Answers says whether the broker is in service.
	Answers func(ctx context.Context) error
	// MakeTopics makes Onda's topics, with so many partitions where there are any. It is called
	// once, when the broker is in service.
	MakeTopics func(ctx context.Context, partitions int) error
	// Backend keeps events in the server, and state in a file where the server keeps none. Nobody
	// has to say who he is, but for those that anybody knows.
	Backend func(state string) Backend

	tool func(ctx context.Context, name string, args ...string) error // one of Kafka's; nil for others
}

// Program is one that has to run.
type Program struct {
	// Name of it in messages.
	Name string
	// Path and Args start it, in the folder Dir and with Env, beside what any program needs.
	Path string
	Args []string
	Dir  string
	Env  map[string]string
	// Addr is where it takes connections.
	Addr string
}

// Up says whether the program takes connections.
func (p Program) Up(ctx context.Context) error { return reachable(ctx, p.Addr) }

// ErrNotInstalled says that a broker is not on this machine.
var ErrNotInstalled = errors.New("not installed")

// notInstalledError is [ErrNotInstalled], in words that tell what to do.
type notInstalledError string

// Error implements error.
func (n notInstalledError) Error() string { return string(n) }

// Is makes it an [ErrNotInstalled].
func (notInstalledError) Is(target error) bool { return target == ErrNotInstalled }

// onFolder gives backends of a folder of components, with values of both brokers there.
func onFolder(folder string, values map[string]string) func(state string) Backend {
	return func(state string) Backend {
		return Backend{folder: folder, values: map[string]map[string]string{"statestore": {"connectionString": state}, "pubsub": values, "deadletters": values}}
	}
}

// BrokerServer is a [Broker] that runs for the time of a test.
type BrokerServer struct {
	*Broker
	*Process

	t *testing.T
}

// start starts all programs of a broker. err is why there is none.
func (b *Broker) start(t *testing.T, err error) *BrokerServer {
	t.Helper()
	if errors.Is(err, ErrNotInstalled) {
		missingBroker(t, err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	s := &BrokerServer{Broker: b, t: t}
	for _, p := range b.Programs {
		s.Process = p.start(t)
	}
	s.ready()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	if err := b.MakeTopics(ctx, KafkaPartitions); err != nil {
		t.Fatal(err)
	}
	return s
}

// Restart starts the broker again, with what it had acknowledged. One that runs is killed first.
func (s *BrokerServer) Restart() {
	s.t.Helper()
	s.Kill()
	s.Process = s.Programs[len(s.Programs)-1].start(s.t)
	s.ready()
}

// KafkaTool runs one of Kafka's own programs, by the name of its class.
func (s *BrokerServer) KafkaTool(name string, args ...string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	if err := s.tool(ctx, name, args...); err != nil {
		s.t.Fatal(err)
	}
}

func (s *BrokerServer) ready() {
	s.t.Helper()
	s.Wait(s.t, s.Name+" answers", func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		return s.Answers(ctx)
	})
}

// start starts a program for the time of a test, and waits until it takes connections.
func (p Program) start(t *testing.T) *Process {
	t.Helper()
	process := Start(t, p.Name, p.Dir, p.Env, p.Path, p.Args...)
	process.Wait(t, p.Name+" is up", func() error { return p.Up(context.Background()) })
	return process
}

// writeLines writes a file of settings.
func writeLines(dir, name string, lines, more []string) (file string, err error) {
	file = filepath.Join(dir, name)
	return file, os.WriteFile(file, []byte(strings.Join(append(lines, more...), "\n")+"\n"), 0o600)
}

// freePorts gives ports of loopback that nobody uses, each once.
func freePorts(n int) (ports []int, err error) {
	for len(ports) < n {
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		ports = append(ports, port)
	}
	return ports, nil
}

// reachable says whether somebody takes connections at an address.
func reachable(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", address, err)
	}
	return conn.Close()
}
