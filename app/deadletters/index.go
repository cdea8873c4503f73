package deadletters

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/wire"
)

// The index is what a state store that cannot be listed needs. It is a row of segments, each a
// document with a bounded number of entries. New entries go to the end of the last one; the
// first ones are forgotten by the store when everything in them is.
//
// The head says where the row begins and ends. It is a hint: a segment is begun before the
// head says so, and whoever reads or appends looks beyond the end while a segment is full.
const (
	headKey = "deadletter:index"
	// maxEntries of a segment. With their bounded texts, a full one stays far below what
	// stores take.
	maxEntries = 256
	// maxField bounds a text of an entry, in bytes.
	maxField = 256
	// tries bounds how often a document is written anew because others were faster.
	tries = 24
	// skew is by how much the clocks of two replicas, and the pauses of one of them, may
	// differ before an entry is looked for in vain. It would be there twice then, which who
	// lists sees once.
	skew = time.Hour
)

// head is the document under [headKey].
type head struct {
	// First and Last segment; 0 before there is one.
	First int64 `json:"first"`
	Last  int64 `json:"last"`
	// At is when it was written: the store would forget it while the last segment lives on.
	At time.Time `json:"at"`
}

// entry is what the index knows of a letter: what is filtered by and does not change.
type entry struct {
	ID        string    `json:"id"`
	At        time.Time `json:"at"`
	Code      string    `json:"code"`
	Model     string    `json:"model,omitempty"`
	Source    string    `json:"source,omitempty"`
	RequestID string    `json:"request_id,omitempty"`
}

// segment is a part of the index, the oldest entries first.
type segment struct {
	Entries []entry `json:"entries"`
}

func segmentKey(n int64) string { return "deadletter:segment:" + strconv.FormatInt(n, 10) }

func entryOf(l *Letter) entry {
	return entry{
		ID: l.ID, At: l.At, Code: l.Code,
		Model: clip(l.Model, maxField), Source: clip(l.RequestSource, maxField), RequestID: clip(l.RequestID, maxField),
	}
}

// has says whether an entry is there. A letter that was forgotten and is delivered again has
// the same ID and another time: the old entry is not its own, and ends before it.
func (s *segment) has(wanted entry) bool {
	return slices.ContainsFunc(s.Entries, func(e entry) bool { return e.ID == wanted.ID && e.At.Equal(wanted.At) })
}

// newest gives the time of the newest entry.
func (s *segment) newest() time.Time {
	var at time.Time
	for _, e := range s.Entries {
		if e.At.After(at) {
			at = e.At
		}
	}
	return at
}

// fetch reads a document into a value; etag is empty if there is none.
func (b *Book) fetch(ctx context.Context, key string, into any) (etag string, err error) {
	text, etag, err := b.Store.Get(ctx, key)
	switch {
	case err != nil:
		return "", away(err)
	case len(text) == 0:
		return "", nil
	}
	if err := json.Unmarshal(text, into); err != nil {
		return "", scoring.Errorf(scoring.Internal, "the document %q of the dead letters cannot be read", key).WithCause(err)
	}
	return etag, nil
}

// store writes a document.
func (b *Book) store(ctx context.Context, key string, value any, etag string, ttl time.Duration) error {
	text, err := wire.Marshal(value)
	if err != nil {
		return scoring.InternalError(err)
	}
	err = b.Store.SaveFor(ctx, key, text, etag, ttl)
	if err != nil && scoring.CodeOf(err) != scoring.Conflict {
		return away(err)
	}
	return err
}

// bounds gives the head, with the true last segment.
func (b *Book) bounds(ctx context.Context) (h head, etag string, err error) {
	etag, err = b.fetch(ctx, headKey, &h)
	if err != nil {
		return h, "", err
	}
	h.First, h.Last = max(h.First, 1), max(h.Last, 1)
	return h, etag, nil
}

// index puts an entry for l into the index if it has none. anew says that the letter was
// there before, so that its entry may be anywhere.
func (b *Book) index(ctx context.Context, l *Letter, anew bool) error {
	// One at a time: replicas meet often enough.
	b.appending.Lock()
	defer b.appending.Unlock()
	if anew {
		if found, err := b.indexed(ctx, l); found || err != nil {
			return err
		}
	}
	return b.retried(ctx, func() error { return b.append(ctx, entryOf(l)) })
}

// indexed says whether the index has an entry for a letter. It looks at the segments that were
// written after the letter.
func (b *Book) indexed(ctx context.Context, l *Letter) (bool, error) {
	h, _, err := b.bounds(ctx)
	if err != nil {
		return false, err
	}
	n, err := b.last(ctx, h)
	if err != nil {
		return false, err
	}
	for ; n >= h.First; n-- {
		var s segment
		if _, err := b.fetch(ctx, segmentKey(n), &s); err != nil {
			return false, err
		}
		if s.has(entryOf(l)) {
			return true, nil
		}
		if len(s.Entries) > 0 && s.newest().Before(l.At.Add(-skew)) {
			return false, nil
		}
	}
	return false, nil
}

// last looks beyond the end that the head gives: whoever began a segment may not have come to
// say so.
func (b *Book) last(ctx context.Context, h head) (int64, error) {
	for n := h.Last; ; n++ {
		var s segment
		etag, err := b.fetch(ctx, segmentKey(n), &s)
		switch {
		case err != nil:
			return 0, err
		case etag == "":
			return max(n-1, h.Last), nil
		case len(s.Entries) < maxEntries:
			return n, nil
		}
	}
}

// append writes an entry to the end of the last segment, unless it is there already. The error
// has code Conflict if another writer was faster.
func (b *Book) append(ctx context.Context, e entry) error {
	h, etag, err := b.bounds(ctx)
	if err != nil {
		return err
	}
	for n := h.Last; ; n++ {
		var s segment
		old, err := b.fetch(ctx, segmentKey(n), &s)
		if err != nil {
			return err
		}
		switch {
		case s.has(e):
			return b.point(ctx, h, etag, n)
		case len(s.Entries) >= maxEntries:
			continue
		}
		s.Entries = append(s.Entries, e)
		if err := b.store(ctx, segmentKey(n), s, old, b.TTL); err != nil {
			return err
		}
		return b.point(ctx, h, etag, n)
	}
}

// point makes the head say that n is the last segment, where it does not, and keeps the store
// from forgetting it. With it go the first segments that were forgotten.
func (b *Book) point(ctx context.Context, h head, etag string, n int64) error {
	now := b.now()
	if h.Last >= n && etag != "" && now.Sub(h.At) < b.TTL/2 {
		return nil
	}
	h.Last, h.At = max(h.Last, n), now
	const most = 8 // a few at a time are more than are begun in between
	for range most {
		if h.First >= h.Last {
			break
		}
		etag, err := b.fetch(ctx, segmentKey(h.First), new(segment))
		if err != nil {
			return err
		}
		if etag != "" {
			break
		}
		h.First++
	}
	return b.store(ctx, headKey, h, etag, 2*b.TTL)
}
