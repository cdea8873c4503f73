package diskcache_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/rs/zerolog"

	"github.com/onda-serving/onda/app/artifact"
	"github.com/onda-serving/onda/app/artifact/diskcache"
	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/scoring"
)

func TestFetch(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "cache")
	c, s, v := open(t, dir, 0), &source{files: faq}, faq.version(3)
	var heard []int64
	ref, release, err := c.Fetch(t.Context(), "faq", v, s.open, func(done, total int64) {
		if total != 107 {
			t.Errorf("got %d bytes in total, want 107", total)
		}
		heard = append(heard, done)
	})
	if err != nil {
		t.Fatal(err)
	}
	release()
	release() // once more does nothing
	if want := (artifact.Ref{Name: "faq", Version: 3, Dir: filepath.Join(dir, diskcache.Key(v), "faq", "3")}); ref != want {
		t.Errorf("got %+v, want %+v", ref, want)
	}
	wantFiles(t, ref, faq)
	if len(heard) < 2 || heard[0] != 0 || heard[len(heard)-1] != 107 || !slices.IsSorted(heard) {
		t.Errorf("heard %v, want from 0 to 107", heard)
	}
	if s.tries != 3 || s.opens != 1 { // nobody asks for an empty file
		t.Errorf("the source was opened %d times, its files %d times", s.opens, s.tries)
	}

	// Neither this cache nor the next one asks again.
	fetch(t, c, "faq", v, s)
	fetch(t, open(t, dir, 0), "faq", v, s)
	if s.opens != 1 {
		t.Errorf("the source was opened %d times, want once", s.opens)
	}
	if got := inDir(t, dir); !slices.Equal(got, []string{diskcache.Key(v)}) {
		t.Errorf("the folder has %v, want the entry", got)
	}
}

func TestKey(t *testing.T) {
	t.Parallel()
	v := catalog.Version{Version: 1, Files: map[string]catalog.File{"b": {SHA256: sumOf([]byte("b")), Size: 1}, "a": {SHA256: sumOf([]byte("a")), Size: 1}}}
	got := diskcache.Key(v)
	if sum := sumOf([]byte(sumOf([]byte("b")) + "  b\n" + sumOf([]byte("a")) + "  a\n")); got != sum {
		t.Errorf("got %s, want the sum of the sorted list, %s", got, sum)
	}
	v.Version, v.Description = 2, "x"
	if again := diskcache.Key(v); again != got {
		t.Error("the key depends on more than the files")
	}
	v.Files["a"] = v.Files["b"]
	if other := diskcache.Key(v); other == got {
		t.Error("the key does not depend on the sums")
	}
}

// Versions and models of the same files share them, and each is where package artifact wants
// it.
func TestFetchSharedFiles(t *testing.T) {
	t.Parallel()
	c, s := open(t, t.TempDir(), 0), &source{files: files{"model.onnx": "model", "config.pbtxt": "backend: \"onnxruntime\"\n"}}
	for _, model := range []string{"one", "two"} {
		for _, version := range []int64{1, 2} {
			ref, _ := fetch(t, c, model, s.files.version(version), s)
			a, err := artifact.Open(ref)
			if err != nil {
				t.Fatal(err)
			}
			if string(a.Model) != "model" || a.Config.GetBackend() != "onnxruntime" || a.Manifest.Name != model || a.Manifest.Version != version {
				t.Errorf("got %q, %v, %s@%d", a.Model, a.Config, a.Manifest.Name, a.Manifest.Version)
			}
		}
	}
	if s.opens != 1 {
		t.Errorf("the source was opened %d times, want once", s.opens)
	}
}

// Many callers at once make one download, with one cache and with several.
func TestFetchAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	caches := []*diskcache.Cache{open(t, dir, 0), open(t, dir, 0)}
	s := &source{files: files{"model.onnx": string(random(1, 1<<20))}}
	v := s.files.version(1)
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			ref, release, err := caches[i%2].Fetch(t.Context(), "faq", v, s.open, nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer release()
			wantFiles(t, ref, s.files)
		})
	}
	all.Wait()
	if s.opens != 1 || s.given != 1<<20 {
		t.Errorf("the source was opened %d times and gave %d bytes, want one download", s.opens, s.given)
	}
}

