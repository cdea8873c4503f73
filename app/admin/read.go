package admin

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/scoring"
)

const (
	// storeTimeout bounds a look into the state store. It is well under the callers' own
	// time-outs, so that they get an answer that says what is slow.
	storeTimeout = 5 * time.Second
	// readsAtOnce is how many documents are read at once for a list.
	readsAtOnce = 8
)

// Models lists the documents of all models, by name.
func (a *Admin) Models(ctx context.Context) ([]Document, error) {
	if a.Book == nil {
		return nil, noBook()
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	index, err := a.Book.Index(ctx)
	if err != nil {
		return nil, storeFailed(err)
	}
	names := slices.Sorted(maps.Keys(index.Models))
	found := make([]*catalog.Model, len(names))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readsAtOnce)
	for i, name := range names {
		group.Go(func() (err error) {
			found[i], err = a.Book.Read(ctx, name)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, storeFailed(err)
	}
	documents := make([]Document, 0, len(found))
	for _, m := range found {
		if m != nil { // else it was taken away since the index was read
			documents = append(documents, *a.documentOf(m))
		}
	}
	return documents, nil
}

// Model gives the document of one model. An unknown one is a [scoring.Error] with code
// NotFound.
func (a *Admin) Model(ctx context.Context, name string) (*Document, error) {
	m, err := a.existing(ctx, name)
	if err != nil {
		return nil, err
	}
	return a.documentOf(m), nil
}

// Version gives one version of a model. An unknown one is a [scoring.Error] with code
// NotFound.
func (a *Admin) Version(ctx context.Context, name string, number int64) (*Version, error) {
	m, err := a.existing(ctx, name)
	if err != nil {
		return nil, err
	}
	v, ok := m.Versions[number]
	if !ok {
		return nil, scoring.Errorf(scoring.NotFound, "model %q has no version %d: GET /registry/v1/models/%s lists its versions", name, number, name)
	}
	return &Version{Version: v, Standing: m.Standing[number], Serving: a.Replica.Serving(name).version(number), Revision: m.Revision}, nil
}

// History lists the newest changes of a model, newest first and at most limit of them.
func (a *Admin) History(ctx context.Context, name string, limit int) ([]catalog.Entry, error) {
	if a.Book == nil {
		return nil, noBook()
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	entries, err := a.Book.History(ctx, name, limit)
	if err != nil {
		return nil, storeFailed(err)
	}
	return entries, nil
}

// Status says how this replica stands.
func (a *Admin) Status() (*Status, error) {
	if a.Book == nil {
		return nil, noBook()
	}
	status := a.Replica.Status()
	if status.Models == nil {
		status.Models = map[string]ModelStatus{}
	}
	return &status, nil
}

// existing reads the document of a model that there is.
func (a *Admin) existing(ctx context.Context, name string) (*catalog.Model, error) {
	m, err := a.read(ctx, name)
	if err != nil {
		return nil, err
	}
	if m == nil {
		return nil, scoring.Errorf(scoring.NotFound, "model %q is not in the registry: GET /registry/v1/models lists what is", clip(name))
	}
	return m, nil
}

// read reads the document of a model; nil where there is none.
func (a *Admin) read(ctx context.Context, name string) (*catalog.Model, error) {
	if a.Book == nil {
		return nil, noBook()
	}
	if err := scoring.CheckName("model name", name); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	m, err := a.Book.Read(ctx, name)
	if err != nil {
		return nil, storeFailed(err)
	}
	return m, nil
}

// documentOf adds to a document what this replica makes of it.
func (a *Admin) documentOf(m *catalog.Model) *Document {
	d := &Document{Schema: m.Schema, Name: m.Name, Revision: m.Revision, Versions: m.Versions, State: m.State, Serving: a.Replica.Serving(m.Name)}
	// An empty list is easier on callers than a null.
	if d.Serving.Labels == nil {
		d.Serving.Labels = map[string]int64{}
	}
	if d.Serving.Versions == nil {
		d.Serving.Versions = []ServingVersion{}
	}
	return d
}

func noBook() error {
	return scoring.Errorf(scoring.Unimplemented, "the registry needs a Dapr sidecar, and Onda runs without one")
}

// storeFailed words what the book does not: that the store took longer than it may.
func storeFailed(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		if _, worded := errors.AsType[*scoring.Error](err); !worded {
			return scoring.Errorf(scoring.Unavailable, "the registry's state store does not answer: try it again").WithCause(err).WithRetryAfter(time.Second)
		}
	}
	return err
}
