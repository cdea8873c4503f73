package answers

import (
	"context"
	"time"

	"github.com/onda-serving/onda/app/scoring"
)

// Answered notes that a request was answered anew, as key says, so that [Book.Newest] gives
// that answer. Each key's own answer stays what it is: only the record of the request itself
// says which of them its caller gets.
//
// That is the one of the newest replay, but for a failure, which takes no answer away that the
// caller may have seen already. A record that was forgotten is written anew, as who put the
// request back wants its caller to find something. One of another request, under an id that
// was used again, is left alone.
func (b *Book) Answered(ctx context.Context, key Key, r *Record) error {
	first := Key{Source: key.Source, ID: key.ID}
	return b.change(ctx, first, func(there *Record) *Record {
		if there == nil {
			there = &Record{Status: Pending, Request: r.Request, At: time.Now().UTC().Truncate(time.Millisecond)}
		}
		if there.Request != r.Request || !there.gives(key.Replay, r.Status) {
			return nil
		}
		there.Follow = &Follow{Replay: key.Replay, Status: r.Status}
		return there
	})
}

// gives says whether the answer of a replay takes the place of the one that the record leads to.
func (r *Record) gives(replay int, status Status) bool {
	number, best := r.leads()
	if (best == Done) != (status == Done) {
		return status == Done
	}
	return replay > number
}

// leads gives the replay whose answer the caller gets, 0 for the record's own, and its status.
func (r *Record) leads() (replay int, status Status) {
	if r.Follow == nil || r.Status == Done && r.Follow.Status != Done {
		return 0, r.Status
	}
	return r.Follow.Replay, r.Follow.Status
}

// change writes what of makes of the record under key, which is nil if there is none. It is
// asked again where somebody else was faster; nil leaves the record as it is.
func (b *Book) change(ctx context.Context, key Key, of func(there *Record) *Record) error {
	const tries = 5 // replicas with replays of one request at the same moment are few
	var conflict error
	for range tries {
		there, etag, err := b.read(ctx, key)
		if err != nil {
			return err
		}
		changed := of(there)
		if changed == nil {
			return nil
		}
		text, err := encode(changed)
		if err != nil {
			return err
		}
		conflict = b.Store.SaveFor(ctx, key.String(), text, etag, b.TTL)
		if scoring.CodeOf(conflict) != scoring.Conflict {
			if conflict != nil {
				return away(conflict)
			}
			return nil
		}
	}
	return away(conflict)
}

// Newest gives the record that the caller of a request gets: its own, or that of the replay
// that [Book.Answered] noted. nil if there is none.
func (b *Book) Newest(ctx context.Context, key Key) (*Record, error) {
	own, err := b.Find(ctx, key)
	if err != nil || own == nil {
		return own, err
	}
	replay, _ := own.leads()
	if replay == key.Replay {
		return own, nil
	}
	key.Replay = replay
	newer, err := b.Find(ctx, key)
	if err != nil {
		return nil, err
	}
	if newer == nil { // its time was over a moment before that of the other
		return own, nil
	}
	return newer, nil
}
