package lifecycle

import (
	"context"
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
				return a.consumer.DeliverOne(ctx, work, event)
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
