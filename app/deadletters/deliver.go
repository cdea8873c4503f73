package deadletters

import (
	"context"
	"crypto/sha256"
	"time"
)

// The answers that Dapr understands. There is no DROP: nobody would ever see the event again.
const (
	statusSuccess = "SUCCESS"
	statusRetry   = "RETRY"
)

// deliverTimeout bounds the keeping of a letter: a store that takes a call and does not answer
// must not hold the delivery for ever.
const deliverTimeout = 20 * time.Second

// Deliver keeps what was delivered on the dead-letter topic, and says what Dapr should do with
// it: deliver it again until it is kept. It holds on to nothing of body.
func (b *Book) Deliver(ctx context.Context, body []byte) (status string) {
	return b.deliver(ctx, Read(body))
}

// DeliverOversized is [Book.Deliver] for what is too large to be kept: see [Oversized].
func (b *Book) DeliverOversized(ctx context.Context, size, most int64, sum [sha256.Size]byte) (status string) {
	return b.deliver(ctx, Oversized(size, most, sum))
}

// Refuse is [Book.Deliver] for what could not be read, for err: it may be whole the next time.
func (b *Book) Refuse(err error) (status string) {
	b.count("retry")
	b.Log.Warn().Err(err).Msg("dead letter given back to the broker")
	return statusRetry
}

func (b *Book) deliver(ctx context.Context, l Letter) string {
	ctx, cancel := context.WithTimeout(ctx, deliverTimeout)
	defer cancel()
	if b.GivenUp != nil && l.By == BySidecar && len(l.Original) > 0 {
		if err := b.GivenUp(ctx, l.Original); err != nil {
			return b.Refuse(err)
		}
	}
	fresh, err := b.Add(ctx, l)
	if err != nil {
		return b.Refuse(err)
	}
	outcome := "repeated"
	if fresh {
		outcome = "kept"
	}
	b.count(outcome)
	b.Log.Info().Str("letter", l.ID).Str("code", l.Code).Str("model", clip(l.Model, maxField)).Str("by", l.By).Str("outcome", outcome).Msg("dead letter delivered")
	return statusSuccess
}
