// Package proc starts the programs that the bench measures, and takes stock of them: the
// CPU time, the memory and the children of each, as the kernel counts them.
package proc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// grace is how long a program gets to end by itself.
const grace = 4 * time.Second

// Command says what to start.
type Command struct {
	// Name of the program in messages, and of its log.
	Name string
	// Args are the program and its arguments.
	Args []string
	// Dir is the folder to start it in.
	Dir string
	// Env is added to this process's own environment.
	Env []string
	// Logs is the folder of the log.
	Logs string
}

// Process is a program that was started, with all it started in turn.
type Process struct {
	name, log string
	cmd       *exec.Cmd
	began     time.Time
	ended     chan struct{}
}

// Start starts a program in a process group of its own, its output in a log file.
func Start(c Command) (*Process, error) {
	if err := os.MkdirAll(c.Logs, 0o750); err != nil {
		return nil, err
	}
	p := &Process{name: c.Name, log: filepath.Join(c.Logs, c.Name+".log"), ended: make(chan struct{})}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p.cmd = exec.Command(c.Args[0], c.Args[1:]...) //nolint:gosec,noctx // the bench names its programs, and ends them in order
	p.cmd.Dir = c.Dir
	p.cmd.Env = append(p.cmd.Environ(), c.Env...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = ownGroup()
	p.began = time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Name, err)
	}
	go func() {
		_ = p.cmd.Wait() // that it ended says enough: the log says why
		close(p.ended)
	}()
	return p, nil
}

// PIDs are the program and all its descendants, as they are now.
func (p *Process) PIDs() []int { return Tree(p.cmd.Process.Pid) }

// Began is when the program was started.
func (p *Process) Began() time.Time { return p.began }

// Stop asks the group to end, makes it end if it does not, and waits for it.
func (p *Process) Stop() {
	group := -p.cmd.Process.Pid
	_ = syscall.Kill(group, syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(grace):
	}
	// What it left behind, and itself.
	_ = syscall.Kill(group, syscall.SIGKILL)
	<-p.ended
	for range 100 {
		if errors.Is(syscall.Kill(group, 0), syscall.ESRCH) {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Ready waits until ask succeeds. It looks often, because the time of the first answer
// is measured by it.
func (p *Process) Ready(ctx context.Context, within time.Duration, ask func(context.Context) error) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for {
		err := ask(ctx)
		if err == nil {
			return time.Since(p.began), nil
		}
		select {
		case <-p.ended:
			return 0, fmt.Errorf("%s ended: %s", p.name, p.tail())
		case <-ctx.Done():
			return 0, fmt.Errorf("%s is not ready within %s: %w; %s", p.name, within, err, p.tail())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// tail is the end of the log in one line.
func (p *Process) tail() string {
	const most = 400
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	text = text[max(0, len(text)-most):]
	return "its log ends: " + strings.Join(strings.Fields(string(text)), " ")
}

// Get asks a URL and wants a good status.
func Get(url string) func(context.Context) error {
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		_, _ = io.Copy(io.Discard, response.Body) // so that the connection is used again
		if response.StatusCode >= http.StatusMultipleChoices {
			return fmt.Errorf("status %d", response.StatusCode)
		}
		return nil
	}
}
