package blobs

import (
	"context"
	"errors"
	"io"
	"net/url"
	"strings"

	"gocloud.dev/blob"
)

const (
	// partBytes is how much of an upload is sent at once: large enough that 2 GiB stay below
	// the most parts that a storage takes, which is 10,000.
	partBytes = 8 << 20
	// parts is how many are on their way at the same time. They are held in memory.
	parts = 2
)

// bucket is a bucket or container of a storage, or a folder in it.
type bucket struct{ *blob.Bucket }

// newBucket confines b to the path of l.
func newBucket(b *blob.Bucket, l location) place {
	if len(l.path) > 0 {
		b = blob.PrefixedBucket(b, strings.Join(l.path, "/")+"/")
	}
	return bucket{b}
}

// url is what the openers of gocloud take: the path is ours.
func (l location) url() *url.URL {
	return &url.URL{Scheme: l.scheme, Host: l.bucket, RawQuery: l.query.Encode()}
}

func (b bucket) close() error { return b.Close() }

func (b bucket) open(ctx context.Context, key string, offset int64) (io.ReadCloser, error) {
	r, err := b.NewRangeReader(ctx, key, offset, -1, nil)
	if err != nil {
		return nil, err
	}
	return r, nil
}

func (b bucket) list(ctx context.Context, prefix string) (map[string]int64, error) {
	files := map[string]int64{}
	for objects := b.List(&blob.ListOptions{Prefix: prefix}); ; {
		object, err := objects.Next(ctx)
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		files[strings.TrimPrefix(object.Key, prefix)] = object.Size
		if len(files) > 2*maxFiles { // there may be hidden ones, and folders
			return nil, errTooMany
		}
	}
}

func (b bucket) size(ctx context.Context, key string) (int64, bool, error) {
	attributes, err := b.Attributes(ctx, key)
	if isMissing(err) && !isNoBucket(err) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	return attributes.Size, true, nil
}

// write ends the context before it passes an error of the reader on: some drivers complete
// the file with what there is, but none does without a context.
func (b bucket) write(ctx context.Context, key string, r io.Reader) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cancelling := readerFunc(func(p []byte) (int, error) {
		n, err := r.Read(p)
		if err != nil && !errors.Is(err, io.EOF) {
			cancel()
		}
		return n, err
	})
	return b.Upload(ctx, key, cancelling, &blob.WriterOptions{
		BufferSize: partBytes, MaxConcurrency: parts, ContentType: "application/octet-stream",
	})
}
