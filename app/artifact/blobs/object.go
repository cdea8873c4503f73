package blobs

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/onda-serving/onda/app/scoring"
)

// Objects reads single objects, each named by a URL of its own, below the folders of an
// [Allow]. A storage is opened with the first object that is in it and stays open: what an
// identity shows to it is fetched once, and not for each object. It is safe for concurrent use.
type Objects struct {
	// Allow lists the folders.
	Allow Allow
	// Setting is the environment variable that Allow comes from, for errors.
	Setting string

	mu     sync.Mutex
	places map[string]place // by location with parameters; folders are not in it
}

// Object is an object that is open. Its errors are as those of a [Source].
type Object struct {
	io.Reader
	// Size in bytes, as the storage has it.
	Size int64

	closers []func() error
}

// Open opens the object that the URL names. ctx must live as long as the object is read. The
// error is Invalid for what is no such URL, Denied for one that Allow does not cover, and
// otherwise as those of a [Source].
func (o *Objects) Open(ctx context.Context, url string) (*Object, error) {
	l, err := parse(url)
	if err != nil {
		return nil, err
	}
	base, err := o.covering(l)
	if err != nil {
		return nil, err
	}
	address, _, _ := strings.Cut(url, "?")
	key := strings.TrimSuffix(l.below(base), "/")
	if key == "" || strings.HasSuffix(address, "/") {
		return nil, invalid("location %s: want the URL of one object, below a folder that %s names", l, o.Setting)
	}
	p, release, err := o.place(ctx, base)
	if err != nil {
		return nil, err
	}
	r, err := p.open(ctx, key, 0)
	if err != nil {
		_ = release() // what failed is err
		return nil, explain(ctx, err, "", l.String())
	}
	size, err := sizeOf(r)
	object := &Object{Reader: explained(ctx, r, l.String()), Size: size, closers: []func() error{r.Close, release}}
	if err != nil {
		_ = object.Close() // what failed is err
		return nil, explain(ctx, err, "", l.String())
	}
	return object, nil
}

// Close ends the object.
func (o *Object) Close() error {
	var first error
	for _, end := range o.closers {
		if err := end(); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// Close ends the storages; objects that are open must be closed before.
func (o *Objects) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	var first error
	for _, p := range o.places {
		if err := p.close(); err != nil && first == nil {
			first = err
		}
	}
	o.places = nil
	return first
}

// covering gives the folder that covers l. It says what [Allow.find] says, with the name of
// this setting.
func (o *Objects) covering(l location) (location, error) {
	base, err := o.Allow.find(l)
	if err == nil {
		return base, nil
	}
	plain := l
	plain.query = nil
	if _, err := o.Allow.find(plain); err == nil {
		return location{}, scoring.Errorf(scoring.Denied, "location %s: the parameters after the question mark differ from those in %s: leave them out", l, o.Setting)
	}
	return location{}, scoring.Errorf(scoring.Denied, "location %s: not below a folder that is allowed: the operator of the server names them in %s", l, o.Setting)
}

// place gives the storage of base. release must be called once it is not used any more.
func (o *Objects) place(ctx context.Context, base location) (p place, release func() error, err error) {
	if base.scheme == fileScheme {
		// Costs little to open, and a folder that was kept open would not be the one that an
		// operator mounts in its place.
		if p, err = openPlace(ctx, base); err != nil {
			return nil, nil, err
		}
		return p, p.close, nil
	}
	keep := func() error { return nil }
	name := base.String() + "?" + base.query.Encode()
	o.mu.Lock()
	p = o.places[name]
	o.mu.Unlock()
	if p != nil {
		return p, keep, nil
	}
	// Opened outside of the lock: some storages are asked who they are.
	if p, err = openPlace(ctx, base); err != nil {
		return nil, nil, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if there := o.places[name]; there != nil {
		return there, keep, p.close()
	}
	if o.places == nil {
		o.places = map[string]place{}
	}
	o.places[name] = p
	return p, keep, nil
}

var errNoSize = errors.New("the storage does not tell the size")

// sizeOf asks what was opened, and not the storage once more: so the size is that of the
// content that is read.
func sizeOf(r io.Reader) (int64, error) {
	switch r := r.(type) {
	case *os.File:
		info, err := r.Stat()
		if err != nil {
			return 0, err
		}
		return info.Size(), nil
	case interface{ Size() int64 }:
		if size := r.Size(); size >= 0 {
			return size, nil
		}
	}
	return 0, errNoSize
}

// explained is r, with errors for callers.
func explained(ctx context.Context, r io.Reader, where string) io.Reader {
	return readerFunc(func(b []byte) (int, error) {
		if err := ctx.Err(); err != nil { // a folder does not look at it
			return 0, explain(ctx, err, "", where)
		}
		n, err := r.Read(b)
		if err != nil && err != io.EOF { //nolint:errorlint // io.EOF is never wrapped where it is the end
			err = explain(ctx, err, "", where)
		}
		return n, err
	})
}
