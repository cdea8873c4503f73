package offline

import (
	"context"
	"errors"
	"io"
	"time"
)

// run is a run under way.
type run struct {
	scorer   Scorer
	decoder  decoder
	in       source
	out      *sink
	progress Progress
}

// group is rows that are scored together.
type group struct {
	first int64 // number of its first row, from 1
	rows  []raw
	// done is the position in the input behind the group.
	done int64
	// err ended the reading behind these rows; io.EOF at the end of the input.
	err error

	scored  chan struct{} // closed when what follows is set
	results []result
	failed  error
}

// all reads, scores and writes until the input ends. Groups are scored at the same time and
// written in their order; no more than the concurrency are in memory, but for the one that is
// being read.
func (r *run) all(ctx context.Context) error {
	if err := r.tooMany(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	queue := make(chan *group, r.decoder.options.Concurrency-1)
	go r.read(ctx, queue)
	err := r.write(ctx, queue)
	cancel()
	for g := range queue { // so that nobody is left behind
		<-g.scored
	}
	return err
}

// read makes groups and has them scored, until the input or ctx ends.
func (r *run) read(ctx context.Context, queue chan<- *group) {
	defer close(queue)
	for first := r.progress.Resumed + 1; ; {
		g := r.next(first)
		first += int64(len(g.rows))
		select {
		case queue <- g:
		case <-ctx.Done():
			return
		}
		go func() {
			defer close(g.scored)
			g.results, g.failed = r.decoder.score(ctx, r.scorer, g.rows)
			g.rows = nil // their memory is not needed while the group waits to be written
		}()
		if g.err != nil {
			return
		}
	}
}

// next reads a group: as many rows as run together, or fewer that have many bytes.
func (r *run) next(first int64) *group {
	g := &group{first: first, scored: make(chan struct{})}
	for size := 0; len(g.rows) < r.decoder.options.Batch && size < r.decoder.options.MaxRow; {
		row, err := r.in.next()
		if err != nil {
			g.err = err
			break
		}
		size += len(row.data)
		g.rows = append(g.rows, row)
	}
	g.done = r.in.position()
	return g
}

// write writes groups in their order.
func (r *run) write(ctx context.Context, queue <-chan *group) error {
	saved := time.Now()
	for g := range queue {
		<-g.scored
		if g.failed != nil {
			return g.failed
		}
		errs, err := r.out.write(g.first, g.results)
		if err != nil {
			return err
		}
		r.tell(g, errs)
		if time.Since(saved) >= r.decoder.options.SaveEvery {
			if err := r.out.save(); err != nil {
				return err
			}
			saved = time.Now()
		}
		if err := r.tooMany(); err != nil {
			return err
		}
		if errors.Is(g.err, io.EOF) {
			return nil
		}
		if g.err != nil {
			return g.err
		}
	}
	return ctx.Err()
}

func (r *run) tell(g *group, errs int64) {
	p := &r.progress
	p.Rows += int64(len(g.results))
	p.Errors += errs
	p.Done, p.Total = g.done, r.in.total()
	if tell := r.decoder.options.Progress; tell != nil {
		tell(*p)
	}
}

func (r *run) tooMany() error {
	if most := r.decoder.options.MaxErrors; most >= 0 && r.progress.Errors > most {
		return ErrTooManyErrors
	}
	return nil
}
