// Package chaos tries to lose scoring events. It runs Onda behind its sidecar on a real Redis,
// Kafka or RabbitMQ, publishes events through a sidecar of its own, kills all three parts with
// SIGKILL while they work, and moves the model's label all the while. Afterwards it counts: every
// event that the sidecar said the broker has must be answered, and no event may have two answers
// that differ. What nothing answered is sent again, to see whether it was lost on its way in, or
// its answer on its way out.
package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// Options say what a run is.
type Options struct {
	// Events is how many different ones are published.
	Events int
	// Kills is how many processes are killed.
	Kills int
	// Broker is [Redis], [Kafka] or [RabbitMQ].
	Broker string
	// Only names the part that is killed: onda, sidecar or the broker; "" is all of them in turn.
	Only string
	// Seed decides which, and when.
	Seed uint64
	// Forget runs Onda without its memory of answers: a run that then shows no contradictions
	// shows nothing.
	Forget bool
	// Patience bounds the time without any answer before the run gives up.
	Patience time.Duration
	// Log gets a line for what happens.
	Log io.Writer
}

// The shapes of the events.
const (
	// twiceEvery is how often an event is published twice.
	twiceEvery = 50
	// badEvery is how often one has data that no retry can mend.
	badEvery = 997
)

// Run runs it. The error says that the run itself failed; what it saw is in the report.
func Run(ctx context.Context, o Options) (report Report, err error) {
	dir, err := os.MkdirTemp("", "onda-chaos-")
	if err != nil {
		return report, err
	}
	ctx, cancel := context.WithCancel(ctx)
	s, err := newStack(ctx, dir, o)
	if err != nil {
		cancel()
		return report, errors.Join(err, os.RemoveAll(dir))
	}
	defer func() {
		cancel()
		s.wait()
		if err == nil && !report.Failed() {
			err = os.RemoveAll(dir)
			return
		}
		fmt.Fprintf(o.Log, "the logs of all parts are in %s\n", dir)
	}()
	if err := s.start(ctx); err != nil {
		return report, err
	}
	return s.run(ctx)
}

// run publishes and kills until everything is answered.
func (s *stack) run(ctx context.Context) (Report, error) {
	began := time.Now()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	jobs := newGroup(cancel)
	jobs.spawn(func() error { return s.publishAll(ctx) })
	jobs.spawn(func() error { return s.killAll(ctx) })
	s.relabels.spawn(func() error { return s.relabel(ctx) })
	err := s.answered(ctx)
	took := s.ledger.lastAnswer().Sub(began)
	stuck := errors.Is(err, errStuck)
	if stuck {
		fmt.Fprintln(s.options.Log, err) // the report says what is missing
		s.sendAgain(ctx)
	}
	if err == nil || stuck {
		err = s.quiet(ctx)
	}
	cancel()
	err = errors.Join(jobs.wait(), s.relabels.wait(), err)
	report := s.ledger.report()
	report.Broker, report.Hasty = s.server.Name, s.server.hasty
	report.Took, report.Kills, report.Labels = took, s.kills(), int(s.labels.Load())
	return report, err
}

// errStuck ends a run in which nothing is answered any more.
var errStuck = errors.New("nothing was answered any more")

// answered waits until every event is answered and every kill was made.
func (s *stack) answered(ctx context.Context) error {
	last, seen := time.Now(), 0
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for said := time.Now(); ; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		published, distinct := s.ledger.progress()
		if distinct == s.options.Events && len(s.kills()) == s.options.Kills {
			return nil
		}
		if time.Since(said) > 5*time.Second {
			said = time.Now()
			fmt.Fprintf(s.options.Log, "%d published, %d answered, %d killed\n", published, distinct, len(s.kills()))
		}
		if distinct > seen {
			last, seen = time.Now(), distinct
		}
		if time.Since(last) > s.options.Patience {
			return fmt.Errorf("%w for %s", errStuck, s.options.Patience)
		}
	}
}

// quiet waits until nothing more comes: what was in work at a kill is delivered once more after
// a time of the broker's, and would be answered by then.
func (s *stack) quiet(ctx context.Context) error {
	enough := s.server.redelivery + 2*time.Second
	last, seen := time.Now(), 0
	for time.Since(last) < enough {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
		if now := s.ledger.heardSoFar(); now > seen {
			last, seen = time.Now(), now
		}
	}
	return nil
}

func logPath(dir, name string) string { return filepath.Join(dir, name+".log") }
