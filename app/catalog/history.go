package catalog

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/onda-serving/onda/app/scoring"
)

const (
	// segmentSize is how many entries are archived at once. It is part of the documents'
	// form: the keys of segments count on it.
	segmentSize = 32
	// mostHistory is how many entries a document holds at most.
	mostHistory = 2 * segmentSize
	// muchHistory is the size of a document, in bytes, from which on entries are archived
	// as soon as they fill a segment. A state can be large, and each entry holds two.
	muchHistory = 1 << 20
)

// segment is an archived part of a history: a document that never changes.
type segment struct {
	Schema  int     `json:"schema"`
	Name    string  `json:"name"`
	Entries []Entry `json:"entries"`
}

// archive moves the oldest entries of next's history to documents of their own where one more
// would be too many; size is that of the document as it was read, in bytes. Entries are
// archived before the document forgets them, so that a writer that dies in between loses
// nothing: the next one finds the segment that it would write itself, because which entries
// it holds depends on their revisions alone.
func (b *Book) archive(ctx context.Context, next *Model, size int) error {
	for len(next.History) >= mostHistory || len(next.History) >= segmentSize && size > muchHistory {
		oldest := next.History[:segmentSize]
		if err := b.saveSegment(ctx, next.Name, next.Archived/segmentSize+1, oldest); err != nil {
			return err
		}
		next.History = slices.Clone(next.History[segmentSize:])
		next.Archived += segmentSize
	}
	return nil
}

func (b *Book) saveSegment(ctx context.Context, name string, n int64, entries []Entry) error {
	value, err := encode(segment{Schema: Schema, Name: name, Entries: entries})
	if err != nil {
		return err
	}
	saved := b.Store.Save(ctx, HistoryKey(name, n), value, "")
	if saved == nil {
		return nil
	}
	found, err := b.segment(ctx, name, n)
	if err != nil || found == nil {
		return scoring.Errorf(scoring.Unavailable, "the history of model %q could not be archived, and nothing was changed: try it again", name).WithCause(saved)
	}
	if !slices.EqualFunc(found, entries, func(a, b Entry) bool { return a.ID == b.ID }) {
		return scoring.Errorf(scoring.Conflict, "the document %q in the state store belongs to another history of model %q, and nothing was changed: move it away, or restore the model's document", HistoryKey(name, n), name)
	}
	return nil // another writer was there before, or an earlier try
}

// segment reads an archived segment; nil, and no error, where there is none.
func (b *Book) segment(ctx context.Context, name string, n int64) ([]Entry, error) {
	value, _, err := b.get(ctx, HistoryKey(name, n))
	if err != nil || len(value) == 0 {
		return nil, err
	}
	what := fmt.Sprintf("segment %d of the history of model %q", n, name)
	var s segment
	if err := decode(what, value, &s, &s.Schema); err != nil {
		return nil, err
	}
	if s.Name != name || len(s.Entries) != segmentSize {
		return nil, damaged(what, fmt.Errorf("it has %d entries of model %q", len(s.Entries), s.Name))
	}
	if err := consecutive(s.Entries, (n-1)*segmentSize+1); err != nil {
		return nil, damaged(what, err)
	}
	normalise(s.Entries)
	return s.Entries, nil
}

// entries gives the whole history of a document, newest first. It reads archived segments
// when they are reached. After an error it ends.
func (b *Book) entries(ctx context.Context, doc *Model) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for _, e := range slices.Backward(doc.History) {
			if !yield(e, nil) {
				return
			}
		}
		for n := doc.Archived / segmentSize; n > 0; n-- {
			archived, err := b.segment(ctx, doc.Name, n)
			if err == nil && archived == nil {
				err = scoring.Errorf(scoring.Internal, "the entries %d to %d of the history of model %q are missing in the state store: ask for the newest %d",
					(n-1)*segmentSize+1, n*segmentSize, doc.Name, doc.Revision-n*segmentSize)
			}
			if err != nil {
				yield(Entry{}, err)
				return
			}
			for _, e := range slices.Backward(archived) {
				if !yield(e, nil) {
					return
				}
			}
		}
	}
}

// History gives a model's newest entries, newest first, at most limit; all if limit is 0. The
// error's code is NotFound for a model without a document.
func (b *Book) History(ctx context.Context, name string, limit int) ([]Entry, error) {
	doc, err := b.Read(ctx, name)
	if err != nil {
		return nil, err
	}
	if doc == nil {
		return nil, New(name).unknown()
	}
	all := []Entry{}
	for e, err := range b.entries(ctx, doc) {
		if err != nil {
			return nil, err
		}
		all = append(all, e)
		if len(all) == limit {
			break
		}
	}
	return all, nil
}
