package events

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/onda-serving/onda/app/scoring"
)

const (
	// persistence is how long an event that could not be answered is tried here, before that is
	// left to the sidecar, whose tries hold up others when Onda is gone. It must be shorter than
	// the time after which a broker delivers an event again that is still in work.
	persistence = 40 * time.Second
	// leastPause and mostPause are between tries.
	leastPause, mostPause = 200 * time.Millisecond, 5 * time.Second
)

// DeliverOne scores a single event, whatever it looks like, tries again what may get better, and
// says what becomes of it: SUCCESS, RETRY or DROP. It is one delivery however often it is tried,
// and counted as one. work is the context of the scoring, and the end of ctx that of the trying.
func (c *Consumer) DeliverOne(ctx, work context.Context, event []byte) (status string) {
	began := time.Now()
	var giveBack func()
	trial := *c
	trial.postponed = func(event cloudEvent, err error) {
		giveBack = func() { c.givenBack(event, err) }
		event.span.Log(c.parts.Log.Debug()).Err(err).Str("event", clip(event.ID)).Str("source", clip(event.Source)).Msg("event is tried again")
	}
	for pause := leastPause; ; pause = min(2*pause, mostPause) {
		status = trial.deliverSafely(work, event, "")
		if status != statusRetry {
			return status
		}
		if time.Since(began)+pause > persistence || !wait(ctx, pause) {
			giveBack()
			return status
		}
	}
}

// deliverSafely is deliver on a goroutine of its own, where a panic would end the process. It is
// about this event, which is tried again.
func (c *Consumer) deliverSafely(ctx context.Context, body []byte, subject string) (status string) {
	defer func() {
		if p := recover(); p != nil {
			c.parts.Observer.Panicked()
			c.parts.Log.Error().Str("panic", fmt.Sprint(p)).Bytes("stack", debug.Stack()).Msg("panic while an event was answered")
			status = c.retry(cloudEvent{}, scoring.InternalError(fmt.Errorf("panic: %v", p)))
		}
	}()
	return c.deliver(ctx, body, subject)
}

// wait says whether a pause is over before ctx is.
func wait(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
