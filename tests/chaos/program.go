package chaos

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"time"
)

// program is a process that is started again whenever it ends, as an orchestrator does.
type program struct {
	name, dir, log string
	path           string
	args           []string
	env            []string
	up             func(context.Context) error // whether it takes connections; nil where others ask

	mu  sync.Mutex
	cmd *exec.Cmd // nil while it does not run
}

// again is the pause before a program is started again.
const again = 200 * time.Millisecond

// keep runs the program until the context ends, and kills it then.
func (p *program) keep(ctx context.Context) error {
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	for ctx.Err() == nil {
		cmd := exec.CommandContext(ctx, p.path, p.args...) //nolint:gosec // the programs of the run
		cmd.Dir, cmd.Stdout, cmd.Stderr = p.dir, log, log
		cmd.Env = append(inherited(), p.env...)
		cmd.SysProcAttr = endWithParent()
		if err := p.start(cmd); err != nil {
			return fmt.Errorf("start %s: %w", p.name, err)
		}
		_ = cmd.Wait() // however it ended, it is started again
		p.mu.Lock()
		p.cmd = nil
		p.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-time.After(again):
		}
	}
	return nil
}

func (p *program) start(cmd *exec.Cmd) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := cmd.Start(); err != nil {
		return err
	}
	p.cmd = cmd
	return nil
}

// kill ends the program with SIGKILL; it says whether there was one to end.
func (p *program) kill() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd != nil && p.cmd.Process.Kill() == nil
}

// inherited is what any program needs of this one's environment: settings of whoever runs this
// must not reach it.
func inherited() (env []string) {
	for _, name := range []string{"PATH", "HOME", "TMPDIR"} {
		env = append(env, name+"="+os.Getenv(name)) //nolint:forbidigo // handed on, not read
	}
	return env
}
