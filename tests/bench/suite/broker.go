package suite

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/onda-serving/onda/tests/bench/proc"
	"github.com/onda-serving/onda/tests/internal/ondatest"
)

// eventBackend is what events and state are kept in; the zero value is the broker inside the
// sidecar, with state in a file.
type eventBackend struct {
	// of gives the backend, with state in a file if it keeps none itself.
	of func(state string) ondatest.Backend
	// env are settings of Onda's that go with it.
	env []string
}

// onRedis keeps both on the Redis at an address.
func onRedis(address string) eventBackend {
	return eventBackend{of: func(string) ondatest.Backend { return ondatest.RedisAt(address) }}
}

// startEvents starts Onda behind a sidecar, with the components that users run with, and the
// sidecar of an app that calls it. What it started is in the mesh even if there is an error.
func (b *Bench) startEvents(ctx context.Context, name string, on eventBackend) (m *mesh, err error) {
	m = &mesh{id: "onda-bench-" + name + "-" + strconv.FormatInt(time.Now().UnixMilli()%1e6, 10)}
	caller := "caller-of-" + m.id
	folder, err := b.emptied("events-" + name)
	if err != nil {
		return m, err
	}
	components, callers, state := filepath.Join(folder, "components"), filepath.Join(folder, "caller"), filepath.Join(folder, "state.db")
	backend := ondatest.SQLite(state)
	if on.of != nil {
		backend = on.of(state)
	}
	if err := eventComponents(components, callers, m.id, caller, backend); err != nil {
		return m, err
	}
	port, err := proc.Port()
	if err != nil {
		return m, err
	}
	if m.own, err = b.startSidecar(m.id, proc.Local(port), nil, "--resources-path", components); err != nil {
		return m, err
	}
	m.parts = append(m.parts, m.own)
	m.onda, err = b.startOndaAt(ctx, proc.Local(port), "onda-events-"+name, b.models[eventPart], append(on.env,
		"ONDA_DAPR=on", "DAPR_GRPC_PORT="+itoa(m.own.grpc), "DAPR_HTTP_PORT="+itoa(m.own.http), "ONDA_LOG_LEVEL=warn")...)
	if err != nil {
		return m, err
	}
	m.parts = append(m.parts, m.onda)
	if on.of == nil {
		callers = "" // nobody else reaches topics inside a sidecar
	}
	return m, b.startCaller(ctx, m, caller, callers)
}

// startCaller starts the sidecar of the app that calls, and waits until its calls arrive.
func (b *Bench) startCaller(ctx context.Context, m *mesh, id, components string) (err error) {
	var more []string
	if components != "" {
		more = []string{"--resources-path", components}
	}
	if m.other, err = b.startSidecar(id, "", nil, more...); err != nil {
		return err
	}
	m.parts = append(m.parts, m.other)
	_, err = m.other.Ready(ctx, readyWithin, proc.Get("http://"+proc.Local(m.other.http)+"/v1.0/invoke/"+m.id+"/method/v2/health/ready"))
	return err
}

// eventComponents writes the components of Onda, and of the app that calls it: for that no
// more than the broker, under its own consumer id, so that the two do not share messages.
func eventComponents(onda, callers, id, caller string, backend ondatest.Backend) error {
	for folder, appID := range map[string]string{onda: id, callers: caller} {
		if err := os.MkdirAll(folder, 0o750); err != nil {
			return err
		}
		if err := ondatest.WriteComponents(folder, appID, backend); err != nil {
			return err
		}
	}
	for _, name := range []string{"subscription.yaml", "statestore.yaml"} {
		if err := os.Remove(filepath.Join(callers, name)); err != nil {
			return err
		}
	}
	return nil
}

// emptied gives a folder of the bench's with nothing in it.
func (b *Bench) emptied(name string) (folder string, err error) {
	folder = filepath.Join(b.local, "tmp", name)
	if err := os.RemoveAll(folder); err != nil {
		return "", err
	}
	return folder, os.MkdirAll(folder, 0o750)
}

// errNoRedis says that there is no server to measure.
var errNoRedis = errors.New("redis-server is not there: install Redis, which is the package redis-server of Debian and redis of Homebrew")

// startRedis starts a Redis with nothing in it, which keeps what it is told in a file that it
// syncs every second.
func (b *Bench) startRedis(ctx context.Context) (address string, p *proc.Process, err error) {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		return "", nil, errNoRedis
	}
	folder, err := b.emptied("events-server")
	if err != nil {
		return "", nil, err
	}
	port, err := proc.Port()
	if err != nil {
		return "", nil, err
	}
	address = proc.Local(port)
	p, err = proc.Start(proc.Command{Name: "redis", Dir: folder, Logs: b.logs(), Args: []string{
		program, "--port", itoa(port), "--bind", "127.0.0.1", "--dir", folder, "--daemonize", "no",
		"--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--maxmemory-policy", "noeviction",
	}})
	if err != nil {
		return "", nil, err
	}
	if _, err := p.Ready(ctx, readyWithin, func(ctx context.Context) error { return ping(ctx, address) }); err != nil {
		p.Stop()
		return "", nil, err
	}
	return address, p, nil
}

// ping asks a Redis whether it takes commands.
func ping(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && strings.TrimSpace(answer) != "+PONG" {
		err = fmt.Errorf("redis answers %q", answer)
	}
	return err
}

// redisVersion is "Redis 7.0.15", or "Redis" where the server does not say.
func (*Bench) redisVersion(ctx context.Context) string {
	for word := range strings.FieldsSeq(output(ctx, "redis-server", "--version")) {
		if version, ok := strings.CutPrefix(word, "v="); ok {
			return "Redis " + version
		}
	}
	return "Redis"
}
