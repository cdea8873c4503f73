package blobs_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/onda-serving/onda/app/artifact"
	"github.com/onda-serving/onda/app/artifact/blobs"
	"github.com/onda-serving/onda/app/artifact/blobs/blobstest"
	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/scoring"
)

// stores are all kinds of stores that are at hand; each test has one of its own.
var stores = []struct {
	name string
	url  func(t *testing.T) string
}{
	{"folder", func(t *testing.T) string { t.Helper(); return "file://" + t.TempDir() }},
	{"azure", func(t *testing.T) string {
		t.Helper()
		azurite := blobstest.Shared(t)
		azurite.Container(t, "stores")
		return azurite.URL("stores/" + rand.Text())
	}},
	{"path", func(t *testing.T) string { t.Helper(); return filepath.Join(t.TempDir(), "new", "one") }},
	{"s3", func(t *testing.T) string { t.Helper(); return newS3(t).url("models/a/b") }},
	{"google", func(t *testing.T) string { t.Helper(); return "gs://" + googles[0] + "/" + rand.Text() }},
}

func eachStore(t *testing.T, test func(t *testing.T, s *blobs.Store)) {
	t.Helper()
	for _, kind := range stores {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			test(t, openStore(t, kind.url(t)))
		})
	}
}

func TestStore(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s *blobs.Store) {
		// The large one is sent in parts.
		large, small := random(1, 9<<20), []byte("small")
		files := map[string]catalog.File{
			"model.onnx":  {SHA256: put(t, s, large), Size: int64(len(large))},
			"sub/a b.txt": {SHA256: put(t, s, small), Size: int64(len(small))},
			"empty":       {SHA256: put(t, s, nil)},
		}
		for name, file := range files {
			size, ok, err := s.Has(t.Context(), file.SHA256)
			if size != file.Size || !ok || err != nil {
				t.Errorf("%s: got %d bytes, there: %v, %v; want %d", name, size, ok, err, file.Size)
			}
		}
		source := s.Source(files)
		wantFile(t, source, "model.onnx", 0, large)
		wantFile(t, source, "model.onnx", 5<<20, large[5<<20:])
		wantFile(t, source, "sub/a b.txt", 2, []byte("all"))
		wantFile(t, source, "empty", 0, nil)
		sizes, err := source.List(t.Context())
		if err != nil || len(sizes) != 3 || sizes["model.onnx"] != 9<<20 || sizes["empty"] != 0 {
			t.Errorf("got %v, %v", sizes, err)
		}
		_, err = source.Open(t.Context(), "other", 0)
		refused(t, err, scoring.NotFound, `file "other" is not one of the version`)

		// What is there is not read again.
		if err := s.Put(t.Context(), sumOf(small), 5, failing{strings.NewReader(""), errGone}); err != nil {
			t.Errorf("got %v: want nothing to be read of a file that is there", err)
		}
	})
}

func TestStoreRefuses(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s *blobs.Store) {
		short, long := []byte("0123456789"), random(2, 10<<20)
		for _, tt := range []struct {
			name string
			data []byte
			size int64
			sum  string
			text string
		}{
			{"another small file", short, 10, sumOf([]byte("another")), "the SHA-256 of what was sent is " + sumOf(short)},
			{"another large file", long, 10 << 20, sumOf([]byte("large")), "the SHA-256 of what was sent is " + sumOf(long)},
			{"too few bytes", short, 11, sumOf([]byte("few")), "10 bytes came of the 11 that were announced"},
			{"too many bytes", short, 9, sumOf([]byte("many")), "more than the 9 bytes that were announced"},
			{"too many large bytes", long, 9 << 20, sumOf(long), "more than the 9437184 bytes that were announced"},
		} {
			err := s.Put(t.Context(), tt.sum, tt.size, bytes.NewReader(tt.data))
			refused(t, err, scoring.Invalid, "file "+tt.sum+": ", tt.text)
			wantNone(t, s, tt.sum)
		}
		refused(t, s.Put(t.Context(), "../x", 1, nil), scoring.Invalid, "64 hexadecimal digits")
		refused(t, s.Put(t.Context(), sumOf(nil), -1, nil), scoring.Invalid, "the size must be known")
		refused(t, s.Put(t.Context(), sumOf(nil), artifact.MaxFileBytes+1, nil), scoring.TooLarge, "at most 2147483648 are allowed")
	})
}

// wantNone checks that a file is not there, neither by its sum nor to be read.
func wantNone(t *testing.T, s *blobs.Store, sum string) {
	t.Helper()
	if size, ok, err := s.Has(t.Context(), sum); ok || err != nil {
		t.Errorf("got %d bytes, there: %v, %v; want none", size, ok, err)
	}
	_, err := readAll(t, s.Source(map[string]catalog.File{"f": {SHA256: sum}}), "f", 0)
	refused(t, err, scoring.NotFound, "artifact store: file f: not found")
}

// An upload that breaks off leaves nothing that anybody sees, at whatever point it does.
func TestStoreBrokenUpload(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s *blobs.Store) {
		data := random(3, 10<<20)
		for _, at := range []int{0, 1000, 8 << 20, 9 << 20} {
			err := s.Put(t.Context(), sumOf(data), int64(len(data)), failing{bytes.NewReader(data[:at]), errGone})
			if !errors.Is(err, errGone) {
				t.Errorf("after %d bytes: got %v, want that the caller is gone", at, err)
			}
			wantNone(t, s, sumOf(data))
		}
		if err := s.Put(ended(t), sumOf(data), int64(len(data)), bytes.NewReader(data)); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want that it was cancelled", err)
		}
		wantNone(t, s, sumOf(data))
		put(t, s, data)
		wantFile(t, s.Source(map[string]catalog.File{"f": {SHA256: sumOf(data)}}), "f", 0, data)
	})
}

func TestStoreSameFileAtOnce(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s *blobs.Store) {
		data := random(4, 100_000)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if err := s.Put(t.Context(), sumOf(data), int64(len(data)), bytes.NewReader(data)); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		wantFile(t, s.Source(map[string]catalog.File{"f": {SHA256: sumOf(data)}}), "f", 0, data)
	})
}

// A file that was cut short where it is kept is sent again.
func TestStoreMendsItself(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openStore(t, "file://"+dir)
	data := []byte("0123456789")
	sum := put(t, s, data)
	name := filepath.Join(dir, "sha256", sum[:2], sum)
	if err := os.WriteFile(name, data[:5], 0o600); err != nil {
		t.Fatal(err)
	}
	put(t, s, data)
	if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, data) {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestOpenStoreRefuses(t *testing.T) {
	t.Parallel()
	_, err := blobs.OpenStore(t.Context(), "ftp://models")
	refused(t, err, scoring.Invalid, `"ftp" is not known`)
	_, err = blobs.OpenStore(t.Context(), "file://"+tree(t, map[string]string{"a": ""})+"/a/b")
	refused(t, err, scoring.NotFound)
}
