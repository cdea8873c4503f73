package blobs

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"sync"

	"github.com/onda-serving/onda/app/artifact"
	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/scoring"
)

// storeName is what errors call a store: its URL is the operator's business.
const storeName = "artifact store"

var sumPattern = regexp.MustCompile(`^[0-9a-f]{64}$`)

// Store keeps files under their SHA-256, as "sha256/ab/abcdef...": a file that many versions
// share is kept once, and what is there was checked. Its methods may be called at the same
// time, and by several processes. Their errors are as those of a [Source].
type Store struct {
	place place

	mu sync.Mutex
	// doubted are the sums of files that were read and found to be others.
	doubted map[string]bool
}

// OpenStore opens the store at the URL, or the path of a folder: a setting of the operator,
// which may be any. A folder is made if there is none; a container or bucket has to be there.
func OpenStore(ctx context.Context, url string) (*Store, error) {
	l, err := parseSetting(url)
	if err != nil {
		return nil, err
	}
	if l.scheme == fileScheme {
		if err := os.MkdirAll(filepath.Join("/", filepath.Join(l.path...)), 0o700); err != nil {
			return nil, explain(ctx, named(unwritable(err)), "", storeName)
		}
	}
	p, err := openPlace(ctx, l)
	if err != nil {
		return nil, err
	}
	if f, ok := p.(folder); ok {
		if err := f.tidy(); err != nil {
			return nil, explain(ctx, err, "", storeName)
		}
	}
	return &Store{place: p, doubted: map[string]bool{}}, nil
}

// Close ends the store and its sources.
func (s *Store) Close() error { return s.place.close() }

// key is the place of a file.
func key(sum string) string { return path.Join("sha256", sum[:2], sum) }

// CheckSum checks that sum is a SHA-256 in hexadecimal digits. The error is Invalid.
func CheckSum(sum string) error {
	if !sumPattern.MatchString(sum) {
		return invalid("SHA-256 %q: want 64 hexadecimal digits in lower case", clip(sum))
	}
	return nil
}

// Has says whether the file is there, and its size in bytes.
func (s *Store) Has(ctx context.Context, sum string) (size int64, ok bool, err error) {
	if err := CheckSum(sum); err != nil {
		return 0, false, err
	}
	size, ok, err = s.place.size(ctx, key(sum))
	if err != nil {
		return 0, false, explain(ctx, err, sum, storeName)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return size, ok && !s.doubted[sum], nil
}

// doubt remembers that a file is not what its name says, so that it is asked for again.
func (s *Store) doubt(sum string, doubted bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if doubted {
		s.doubted[sum] = true
	} else {
		delete(s.doubted, sum)
	}
}

// Put keeps what r has, of so many bytes, under its SHA-256. It is streamed; what does not
// have that size and sum, or breaks off, never becomes visible and is Invalid. Nothing is
// read of r if the file is there.
func (s *Store) Put(ctx context.Context, sum string, size int64, r io.Reader) error {
	if size < 0 {
		return invalid("file %s: the size must be known before it is sent", sum)
	}
	if size > artifact.MaxFileBytes {
		return scoring.Errorf(scoring.TooLarge, "file %s has %d bytes: at most %d are allowed", sum, size, int64(artifact.MaxFileBytes))
	}
	// One of another size was damaged where it is kept, and is replaced.
	if had, ok, err := s.Has(ctx, sum); err != nil || ok && had == size {
		return err
	}
	c := &checked{r: r, sum: sum, size: size, hash: sha256.New()}
	if err := s.place.write(ctx, key(sum), c); err != nil {
		if c.err != nil {
			return c.err
		}
		return explainWrite(ctx, err, sum)
	}
	s.doubt(sum, false)
	return nil
}

// explainWrite leaves out the file where it is the store that has to be mended.
func explainWrite(ctx context.Context, err error, sum string) error {
	if isUnwritable(err) {
		sum = ""
	}
	return explain(ctx, err, sum, storeName)
}

// checked is a reader that ends with an error, and not with io.EOF, unless what was read has
// the size and the sum: whoever copies it does not complete the copy.
type checked struct {
	r    io.Reader
	sum  string
	size int64
	hash hash.Hash
	read int64
	err  error // of the reader or of the check; nil after io.EOF
}

func (c *checked) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.read += int64(n)
	_, _ = c.hash.Write(p[:n]) // a hash takes everything
	switch {
	case c.read > c.size:
		c.err = invalid("file %s: there are more than the %d bytes that were announced", c.sum, c.size)
	case err == nil:
		return n, nil
	case !errors.Is(err, io.EOF):
		c.err = fmt.Errorf("read what is sent as file %s: %w", c.sum, err)
	case c.read < c.size:
		c.err = invalid("file %s: %d bytes came of the %d that were announced", c.sum, c.read, c.size)
	default:
		if got := hex.EncodeToString(c.hash.Sum(nil)); got != c.sum {
			c.err = invalid("file %s: the SHA-256 of what was sent is %s: it was damaged on its way, or is another file", c.sum, got)
			break
		}
		return n, io.EOF
	}
	return n, c.err
}

// Source reads files by the paths that they have in a version. It needs no Close of its own.
func (s *Store) Source(files map[string]catalog.File) Source {
	return storeSource{store: s, files: maps.Clone(files)}
}

type storeSource struct {
	store *Store
	files map[string]catalog.File
}

func (s storeSource) Open(ctx context.Context, name string, offset int64) (io.ReadCloser, error) {
	file, ok := s.files[name]
	if !ok {
		return nil, scoring.Errorf(scoring.NotFound, "%s: file %q is not one of the version", storeName, clip(name))
	}
	if err := CheckSum(file.SHA256); err != nil {
		return nil, err
	}
	r, err := s.store.place.open(ctx, key(file.SHA256), offset)
	if err != nil {
		return nil, explain(ctx, err, name, storeName)
	}
	if offset > 0 {
		return r, nil
	}
	return &proven{ReadCloser: r, store: s.store, sum: file.SHA256, hash: sha256.New()}, nil
}

// proven is a file that is read from its begin, and doubted if it ends as another one.
type proven struct {
	io.ReadCloser

	store *Store
	sum   string
	hash  hash.Hash
}

func (p *proven) Read(b []byte) (int, error) {
	n, err := p.ReadCloser.Read(b)
	_, _ = p.hash.Write(b[:n]) // a hash takes everything
	if errors.Is(err, io.EOF) {
		p.store.doubt(p.sum, hex.EncodeToString(p.hash.Sum(nil)) != p.sum)
	}
	return n, err
}

func (s storeSource) List(context.Context) (map[string]int64, error) {
	sizes := map[string]int64{}
	for name, file := range s.files {
		sizes[name] = file.Size
	}
	return sizes, nil
}

func (storeSource) Close() error { return nil }
