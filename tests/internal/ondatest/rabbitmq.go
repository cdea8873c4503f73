package ondatest

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// RabbitMQServer is a RabbitMQ of a test, with nothing in it at first.
type RabbitMQServer struct {
	*Process

	// Addr is its host and port.
	Addr string

	t   *testing.T
	bin string
	dir string
	env map[string]string
}

// RabbitMQ starts a RabbitMQ for the time of a test. Further settings come as lines of
// rabbitmq.conf, such as "consumer_timeout = 60000".
func RabbitMQ(t *testing.T, settings ...string) *RabbitMQServer {
	t.Helper()
	bin, err := rabbitPrograms()
	if err != nil {
		missingBroker(t, "rabbitmq-server is not there: install RabbitMQ, which is the package rabbitmq-server of Debian and rabbitmq of Homebrew")
	}
	port, names := FreePort(t), FreePort(t)
	r := &RabbitMQServer{t: t, Addr: Loopback(port), bin: bin, dir: t.TempDir()}
	conf := filepath.Join(r.dir, "rabbitmq.conf")
	lines := append([]string{"listeners.tcp.1 = " + r.Addr}, settings...)
	if err := os.WriteFile(conf, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.env = map[string]string{
		"HOME": r.dir, "RABBITMQ_NODENAME": fmt.Sprintf("onda-%d@localhost", port), "RABBITMQ_DIST_PORT": strconv.Itoa(FreePort(t)), "RABBITMQ_CONFIG_FILE": conf,
		"RABBITMQ_MNESIA_BASE": filepath.Join(r.dir, "data"), "RABBITMQ_LOG_BASE": filepath.Join(r.dir, "log"), "RABBITMQ_LOGS": "-",
		"RABBITMQ_ENABLED_PLUGINS_FILE": filepath.Join(r.dir, "plugins"), "RABBITMQ_CONF_ENV_FILE": filepath.Join(r.dir, "none"),
		"ERL_EPMD_ADDRESS": "127.0.0.1", "ERL_EPMD_PORT": strconv.Itoa(names),
		// The script becomes the server, instead of one that watches it.
		"RABBITMQ_ALLOW_INPUT": "true",
	}
	// Erlang would start this one itself, and leave it behind.
	epmd := Start(t, "epmd", r.dir, r.env, "epmd")
	epmd.Wait(t, "epmd answers", func() error { return reachable(t.Context(), Loopback(names)) })
	r.start()
	return r
}

// rabbitPrograms is the folder of RabbitMQ's programs. Those that Debian puts into the PATH
// change the user and the folder, and those behind them do not.
func rabbitPrograms() (string, error) {
	const debian = "/usr/lib/rabbitmq/bin"
	if _, err := os.Stat(filepath.Join(debian, "rabbitmq-server")); err == nil {
		return debian, nil
	}
	path, err := exec.LookPath("rabbitmq-server")
	return filepath.Dir(path), err
}

func (r *RabbitMQServer) start() {
	r.t.Helper()
	r.Process = Start(r.t, "rabbitmq", r.dir, r.env, filepath.Join(r.bin, "rabbitmq-server"), "-noinput")
	r.Wait(r.t, "rabbitmq answers", func() error { return reachable(context.Background(), r.Addr) })
}

// Backend keeps events in the server, and state in a file.
func (r *RabbitMQServer) Backend(state string) Backend {
	to := map[string]string{"connectionString": "amqp://guest:guest@" + r.Addr + "/"}
	return Backend{folder: "rabbitmq", values: map[string]map[string]string{"statestore": {"connectionString": state}, "pubsub": to, "deadletters": to}}
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
