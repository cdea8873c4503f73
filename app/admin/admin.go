// Package admin changes the registry: it registers versions, moves labels, splits traffic,
// begins and ends rollouts, and tells how things stand.
//
// A change that makes a version answer callers is proved first, on the replica that takes the
// request: the version's files are fetched, it is loaded and warmed, its golden inputs are
// replayed, and its answers to recent requests are compared with those of the version that it
// is to replace. Only then is the document written, and only if nobody moved it in between.
// Whatever fails before that leaves everything as it was.
package admin

import (
	"context"
	"io"
	"time"

	"github.com/rs/zerolog"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/verify"
)

// Replica is this process's side of a change. Its methods can be called concurrently. The
// progress functions are called from any goroutine, never after the method returned.
type Replica interface {
	// Inspect fetches the files of a version that is to be registered and checks them in a
	// child process: digest, ONNX validity, signature, golden inputs. A version that fails is
	// a [scoring.Error] with code Invalid and a text for operators.
	Inspect(ctx context.Context, model string, v catalog.Version, progress func(Progress)) (verify.Report, error)
	// Prepare makes a registered version ready on this replica, off the request path, and
	// compares it with the version that it is to replace on recent requests; baseline 0
	// compares with none.
	Prepare(ctx context.Context, model *catalog.Model, version, baseline int64, progress func(Progress)) (Comparison, error)
	// Follow takes over a document at once instead of with the next poll. ctx ends soon after
	// it returned.
	Follow(ctx context.Context, model *catalog.Model)
	// Serving says what this replica does for a model; of one that it does not know, the zero
	// value.
	Serving(model string) Serving
	// Status says how this replica stands.
	Status() Status
}

// Progress says how far a change is.
type Progress struct {
	// Stage is "waiting", "fetch", "check", "load" or "compare".
	Stage string `json:"stage"`
	// Done of Total, in bytes for "fetch", else in pieces of work; 0 of 0 where that is not
	// known.
	Done  int64 `json:"done"`
	Total int64 `json:"total"`
}

const (
	// StageWaiting is the stage of a change that waits for its turn: one change of a model is
	// made after the other.
	StageWaiting = "waiting"
	stageFetch   = "fetch"
)

// Store holds the files of versions under their SHA-256: see blobs.Store, which implements it.
// Errors are [scoring.Error] values.
type Store interface {
	// Has gives the size of the file with a sum, and whether there is one.
	Has(ctx context.Context, sum string) (size int64, ok bool, err error)
	// Put keeps what r gives, if it has the size and the sum.
	Put(ctx context.Context, sum string, size int64, r io.Reader) error
}

// Hasher lists the files at a location, such as "azblob://models/faq/3", with their sizes and
// sums. It reads every byte of them. What the location cannot be is a [scoring.Error] with
// code Invalid.
type Hasher interface {
	Sums(ctx context.Context, location string, progress func(Progress)) (map[string]catalog.File, error)
}

// Admin makes changes. It is safe for concurrent use; its fields are set once, before that.
type Admin struct {
	// Book holds the documents; nil where Onda runs without a sidecar. There is nothing to
	// read or change then, and Replica and Hasher are not needed.
	Book *catalog.Book
	// Replica is this process.
	Replica Replica
	// Store takes uploads; nil where none is configured.
	Store Store
	// Hasher reads the files of a version that is at a URL.
	Hasher Hasher
	// Log hears of every comparison.
	Log zerolog.Logger
	// Stopping ends changes that are not written yet, when it ends; nil for none.
	Stopping context.Context //nolint:containedctx // it is the server's, not a call's
	// Now gives the time; nil is time.Now.
	Now func() time.Time

	turns turns
}

// Ask is what every change brings along.
type Ask struct {
	// Actor says who changes: a person or an app, in printable text.
	Actor string
	// Reason why, in the actor's words; may be empty.
	Reason string
	// Accept names what is meant although it looks like a mistake.
	Accept catalog.Accept
	// Revision that the actor decided on: the change is refused if the document is at
	// another one. 0 takes any.
	Revision int64
	// Progress hears how far the change is; nil for nobody.
	Progress func(Progress)
}

func (a *Admin) now() time.Time {
	if a.Now != nil {
		return a.Now().UTC()
	}
	return time.Now().UTC()
}
