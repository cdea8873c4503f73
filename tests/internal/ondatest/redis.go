package ondatest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// RedisServer is a Redis of a test, with nothing in it at first. What it has acknowledged
// survives [Process.Kill].
type RedisServer struct{ *BrokerServer }

// Redis starts a Redis for the time of a test. Further settings come as names and values in
// turn, such as "--proto-max-bulk-len", "1mb".
func Redis(t *testing.T, settings ...string) *RedisServer {
	t.Helper()
	b, err := NewRedis(t.TempDir(), settings...)
	if errors.Is(err, ErrNotInstalled) {
		Missing(t, err.Error())
	}
	return &RedisServer{b.start(t, err)}
}

// NewRedis gives a Redis whose data are in a folder, which must be empty. The error is
// [ErrNotInstalled] where it is not there.
func NewRedis(dir string, settings ...string) (*Broker, error) {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, notInstalledError("redis-server is not there: install Redis, which is the package redis-server of Debian and redis of Homebrew")
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	addr := Loopback(port)
	args := append([]string{
		"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", dir, "--daemonize", "no",
		"--appendonly", "yes", "--appendfsync", "always", "--save", "",
	}, settings...)
	return &Broker{
		Name: "Redis", Addr: addr,
		Programs:   []Program{{Name: "redis", Path: program, Args: args, Dir: dir, Addr: addr}},
		Answers:    func(ctx context.Context) error { return ping(ctx, addr) },
		MakeTopics: func(context.Context, int) error { return nil }, // a stream begins with its first event
		Backend:    func(string) Backend { return RedisAt(addr) },
	}, nil
}

// ping asks the server whether it takes commands: while it reads its file it does not.
func ping(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("ask redis: %w", err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second)) // it fails for a closed one, and then so does the next line
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return fmt.Errorf("ask redis: %w", err)
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return fmt.Errorf("ask redis: %w", err)
	}
	if strings.TrimSpace(answer) != "+PONG" {
		return fmt.Errorf("redis answers %q", answer)
	}
	return nil
}
