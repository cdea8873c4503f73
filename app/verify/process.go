package verify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/onda-serving/onda/app/artifact"
	"github.com/onda-serving/onda/app/scoring"
)

const (
	// pollMemory is how often the memory of a child is looked at. A process that does
	// nothing but take memory gets some hundred megabytes in that time.
	pollMemory = 50 * time.Millisecond
	// maxStderr is how much is kept of what a child says on standard error, in bytes.
	maxStderr = 4096
	// waitDelay is how long the pipes of a child are waited for that is gone already: a
	// process that it started may hold them.
	waitDelay = time.Second
)

// process is a child and what it wrote.
type process struct {
	stdout head
	stderr tail
}

// run runs a child to its end. The error says how it ended, if not with success: [tooLongError],
// [tooMuchError], an exec.ExitError, or that it could not be started.
func (p *process) run(ctx context.Context, c Child, request []byte) error {
	// The child is to end with this process. Linux takes the thread that started a process
	// for its parent, and Go may end any thread that is not kept (https://go.dev/issue/27505):
	// this goroutine keeps its thread until the child is gone.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	ctx, stop := context.WithCancelCause(ctx)
	timer := time.AfterFunc(c.Timeout, func() { stop(tooLongError(c.Timeout)) })
	defer timer.Stop()
	cmd := exec.CommandContext(ctx, c.Command[0], c.Command[1:]...) //nolint:gosec // the command is this program's own
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(request), &p.stdout, &p.stderr
	cmd.Env, cmd.SysProcAttr = c.Env, attributes()
	cmd.WaitDelay = waitDelay
	if err := cmd.Start(); err != nil {
		stop(nil)
		return fmt.Errorf("start the process that checks versions: %w", err)
	}
	var watching sync.WaitGroup
	watching.Go(func() { watch(ctx, cmd.Process.Pid, c.MaxMemory, stop) })
	err := cmd.Wait()
	cause := context.Cause(ctx)
	stop(nil)
	watching.Wait()
	if err != nil && cause != nil {
		return cause // it was ended, and here is why
	}
	return err
}

// watch ends a process that takes more than most bytes of memory; 0 sets no bound.
func watch(ctx context.Context, pid int, most int64, stop context.CancelCauseFunc) {
	if most <= 0 {
		return
	}
	ticker := time.NewTicker(pollMemory)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if used := memoryOf(pid); used > most {
				stop(tooMuchError{used: used, most: most})
				return
			}
		}
	}
}

// tooLongError is why a check was ended that went on for so long.
type tooLongError time.Duration

func (e tooLongError) Error() string {
	return "loading it took longer than " + time.Duration(e).String()
}

// tooMuchError is why a check was ended that took too much memory.
type tooMuchError struct{ used, most int64 }

func (e tooMuchError) Error() string {
	return fmt.Sprintf("loading it took %d MiB of memory: at most %d MiB are allowed", e.used>>20, e.most>>20)
}

// explain makes the public error of how a process ended.
func explain(ref artifact.Ref, err error) error {
	var long tooLongError
	var much tooMuchError
	var exit *exec.ExitError
	switch {
	case errors.As(err, &long):
		return scoring.Errorf(scoring.Invalid, "%s: %s", ref, long)
	case errors.As(err, &much):
		return scoring.Errorf(scoring.TooLarge, "%s: %s", ref, much)
	case !errors.As(err, &exit):
		return scoring.InternalError(err)
	}
	how := strings.TrimSuffix(exit.String(), " (core dumped)")
	if how == "signal: killed" {
		how += ", which is what the system does when it is short of memory"
	}
	return scoring.Errorf(scoring.Invalid, "%s: loading it ended the process with %s", ref, how)
}

// exited says whether a process ended by itself, and not by a signal.
func exited(err error) bool {
	var exit *exec.ExitError
	return err == nil || errors.As(err, &exit) && exit.Exited()
}

// head keeps the beginning of what is written to it.
type head struct{ data []byte }

func (h *head) Write(b []byte) (int, error) {
	h.data = append(h.data, b[:min(len(b), maxMessage-len(h.data))]...)
	return len(b), nil
}

// answer reads the last line: a library may have printed something before it.
func (h *head) answer() (a answer, ok bool) {
	text := bytes.TrimSpace(h.data)
	if at := bytes.LastIndexByte(text, '\n'); at >= 0 {
		text = text[at+1:]
	}
	if err := json.Unmarshal(text, &a); err != nil {
		return answer{}, false
	}
	return a, a.Error != "" || a.Report != nil && a.Digest != ""
}

// tail keeps the end of what is written to it.
type tail struct{ data []byte }

func (t *tail) Write(b []byte) (int, error) {
	t.data = append(t.data, b[max(0, len(b)-maxStderr):]...)
	if len(t.data) > 2*maxStderr { // not with each write: most are a line
		t.data = append(t.data[:0], t.text()...)
	}
	return len(b), nil
}

func (t *tail) text() []byte { return t.data[max(0, len(t.data)-maxStderr):] }
