package diskcache_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/onda-serving/onda/app/artifact"
	"github.com/onda-serving/onda/app/artifact/blobs"
	"github.com/onda-serving/onda/app/artifact/blobs/blobstest"
	"github.com/onda-serving/onda/app/artifact/diskcache"
	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/scoring"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(tests{m}) }

// tests ends the emulator before anybody looks for what was left behind.
type tests struct{ m *testing.M }

func (t tests) Run() int {
	defer blobstest.Stop()
	return t.m.Run()
}

// random gives bytes that are the same each time.
func random(seed uint64, size int) []byte {
	data := make([]byte, size)
	source := rand.NewChaCha8([32]byte{byte(seed)})
	_, _ = source.Read(data)
	return data
}

func sumOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// files are those of a version, by their paths.
type files map[string]string

func (f files) version(number int64) catalog.Version {
	v := catalog.Version{Version: number, Files: map[string]catalog.File{}}
	for name, text := range f {
		v.Files[name] = catalog.File{SHA256: sumOf([]byte(text)), Size: int64(len(text))}
	}
	return v
}

// faq is a version that most tests are fine with.
var faq = files{"model.onnx": strings.Repeat("0123456789", 10), "labels.txt": "a\nb\n", "tables/a.bin": "abc", "empty": ""}

// source has files. With read set, it gives them as that does; Open is counted.
type source struct {
	files files
	read  func(ctx context.Context, try int, name string, rest []byte) (io.Reader, error)

	mu     sync.Mutex
	opens  int // of the source
	tries  int // of its files
	given  int // bytes
	starts []int64
}

func (s *source) open(context.Context) (blobs.Source, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opens++
	return s, nil
}

func (s *source) Open(ctx context.Context, name string, offset int64) (io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text, ok := s.files[name]
	if !ok {
		return nil, scoring.Errorf(scoring.NotFound, "store: file %s: not found", name)
	}
	s.tries++
	s.starts = append(s.starts, offset)
	rest := []byte(text)[min(offset, int64(len(text))):]
	var r io.Reader = bytes.NewReader(rest)
	if s.read != nil {
		var err error
		if r, err = s.read(ctx, s.tries, name, rest); err != nil {
			return nil, err
		}
	}
	return io.NopCloser(counting{s, r}), nil
}

func (s *source) List(context.Context) (map[string]int64, error) { return nil, errors.New("unused") }
func (s *source) Close() error                                   { return nil }

// counting counts what is read.
type counting struct {
	s *source
	r io.Reader
}

func (c counting) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.s.given += n
	return n, err
}

// broken is a reader of so many bytes, that breaks off then.
func broken(data []byte, after int) io.Reader {
	if len(data) <= after {
		return bytes.NewReader(data)
	}
	return io.MultiReader(bytes.NewReader(data[:after]), failing{})
}

var errBroken = errors.New("connection reset by peer")

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errBroken }

// open opens a cache that must open.
func open(t *testing.T, dir string, maxBytes int64) *diskcache.Cache {
	t.Helper()
	c, err := diskcache.Open(dir, maxBytes, zerolog.New(zerolog.NewTestWriter(t)))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// fetch fetches what must come, and checks all of it.
func fetch(t *testing.T, c *diskcache.Cache, model string, v catalog.Version, s *source) (artifact.Ref, func()) {
	t.Helper()
	ref, release, err := c.Fetch(t.Context(), model, v, s.open, nil)
	if err != nil {
		t.Fatalf("fetch %s@%d: %v", model, v.Version, err)
	}
	t.Cleanup(release)
	wantFiles(t, ref, s.files)
	return ref, release
}

// wantFiles checks that the files are there, and no other ones.
func wantFiles(t *testing.T, ref artifact.Ref, want files) {
	t.Helper()
	got := files{}
	root, err := filepath.EvalSymlinks(ref.Dir)
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.Walk(root, func(name string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		text, err := os.ReadFile(name)
		below, _ := filepath.Rel(root, name)
		got[below] = string(text)
		return err
	})
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("%s: the files are not those of the version: %v", ref, err)
	}
}

// refused checks code and public text of an error.
func refused(t *testing.T, err error, code scoring.Code, texts ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want %s with %q", code, texts)
		return
	}
	e := scoring.AsError(err)
	if e.Code != code {
		t.Errorf("got %v, want the code %s", err, code)
	}
	for _, text := range texts {
		if !strings.Contains(e.Message, text) {
			t.Errorf("got %q, want %q in it", e.Message, text)
		}
	}
}

// fails fetches what must not come.
func fails(t *testing.T, c *diskcache.Cache, v catalog.Version, s *source) error {
	t.Helper()
	_, release, err := c.Fetch(t.Context(), "faq", v, s.open, nil)
	if err == nil {
		release()
	}
	return err
}

// inDir lists what is in a folder, without hidden names.
func inDir(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), ".") {
			names = append(names, entry.Name())
		}
	}
	return names
}

// age sets the last use of an entry.
func age(t *testing.T, dir, key string, by time.Duration) {
	t.Helper()
	at := time.Now().Add(-by)
	if err := os.Chtimes(filepath.Join(dir, key, ".entry"), at, at); err != nil {
		t.Fatal(err)
	}
}
