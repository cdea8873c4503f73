package diskcache_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/onda-serving/onda/app/artifact/diskcache"
	"github.com/onda-serving/onda/app/scoring"
)

// sized is a source with one file of so many bytes, another for each letter.
func sized(letter string, bytes int) *source {
	return &source{files: files{"model.onnx": strings.Repeat(letter, bytes)}}
}

func (s *source) key() string { return diskcache.Key(s.files.version(1)) }

// The least recently used goes, and nothing that is in use.
func TestEviction(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := open(t, dir, 100)
	a, b, d := sized("a", 40), sized("b", 40), sized("d", 40)
	for i, s := range []*source{a, b} {
		_, release := fetch(t, c, "faq", s.files.version(1), s)
		release()
		age(t, dir, s.key(), time.Duration(10-i)*time.Hour)
	}
	_, release := fetch(t, c, "faq", a.files.version(1), a) // now b is the oldest
	release()
	_, releaseD := fetch(t, c, "faq", d.files.version(1), d)
	if got := inDir(t, dir); !same(got, a.key(), d.key()) {
		t.Errorf("b should have gone: %v", got)
	}

	// d is in use and younger; a is neither.
	_, release = fetch(t, c, "faq", b.files.version(1), b)
	release()
	if got := inDir(t, dir); !same(got, b.key(), d.key()) {
		t.Errorf("a should have gone: %v", got)
	}

	// d is in use, and stays whatever comes. What cannot be kept removes nothing.
	age(t, dir, d.key(), 100*time.Hour)
	refused(t, fails(t, c, sized("e", 61).files.version(1), sized("e", 61)), scoring.Unavailable,
		"has no room: 61 bytes are needed, 40 of its 100 are in use (ONDA_ARTIFACT_CACHE_SIZE)")
	if got := inDir(t, dir); !same(got, b.key(), d.key()) {
		t.Errorf("something was removed for nothing: %v", got)
	}
	refused(t, fails(t, c, sized("e", 101).files.version(1), sized("e", 101)), scoring.TooLarge, "have 101 bytes, more than the 100 of the whole artifact cache")
	e := sized("e", 60)
	_, release = fetch(t, c, "faq", e.files.version(1), e)
	release()
	if got := inDir(t, dir); !same(got, d.key(), e.key()) {
		t.Errorf("b should have gone: %v", got)
	}

	// Nobody uses d any more; its last use is its release.
	releaseD()
	age(t, dir, e.key(), time.Minute)
	f := sized("f", 50)
	fetch(t, c, "faq", f.files.version(1), f)
	if got := inDir(t, dir); !same(got, d.key(), f.key()) {
		t.Errorf("e should have gone: %v", got)
	}
	locked, err := os.ReadDir(filepath.Join(dir, ".locks"))
	if err != nil || len(locked) != 3 { // those of d, f and the room
		t.Errorf("there are %d lock files, %v: want those of what is there", len(locked), err)
	}
}

func same(got []string, want ...string) bool {
	slices.Sort(want)
	return slices.Equal(got, want)
}

// A second process, here a second cache, sees what the first one uses.
func TestEvictionBesideAnother(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	one, two := open(t, dir, 100), open(t, dir, 100)
	a, b := sized("a", 60), sized("b", 60)
	ref, release := fetch(t, one, "faq", a.files.version(1), a)
	refused(t, fails(t, two, b.files.version(1), b), scoring.Unavailable, "60 of its 100 are in use")
	wantFiles(t, ref, a.files)
	release()
	fetch(t, two, "faq", b.files.version(1), b)
	if got := inDir(t, dir); !same(got, b.key()) {
		t.Errorf("got %v, want the second one's alone", got)
	}
	// The first one finds that its own is gone, and that there is no room for it.
	refused(t, fails(t, one, a.files.version(1), a), scoring.Unavailable, "60 of its 100 are in use")
}

// Downloads count with what they will have, and make room when nobody goes on with them.
func TestDownloadsCount(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c, a, b := open(t, dir, 100), sized("a", 60), sized("b", 60)
	a.files["z"] = "is missing"
	v := a.files.version(1)
	delete(a.files, "z")
	refused(t, fails(t, c, v, a), scoring.NotFound)
	if got := inDir(t, dir); !same(got, diskcache.Key(v)+".partial") {
		t.Fatalf("got %v, want the download", got)
	}
	fetch(t, c, "faq", b.files.version(1), b)
	if got := inDir(t, dir); !same(got, b.key()) {
		t.Errorf("got %v, want that the download made room", got)
	}
}

// Open removes what is broken, and leaves what others have in use or what is not ours.
func TestOpenTidiesUp(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := open(t, dir, 0)
	good, short, old, begun, used := sized("g", 10), sized("s", 10), sized("o", 10), sized("b", 10), sized("u", 10)
	for _, s := range []*source{good, short, old, begun} {
		_, release := fetch(t, c, "faq", s.files.version(1), s)
		release()
	}
	fetch(t, c, "faq", used.files.version(1), used)
	at := func(parts ...string) string { return filepath.Join(append([]string{dir}, parts...)...) }
	for _, err := range []error{
		os.Truncate(at(short.key(), ".files", "model.onnx"), 5),
		os.Rename(at(old.key()), at(old.key()+".partial")),
		os.Rename(at(begun.key()), at(begun.key()+".partial")),
		os.Truncate(at(used.key(), ".files", "model.onnx"), 5),
		os.MkdirAll(at(".trash-abc", "x"), 0o700),
		os.MkdirAll(at(strings.Repeat("0", 64)), 0o700),               // no record
		os.MkdirAll(at(strings.Repeat("1", 64)+".partial"), 0o700),    // no record
		os.MkdirAll(at("other"), 0o700),                               // somebody else's
		os.WriteFile(at(strings.Repeat("2", 64)), []byte("x"), 0o600), // as well
		os.WriteFile(at(".locks", strings.Repeat("3", 64)), nil, 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	long := time.Now().Add(-8 * 24 * time.Hour)
	if err := os.Chtimes(at(old.key()+".partial", ".entry"), long, long); err != nil {
		t.Fatal(err)
	}
	open(t, dir, 0)
	want := []string{good.key(), begun.key() + ".partial", used.key(), "other", strings.Repeat("2", 64)}
	if got := inDir(t, dir); !same(got, want...) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	for _, name := range []string{".trash-abc", ".locks/" + strings.Repeat("3", 64)} {
		if _, err := os.Stat(at(name)); !os.IsNotExist(err) {
			t.Errorf("%s is still there: %v", name, err)
		}
	}

	// A smaller cache than before.
	age(t, dir, good.key(), time.Hour)
	open(t, dir, 15)
	if got := inDir(t, dir); slices.Contains(got, good.key()) || !slices.Contains(got, used.key()) {
		t.Errorf("got %v, want only what is in use", got)
	}
}
