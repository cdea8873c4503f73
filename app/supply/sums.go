package supply

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"maps"
	"slices"

	"github.com/onda-serving/onda/app/admin"
	"github.com/onda-serving/onda/app/artifact/blobs"
	"github.com/onda-serving/onda/app/artifact/diskcache"
	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/scoring"
)

// maxFiles bounds the files of a version.
const maxFiles = 256

// Sums implements admin.Hasher: it reads every file at location.
func (s *Supply) Sums(ctx context.Context, location string, progress func(admin.Progress)) (map[string]catalog.File, error) {
	source, err := blobs.Open(ctx, location, s.sources)
	if err != nil {
		return nil, err
	}
	defer source.Close()
	sizes, err := source.List(ctx)
	if err != nil {
		return nil, err
	}
	if len(sizes) > maxFiles {
		return nil, scoring.Errorf(scoring.Invalid, "location %q has %d files: want the files of one version, model.onnx among them, at most %d", location, len(sizes), maxFiles)
	}
	total, done := int64(0), int64(0)
	for _, size := range sizes {
		total += size
	}
	files := map[string]catalog.File{}
	for _, name := range slices.Sorted(maps.Keys(sizes)) {
		if err := ctx.Err(); err != nil { // reading from a folder does not look at it
			return nil, scoring.AsError(err)
		}
		sum, err := sumOf(ctx, source, name, sizes[name])
		if err != nil {
			return nil, err
		}
		files[name] = catalog.File{SHA256: sum, Size: sizes[name]}
		done += sizes[name]
		progress(admin.Progress{Stage: "fetch", Done: done, Total: total})
	}
	return files, nil
}

// sumOf reads a file to its end, which must be where the list says.
func sumOf(ctx context.Context, source blobs.Source, name string, size int64) (string, error) {
	reader, err := source.Open(ctx, name, 0)
	if err != nil {
		return "", err
	}
	defer reader.Close()
	hash := sha256.New()
	n, err := io.Copy(hash, reader)
	if err != nil {
		return "", scoring.Errorf(scoring.Unavailable, "file %q could not be read to its end: try it again", name).WithCause(err)
	}
	if n != size {
		return "", scoring.Errorf(scoring.Conflict, "file %q has %d bytes and was listed with %d: it changed meanwhile, and a version's files must not", name, n, size)
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// diskcacheKey is the key of a version's files; "" for one that is in the models folder.
func diskcacheKey(v catalog.Version) string {
	if len(v.Files) == 0 {
		return ""
	}
	return diskcache.Key(v)
}
