package lifecycle

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"
)

const (
	// readyPause is how often it is looked whether events can be answered.
	readyPause = 20 * time.Millisecond
	// leastPause and mostPause are between tries to subscribe.
	leastPause, mostPause = 200 * time.Millisecond, 10 * time.Second
)

// consumeUntil has the sidecar deliver events until ctx ends, where its components have a
// broker and leave the subscription to Onda. A subscription that is declared there delivers
// over HTTP.
func (a *App) consumeUntil(ctx context.Context) {
	if a.consumer == nil || a.config.PubSub == "" {
		return
	}
	for !a.registry.Ready() {
		if !sleep(ctx, readyPause) {
			return
		}
	}
	told := ""
	tell := func(what string) {
		if what != told {
			told = what
			a.log.Info().Str("topic", a.config.RequestsTopic).Str("pubsub", a.config.PubSub).Msg(what)
		}
	}
	for pause := leastPause; ctx.Err() == nil; pause = min(2*pause, mostPause) {
		there, declared, err := a.sidecar.Broker(ctx, a.config.RequestsTopic)
		switch {
		case err != nil:
		case declared:
			tell("events come by a subscription of the sidecar's components")
			return
		case !there:
			tell("no events come: the sidecar has no such pub/sub component (ONDA_PUBSUB)")
		default:
			tell("events come by a stream")
			began := time.Now()
			err = a.sidecar.Receive(ctx, a.config.RequestsTopic, a.config.DeadLetterTopic, a.config.SubscriptionSettings(), func(work context.Context, event []byte) string {
				return a.persist(ctx, work, event)
			})
			if time.Since(began) > mostPause {
				pause = leastPause
			}
		}
		if err != nil && ctx.Err() == nil {
			a.log.Warn().Err(err).Dur("again_in_ms", pause).Msg("no events come: the sidecar does not deliver them")
			told = ""
		}
		if !sleep(ctx, pause) {
			return
		}
	}
}

// persistence is how long Onda itself tries an event that could not be answered, before it
// leaves that to the sidecar: the sidecar's tries hold up others when Onda is gone. It must be
// shorter than the time after which a broker delivers an event again that is still in work.
const persistence = 40 * time.Second

// persist answers an event, and tries again what may get better. ctx ends that.
func (a *App) persist(ctx, work context.Context, event []byte) (status string) {
	const most = 5 * time.Second
	began := time.Now()
	for pause := 200 * time.Millisecond; ; pause = min(2*pause, most) {
		status = a.handle(work, event)
		if status != retry || time.Since(began)+pause > persistence || !sleep(ctx, pause) {
			return status
		}
	}
}

// retry is the answer about an event that may be answered later.
const retry = "RETRY"

// handle answers an event. A panic is about this one, which is tried again.
func (a *App) handle(ctx context.Context, event []byte) (status string) {
	defer func() {
		if p := recover(); p != nil {
			a.metrics.Panicked()
			a.log.Error().Str("panic", fmt.Sprint(p)).Bytes("stack", debug.Stack()).Msg("panic while an event was answered")
			status = retry
		}
	}()
	return a.consumer.DeliverOne(ctx, event)
}

// sleep waits; false says that ctx ended first.
func sleep(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
