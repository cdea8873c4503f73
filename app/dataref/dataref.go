// Package dataref fetches the data of events that carry a reference in its place: the claim
// check pattern, and the extension dataref of CloudEvents
// (https://github.com/cloudevents/spec/blob/main/cloudevents/extensions/dataref.md). Brokers
// bound their messages to some hundred kilobytes; a picture or a batch of texts can be larger.
//
// A reference is the URL of one object in a storage that the operator allows:
//
//	file:///srv/inputs/2026/a.jpg
//	azblob://inputs/2026/a.jpg
//	s3://inputs/2026/a.jpg
//	gs://inputs/2026/a.jpg
//
// Whoever may publish an event writes it, and must not be able to have anything else read: no
// other folder, no other host, and nothing over HTTP. What is there must have the SHA-256 that
// the event names, so that an event is answered for the bytes its sender meant, each time it is
// delivered.
package dataref

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/onda-serving/onda/app/admit"
	"github.com/onda-serving/onda/app/artifact/blobs"
	"github.com/onda-serving/onda/app/scoring"
)

// Setting is the environment variable that [Fetcher.Allowed] comes from: URLs of folders, or
// paths of this machine, separated by commas, as ONDA_ARTIFACT_SOURCES has them.
const Setting = "ONDA_EVENT_SOURCES"

// Fetcher reads what references name. Its fields are set before the first use; then it is safe
// for concurrent use. It must not be copied.
type Fetcher struct {
	// Allowed lists the folders below which objects may be read; none of them refuses every
	// reference.
	Allowed blobs.Allow
	// MaxBytes bounds an object.
	MaxBytes int64
	// Bytes is the budget of memory that objects share with the bodies of requests. It should
	// be no smaller than MaxBytes: an object that never fits is tried again for ever.
	Bytes *admit.Bytes
	// Timeout bounds the time that an object may take, all in all.
	Timeout time.Duration

	once    sync.Once
	objects *blobs.Objects
	denials denials
}

// chunk is how much is read at a time: between two of them a context that ended is noticed.
const chunk = 1 << 20

// Fetch reads the object that uri names, whose SHA-256 must be sum, in hexadecimal digits.
// release gives its memory back: call it once, when body is no longer in use, unless err is
// set. No memory is taken before the size is known, and found to be allowed.
//
// The codes of errors are Unimplemented where no reference is taken, Invalid for what is no
// reference and for an object with another sum, Denied for one that is not in an allowed
// place, NotFound, TooLarge, Overloaded where the budget is spent, and Unavailable where the
// storage is away, or does not take what Onda shows of itself. The last two are for another
// try, the others stay. A storage's refusal is Unavailable first, and Denied from the moment on
// when it is known to be about this object: see [denials].
func (f *Fetcher) Fetch(ctx context.Context, uri, sum string) (body []byte, release func(), err error) {
	if len(f.Allowed) == 0 {
		return nil, nil, scoring.Errorf(scoring.Unimplemented, "data by reference is not taken by this server: send the data in the event, or have its operator name the place in %s", Setting)
	}
	want, err := parseSum(sum)
	if err != nil {
		return nil, nil, err
	}
	bounded, cancel := context.WithTimeout(ctx, f.Timeout)
	defer cancel()
	began := time.Now()
	body, release, err = f.fetch(bounded, uri, want)
	switch {
	case err == nil:
		f.denials.read(uri, began)
		return body, release, nil
	case ctx.Err() != nil:
		return nil, nil, ctx.Err() // it is the caller who does not wait any longer, and no storage
	default:
		return nil, nil, f.unlessOurs(uri, err)
	}
}

// unlessOurs is err, but for a storage that refuses our own credentials: the event has no part in
// that, and where an identity is renewed, or its provider is away, the storage says the same to
// every event of that time. A place that is not allowed, and a file of this machine, stay Denied:
// nobody was asked there.
func (f *Fetcher) unlessOurs(uri string, err error) error {
	if scoring.CodeOf(err) != scoring.Denied || errors.Unwrap(err) == nil || strings.HasPrefix(uri, "file:") {
		return err
	}
	if f.denials.own(uri, time.Now()) {
		return err
	}
	return scoring.Errorf(scoring.Unavailable, "%s", scoring.AsError(err).Message).WithCause(err)
}

// Close ends what was opened, after the last Fetch.
func (f *Fetcher) Close() error { return f.opened().Close() }

func (f *Fetcher) opened() *blobs.Objects {
	f.once.Do(func() { f.objects = &blobs.Objects{Allow: f.Allowed, Setting: Setting} })
	return f.objects
}

func parseSum(text string) (sum [sha256.Size]byte, err error) {
	if len(text) != hex.EncodedLen(len(sum)) {
		return sum, scoring.Errorf(scoring.Invalid, "datarefsha256 has %d characters: want the SHA-256 of what the reference names, in 64 hexadecimal digits", len(text))
	}
	if _, err := hex.Decode(sum[:], []byte(text)); err != nil {
		return sum, scoring.Errorf(scoring.Invalid, "datarefsha256 is not hexadecimal: want the SHA-256 of what the reference names, in 64 hexadecimal digits")
	}
	return sum, nil
}

func (f *Fetcher) fetch(ctx context.Context, uri string, want [sha256.Size]byte) (body []byte, release func(), err error) {
	object, err := f.opened().Open(ctx, uri)
	if err != nil {
		return nil, nil, err
	}
	defer object.Close()
	if object.Size > f.MaxBytes {
		return nil, nil, scoring.Errorf(scoring.TooLarge, "the object has %d bytes: at most %d are allowed", object.Size, f.MaxBytes)
	}
	release = sync.OnceFunc(func() { f.Bytes.Free(object.Size) })
	if !f.Bytes.Take(object.Size) {
		release()
		return nil, nil, scoring.Errorf(scoring.Overloaded, "the server holds as much data of requests as it may: try again").WithRetryAfter(time.Second).WithReason(scoring.ReasonBodies)
	}
	if body, err = read(object, object.Size, want); err != nil {
		release()
		return nil, nil, err
	}
	return body, release, nil
}

// read reads size bytes, and their sum beside. What follows them is not looked at: it has no
// part in the sum.
func read(r io.Reader, size int64, want [sha256.Size]byte) ([]byte, error) {
	body, hash := make([]byte, size), sha256.New()
	for at := int64(0); at < size; {
		n, err := r.Read(body[at:min(at+chunk, size)])
		_, _ = hash.Write(body[at : at+int64(n)]) // a hash takes everything
		at += int64(n)
		switch {
		case at == size:
		case errors.Is(err, io.EOF):
			return nil, scoring.Errorf(scoring.Unavailable, "the object broke off after %d of its %d bytes", at, size).WithCause(err)
		case err != nil:
			return nil, err
		}
	}
	if got := hash.Sum(nil); [sha256.Size]byte(got) != want {
		return nil, scoring.Errorf(scoring.Invalid, "the SHA-256 of the object is %x, and datarefsha256 is %x: it was changed after the event was published, or is another one", got, want)
	}
	return body, nil
}
