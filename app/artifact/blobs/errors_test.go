package blobs

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/onda-serving/onda/app/scoring"
)

// What the libraries say can hold a signature, and is not for callers.
func TestExplainHidesSignatures(t *testing.T) {
	t.Parallel()
	cause := &url.Error{Op: "Get", URL: "https://a.blob.core.windows.net/c/f?sv=2026&sig=secret", Err: errors.New("connection refused")}
	err := explain(t.Context(), cause, "model.onnx", "azblob://c")
	want := `Unavailable: azblob://c: file model.onnx: the storage cannot be reached, or gave no usable answer; the server's log has the details: ` +
		`Get "https://a.blob.core.windows.net/c/f?...": connection refused`
	if err.Error() != want {
		t.Errorf("got %s\nwant %s", err, want)
	}
	if !errors.Is(err, cause) {
		t.Error("the cause cannot be found")
	}
}

// Operators see causes too, and are to know neither system calls nor how a store keeps files.
func TestExplainInPlainWords(t *testing.T) {
	t.Parallel()
	for _, cause := range []error{
		named(&os.PathError{Op: "statat", Path: "sha256/68/68ab", Err: syscall.ENOENT}),
		&os.LinkError{Op: "renameat", Old: ".uploads/x", New: "sha256/68/68ab", Err: syscall.ENOENT},
	} {
		err := explain(t.Context(), cause, "model.onnx", "artifact store")
		if want := "NotFound: artifact store: file model.onnx: not found: no such file or directory"; err.Error() != want {
			t.Errorf("got %q, want %q", err, want)
		}
	}
}

// gocloud takes a name that cannot be resolved for a file that is not there.
func TestExplainNameResolution(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  error
		want scoring.Code
	}{
		{errors.Join(os.ErrNotExist, &net.DNSError{Err: "no such host", IsNotFound: true}), scoring.Unavailable},
		{os.ErrNotExist, scoring.NotFound},
		{os.ErrPermission, scoring.Denied},
	} {
		if got := scoring.CodeOf(explain(t.Context(), tt.err, "f", "s")); got != tt.want {
			t.Errorf("%v: got %s, want %s", tt.err, got, tt.want)
		}
	}
}

// full is a folder that nothing can be written to.
type full struct {
	folder

	err error
}

func (f full) size(context.Context, string) (int64, bool, error) { return 0, false, nil }

func (f full) write(_ context.Context, _ string, r io.Reader) error {
	_, _ = io.CopyN(io.Discard, r, 1)
	return unwritable(f.err)
}

// Whose store is full, or read-only, is told so: nobody is to look for it on the network.
func TestStoreThatTakesNothing(t *testing.T) {
	t.Parallel()
	for cause, want := range map[syscall.Errno]string{
		syscall.ENOSPC: "artifact store: it is full: make room there",
		syscall.EDQUOT: "artifact store: it is full: make room there",
		syscall.EROFS:  "artifact store: it cannot be written: it is read-only, or not Onda's",
		syscall.EACCES: "artifact store: it cannot be written: it is read-only, or not Onda's",
		syscall.EPERM:  "artifact store: it cannot be written: it is read-only, or not Onda's",
	} {
		s := &Store{place: full{err: &os.PathError{Op: "openat", Path: ".uploads/x", Err: cause}}}
		err := s.Put(t.Context(), strings.Repeat("a", 64), 2, strings.NewReader("xy"))
		e := scoring.AsError(err)
		if e.Code != scoring.Unavailable || !strings.HasPrefix(e.Message, want) || strings.Contains(e.Message, "openat") || !errors.Is(err, cause) {
			t.Errorf("%s: got %v, want Unavailable, %q and the cause", cause, err, want)
		}
	}
	s := &Store{place: full{err: errors.New("broken")}}
	if got := scoring.AsError(s.Put(t.Context(), strings.Repeat("a", 64), 2, strings.NewReader("xy"))).Message; !strings.HasPrefix(got, "artifact store: file aaaa") || !strings.Contains(got, "cannot be reached") {
		t.Errorf("got %q for another failure", got)
	}
}

// TestFolderWithoutTheRight asks a real folder, as far as this user is told no.
func TestFolderWithoutTheRight(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	if f, err := os.Create(filepath.Join(dir, "probe")); err == nil {
		f.Close()
		t.Skip("this user may write everywhere")
	}
	s, err := OpenStore(t.Context(), "file://"+dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	err = s.Put(t.Context(), strings.Repeat("a", 64), 2, strings.NewReader("xy"))
	if got := scoring.AsError(err); got.Code != scoring.Unavailable || !strings.Contains(got.Message, "it cannot be written") {
		t.Errorf("got %v, want that it cannot be written", err)
	}
}
