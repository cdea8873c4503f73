package deadletters

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/onda-serving/onda/app/scoring"
)

// Store keeps documents for a time: see sidecar.Client, which implements it.
type Store interface {
	// Get reads a document and its ETag. For a missing one both are empty.
	Get(ctx context.Context, key string) (value []byte, etag string, err error)
	// SaveFor writes a document that the store forgets after ttl, if the one there has the
	// ETag; "" means that there must be none. If it has another, the error has code Conflict.
	// After any error the document may have been written all the same.
	SaveFor(ctx context.Context, key string, value []byte, etag string, ttl time.Duration) error
}

// Publisher publishes events: see sidecar.Client, which implements it.
type Publisher interface {
	// Publish sends a CloudEvent in structured JSON to a topic.
	Publish(ctx context.Context, topic string, cloudEvent []byte) error
}

// Observer counts what becomes of letters.
type Observer interface {
	// DeadLetter is called once for every delivery, with "kept", "repeated" or "retry", and
	// for every letter that is put back or was to be, with "replayed", "skipped" or "failed".
	DeadLetter(outcome string)
}

// Book holds the letters. It is safe for concurrent use, and several replicas may have one on
// the same store.
type Book struct {
	// Store of the letters and their index.
	Store Store
	// Publisher of letters that are put back, to RequestsTopic.
	Publisher     Publisher
	RequestsTopic string
	// TTL is how long a letter is kept after it was delivered.
	TTL time.Duration
	// GivenUp is told of each event that the sidecar gave up on, before its letter is kept; nil
	// for nobody. After an error the letter is delivered again.
	GivenUp func(ctx context.Context, original []byte) error
	// Now gives the time; nil for the clock.
	Now func() time.Time
	// Observer counts; nil for nobody.
	Observer Observer
	// Log tells what becomes of letters, without what is in them.
	Log zerolog.Logger

	// appending is held by whoever writes the index: see [Book.index].
	appending sync.Mutex
}

func letterKey(id string) string { return "deadletter:letter:" + id }

// Add keeps a letter and puts it into the index. One that is there already stays as it is, but
// for the index, where it may be missing: whoever wrote it may not have got further. After an
// error the letter must be delivered again, and will then be kept once. fresh says that it was
// not there.
func (b *Book) Add(ctx context.Context, l Letter) (fresh bool, err error) {
	if l.At.IsZero() {
		l.At = b.now()
	}
	err = b.retried(ctx, func() error {
		there, etag, err := b.read(ctx, l.ID)
		if err != nil {
			return err
		}
		if there != nil {
			l.At, fresh = there.At, false
			return nil
		}
		fresh = true
		// With an ETag there is a document that nobody can read. This one says the same.
		err = b.store(ctx, letterKey(l.ID), &l, etag, b.TTL)
		if scoring.CodeOf(err) == scoring.TooLarge {
			l.Original, l.OriginalBytes = nil, nil
			l.Error += " (the event itself was not kept: with it, the letter is larger than the state store takes)"
			err = b.store(ctx, letterKey(l.ID), &l, etag, b.TTL)
		}
		return err
	})
	if err != nil {
		return false, err
	}
	return fresh, b.index(ctx, &l, !fresh)
}

// Get gives a letter. The error has code NotFound if there is none.
func (b *Book) Get(ctx context.Context, id string) (*Letter, error) {
	l, _, err := b.find(ctx, id)
	return l, err
}

// find reads a letter that should be there.
func (b *Book) find(ctx context.Context, id string) (*Letter, string, error) {
	if err := checkID(id); err != nil {
		return nil, "", err
	}
	l, etag, err := b.read(ctx, id)
	switch {
	case err != nil:
		return nil, "", err
	case l == nil && etag != "":
		return nil, "", scoring.Errorf(scoring.Internal, "dead letter %s cannot be read: its document is damaged, or of another version of Onda", id)
	case l == nil:
		return nil, "", scoring.Errorf(scoring.NotFound, "there is no dead letter %s: it was never kept, or its time is over", id)
	}
	return l, etag, nil
}

// read gives a letter and its ETag. The letter is nil where there is none, and where nobody
// can read it.
func (b *Book) read(ctx context.Context, id string) (*Letter, string, error) {
	text, etag, err := b.Store.Get(ctx, letterKey(id))
	if err != nil {
		return nil, "", away(err)
	}
	l := new(Letter)
	if readable := len(text) > 0 && json.Unmarshal(text, l) == nil && l.ID == id; !readable {
		return nil, etag, nil
	}
	return l, etag, nil
}

// save writes a letter that changed. It lives no longer than before: its entry in the index
// does not either.
func (b *Book) save(ctx context.Context, l *Letter, etag string) error {
	const least = time.Minute // a store may take no time that is over for one that never ends
	return b.store(ctx, letterKey(l.ID), l, etag, max(l.At.Add(b.TTL).Sub(b.now()), least))
}

// retried does what may meet another writer until it does not.
func (b *Book) retried(ctx context.Context, do func() error) error {
	var err error
	for try := range tries {
		if err = do(); scoring.CodeOf(err) != scoring.Conflict {
			return err
		}
		if err := pause(ctx, try); err != nil {
			return err
		}
	}
	return scoring.Errorf(scoring.Unavailable, "others changed the dead letters again and again: try again").WithCause(err)
}

// pause waits longer with each try. Chance keeps writers that met from meeting again.
func pause(ctx context.Context, try int) error {
	const (
		first = 2 * time.Millisecond
		most  = 200 * time.Millisecond
	)
	longest := min(first<<min(try, 10), most)
	timer := time.NewTimer(rand.N(longest) + 1) //nolint:gosec // nobody is to be surprised by it
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return away(ctx.Err())
	}
}

// now is in UTC and whole milliseconds, as it is written.
func (b *Book) now() time.Time {
	now := time.Now
	if b.Now != nil {
		now = b.Now
	}
	return now().UTC().Truncate(time.Millisecond)
}

func (b *Book) count(outcome string) {
	if b.Observer != nil {
		b.Observer.DeadLetter(outcome)
	}
}

// away is the error of a store that does not answer. What is too large for it is that however
// often it is written.
func away(err error) error {
	if scoring.CodeOf(err) == scoring.TooLarge {
		return err
	}
	return scoring.Errorf(scoring.Unavailable, "the state store with the dead letters does not answer: try again").WithCause(err)
}
