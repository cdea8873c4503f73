package ondatest

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// RedisServer is a Redis of a test, with nothing in it at first. What it has acknowledged
// survives [RedisServer.Kill].
type RedisServer struct {
	*Process

	// Addr is its host and port, the same after a restart.
	Addr string

	t       *testing.T
	program string
	args    []string
	dir     string
}

// Redis starts a Redis for the time of a test. Further settings come as names and values in
// turn, such as "--proto-max-bulk-len", "1mb".
func Redis(t *testing.T, settings ...string) *RedisServer {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		Missing(t, "redis-server is not there: install Redis, which is the package redis-server of Debian and redis of Homebrew")
	}
	port := FreePort(t)
	r := &RedisServer{Addr: Loopback(port), t: t, program: program, dir: t.TempDir()}
	r.args = []string{
		"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", r.dir, "--daemonize", "no",
		"--appendonly", "yes", "--appendfsync", "always", "--save", "",
	}
	r.args = append(r.args, settings...)
	r.start()
	return r
}

// Restart starts the server again, with what it had saved. One that runs is killed first.
func (r *RedisServer) Restart() {
	r.t.Helper()
	r.Kill()
	r.start()
}

func (r *RedisServer) start() {
	r.t.Helper()
	r.Process = Start(r.t, "redis", r.dir, nil, r.program, r.args...)
	r.Wait(r.t, "redis answers", r.ping)
}

// ping asks the server whether it takes commands: while it reads its file it does not.
func (r *RedisServer) ping() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", r.Addr)
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
