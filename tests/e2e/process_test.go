package e2e_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is a program that a test started. It ends with the test at the latest.
type process struct {
	name string
	cmd  *exec.Cmd
	log  output
	// ended is closed when the process is gone; err is valid from then on.
	ended chan struct{}
	err   error
}

// launch starts a program with nothing in its environment but env and what every program
// needs, so that the caller's own settings of Onda or Dapr change no test.
func launch(t *testing.T, name, dir string, env map[string]string, program string, args ...string) *process {
	t.Helper()
	p := &process{name: name, cmd: exec.Command(program, args...), ended: make(chan struct{})}
	p.cmd.Dir = dir
	for _, variable := range []string{"PATH", "HOME", "TMPDIR"} {
		p.cmd.Env = append(p.cmd.Env, variable+"="+os.Getenv(variable))
	}
	for variable, value := range env {
		p.cmd.Env = append(p.cmd.Env, variable+"="+value)
	}
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	p.cmd.SysProcAttr = endsWithParent()
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %s", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.end(t)
		if t.Failed() {
			t.Logf("log of %s (process %d):\n%s", p.name, p.cmd.Process.Pid, p.log.tail())
		}
	})
	return p
}

// signal sends a signal to this process alone.
func (p *process) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("signal %s: %s", p.name, err)
	}
}

// end asks the process to stop, and makes it stop if it does not.
func (p *process) end(t *testing.T) {
	t.Helper()
	p.signal(t, syscall.SIGTERM)
	select {
	case <-p.ended:
		return
	case <-time.After(patience):
	}
	t.Errorf("%s did not end within %s of SIGTERM", p.name, patience)
	p.kill(t)
}

// kill ends the process without giving it a chance.
func (p *process) kill(t *testing.T) {
	t.Helper()
	p.signal(t, syscall.SIGKILL)
	<-p.ended
}

// exitCode waits for the process to end.
func (p *process) exitCode(t *testing.T) int {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		t.Fatalf("%s is still running after %s", p.name, patience)
	}
	return p.cmd.ProcessState.ExitCode()
}

// gone says whether the process has ended, so that nobody waits for it in vain.
func (p *process) gone() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// logs waits for a text in the process's log.
func (p *process) logs(t *testing.T, text string) {
	t.Helper()
	eventually(t, p.name+" logs "+text, func() error {
		if strings.Contains(p.log.String(), text) {
			return nil
		}
		return errors.New("not logged")
	})
}

// output collects what a process writes.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

// String is everything that was written so far.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// tail is the end of it, enough to tell what happened last.
func (o *output) tail() string {
	const most = 6_000
	text := o.String()
	if len(text) <= most {
		return text
	}
	return "[...]" + text[len(text)-most:]
}
