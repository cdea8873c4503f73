package registry

import (
	"time"

	"github.com/rs/zerolog"

	"github.com/onda-serving/onda/app/batch"
	"github.com/onda-serving/onda/app/statistics"
)

// watcher tells a version's statistics, the metrics and the log of its runs.
type watcher struct {
	*statistics.Recorder

	next batch.Observer // nil if nobody else wants to know
	log  zerolog.Logger
}

// Ran implements batch.Observer.
func (w watcher) Ran(r batch.Run) {
	w.Run(r.Rows, r.Join, r.Infer, r.Split)
	if w.next != nil {
		w.next.Ran(r)
	}
}

// Misbatched implements batch.Observer.
func (w watcher) Misbatched(reason string) {
	w.log.Warn().Str("reason", reason).Time("at", time.Now()).
		Msg("this model does not keep one row of outputs for each row of inputs: its requests run alone from now on; set batching.max_rows to 1")
	if w.next != nil {
		w.next.Misbatched(reason)
	}
}
