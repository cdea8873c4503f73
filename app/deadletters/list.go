package deadletters

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/onda-serving/onda/app/scoring"
)

// MaxLimit bounds the letters of a page.
const MaxLimit = 1000

// readers is how many letters are read at once.
const readers = 16

// Filter says which letters are meant: those that fit in all that is set.
type Filter struct {
	// Code is one of [Codes].
	Code string `json:"code,omitempty"`
	// Model by its name, or a subject with a version or a label as the letter has it.
	Model string `json:"model,omitempty"`
	// State of the letter.
	State State `json:"state,omitempty"`
	// Source of the event.
	Source string `json:"source,omitempty"`
	// Since is the earliest time.
	Since time.Time `json:"since,omitzero"`
	// Until is the time that all are before.
	Until time.Time `json:"until,omitzero"`
}

// Check says what is wrong with a filter: the error has code Invalid.
func (f Filter) Check() error {
	switch {
	case f.Code != "" && !slices.Contains(Codes(), f.Code):
		return scoring.Errorf(scoring.Invalid, "code %q: want one of %s", clip(f.Code, maxCode), strings.Join(Codes(), ", "))
	case f.State != "" && !slices.Contains(States(), f.State):
		return scoring.Errorf(scoring.Invalid, "state %q: want waiting, replaying or replayed", clip(string(f.State), maxCode))
	case !f.Since.IsZero() && !f.Until.IsZero() && !f.Since.Before(f.Until):
		return scoring.Errorf(scoring.Invalid, "since is not before until: nothing is in between")
	default:
		return nil
	}
}

// Empty says that the filter takes every letter.
func (f Filter) Empty() bool { return f == Filter{} }

// takes says whether an entry can be one of a letter that is meant.
func (f Filter) takes(e entry) bool {
	model, source := clip(f.Model, maxField), clip(f.Source, maxField) // as the entry has them
	return (f.Code == "" || e.Code == f.Code) &&
		(f.Model == "" || e.Model == model || strings.HasPrefix(e.Model, model+"/")) &&
		(f.Source == "" || e.Source == source) &&
		!e.At.Before(f.Since) && (f.Until.IsZero() || e.At.Before(f.Until))
}

// Page is a part of a list.
type Page struct {
	// Letters without their originals, the newest first.
	Letters []Letter `json:"letters"`
	// Cursor is where the next page begins; empty after the last one.
	Cursor string `json:"cursor,omitempty"`
}

// place in the index: before it is what was not listed yet.
type place struct {
	segment int64
	offset  int
}

func (p place) String() string {
	return strconv.FormatInt(p.segment, 10) + "-" + strconv.Itoa(p.offset)
}

func parsePlace(cursor string) (place, error) {
	left, right, _ := strings.Cut(cursor, "-")
	segment, errSegment := strconv.ParseInt(left, 10, 64)
	offset, errOffset := strconv.Atoi(right)
	p := place{segment, offset}
	if errSegment != nil || errOffset != nil || segment < 1 || offset < 0 || offset > maxEntries || p.String() != cursor {
		return p, scoring.Errorf(scoring.Invalid, "cursor %q: want the one of the page before", clip(cursor, maxCode))
	}
	return p, nil
}

// List gives at most limit letters, at most [MaxLimit], the newest first. cursor is that of
// the page before; empty for the first page.
func (b *Book) List(ctx context.Context, f Filter, limit int, cursor string) (Page, error) {
	page := Page{Letters: []Letter{}}
	if err := f.Check(); err != nil {
		return page, err
	}
	if limit < 1 || limit > MaxLimit {
		return page, scoring.Errorf(scoring.Invalid, "limit %d: want 1 to %d", limit, MaxLimit)
	}
	w, err := b.walk(ctx, f, cursor)
	if err != nil {
		return page, err
	}
	for {
		// Where many are of another state, they are not read one by one.
		found, err := w.next(ctx, max(limit-len(page.Letters), readers))
		if err != nil || len(found) == 0 {
			return page, err
		}
		letters, err := b.letters(ctx, found)
		if err != nil {
			return page, err
		}
		for i, l := range letters {
			if l == nil || f.State != "" && l.State != f.State {
				continue
			}
			page.Letters = append(page.Letters, *l)
			if len(page.Letters) == limit {
				page.Cursor = w.cursor(found[i].at)
				return page, nil
			}
		}
	}
}

// located is an entry and its place.
type located struct {
	entry

	at place
}

// walk goes through the index from its end.
type walk struct {
	book   *Book
	filter Filter
	first  int64
	at     place
	// entries of the segment that at is in; nil where it was not read yet.
	entries []entry
	read    bool
	// seen has the IDs that were given: an entry can be there twice.
	seen map[string]bool
}

func (b *Book) walk(ctx context.Context, f Filter, cursor string) (*walk, error) {
	w := &walk{book: b, filter: f, seen: map[string]bool{}}
	h, _, err := b.bounds(ctx)
	if err != nil {
		return nil, err
	}
	w.first = h.First
	if cursor != "" {
		if w.at, err = parsePlace(cursor); err != nil {
			return nil, err
		}
		// A segment that is not there yet has nothing in it.
		w.at.segment = min(w.at.segment, h.Last+1)
		return w, nil
	}
	last, err := b.last(ctx, h)
	w.at = place{last, maxEntries}
	return w, err
}

// next gives at most so many entries that the filter takes; none at the end.
func (w *walk) next(ctx context.Context, most int) ([]located, error) {
	var found []located
	for len(found) < most && w.at.segment >= w.first {
		if err := w.load(ctx); err != nil {
			return nil, err
		}
		for w.at.offset > 0 && len(found) < most {
			w.at.offset--
			e := w.entries[w.at.offset]
			if w.filter.takes(e) && !w.seen[e.ID] && w.book.now().Before(e.At.Add(w.book.TTL)) {
				w.seen[e.ID] = true
				found = append(found, located{e, w.at})
			}
		}
		if w.at.offset == 0 {
			w.at, w.read = place{w.at.segment - 1, maxEntries}, false
		}
	}
	return found, nil
}

// load reads the segment that the walk is in.
func (w *walk) load(ctx context.Context) error {
	if w.read {
		return nil
	}
	var s segment
	if _, err := w.book.fetch(ctx, segmentKey(w.at.segment), &s); err != nil {
		return err
	}
	w.entries, w.read = s.Entries, true
	w.at.offset = min(w.at.offset, len(s.Entries))
	return nil
}

// cursor says where a walk goes on after a place; "" if that is the end.
func (w *walk) cursor(after place) string {
	if after.offset == 0 {
		after = place{after.segment - 1, maxEntries}
	}
	if after.segment < w.first {
		return ""
	}
	return after.String()
}

// letters reads the letters of entries, a few at once, and leaves out their originals. Those
// that are gone are nil.
func (b *Book) letters(ctx context.Context, entries []located) ([]*Letter, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	letters, errs := make([]*Letter, len(entries)), make([]error, len(entries))
	places := make(chan struct{}, readers)
	var group sync.WaitGroup
	for i, e := range entries {
		places <- struct{}{}
		group.Go(func() {
			defer func() { <-places }()
			l, _, err := b.read(ctx, e.ID)
			if err != nil {
				errs[i] = err
				cancel() // one answer is enough to know that the store is away
				return
			}
			if l != nil {
				l.Original, l.OriginalBytes = nil, nil
			}
			letters[i] = l
		})
	}
	group.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return letters, nil
}