func TestFetchRefuses(t *testing.T) {
	t.Parallel()
	c := open(t, t.TempDir(), 0)
	sum := sumOf([]byte("x"))
	for _, tt := range []struct {
		name, model string
		version     int64
		files       map[string]catalog.File
		want        string
	}{
		{"a model's name", "../faq", 1, map[string]catalog.File{"a": {SHA256: sum, Size: 1}}, `model "../faq"`},
		{"no version", "faq", 0, map[string]catalog.File{"a": {SHA256: sum, Size: 1}}, "faq@0: want a positive version"},
		{"no files", "faq", 1, nil, "a list of its files"},
		{"an empty name", "faq", 1, map[string]catalog.File{"": {SHA256: sum, Size: 1}}, "the path is empty"},
		{"a name that leads up", "faq", 1, map[string]catalog.File{"../a": {SHA256: sum, Size: 1}}, `file "../a"`},
		{"an absolute name", "faq", 1, map[string]catalog.File{"/a": {SHA256: sum, Size: 1}}, `file "/a"`},
		{"a backslash", "faq", 1, map[string]catalog.File{`a\b`: {SHA256: sum, Size: 1}}, "without backslashes"},
		{"no sum", "faq", 1, map[string]catalog.File{"a": {Size: 1}}, "want 64 hexadecimal digits"},
		{"a negative size", "faq", 1, map[string]catalog.File{"a": {SHA256: sum, Size: -1}}, `file "a": -1 bytes`},
		{"too large", "faq", 1, map[string]catalog.File{"a": {SHA256: sum, Size: artifact.MaxFileBytes + 1}}, "want 0 to 2147483648"},
		{"a file as a folder", "faq", 1, map[string]catalog.File{"a/b/c": {SHA256: sum, Size: 1}, "a": {SHA256: sum, Size: 1}}, `"a" is a file, and cannot be a folder too`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := &source{}
			_, _, err := c.Fetch(t.Context(), tt.model, catalog.Version{Version: tt.version, Files: tt.files}, s.open, nil)
			refused(t, err, scoring.Invalid, tt.want)
			if s.opens > 0 {
				t.Error("the source was asked")
			}
		})
	}
}

// What is on the disk is checked again when a process uses it first, and its sizes always.
func TestDamagedFilesAreFetchedAgain(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		damage func(dir string) error
		fresh  bool // only a new process finds it
	}{
		{"other bytes", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, ".files", "labels.txt"), []byte("b\na\n"), 0o600)
		}, true},
		{"cut short", func(dir string) error { return os.Truncate(filepath.Join(dir, ".files", "labels.txt"), 1) }, false},
		{"a file is gone", func(dir string) error { return os.Remove(filepath.Join(dir, ".files", "tables", "a.bin")) }, false},
		{"no record", func(dir string) error { return os.Remove(filepath.Join(dir, ".entry")) }, false},
		{"half a record", func(dir string) error { return os.Truncate(filepath.Join(dir, ".entry"), 20) }, false},
		{"a folder in place of a file", func(dir string) error {
			name := filepath.Join(dir, ".files", "empty")
			return errors.Join(os.Remove(name), os.Mkdir(name, 0o700))
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			c, s, v := open(t, dir, 0), &source{files: faq}, faq.version(3)
			_, release := fetch(t, c, "faq", v, s)
			release()
			next, s2 := open(t, dir, 0), &source{files: faq}
			if err := tt.damage(filepath.Join(dir, diskcache.Key(v))); err != nil {
				t.Fatal(err)
			}
			if !tt.fresh {
				_, release = fetch(t, c, "faq", v, s2)
				release()
			} else {
				var all sync.WaitGroup
				for range 4 {
					all.Go(func() {
						ref, release, err := next.Fetch(t.Context(), "faq", v, s2.open, nil)
						if err != nil {
							t.Error(err)
							return
						}
						wantFiles(t, ref, faq)
						release()
					})
				}
				all.Wait()
			}
			if s2.opens != 1 {
				t.Errorf("the source was opened %d times, want once", s2.opens)
			}
		})
	}
}

func TestDamagedFilesInUse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		c, s, v := open(t, dir, 0), &source{files: faq}, faq.version(3)
		fetch(t, c, "faq", v, s) // and keeps it
		if err := os.Truncate(filepath.Join(dir, diskcache.Key(v), ".files", "labels.txt"), 1); err != nil {
			t.Fatal(err)
		}
		refused(t, fails(t, c, v, s), scoring.Unavailable, "damaged, and still in use")
	})
}

// A version that tells of other sizes than the files have is wrong.
func TestFetchOtherSizes(t *testing.T) {
	t.Parallel()
	c, s, v := open(t, t.TempDir(), 0), &source{files: faq}, faq.version(3)
	fetch(t, c, "faq", v, s)
	v.Files["labels.txt"] = catalog.File{SHA256: v.Files["labels.txt"].SHA256, Size: 5}
	refused(t, fails(t, c, v, s), scoring.Invalid, `file "labels.txt": it has 4 bytes, the version says 5`)
}

func TestOnlyTheOwnerMayRead(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "cache")
	c := open(t, dir, 0)
	s := &source{files: files{"model.onnx": "model", "config.pbtxt": "", "a/b": "x"}}
	v := s.files.version(1)
	fetch(t, c, "faq", v, s)
	if err := c.Note(diskcache.Key(v), "memory", []byte("1")); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Type() == fs.ModeSymlink {
			return err
		}
		info, err := entry.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %s", strings.TrimPrefix(name, dir), info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	if _, err := diskcache.Open(t.TempDir(), -1, zerolog.Nop()); err == nil || !strings.Contains(err.Error(), "want at least 0") {
		t.Errorf("got %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := diskcache.Open(file, 0, zerolog.Nop()); err == nil || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("got %v", err)
	}
}

