package registryapi

import (
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/onda-serving/onda/app/admin"
	"github.com/onda-serving/onda/app/ingress/operator"
	"github.com/onda-serving/onda/app/scoring"
)

const (
	// betweenLines is the least time between two lines, but for the first one of a stage.
	betweenLines = 100 * time.Millisecond
	// beforeFirst is the least time before the first line: a sidecar that is answered while it
	// still sends the request's body closes the connection, and the rest of the lines is lost.
	beforeFirst = 50 * time.Millisecond
	// heartbeat is the longest time without a line: proxies close connections on which
	// nothing happens.
	heartbeat = 2 * time.Second
	// maxPending bounds the stages that wait to be written.
	maxPending = 16
)

// progressLine and resultLine are the lines of a stream. A failure is a line of its own form.
type (
	progressLine struct {
		Progress admin.Progress `json:"progress"`
	}
	resultLine struct {
		Result any `json:"result"`
	}
)

// pending holds progress that was not written yet: the newest of each stage.
type pending struct {
	mu    sync.Mutex
	lines []admin.Progress
	// news holds an element while there are lines.
	news chan struct{}
}

// add is called by the change, from any goroutine. It never waits.
func (p *pending) add(progress admin.Progress) {
	p.mu.Lock()
	if n := len(p.lines); n > 0 && (p.lines[n-1].Stage == progress.Stage || n == maxPending) {
		p.lines[n-1] = progress
	} else {
		p.lines = append(p.lines, progress)
	}
	p.mu.Unlock()
	select {
	case p.news <- struct{}{}:
	default:
	}
}

// take gives what waits. Unless all is wanted, it gives nothing before there is a stage that
// is not among seen.
func (p *pending) take(seen map[string]bool, all bool) (lines []admin.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	isNew := func(progress admin.Progress) bool { return !seen[progress.Stage] }
	if !all && !slices.ContainsFunc(p.lines, isNew) {
		return nil
	}
	lines, p.lines = p.lines, nil
	return lines
}

// stream makes a change and writes a line whenever it gets further, and one for what came of
// it. The change is made in a goroutine of its own, so that lines can be written while it is
// busy; when stream returns it has ended, whether or not the caller still listens.
func (h *Handler) stream(w http.ResponseWriter, in *asked, line *changeLine, made func() error) {
	out := operator.NewLines(w)
	waiting := &pending{news: make(chan struct{}, 1)}
	in.ask.Progress = waiting.add
	done := make(chan error, 1)
	go func() { done <- made() }()

	last, seen := admin.Progress{Stage: admin.StageWaiting}, map[string]bool{}
	write := func(all bool) {
		for _, last = range waiting.take(seen, all) {
			seen[last.Stage] = true
			out.Write(progressLine{last})
		}
	}
	select {
	case line.err = <-done:
		write(true)
		h.finish(out, line)
		return
	case <-time.After(beforeFirst):
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	pace := time.NewTicker(betweenLines)
	defer pace.Stop()
	for {
		select {
		case <-waiting.news:
			write(false)
		case <-pace.C:
			write(true)
		case <-beat.C:
			out.Write(progressLine{last})
		case line.err = <-done:
			write(true)
			h.finish(out, line)
			return
		}
	}
}

// finish writes the last line.
func (h *Handler) finish(out *operator.Lines, line *changeLine) {
	if line.err != nil {
		body := failureOf(line.err)
		body.Status = operator.StatusOf(line.err)
		out.Write(body)
		h.logFailure(line)
		return
	}
	out.Write(resultLine{line.outcome.body})
}

// logFailure logs failures of ours, as fail does for answers.
func (h *Handler) logFailure(line *changeLine) {
	if scoring.CodeOf(line.err) == scoring.Internal {
		h.door.Log.Error().Err(line.err).Str("operation", line.action).Msg("refused")
	}
}
