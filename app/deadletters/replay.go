package deadletters

import (
	"context"
	"errors"
	"time"

	"github.com/onda-serving/onda/app/scoring"
)

// Outcome is what came of putting a letter back.
type Outcome string

// The outcomes.
const (
	// PutBack means that the original was published again.
	PutBack Outcome = "replayed"
	// Skipped means that this was done before.
	Skipped Outcome = "skipped"
	// Failed means that it could not be done.
	Failed Outcome = "failed"
)

// Result says what came of putting a letter back.
type Result struct {
	// ID of the letter.
	ID string `json:"id"`
	// Outcome of it.
	Outcome Outcome `json:"outcome"`
	// Replay is the number that the event has now.
	Replay int `json:"replay,omitempty"`
	// Note says what was left out of the event.
	Note string `json:"note,omitempty"`
	// Error says why it failed.
	Error string `json:"error,omitempty"`
}

// Counts adds up results.
type Counts struct {
	Replayed int `json:"replayed"`
	Skipped  int `json:"skipped"`
	Failed   int `json:"failed"`
}

// Replay publishes a letter's original again, with a number with which it is answered anew. A
// letter that was put back before is skipped, unless again is set. actor is who asks for it: it
// is kept in the letter and logged.
//
// It is safe to call twice. The number is written down before anything is published, and
// whoever finds a letter with one that nobody finished publishes the same number, which is
// answered once. The error has code Invalid for a letter that cannot be put back.
func (b *Book) Replay(ctx context.Context, id string, again bool, actor string) (Result, error) {
	result, err := b.replay(ctx, id, again, actor)
	outcome := result.Outcome
	if err != nil {
		outcome = Failed
	}
	b.count(string(outcome))
	b.Log.Info().Err(err).Str("letter", clip(id, maxCode)).Str("actor", actor).Str("outcome", string(outcome)).Int("replay", result.Replay).Msg("dead letter to be put back")
	return result, err
}

func (b *Book) replay(ctx context.Context, id string, again bool, actor string) (Result, error) {
	l, skip, err := b.begin(ctx, id, again, actor)
	if err != nil {
		return Result{}, err
	}
	result := Result{ID: id, Outcome: Skipped, Replay: l.LastReplay, Note: l.Note}
	if skip {
		return result, nil
	}
	event, note, err := l.again(l.LastReplay, b.now())
	if err != nil {
		return result, err
	}
	if err := b.publish(ctx, event); err != nil {
		return result, err
	}
	result.Outcome, result.Note = PutBack, note
	return result, b.finish(ctx, id, l.LastReplay, note)
}

// begin notes the number that a letter is put back with, and who asked for that, before it is
// done. skip says that there is nothing to do.
func (b *Book) begin(ctx context.Context, id string, again bool, actor string) (l *Letter, skip bool, err error) {
	err = b.retried(ctx, func() error {
		var etag string
		if l, etag, err = b.find(ctx, id); err != nil {
			return err
		}
		skip = l.State == Replayed && !again
		if skip || l.State == Replaying {
			return nil
		}
		if err := l.replayable(); err != nil {
			return err
		}
		if l.LastReplay, err = b.number(ctx, l); err != nil {
			return err
		}
		l.Replays++
		l.State, l.ReplayedBy = Replaying, actor
		err := b.save(ctx, l, etag)
		if err != nil {
			again = false // whoever was faster did it for both
		}
		return err
	})
	return l, skip, err
}

// numbers is a document with the number that an event was put back with last, from any of the
// letters that have its source and id: an answer is found by the three.
type numbers struct {
	Last int `json:"last"`
}

// number takes the next number for the event of a letter. One that is taken and not used, for
// whatever fails afterwards, does no harm.
func (b *Book) number(ctx context.Context, l *Letter) (int, error) {
	original, _ := parse(l.Original)
	key := "deadletter:number:" + digest(original.Source, original.ID)
	var taken numbers
	etag, err := b.fetch(ctx, key, &taken)
	if err != nil {
		return 0, err
	}
	taken.Last = max(taken.Last, l.Replay, l.LastReplay) + 1
	return taken.Last, b.store(ctx, key, taken, etag, 2*b.TTL)
}

// finish notes that a letter was put back.
func (b *Book) finish(ctx context.Context, id string, number int, note string) error {
	err := b.retried(ctx, func() error {
		l, etag, err := b.find(ctx, id)
		if err != nil {
			return err
		}
		if l.State != Replaying || l.LastReplay != number {
			return nil // another one who did the same was faster
		}
		l.State, l.ReplayedAt, l.Note = Replayed, b.now(), note
		return b.save(ctx, l, etag)
	})
	if err != nil {
		return scoring.Errorf(scoring.Unavailable, "dead letter %s was put back, and that could not be written down: do it again, its event is answered once", id).WithCause(err)
	}
	return nil
}

// publishTimeout is longer than what the sidecar takes for its own tries.
const publishTimeout = 20 * time.Second

func (b *Book) publish(ctx context.Context, event []byte) error {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	err := b.Publisher.Publish(ctx, b.RequestsTopic, event)
	switch {
	case err == nil:
		return nil
	case scoring.CodeOf(err) == scoring.TooLarge:
		return err
	default:
		return scoring.Errorf(scoring.Unavailable, "the event could not be published: put it back again, it is answered once").WithCause(err)
	}
}

// ReplayAll puts back all letters that a filter takes, the newest first, and tells progress
// the result of each. A letter that cannot be put back does not stop it; a store or a broker
// that is away does. Letters that arrive meanwhile are left alone.
func (b *Book) ReplayAll(ctx context.Context, f Filter, again bool, actor string, progress func(Result)) (Counts, error) {
	var counts Counts
	cursor := ""
	for {
		page, err := b.List(ctx, f, pageOfReplays, cursor)
		if err != nil {
			return counts, err
		}
		for _, l := range page.Letters {
			result, err := b.listed(ctx, &l, again, actor)
			counts.add(result.Outcome)
			progress(result)
			if stops(ctx, err) {
				return counts, err
			}
		}
		if cursor = page.Cursor; cursor == "" {
			return counts, nil
		}
	}
}

// listed puts back a letter of a list. The result says what the error does.
func (b *Book) listed(ctx context.Context, l *Letter, again bool, actor string) (Result, error) {
	if l.State == Replayed && !again { // it does not change back
		b.count(string(Skipped))
		return Result{ID: l.ID, Outcome: Skipped, Replay: l.LastReplay, Note: l.Note}, nil
	}
	result, err := b.Replay(ctx, l.ID, again, actor)
	if err != nil {
		result = Result{ID: l.ID, Outcome: Failed, Error: scoring.AsError(err).Message}
	}
	return result, err
}

// pageOfReplays is how many letters are looked up at once.
const pageOfReplays = 100

// stops says whether what comes next would fail as well.
func stops(ctx context.Context, err error) bool {
	var known *scoring.Error
	return ctx.Err() != nil || err != nil && (!errors.As(err, &known) || known.Code == scoring.Unavailable)
}

func (c *Counts) add(outcome Outcome) {
	switch outcome {
	case PutBack:
		c.Replayed++
	case Skipped:
		c.Skipped++
	default:
		c.Failed++
	}
}
