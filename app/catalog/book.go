package catalog

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"time"

	"github.com/rs/zerolog"

	"github.com/onda-serving/onda/app/scoring"
)

// Store keeps documents with ETags: see sidecar.Client, which implements it.
type Store interface {
	// Get reads a document; both results are empty where there is none.
	Get(ctx context.Context, key string) (value []byte, etag string, err error)
	// Save writes a document if its ETag is still etag, "" for one that must be new;
	// otherwise the error's code is Conflict. Any error may hide that the document was
	// written all the same: an answer can get lost.
	Save(ctx context.Context, key string, value []byte, etag string) error
}

// Book reads and writes the documents of a state store. It keeps nothing in memory, and is
// safe for concurrent use, in one process and in many.
type Book struct {
	// Store of the documents.
	Store Store
	// Now tells the time of history entries; nil stands for time.Now.
	Now func() time.Time
	// Chance draws how long a writer waits that met another one, from 0 to below 1; nil stands
	// for rand.Float64. It must be safe for concurrent use.
	Chance func() float64
	// Log hears of what failed without harm to the change, such as an index entry that a
	// replica will repair.
	Log zerolog.Logger
}

// Index gives the document that lists the models; an empty one where there is none yet.
func (b *Book) Index(ctx context.Context) (Index, error) {
	index, _, err := b.index(ctx)
	return index, err
}

func (b *Book) index(ctx context.Context) (index Index, etag string, err error) {
	value, etag, err := b.get(ctx, IndexKey)
	if err != nil {
		return Index{}, "", err
	}
	if len(value) > 0 {
		if err := json.Unmarshal(value, &index); err != nil {
			return Index{}, "", damaged("the index of the models", err)
		}
	}
	index.Models = own(index.Models)
	return index, etag, nil
}

// Read gives a model's document; nil, and no error, where there is none. The error's code is
// that of [Decode] for a document that this Onda cannot read.
func (b *Book) Read(ctx context.Context, name string) (*Model, error) {
	p, err := b.read(ctx, name)
	if err != nil || p.bytes == 0 {
		return nil, err
	}
	return p.doc, nil
}

// page is a document as it is in the store.
type page struct {
	// doc is a new one where there is none in the store.
	doc *Model
	// etag of the document; "" where there is none.
	etag string
	// bytes of the document; 0 where there is none.
	bytes int
}

func (b *Book) read(ctx context.Context, name string) (page, error) {
	if err := scoring.CheckName("model name", name); err != nil {
		return page{}, err
	}
	value, etag, err := b.get(ctx, ModelKey(name))
	if err != nil {
		return page{}, err
	}
	if len(value) == 0 {
		return page{doc: New(name), etag: etag}, nil
	}
	doc, err := Decode(value)
	if err != nil {
		return page{}, err
	}
	if doc.Name != name {
		return page{}, scoring.Errorf(scoring.Internal, "the document %q in the registry is of model %q: restore it from a backup of the state store", ModelKey(name), doc.Name).WithCause(ErrUnreadable)
	}
	return page{doc: doc, etag: etag, bytes: len(value)}, nil
}

// get reads from the store. An error of it that says nothing to callers becomes Unavailable.
func (b *Book) get(ctx context.Context, key string) (value []byte, etag string, err error) {
	value, etag, err = b.Store.Get(ctx, key)
	if scoring.CodeOf(err) == scoring.Internal {
		err = scoring.Errorf(scoring.Unavailable, "the registry's state store does not answer: try it again").WithCause(err)
	}
	return value, etag, err
}

func (b *Book) now() time.Time {
	if b.Now != nil {
		return stamp(b.Now())
	}
	return stamp(time.Now())
}

// pause waits before the try with this number, the first being 0: not at all before that one,
// and longer before later ones. Chance keeps writers that met from meeting again.
func (b *Book) pause(ctx context.Context, try int) error {
	const (
		first = 5 * time.Millisecond
		most  = 100 * time.Millisecond
	)
	if err := ctx.Err(); err != nil {
		return scoring.AsError(err)
	}
	if try == 0 {
		return nil
	}
	timer := time.NewTimer(time.Duration(b.chance()*float64(min(first<<try, most))) + 1)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return scoring.AsError(ctx.Err())
	}
}

func (b *Book) chance() float64 {
	if b.Chance != nil {
		return b.Chance()
	}
	return rand.Float64() //nolint:gosec // nobody gains by guessing it
}

// afterwards is the context of what remains to be done once a document was sent to the store:
// to find out whether it arrived, and to announce it. That must not depend on whether the
// caller still waits, or replicas would miss a change that was made.
func afterwards(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
}
