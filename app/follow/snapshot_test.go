package follow_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/catalog/catalogtest"
	"github.com/onda-serving/onda/app/follow"
)

// keeping makes a replica keep the documents in a file.
func keeping(file string) func(*follow.Config, *runtime) {
	return func(c *follow.Config, _ *runtime) { c.Snapshot = file }
}

func TestReplicaStartsWithWhatItRemembers(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "documents.json")
	synctest.Test(t, func(t *testing.T) {
		store := managed(t, 1)
		r := start(t, store, keeping(file))
		pass(time.Second)
		r.stop()

		away(store, "", "")
		r = newReplica(t, store, keeping(file))
		if err := r.ReadSnapshot(); err != nil {
			t.Fatal(err)
		}
		r.run(t)
		pass(time.Second)
		same(t, "routes", applied(r.runtime), []string{"0s [live:1]"})
		if !r.Settled() || r.Documented() || r.State().InSync() {
			t.Errorf("settled %t, documented %t, in sync %t: want only what is remembered", r.Settled(), r.Documented(), r.State().InSync())
		}
		store.Fail(nil)
		label(t, store, "a", 1)
		pass(time.Second)
		all := applied(r.runtime)
		if len(all) != 2 || !strings.HasSuffix(all[1], " [a:1 live:1]") {
			t.Errorf("got %v, want the newer document followed", all)
		}
	})
	if entries, err := os.ReadDir(filepath.Dir(file)); err != nil || len(entries) != 1 {
		t.Errorf("got %v, %v, want one file", entries, err)
	}
}

func TestSnapshotIsWrittenOnlyWhenItChanged(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "documents.json")
	synctest.Test(t, func(t *testing.T) {
		store := managed(t, 2)
		start(t, store, keeping(file), func(_ *follow.Config, r *runtime) { r.ready[2] = true })
		pass(500 * time.Millisecond)
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		pass(3 * time.Second)
		if _, err := os.Stat(file); err == nil {
			t.Error("it was written again")
		}
		label(t, store, "live", 2)
		pass(time.Second)
		if text, err := os.ReadFile(file); err != nil || !strings.Contains(string(text), `"revision":4`) {
			t.Errorf("got %s, %v, want revision 4", text, err)
		}
	})
}

// TestSnapshotThatCannotBeWritten is said once, and written when that works again.
func TestSnapshotThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "gone")
	file := filepath.Join(dir, "documents.json")
	synctest.Test(t, func(t *testing.T) {
		r := start(t, managed(t, 1), keeping(file))
		pass(5 * time.Second)
		same(t, "log lines", r.log.count("snapshot could not be written"), 1)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		if _, err := os.Stat(file); err != nil {
			t.Error(err)
		}
	})
}

func TestSnapshotThatCannotBeRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		whole := string(managed(t, 1).Documents()[catalog.ModelKey("m")])
		tests := []struct {
			name, text, err string
			models          []string
			settled         bool
		}{
			{"empty", "", "unexpected end", nil, false},
			{"no documents", `{"documents":[]}`, "", nil, false},
			{"one is damaged", `{"documents":[{"schema":9,"name":"x"},` + whole + `]}`, "schema 9", []string{"m"}, true},
			{"all are damaged", `{"documents":[{"schema":9}]}`, "schema 9", nil, false},
		}
		for _, test := range tests {
			t.Log(test.name)
			file := filepath.Join(t.TempDir(), "documents.json")
			if err := os.WriteFile(file, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			store := &catalogtest.Store{}
			away(store, "", "")
			r := newReplica(t, store, keeping(file))
			err := r.ReadSnapshot()
			r.run(t)
			pass(time.Second)
			if (err == nil) != (test.err == "") || err != nil && (!strings.Contains(err.Error(), test.err) || !strings.Contains(err.Error(), file)) {
				t.Errorf("%s: got %v, want %s of %s", test.name, err, test.err, file)
			}
			same(t, test.name+": models", names(r.State()), append([]string{}, test.models...))
			same(t, test.name+": settled", r.Settled(), test.settled)
			r.stop()
		}
	})
}

func TestWithoutSnapshot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, file := range []string{"", filepath.Join(t.TempDir(), "none")} {
			r := newReplica(t, managed(t, 1), keeping(file))
			if err := r.ReadSnapshot(); err != nil {
				t.Errorf("%q: %v", file, err)
			}
			if len(r.State().Models) != 0 {
				t.Errorf("%q: got %v", file, names(r.State()))
			}
		}
	})
}

// FuzzReadSnapshot: whatever is in the file, what is followed of it can be dealt out.
func FuzzReadSnapshot(f *testing.F) {
	f.Add([]byte(`{"documents":[{"schema":1,"name":"m","revision":0,"versions":{},"labels":{},"history":[]}]}`))
	f.Add([]byte(`{"documents":[null]}`))
	f.Add([]byte(`[]`))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte) {
		file := filepath.Join(dir, "documents.json")
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		synctest.Test(t, func(t *testing.T) {
			store := &catalogtest.Store{}
			away(store, "", "")
			r := newReplica(t, store, keeping(file))
			err := r.ReadSnapshot()
			r.run(t)
			pass(time.Second)
			r.stop()
			if err == nil && len(text) == 0 {
				t.Error("an empty file is no snapshot")
			}
		})
	})
}