func TestNotes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c, s := open(t, dir, 100), sized("x", 60)
	v := s.files.version(1)
	key := diskcache.Key(v)
	if err := c.Note(key, "memory", []byte("1")); !os.IsNotExist(err) {
		t.Errorf("got %v, want that there is no such entry", err)
	}
	_, release := fetch(t, c, "faq", v, s)
	for _, text := range []string{"1", "22"} {
		if err := c.Note(key, "memory", []byte(text)); err != nil {
			t.Error(err)
		}
		got, err := open(t, dir, 100).ReadNote(key, "memory")
		if err != nil || string(got) != text {
			t.Errorf("got %q, %v; want %q", got, err, text)
		}
	}
	if _, err := c.ReadNote(key, "other"); !os.IsNotExist(err) {
		t.Errorf("got %v, want that there is no such note", err)
	}
	for _, name := range []string{"", "../memory", ".x"} {
		if err := c.Note(key, name, nil); scoring.CodeOf(err) != scoring.Invalid {
			t.Errorf("%q: got %v, want Invalid", name, err)
		}
	}
	if err := c.Note("../key", "memory", nil); scoring.CodeOf(err) != scoring.Invalid {
		t.Errorf("got %v, want Invalid", err)
	}
	if err := c.Note(key, "large", make([]byte, 1<<20+1)); err == nil {
		t.Error("a large note was taken")
	}
	release()

	// It goes with the entry.
	other := sized("y", 60)
	_, release = fetch(t, c, "faq", other.files.version(2), other)
	release()
	fetch(t, c, "faq", v, s)
	if _, err := c.ReadNote(key, "memory"); !os.IsNotExist(err) {
		t.Errorf("got %v, want that the note is gone", err)
	}
}

// FuzzFetch looks for names of files that are written outside of the cache.
func FuzzFetch(f *testing.F) {
	for _, seed := range []string{"a", "../a", "a/../../b", "/a", ".entry", ".files/x", "a/.", "con", "a\x00b", "..", ".", strings.Repeat("a/", 200) + "a"} {
		f.Add("faq", seed)
	}
	f.Add("../x", "a")
	f.Fuzz(func(t *testing.T, model, name string) {
		dir := t.TempDir()
		c := open(t, filepath.Join(dir, "cache"), 0)
		s := &source{files: files{name: "x"}}
		ref, release, err := c.Fetch(t.Context(), model, s.files.version(1), s.open, nil)
		if err != nil {
			if code := scoring.CodeOf(err); code != scoring.Invalid {
				t.Errorf("%q: %v, want Invalid", name, err)
			}
		} else {
			wantFiles(t, ref, s.files)
			release()
		}
		if got := inDir(t, dir); !slices.Equal(got, []string{"cache"}) {
			t.Errorf("%q, %q wrote %v", model, name, got)
		}
	})
}

// TestFoldersAreMadeAgain has somebody who tidies up by hand while the server runs.
func TestFoldersAreMadeAgain(t *testing.T) {
	t.Parallel()
	v := faq.version(3)
	for _, gone := range []string{".locks", diskcache.Key(v), filepath.Join(diskcache.Key(v), ".files"), filepath.Join(diskcache.Key(v), "faq"), "everything"} {
		t.Run(filepath.Base(gone), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			c, s := open(t, dir, 1<<20), &source{files: faq}
			_, release, err := c.Fetch(t.Context(), "faq", v, s.open, nil)
			if err != nil {
				t.Fatal(err)
			}
			release()
			if gone != "everything" {
				err = os.RemoveAll(filepath.Join(dir, gone))
			} else {
				err = errors.Join(os.RemoveAll(filepath.Join(dir, ".locks")), os.RemoveAll(filepath.Join(dir, diskcache.Key(v))))
			}
			if err != nil {
				t.Fatal(err)
			}
			fetch(t, c, "faq", v, s)
			other := files{"model.onnx": "another"}
			fetch(t, c, "faq", other.version(4), &source{files: other})
			if err := c.Note(diskcache.Key(v), "m", []byte("x")); err != nil {
				t.Errorf("a note cannot be kept: %v", err)
			}
		})
	}
}

// TestCacheThatWasRemoved has lost even its own folder, which no open handle leads back to.
func TestCacheThatWasRemoved(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "cache")
	c := open(t, dir, 0)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	refused(t, fails(t, c, faq.version(3), &source{files: faq}), scoring.Unavailable, "was removed while it was in use", "ONDA_ARTIFACT_CACHE")
}
