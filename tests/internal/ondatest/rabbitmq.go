package ondatest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// RabbitMQ starts a RabbitMQ for the time of a test. Further settings come as lines of
// rabbitmq.conf, such as "consumer_timeout = 60000".
func RabbitMQ(t *testing.T, settings ...string) *BrokerServer {
	t.Helper()
	b, err := NewRabbitMQ(t.TempDir(), settings...)
	return b.start(t, err)
}

// NewRabbitMQ gives a RabbitMQ whose data are in a folder, which must be empty. The error is
// [ErrNotInstalled] where it is not there.
func NewRabbitMQ(dir string, settings ...string) (*Broker, error) {
	bin, err := rabbitPrograms()
	if err != nil {
		return nil, notInstalledError("rabbitmq-server is not there: install RabbitMQ, which is the package rabbitmq-server of Debian and rabbitmq of Homebrew")
	}
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	addr, names := Loopback(ports[0]), ports[2]
	conf, err := writeLines(dir, "rabbitmq.conf", []string{"listeners.tcp.1 = " + addr}, settings)
	if err != nil {
		return nil, err
	}
	env := map[string]string{
		"HOME": dir, "RABBITMQ_NODENAME": fmt.Sprintf("onda-%d@localhost", ports[0]), "RABBITMQ_DIST_PORT": strconv.Itoa(ports[1]), "RABBITMQ_CONFIG_FILE": conf,
		"RABBITMQ_MNESIA_BASE": filepath.Join(dir, "data"), "RABBITMQ_LOG_BASE": filepath.Join(dir, "log"), "RABBITMQ_LOGS": "-",
		"RABBITMQ_ENABLED_PLUGINS_FILE": filepath.Join(dir, "plugins"), "RABBITMQ_CONF_ENV_FILE": filepath.Join(dir, "none"),
		"ERL_EPMD_ADDRESS": "127.0.0.1", "ERL_EPMD_PORT": strconv.Itoa(names),
		// The script becomes the server, instead of one that watches it.
		"RABBITMQ_ALLOW_INPUT": "true",
	}
	return &Broker{
		Name: rabbitVersion(bin), Addr: addr,
		Answers: func(ctx context.Context) error { return reachable(ctx, addr) },
		// Whoever publishes makes what stands for a topic.
		MakeTopics: func(context.Context, int) error { return nil },
		Programs: []Program{
			// Erlang would start this one itself, and leave it behind.
			{Name: "epmd", Path: "epmd", Dir: dir, Env: env, Addr: Loopback(names)},
			{Name: "rabbitmq", Path: filepath.Join(bin, "rabbitmq-server"), Args: []string{"-noinput"}, Dir: dir, Env: env, Addr: addr},
		},
		Backend: onFolder("rabbitmq", map[string]string{"connectionString": "amqp://guest:guest@" + addr + "/"}),
	}, nil
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

// rabbitVersion is "RabbitMQ 3.10.8", from the name of the folder that the programs are in.
func rabbitVersion(bin string) string {
	program, err := filepath.EvalSymlinks(filepath.Join(bin, "rabbitmq-server"))
	if err != nil {
		return "RabbitMQ"
	}
	for part := range strings.SplitSeq(program, string(filepath.Separator)) {
		if version, ok := strings.CutPrefix(part, "rabbitmq_server-"); ok {
			return "RabbitMQ " + version
		}
	}
	return "RabbitMQ"
}
