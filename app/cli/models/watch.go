package models

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/cli/client"
	"github.com/onda-serving/onda/app/cli/command"
)

// patience is how long a rollout is followed that nobody tells about: a replica may restart
// meanwhile.
const patience = time.Minute

// pace is how often a log gets a line although nothing was decided.
const pace = 30 * time.Second

// watcher follows a rollout.
type watcher struct {
	*session

	name string
	// id of the rollout; "" for the one that is running.
	id string
	// lost is since when the server does not answer; zero while it does.
	lost time.Time
	// said is what the last line was about, and at when it was written.
	said string
	at   time.Time
}

// watch follows a rollout until it ends. An error says that it ended badly, or that nobody
// knows.
func (s *session) watch(ctx context.Context, name, id string, every time.Duration) error {
	s.still = fmt.Sprintf("the rollout goes on at the server; follow it with \"onda models rollout %s --watch\", end it with \"onda models rollback %s\"", name, name)
	w := &watcher{session: s, name: name, id: id}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if ended, err := w.look(ctx); ended || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// look looks once, and says whether the rollout has ended.
func (w *watcher) look(ctx context.Context) (ended bool, err error) {
	m, raw, err := w.client.Model(ctx, w.name)
	if err != nil {
		return false, w.bear(ctx, err)
	}
	w.lost = time.Time{}
	r := m.Rollout
	switch {
	case r == nil || w.id == "" && r.Status != catalog.Running:
		return false, &command.ExitError{Code: command.Failed, Text: fmt.Sprintf("no rollout of %s is running: begin one with \"onda models rollout %s VERSION\"", w.name, w.name)}
	case w.id == "":
		w.id = r.ID
	case r.ID != w.id:
		return false, &command.ExitError{Code: command.Failed, Text: fmt.Sprintf("rollout %s of %s ended, and %s began meanwhile: see \"onda models history %s\"", w.id, w.name, client.Clean(r.ID), w.name)}
	}
	if r.Status != catalog.Running {
		return true, w.end(r, raw)
	}
	evidence, _ := w.client.Evidence(ctx, w.name)
	if ctx.Err() == nil {
		w.tell(r, evidence) // there is none before the first numbers are in
	}
	return false, context.Cause(ctx)
}

// bear waits out a server that does not answer, for a while.
func (w *watcher) bear(ctx context.Context, err error) error {
	if no, ok := errors.AsType[*client.Error](err); ctx.Err() != nil || ok && no.Status < 500 {
		return err
	}
	if w.lost.IsZero() {
		w.lost = time.Now()
		w.note("%s; trying again", client.Clean(err.Error()))
	}
	if time.Since(w.lost) > patience {
		return fmt.Errorf("%w; %s", err, w.still)
	}
	return nil
}

// tell writes how a rollout stands: over the line before, or where lines stay, only when
// something was decided or a while has passed.
func (w *watcher) tell(r *catalog.Rollout, e *client.Evidence) {
	about := fmt.Sprintf("step %d of %d (%s)", r.Step+1, len(r.Steps), stepShare(r))
	text := about
	if e != nil && e.Rollout == r.ID && e.Step == r.Step && e.Decision.Reason != "" {
		text = decisionText(e.Decision) // which names the step
		about += e.Decision.Action
	}
	text = client.Clean(fmt.Sprintf("version %d: %s", r.Candidate, text))
	if w.lively {
		w.update(text)
		return
	}
	if about != w.said || time.Since(w.at) >= pace {
		w.note("%s", text)
		w.said, w.at = about, time.Now()
	}
}

// end tells how a rollout ended. What was rolled back is a failure.
func (w *watcher) end(r *catalog.Rollout, raw []byte) error {
	w.endLine()
	verdict := cmp.Or(client.Clean(r.Verdict), "no reason was given")
	promoted := r.Status == catalog.Promoted
	if err := w.answer(raw, func() {
		if promoted {
			w.print("%s: version %d is live: %s", w.name, r.Candidate, verdict)
		}
	}); err != nil {
		return err
	}
	if promoted {
		return nil
	}
	return &command.ExitError{Code: command.Failed, Text: fmt.Sprintf("%s: version %d was %s, version %d answers: %s",
		w.name, r.Candidate, client.Clean(strings.ReplaceAll(r.Status, "_", " ")), r.Baseline, verdict)}
}
