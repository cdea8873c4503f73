package ondatest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Patience bounds every wait for something that has to come about.
const Patience = 60 * time.Second

// Process is a program that a test started and that ends with the test.
type Process struct {
	name  string
	cmd   *exec.Cmd
	log   log
	ended chan struct{} // closed when the program is gone
}

// Start starts a program in the folder dir. Its environment is env and what any program
// needs: the settings of whoever runs the tests must not change them. The end of its log
// is shown if the test fails.
func Start(t *testing.T, name, dir string, env map[string]string, program string, args ...string) *Process {
	t.Helper()
	p := &Process{name: name, ended: make(chan struct{})}
	p.cmd = exec.CommandContext(context.Background(), program, args...) //nolint:gosec // tests choose the programs
	p.cmd.Dir, p.cmd.Env = dir, environment(env)
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	p.cmd.SysProcAttr = endWithParent()
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %s", name, err)
	}
	go func() {
		_ = p.cmd.Wait() // the state of the process says the same
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.End(t)
		if t.Failed() {
			t.Logf("the end of the log of %s:\n%s", name, p.Log())
		}
	})
	return p
}

// environment lists env with what any program needs.
func environment(env map[string]string) []string {
	all := make([]string, 0, len(env)+3)
	for _, name := range []string{"PATH", "HOME", "TMPDIR"} {
		all = append(all, name+"="+os.Getenv(name)) //nolint:forbidigo // handed on, not read
	}
	for name, value := range env {
		all = append(all, name+"="+value)
	}
	return all
}

// End asks the program to end, and ends it if it does not.
func (p *Process) End(t *testing.T) {
	t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it fails for a program that has ended
	p.Thaw()                                  // or it would not hear of that
	select {
	case <-p.ended:
		return
	case <-time.After(Patience):
	}
	t.Errorf("%s did not end within %s of SIGTERM", p.name, Patience)
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// Kill ends the program without giving it a chance, and waits until it is gone. To kill one
// that has ended is fine.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it fails for a program that has ended
	<-p.ended
}

// Freeze stops the program where it stands, as a machine that hangs does: connections to it
// stay, and nobody answers. Thaw takes that back.
func (p *Process) Freeze() { _ = p.cmd.Process.Signal(syscall.SIGSTOP) }

// Thaw takes back [Process.Freeze].
func (p *Process) Thaw() { _ = p.cmd.Process.Signal(syscall.SIGCONT) }

// PID is the program's process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Ended says whether the program is gone, and how it went.
func (p *Process) Ended() (state string, ended bool) {
	select {
	case <-p.ended:
		return p.cmd.ProcessState.String(), true
	default:
		return "", false
	}
}

// Wait looks again and again until look finds nothing wrong, and fails the test when that
// takes too long or the program ends.
func (p *Process) Wait(t *testing.T, what string, look func() error) {
	t.Helper()
	for deadline := time.Now().Add(Patience); ; time.Sleep(20 * time.Millisecond) {
		err := look()
		if err == nil {
			return
		}
		if state, ended := p.Ended(); ended {
			t.Fatalf("%s: %s ended (%s)", what, p.name, state)
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s: %s", what, Patience, err)
		}
	}
}

// Log is the end of what the program wrote.
func (p *Process) Log() string { return p.log.tail() }

// log collects the output of a program.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *log) tail() string {
	const most = 8_000
	l.mu.Lock()
	defer l.mu.Unlock()
	text := l.text.Bytes()
	return string(text[max(0, len(text)-most):])
}

// The ports that tests get lie below those that the system gives to outgoing connections,
// so that nobody takes one between the moment it is found free and its use.
const firstPort, portCount = 30_000, 2_700

// nextPort begins anywhere: the tests of several packages run at once.
var nextPort = func() *atomic.Int64 {
	var next atomic.Int64
	next.Store(rand.Int64N(portCount)) //nolint:gosec // no secret
	return &next
}()

// FreePort gives a port of loopback that nobody uses, and gives it once.
func FreePort(t *testing.T) int {
	t.Helper()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func freePort() (int, error) {
	for range portCount {
		port := firstPort + int(nextPort.Add(1)%portCount)
		listener, err := net.Listen("tcp", Loopback(port))
		if err != nil {
			continue
		}
		if err := listener.Close(); err != nil {
			return 0, fmt.Errorf("find a free port: %w", err)
		}
		return port, nil
	}
	return 0, errors.New("find a free port: there is none")
}

// Loopback is an address on this machine.
func Loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
