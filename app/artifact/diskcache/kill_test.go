package diskcache_test

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/onda-serving/onda/app/artifact/diskcache"
)

// victimFolder names the variable that makes TestVictim what TestKilled kills.
const victimFolder = "ONDA_TEST_VICTIM"

// begins is what the victim says when it is under way.
const begins = "begins"

// some are versions of which the cache of the tests below keeps two or three at a time.
func some() []*source {
	var all []*source
	for i := range uint64(5) {
		all = append(all, &source{files: files{
			"model.onnx": string(random(i, 200_000)), "labels.txt": strings.Repeat("x", int(i)), "tables/a.bin": string(random(i+10, 100_000)),
		}})
	}
	return all
}

const roomForSome = 800_000

// TestVictim fetches and removes versions until it is killed.
func TestVictim(t *testing.T) {
	dir := os.Getenv(victimFolder)
	if dir == "" {
		t.Skip("this is for TestKilled")
	}
	c, err := diskcache.Open(dir, roomForSome, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	os.Stdout.WriteString(begins + "\n")
	all := some()
	for _, s := range all {
		s.read = func(_ context.Context, _ int, _ string, rest []byte) (io.Reader, error) {
			return pieces{bytes.NewReader(rest)}, nil
		}
	}
	for {
		s := all[rand.IntN(len(all))]
		_, release, err := c.Fetch(t.Context(), "faq", s.files.version(1), s.open, nil)
		if err != nil {
			t.Fatal(err)
		}
		release()
	}
}

// pieces gives little at a time, so that there are many moments to be killed at.
type pieces struct{ r io.Reader }

func (p pieces) Read(buffer []byte) (int, error) {
	time.Sleep(100 * time.Microsecond)
	return p.r.Read(buffer[:min(len(buffer), 50_000)])
}

// TestKilled kills a process that fetches and removes versions, again and again in the same
// folder. Whatever it was doing, what has the name of an entry is whole, and the next process
// goes on.
func TestKilled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := open(t, dir, 0) // shares the folder all the while
	byKey := map[string]*source{}
	for _, s := range some() {
		byKey[s.key()] = s
	}
	partials, entries := 0, 0
	for round := 0; round < 15 || round < 100 && (partials == 0 || entries == 0); round++ {
		kill(t, dir)
		for _, name := range inDir(t, dir) {
			if strings.HasSuffix(name, ".partial") {
				partials++
				continue
			}
			entries++
			for file, want := range byKey[name].files {
				got, err := os.ReadFile(filepath.Join(dir, name, ".files", file))
				if err != nil || string(got) != want {
					t.Errorf("%s: %s is not whole: %v", name, file, err)
				}
			}
		}
	}
	if partials == 0 || entries == 0 {
		t.Errorf("there were %d downloads and %d entries: this did not test much", partials, entries)
	}
	for _, s := range byKey {
		_, release := fetch(t, c, "faq", s.files.version(1), s)
		release()
	}
	open(t, dir, roomForSome)
	if got := len(inDir(t, dir)); got == 0 || got > 3 {
		t.Errorf("got %d folders, want what has room", got)
	}
}

// kill starts a victim, lets it work for a moment, and kills it.
func kill(t *testing.T, dir string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run", "^TestVictim$", "-test.timeout", "1m")
	cmd.Env = append(os.Environ(), victimFolder+"="+dir)
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	first := make([]byte, len(begins))
	_, err = io.ReadFull(output, first)
	time.Sleep(time.Duration(rand.IntN(50)) * time.Millisecond)
	cmd.Process.Kill()
	rest, _ := io.ReadAll(output)
	cmd.Wait()
	if err != nil || string(first) != begins || strings.Contains(string(rest), "FAIL") {
		t.Fatalf("the victim ended by itself: %s%s, %v", first, rest, err)
	}
}
