package diskcache_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onda-serving/onda/app/artifact/blobs"
	"github.com/onda-serving/onda/app/artifact/diskcache"
	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/scoring"
)

// A download that breaks off goes on where it stopped.
func TestResume(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &source{files: faq, read: func(_ context.Context, _ int, _ string, rest []byte) (io.Reader, error) {
			return broken(rest, 30), nil
		}}
		began := time.Now()
		fetch(t, open(t, t.TempDir(), 0), "faq", faq.version(1), s)
		if want := []int64{0, 0, 30, 60, 90, 0}; !slices.Equal(s.starts, want) { // labels.txt, model.onnx, tables/a.bin
			t.Errorf("read from %v, want from %v", s.starts, want)
		}
		if s.given != 107 {
			t.Errorf("read %d bytes, want each once", s.given)
		}
		if got, want := time.Since(began), 500*time.Millisecond+time.Second+2*time.Second; got != want {
			t.Errorf("waited for %s, want %s", got, want)
		}
	})
}

// The next process goes on too, and so does a caller whose time was up.
func TestResumeLater(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	s := &source{files: files{"model.onnx": string(random(1, 100_000))}}
	s.read = func(_ context.Context, _ int, _ string, rest []byte) (io.Reader, error) {
		return io.MultiReader(bytes.NewReader(rest[:60_000]), ends(cancel)), nil
	}
	if _, _, err := open(t, dir, 0).Fetch(ctx, "faq", s.files.version(1), s.open, nil); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want that it was cancelled", err)
	}
	s.read = nil
	var heard []int64
	ref, release, err := open(t, dir, 0).Fetch(t.Context(), "faq", s.files.version(1), s.open, func(done, _ int64) { heard = append(heard, done) })
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	wantFiles(t, ref, s.files)
	if s.given != 100_000 || !slices.Equal(heard, []int64{0, 60_000, 100_000}) {
		t.Errorf("read %d bytes, heard %v; want each byte once", s.given, heard)
	}
}

// ends is a reader that cancels its caller.
type ends func()

func (e ends) Read([]byte) (int, error) {
	e()
	return 0, errBroken
}

// What was begun before can be damaged, by a power failure say. It is not gone on with twice.
func TestResumeOfDamagedPart(t *testing.T) {
	t.Parallel()
	for name, part := range map[string][]byte{"other bytes": bytes.Repeat([]byte("?"), 50), "too long": bytes.Repeat([]byte("?"), 500)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			c, s, v := open(t, dir, 0), &source{files: faq}, faq.version(1)
			begun := filepath.Join(dir, diskcache.Key(v)+".partial", ".files", "model.onnx")
			if err := os.MkdirAll(filepath.Dir(begun), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(begun, part, 0o600); err != nil {
				t.Fatal(err)
			}
			var last int64
			ref, release, err := c.Fetch(t.Context(), "faq", v, s.open, func(done, _ int64) { last = done })
			if err != nil {
				t.Fatal(err)
			}
			defer release()
			wantFiles(t, ref, faq)
			if last != 107 {
				t.Errorf("heard of %d bytes in the end, want 107", last)
			}
		})
	}
}

func TestWrongFiles(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, text string
		want       string
	}{
		{"other bytes", "b\na\n", `file "labels.txt": the SHA-256 of what was fetched is ` + sumOf([]byte("b\na\n")) + ", the version says " + sumOf([]byte("a\nb\n"))},
		{"longer", "a\nb\nc\n", `file "labels.txt": it has more than the 4 bytes that the version says`},
		{"shorter", "a\n", `file "labels.txt": it has 2 bytes, the version says 4`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			c, v := open(t, dir, 0), faq.version(1)
			s := &source{files: files{"labels.txt": tt.text, "model.onnx": faq["model.onnx"], "tables/a.bin": "abc"}}
			refused(t, fails(t, c, v, s), scoring.Invalid, tt.want)
			part := filepath.Join(dir, diskcache.Key(v)+".partial", ".files", "labels.txt")
			if _, err := os.Stat(part); !os.IsNotExist(err) {
				t.Errorf("the bad file is still there: %v", err)
			}
			if s.tries != 2 { // empty needs none, and nothing comes after it
				if s.tries != 1 {
					t.Errorf("its source was asked %d times, want once", s.tries)
				}
			}
			fetch(t, c, "faq", v, &source{files: faq}) // once it is mended
		})
	}
}

