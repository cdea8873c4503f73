package blobs

import (
	"context"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/onda-serving/onda/app/artifact"
	"github.com/onda-serving/onda/app/scoring"
)

// maxFiles bounds how many files a version can have.
const maxFiles = 10_000

// place is a storage that files are read from and written to, by keys with slashes. Its
// errors are those of the storage: see explain.
type place interface {
	// open reads from the offset to the end.
	open(ctx context.Context, key string, offset int64) (io.ReadCloser, error)
	// list gives the sizes of the files whose keys begin with prefix, which is empty or ends
	// in a slash, by the rest of their keys.
	list(ctx context.Context, prefix string) (map[string]int64, error)
	// size of a file; ok is false where there is none.
	size(ctx context.Context, key string) (size int64, ok bool, err error)
	// write makes the file of what r has, once that ended: what fails, or whose reader
	// fails, leaves nothing behind that anybody sees.
	write(ctx context.Context, key string, r io.Reader) error
	close() error
}

// schemes opens places, by the schemes of their URLs.
var schemes = map[string]func(context.Context, location) (place, error){
	fileScheme: openFolder,
	"azblob":   openAzure,
	"s3":       openS3,
	"gs":       openGoogle,
}

// openPlace opens the storage of a location, not yet any folder in it. Where the location has
// a path, keys are below it.
func openPlace(ctx context.Context, l location) (place, error) {
	p, err := schemes[l.scheme](ctx, l)
	if err != nil {
		return nil, explain(ctx, err, "", l.String())
	}
	return p, nil
}

// visible drops the hidden files and what stands for a folder: storages that have no folders
// keep an empty file for one.
func visible(all map[string]int64, where string) (map[string]int64, error) {
	parents := map[string]bool{}
	for name := range all {
		for i, c := range name {
			if c == '/' {
				parents[name[:i]] = true
			}
		}
	}
	files := map[string]int64{}
	for _, name := range slices.Sorted(maps.Keys(all)) { // the same error for the same fault, every time
		size := all[name]
		if isHidden(name) || strings.HasSuffix(name, "/") || size == 0 && parents[name] {
			continue
		}
		if err := CheckPath(name); err != nil {
			return nil, err
		}
		if size > artifact.MaxFileBytes {
			return nil, scoring.Errorf(scoring.TooLarge, "%s: file %q has %d bytes: at most %d are allowed", where, name, size, int64(artifact.MaxFileBytes))
		}
		files[name] = size
	}
	if len(files) == 0 {
		return nil, scoring.Errorf(scoring.NotFound, "%s: there are no files", where)
	}
	if len(files) > maxFiles {
		return nil, tooMany(where)
	}
	return files, nil
}

func tooMany(where string) error {
	return scoring.Errorf(scoring.TooLarge, "%s: there are more than %d files: want the folder of one version", where, maxFiles)
}

// isHidden says whether a part of the path begins with a dot: what editors leave, and how
// Kubernetes mounts a volume.
func isHidden(name string) bool {
	return strings.HasPrefix(name, ".") || strings.Contains(name, "/.")
}
