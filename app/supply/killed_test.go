package supply_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/supply"
)

// victimArgument is the first argument of the test binary where it is to be killed.
const victimArgument = "fetch-and-wait"

// order is what a victim does: it opens a supply, fetches a version, and stays in the middle of it.
type order struct {
	Dir, Source string
	Version     catalog.Version
}

// victim is what the test binary does with that argument. It returns the exit code.
func victim(in io.Reader) int {
	var o order
	if err := json.NewDecoder(in).Decode(&o); err != nil {
		fmt.Println(err)
		return 1
	}
	s, err := supply.Open(context.Background(), supply.Config{Dir: o.Dir, Sources: []string{o.Source}})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	_, _, err = s.Fetch(context.Background(), "faq", o.Version, func(done, total int64) {
		if done > 0 && done < total {
			fmt.Println("begun")
			_, _ = io.Copy(io.Discard, in) // until it is killed, or its parent is
		}
	})
	fmt.Println("it ended by itself:", err)
	return 1
}

// inTheMiddle starts a victim with its temporary folders in a place, and returns while it is in
// the middle of its fetch. kill ends it as the kernel does when memory runs out.
func inTheMiddle(t *testing.T, o order, temporary string) (kill func()) {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, victimArgument)
	cmd.Env = append(os.Environ(), "TMPDIR="+temporary)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}
	t.Cleanup(kill)
	if _, err := in.Write(text); err != nil {
		t.Fatal(err)
	}
	if said, err := bufio.NewReader(out).ReadString('\n'); said != "begun\n" {
		t.Fatalf("the victim said %q, %v", said, err)
	}
	return kill
}

// tight lists all below a folder, and fails where others have a right to it.
func tight(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if info.Mode()&fs.ModeSymlink == 0 && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has the rights %s: others can look into it", name, info.Mode())
		}
		names = append(names, name)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return names
}

// large is a version whose two files do not come at once.
func large(t *testing.T) (all files, source string, v catalog.Version) {
	t.Helper()
	all, source = files{"labels.txt": "a\nb\n", "model.onnx": strings.Repeat("onnx", 1<<18)}, t.TempDir()
	all.write(t, source)
	return all, source, all.version(1, "file://"+source)
}

// TestKilledInTheFirstFetch: what is fetched lies in the cache's own folder from its first byte
// on, on the same file system, for nobody else to see. The next process goes on with it, and
// nothing is left beside the version.
func TestKilledInTheFirstFetch(t *testing.T) {
	t.Parallel()
	all, source, v := large(t)
	temporary, dir := t.TempDir(), filepath.Join(t.TempDir(), "cache")
	inTheMiddle(t, order{dir, source, v}, temporary)()
	if left, err := os.ReadDir(temporary); err != nil || len(left) != 0 {
		t.Errorf("in the folder for temporary files: %v, %v", left, err)
	}
	if names := strings.Join(tight(t, dir), "\n"); !strings.Contains(names, ".partial/.files/labels.txt") {
		t.Fatalf("got\n%s\nwant a download that was broken off", names)
	}
	s := open(t, supply.Config{Dir: dir, Sources: []string{source}})
	began := int64(-1)
	ref, release, err := s.Fetch(t.Context(), "faq", v, func(done, _ int64) {
		if began <= 0 {
			began = done
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if began < int64(len(all["labels.txt"])) {
		t.Errorf("it began at byte %d: what was there is fetched again", began)
	}
	for name, want := range all {
		if got, err := os.ReadFile(filepath.Join(ref.Dir, name)); err != nil || string(got) != want {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	if names := strings.Join(tight(t, dir), "\n"); strings.Contains(names, ".partial") || strings.Contains(names, ".trash") {
		t.Errorf("left behind:\n%s", names)
	}
}

// TestKilledWithATemporaryFolder: the next process removes the folder of one that was killed, and
// leaves those of processes that live, of others, and of those that only just begin. It is not
// parallel: it sets where temporary folders are made.
func TestKilledWithATemporaryFolder(t *testing.T) {
	_, source, v := large(t)
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	kill := inTheMiddle(t, order{"", source, v}, temporary)
	killed := only(t, temporary)
	tight(t, killed)
	config := supply.Config{Sources: []string{source}}

	s := open(t, config) // while it lives
	if _, err := os.Stat(killed); err != nil {
		t.Errorf("the folder of a process that lives: %v", err)
	}
	kill()
	begun, old, other := filepath.Join(temporary, "onda-cache-begun"), filepath.Join(temporary, "onda-cache-old"), filepath.Join(temporary, "onda-other")
	for _, dir := range []string{begun, old, other} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	long := time.Now().Add(-2 * time.Hour)
	for _, dir := range []string{old, other} {
		if err := os.Chtimes(dir, long, long); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(temporary, "onda-cache-link")
	if err := os.Symlink(source, link); err != nil {
		t.Fatal(err)
	}
	open(t, config)
	for dir, want := range map[string]bool{killed: false, old: false, begun: true, other: true, link: true, filepath.Join(source, "model.onnx"): true} {
		if _, err := os.Lstat(dir); (err == nil) != want {
			t.Errorf("%s: %v, want it there: %v", dir, err, want)
		}
	}
	_, release, err := s.Fetch(t.Context(), "faq", v, nil) // whose folder others were to leave
	if err != nil {
		t.Fatal(err)
	}
	release()
}

// only gives the one folder that is in another.
func only(t *testing.T, dir string) string {
	t.Helper()
	all, err := os.ReadDir(dir)
	if err != nil || len(all) != 1 {
		t.Fatalf("%v, %v: want one folder", all, err)
	}
	return filepath.Join(dir, all[0].Name())
}

// TestHalvesGo: small files that a killed process was writing are removed once nobody can be
// writing them any more.
func TestHalvesGo(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "[cache]")
	files{"checked/new-1": "{", "checked/new-2": "{", "checked/abc.json": "{}", "registry.json.1": "{", "registry.json.2": "{", "registry.json": "{}"}.write(t, dir)
	long := time.Now().Add(-2 * time.Hour)
	for _, name := range []string{"checked/new-1", "checked/abc.json", "registry.json.1", "registry.json"} {
		if err := os.Chtimes(filepath.Join(dir, name), long, long); err != nil {
			t.Fatal(err)
		}
	}
	open(t, supply.Config{Dir: dir})
	for name, want := range map[string]bool{"checked/new-1": false, "registry.json.1": false, "checked/new-2": true, "registry.json.2": true, "checked/abc.json": true, "registry.json": true} {
		if _, err := os.Stat(filepath.Join(dir, name)); (err == nil) != want {
			t.Errorf("%s: %v, want it there: %v", name, err, want)
		}
	}
}
