package blobs

import (
	"context"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/onda-serving/onda/app/artifact/blobs/gcs"
	"github.com/onda-serving/onda/app/scoring"
)

// google is a bucket of Google Cloud Storage, or a folder in it.
type google struct {
	client *gcs.Client
	prefix string // empty, or with a slash at its end
}

// openGoogle does not go on without credentials where there are none: that is what anonymous is for.
func openGoogle(ctx context.Context, l location) (place, error) {
	anonymous := false
	for name, values := range l.query {
		value, err := strconv.ParseBool(values[0])
		if name != "anonymous" || len(values) != 1 || err != nil {
			return nil, scoring.Errorf(scoring.Unavailable, "%s: the URL in the server's settings can have one parameter, anonymous=true or anonymous=false", l)
		}
		anonymous = value
	}
	client, err := gcs.New(ctx, gcs.Config{
		Bucket: l.bucket, Anonymous: anonymous,
		Emulator: os.Getenv("STORAGE_EMULATOR_HOST"), //nolint:forbidigo // Google's libraries read it, as they read where the credentials are
	})
	if err != nil {
		return nil, err
	}
	g := google{client: client}
	if len(l.path) > 0 {
		g.prefix = strings.Join(l.path, "/") + "/"
	}
	return g, nil
}

func (g google) close() error { return g.client.Close() }

func (g google) open(ctx context.Context, key string, offset int64) (io.ReadCloser, error) {
	r, err := g.client.Open(ctx, g.prefix+key, offset)
	if err != nil {
		return nil, err
	}
	return r, nil
}

func (g google) list(ctx context.Context, prefix string) (map[string]int64, error) {
	files := map[string]int64{}
	prefix = g.prefix + prefix
	for object, err := range g.client.List(ctx, prefix) {
		if err != nil {
			return nil, err
		}
		files[strings.TrimPrefix(object.Name, prefix)] = object.Size
		if len(files) > 2*maxFiles { // there may be hidden ones, and folders
			return nil, errTooMany
		}
	}
	return files, nil
}

func (g google) size(ctx context.Context, key string) (int64, bool, error) {
	size, err := g.client.Size(ctx, g.prefix+key)
	if isMissing(err) && !isNoBucket(err) {
		return 0, false, nil
	}
	return size, err == nil, err
}

func (g google) write(ctx context.Context, key string, r io.Reader) error {
	return g.client.Write(ctx, g.prefix+key, r)
}

// googleStatus is the status of an answer of Google's; 0 if err is none.
func googleStatus(err error) int {
	if answer, ok := errors.AsType[*gcs.Error](err); ok {
		return answer.Status
	}
	return 0
}