// What no retry can mend is not tried again.
func TestMissingFile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		refused(t, fails(t, open(t, t.TempDir(), 0), faq.version(1), &source{}), scoring.NotFound, "labels.txt: not found")
		if took := time.Since(began); took != 0 {
			t.Errorf("took %s", took)
		}
	})
}

func TestGivingUp(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		read  func(ctx context.Context, try int, name string, rest []byte) (io.Reader, error)
		want  string
		tries int
		took  time.Duration
	}{
		{"the connection breaks", func(_ context.Context, _ int, _ string, rest []byte) (io.Reader, error) {
			return broken(rest, 0), nil
		}, `file "labels.txt": the download broke off at byte 0 of 4, 5 times in a row`, 5, 7500 * time.Millisecond},
		{"the source is not there", func(context.Context, int, string, []byte) (io.Reader, error) {
			return nil, scoring.Errorf(scoring.Unavailable, "the storage cannot be reached")
		}, "the storage cannot be reached", 5, 7500 * time.Millisecond},
		{"the source is silent", func(ctx context.Context, _ int, _ string, _ []byte) (io.Reader, error) {
			return silent{ctx}, nil
		}, `file "labels.txt": the source is silent: nothing came for 30s`, 5, 157500 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, began := &source{files: faq, read: tt.read}, time.Now()
				refused(t, fails(t, open(t, t.TempDir(), 0), faq.version(1), s), scoring.Unavailable, tt.want)
				if took := time.Since(began); s.tries != tt.tries || took != tt.took {
					t.Errorf("gave up after %d tries and %s, want %d and %s", s.tries, took, tt.tries, tt.took)
				}
			})
		})
	}
}

// silent is a reader that gives nothing until its context ends.
type silent struct {
	ctx context.Context //nolint:containedctx // that of the one call that reads it
}

func (s silent) Read([]byte) (int, error) {
	<-s.ctx.Done()
	return 0, s.ctx.Err()
}

// A slow source is no silent one, and one that gets on is never given up.
func TestSlowSource(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &source{files: files{"model.onnx": string(random(1, 12<<20))}}
		s.read = func(_ context.Context, _ int, _ string, rest []byte) (io.Reader, error) {
			return slow{broken(rest, 1<<20)}, nil
		}
		fetch(t, open(t, t.TempDir(), 0), "faq", s.files.version(1), s)
		if s.tries != 12 {
			t.Errorf("got %d tries, want 12", s.tries)
		}
	})
}

type slow struct{ r io.Reader }

func (s slow) Read(p []byte) (int, error) {
	time.Sleep(29 * time.Second)
	return s.r.Read(p)
}

// The caller's time is his own: whoever waits for somebody else's download can leave.
func TestWaitingEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, v := open(t, t.TempDir(), 0), faq.version(1)
		s := &source{files: faq, read: func(ctx context.Context, _ int, _ string, _ []byte) (io.Reader, error) { return silent{ctx}, nil }}
		first := make(chan error)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			_, _, err := c.Fetch(ctx, "faq", v, s.open, nil)
			first <- err
		}()
		time.Sleep(time.Second)
		short, cancelShort := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancelShort()
		if _, _, err := c.Fetch(short, "faq", v, s.open, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want that its time is up", err)
		}
		cancel()
		if err := <-first; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want that it was cancelled", err)
		}
		if s.opens != 1 {
			t.Errorf("the source was opened %d times, want once", s.opens)
		}
	})
}

func TestSourceThatDoesNotOpen(t *testing.T) {
	t.Parallel()
	c, v := open(t, t.TempDir(), 0), catalog.Version{Version: 1, Files: faq.version(1).Files}
	denied := scoring.Errorf(scoring.Denied, "location: not allowed")
	_, _, err := c.Fetch(t.Context(), "faq", v, func(context.Context) (blobs.Source, error) { return nil, denied }, nil)
	refused(t, err, scoring.Denied, "not allowed")
}
