package blobs_test

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/onda-serving/onda/app/scoring"
)

// tree writes files below a new folder.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestFolder(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{
		"faq/3/model.onnx": "0123456789", "faq/3/tables/a b.bin": "abc", "faq/3/empty": "",
		"faq/3/.git/config": "x", "faq/3/.DS_Store": "x", "faq/4/other": "x", "empty/.keep": "",
	})
	s := open(t, "file://"+dir+"/faq/3/", "file://"+dir)
	got, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]int64{"model.onnx": 10, "tables/a b.bin": 3, "empty": 0}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	wantFile(t, s, "model.onnx", 0, []byte("0123456789"))
	wantFile(t, s, "model.onnx", 7, []byte("789"))
	wantFile(t, s, "tables/a b.bin", 0, []byte("abc"))

	_, err = readAll(t, s, "model2.onnx", 0)
	refused(t, err, scoring.NotFound, "faq/3: file model2.onnx: not found")
	_, err = readAll(t, s, "model.onnx/a", 0)
	refused(t, err, scoring.NotFound, "not found")
	_, err = readAll(t, s, "tables", 0)
	refused(t, err, scoring.Invalid, "file tables: want a regular file")
	_, err = readAll(t, s, "../4/other", 0)
	refused(t, err, scoring.Invalid, `no ".."`)

	for _, end := range []string{"/faq/5", "/faq/3/model.onnx"} {
		_, err = open(t, "file://"+dir+end, "file://"+dir).List(t.Context())
		refused(t, err, scoring.NotFound, end+": not found")
	}
	_, err = open(t, "file://"+dir+"/empty", "file://"+dir).List(t.Context())
	refused(t, err, scoring.NotFound, "empty: there are no files")
}

func TestFolderThatIsAllowedIsNotThere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, err := openError(t, "file://"+dir+"/a/b", "file://"+dir+"/a")
	refused(t, err, scoring.NotFound, "/a: not found")
}

// Kubernetes mounts volumes as links to hidden folders; links that lead out of what is
// allowed are another matter.
func TestLinks(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{
		"allowed/faq/..2026/model.onnx": "0123456789", "allowed/faq/..2026/sub/a": "a", "secret/key": "key",
	})
	faq := filepath.Join(dir, "allowed", "faq")
	for _, link := range [][2]string{
		{"..2026", "..data"}, {"..data/model.onnx", "model.onnx"}, {"..data/sub", "sub"},
	} {
		if err := os.Symlink(link[0], filepath.Join(faq, link[1])); err != nil {
			t.Fatal(err)
		}
	}
	allowed := "file://" + dir + "/allowed"
	s := open(t, allowed+"/faq", allowed)
	got, err := s.List(t.Context())
	if want := map[string]int64{"model.onnx": 10, "sub/a": 1}; err != nil || !maps.Equal(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	wantFile(t, s, "model.onnx", 4, []byte("456789"))

	for name, to := range map[string]string{"relative": "../../secret", "absolute": filepath.Join(dir, "secret")} {
		if err := os.Symlink(to, filepath.Join(faq, name)); err != nil {
			t.Fatal(err)
		}
		_, err := readAll(t, s, name+"/key", 0)
		refused(t, err, scoring.Denied, "file "+name+"/key")
		_, err = s.List(t.Context())
		refused(t, err, scoring.Denied)
		_, err = open(t, allowed+"/faq/"+name, allowed).List(t.Context())
		refused(t, err, scoring.Denied)
		if err := os.Remove(filepath.Join(faq, name)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFolderOfOddThings(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"loop/a": "a", "pipe/a": "a"})
	if err := os.Symlink(".", filepath.Join(dir, "loop", "again")); err != nil {
		t.Fatal(err)
	}
	_, err := open(t, "file://"+dir+"/loop", "file://"+dir).List(t.Context())
	refused(t, err, scoring.Invalid, "want a regular file")

	if err := syscall.Mkfifo(filepath.Join(dir, "pipe", "b"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = readAll(t, open(t, "file://"+dir+"/pipe", "file://"+dir), "b", 0) // and does not wait for a writer
	refused(t, err, scoring.Invalid, "file b: want a regular file")
}

// A store removes what a killed process left, and nothing that may be on its way.
func TestStoreTidiesUp(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{".uploads/old": "x", ".uploads/new": "x"})
	long := time.Now().Add(-25 * time.Hour)
	if err := os.Chtimes(filepath.Join(dir, ".uploads", "old"), long, long); err != nil {
		t.Fatal(err)
	}
	openStore(t, "file://"+dir)
	left, err := os.ReadDir(filepath.Join(dir, ".uploads"))
	if err != nil || len(left) != 1 || left[0].Name() != "new" {
		t.Errorf("got %v, %v; want the new one", left, err)
	}
}

func TestStoreIsForItsOwnerOnly(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "store")
	put(t, openStore(t, "file://"+dir), []byte("x"))
	err := filepath.Walk(dir, func(name string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %s", strings.TrimPrefix(name, dir), info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
