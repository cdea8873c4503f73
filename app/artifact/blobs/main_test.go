package blobs_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/onda-serving/onda/app/artifact/blobs"
	"github.com/onda-serving/onda/app/artifact/blobs/blobstest"
	"github.com/onda-serving/onda/app/artifact/blobs/gcs/gcstest"
	"github.com/onda-serving/onda/app/scoring"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(tests{m}) }

// tests ends the emulator before anybody looks for what was left behind.
type tests struct{ m *testing.M }

func (t tests) Run() int {
	defer blobstest.Stop()
	// The user's own settings take no part.
	os.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	os.Setenv("AWS_CONFIG_FILE", os.DevNull)
	os.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
	google := gcstest.New(googles...)
	defer google.Close()
	os.Setenv("STORAGE_EMULATOR_HOST", google.Host())
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

// readAll reads a file of a source from an offset.
func readAll(t *testing.T, s blobs.Source, name string, offset int64) ([]byte, error) {
	t.Helper()
	r, err := s.Open(t.Context(), name, offset)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// wantFile checks what a source reads from an offset on.
func wantFile(t *testing.T, s blobs.Source, name string, offset int64, want []byte) {
	t.Helper()
	got, err := readAll(t, s, name, offset)
	if err != nil {
		t.Errorf("read %s at %d: %v", name, offset, err)
	} else if !bytes.Equal(got, want) {
		t.Errorf("read %s at %d: got %d bytes (%s), want %d (%s)", name, offset, len(got), sumOf(got), len(want), sumOf(want))
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

// open opens a source that must be there.
func open(t *testing.T, url string, allow ...string) blobs.Source {
	t.Helper()
	s, err := blobs.Open(t.Context(), url, allow)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// openStore opens a store that must be there.
func openStore(t *testing.T, url string) *blobs.Store {
	t.Helper()
	s, err := blobs.OpenStore(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// put keeps data under its own sum.
func put(t *testing.T, s *blobs.Store, data []byte) string {
	t.Helper()
	sum := sumOf(data)
	if err := s.Put(t.Context(), sum, int64(len(data)), bytes.NewReader(data)); err != nil {
		t.Fatalf("put %d bytes: %v", len(data), err)
	}
	return sum
}

// failing is a reader that breaks off.
type failing struct {
	r   io.Reader
	err error
}

func (f failing) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if errors.Is(err, io.EOF) {
		err = f.err
	}
	return n, err
}

var errGone = errors.New("the caller is gone")

// ended is a context that was cancelled.
func ended(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
