package models_test

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// folder writes files into a model's folder and gives that of its version.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "faq-matching", "2")
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// manifest is a model.yaml that names files with their sums.
func manifest(files map[string]string) string {
	var b strings.Builder
	b.WriteString("schema: onda/v1\nname: faq-matching\nversion: 2\nfiles:\n")
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(&b, "  %s: %s\n", name, sum([]byte(files[name])))
	}
	return b.String()
}

const registered = `  73 B of files, 14 MiB of memory, loads in 45.4 ms, runs in 2.07 ms
  12 golden answers: the largest difference is 1.25e-06
  warning: config.pbtxt: instance_group has no effect
`

const next = "It gets requests with \"onda models label faq-matching live 2\".\n"

func TestRegisterFolder(t *testing.T) {
	t.Parallel()
	o := newOnda(t)
	o.with(func() { o.progress = []string{`{"stage": "check", "done": 1, "total": 1}`} })
	dir := folder(t, map[string]string{
		"model.onnx": "the model", "labels/a.txt": "same", "labels/b.txt": "same", "../config.pbtxt": "max_batch_size: 8", "empty": "",
		"model.yaml": "schema: onda/v1\nname: faq-matching\nversion: 2",
	})
	// name and version come from model.yaml
	args := []string{
		"register", "--from", dir, "--description", "Matches questions", "--licence", "MIT", "--framework", "torch 2.9", "--commit", "4e1f0c2",
		"--dataset", "faq-2026-11", "--metric", "accuracy=0.93", "--metric", "recall=1e-3", "--tag", "team=search", "--tag", "note=a=b,c", "--reason", "fresh data",
	}
	o.want(args, 0, "faq-matching version 2 is registered, digest 096dfb9302a5\n"+strings.Replace(registered, "73 B", "79 B", 1), `reading 6 files, 79 B
sending 5 of 6 files, 75 B
the server checks the files
`+next)
	file := func(content string) string {
		return fmt.Sprintf(`{"sha256":"%s","size":%d}`, sum([]byte(content)), len(content))
	}
	want := `POST /models/faq-matching/versions {"description":"Matches questions","files":{"config.pbtxt":` + file("max_batch_size: 8") +
		`,"empty":` + file("") + `,"labels/a.txt":` + file("same") + `,"labels/b.txt":` + file("same") + `,"model.onnx":` + file("the model") +
		`,"model.yaml":` + file("schema: onda/v1\nname: faq-matching\nversion: 2") +
		`},"framework":"torch 2.9","licence":"MIT","location":"store:","metrics":{"accuracy":0.93,"recall":0.001},"reason":"fresh data",` +
		`"source":{"commit":"4e1f0c2","dataset":"faq-2026-11"},"tags":{"note":"a=b,c","team":"search"},"version":2}`
	if got := o.last(); got != want {
		t.Errorf("sent\n%s\nwant\n%s", got, want)
	}
	var contents []string
	for _, content := range o.blobs {
		contents = append(contents, string(content))
	}
	slices.Sort(contents)
	if want := []string{"", "max_batch_size: 8", "same", "schema: onda/v1\nname: faq-matching\nversion: 2", "the model"}; !slices.Equal(contents, want) {
		t.Errorf("the server has %q, want %q", contents, want)
	}
	// Again: every file is there, and so is the version.
	o.want([]string{"register", "--from", dir}, 0, "faq-matching version 2 was registered before, by alice 2 h ago: nothing to change\n",
		"reading 6 files, 79 B\nthe server has all files already\nthe server checks the files\n")
}

// TestRegisterCurrentFolder has "." for a folder: there is one above it all the same.
func TestRegisterCurrentFolder(t *testing.T) {
	o := newOnda(t)
	t.Chdir(folder(t, map[string]string{"model.onnx": "the model", "../config.pbtxt": "max_batch_size: 8"}))
	o.want([]string{"register", "faq-matching", "--from", ".", "-o", "table"}, 0,
		"faq-matching version 1 is registered, digest 714e0ecc08a2\n"+strings.Replace(registered, "73 B", "26 B", 1),
		"reading 2 files, 26 B\nsending 2 of 2 files, 26 B\n"+strings.Replace(next, "live 2", "live 1", 1))
}

// TestRegisterResumes has a server that got a part of the files before.
func TestRegisterResumes(t *testing.T) {
	t.Parallel()
	o := newOnda(t)
	o.with(func() { o.blobs[sum([]byte("the model"))] = []byte("the model") })
	dir := folder(t, map[string]string{"model.onnx": "the model", "faq.json": "[]"})
	code, _, stderr := o.run("register", "faq-matching", "--from", dir)
	if want := "reading 2 files, 11 B\nsending 1 of 2 files, 2 B\n"; code != 0 || !strings.HasPrefix(stderr, want) {
		t.Errorf("got %d and\n%s\nwant 0 and\n%s", code, stderr, want)
	}
	if got := strings.Count(strings.Join(o.calls, "\n"), "PUT blob"); got != 1 {
		t.Errorf("got %d uploads, want one: %q", got, o.calls)
	}
}

// breakOff reads a part of an upload and closes the connection.
func breakOff(r *http.Request) {
	_, _ = io.CopyN(io.Discard, r.Body, 100<<10)
	panic(http.ErrAbortHandler)
}

// TestRegisterTriesAgain has a connection that breaks in the middle of a file.
func TestRegisterTriesAgain(t *testing.T) {
	t.Parallel()
	o := newOnda(t)
	content := strings.Repeat("0123456789abcdef", 1<<16)
	dir := folder(t, map[string]string{"model.onnx": content})
	broken := false
	o.hook = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut && !broken {
			broken = true
			breakOff(r)
		}
		return false
	}
	code, _, stderr := o.run("register", "faq-matching", "--from", dir)
	lines := strings.Split(stderr, "\n")
	if code != 0 || len(lines) < 3 || lines[1] != "sending 1 of 1 file, 1 MiB" || !strings.HasPrefix(lines[2], "model.onnx: the connection to "+o.URL+" broke: ") || !strings.HasSuffix(lines[2], "; trying again") {
		t.Errorf("got %d and\n%s", code, stderr)
	}
	if got := o.blobs[sum([]byte(content))]; string(got) != content {
		t.Errorf("the server has %d bytes, want all %d", len(got), len(content))
	}
}

// TestRegisterLosesAnAnswer has a file that arrived although the connection broke: it is not
// sent twice.
func TestRegisterLosesAnAnswer(t *testing.T) {
	t.Parallel()
	o := newOnda(t)
	dir := folder(t, map[string]string{"model.onnx": "the model"})
	uploads := 0
	o.hook = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut {
			uploads++
			content, _ := io.ReadAll(r.Body)
			o.with(func() { o.blobs[sum(content)] = content })
			panic(http.ErrAbortHandler)
		}
		return false
	}
	if code, _, stderr := o.run("register", "faq-matching", "--from", dir); code != 0 || uploads != 1 {
		t.Errorf("got %d, %d uploads and\n%s\nwant 0 and one", code, uploads, stderr)
	}
}

// TestRegisterIsRefused has what no second attempt can mend.
func TestRegisterIsRefused(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		status int
		text   string
		want   string
	}{
		{"too large", 413, "the file is too large", "onda: send model.onnx: the file is too large\n"},
		{"no store", 501, "uploads need an artifact store: set ONDA_ARTIFACT_STORE", "onda: send model.onnx: uploads need an artifact store: set ONDA_ARTIFACT_STORE\n"},
		{"full", 507, "artifact store: it is full: make room there", "onda: send model.onnx: artifact store: it is full: make room there\n"},
		{"no token", 401, "the header authorization is missing or wrong", "onda: send model.onnx: the token is missing or wrong\nShow the server's token: export ONDA_REGISTRY_TOKEN=..., or add --token.\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			o := newOnda(t)
			uploads := 0
			o.hook = func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodPut {
					uploads++
					answer(w, test.status, map[string]string{"error": test.text})
				}
				return r.Method == http.MethodPut
			}
			dir := folder(t, map[string]string{"model.onnx": strings.Repeat("x", 4<<20)})
			o.want([]string{"register", "faq-matching", "--from", dir}, 1, "", "reading 1 file, 4 MiB\nsending 1 of 1 file, 4 MiB\n"+test.want)
			if uploads != 1 {
				t.Errorf("it was tried %d times, want once", uploads)
			}
		})
	}
}

// TestRegisterMovingFolder has somebody write into the folder meanwhile.
func TestRegisterMovingFolder(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]string{
		"another":            "send model.onnx: open file: it changed since it was read: start again when nobody writes into the folder\n",
		"THE MODEL":          "send model.onnx: SHA-256 is " + sum([]byte("THE MODEL")) + ", the path says " + sum([]byte("the model")) + "\n",
		"the model and more": "send model.onnx: open file: it changed since it was read: start again when nobody writes into the folder\n",
	} {
		o := newOnda(t)
		dir := folder(t, map[string]string{"model.onnx": "the model"})
		o.hook = func(_ http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodHead {
				if err := os.WriteFile(filepath.Join(dir, "model.onnx"), []byte(content), 0o600); err != nil {
					t.Error(err)
				}
			}
			return false
		}
		o.want([]string{"register", "faq-matching", "--from", dir}, 1, "", "reading 1 file, 9 B\nsending 1 of 1 file, 9 B\nonda: "+want)
	}
}

// TestFoldersThatCannotBeShipped are found before anything is sent.
func TestFoldersThatCannotBeShipped(t *testing.T) {
	t.Parallel()
	o := newOnda(t)
	o.hook = func(_ http.ResponseWriter, r *http.Request) bool {
		t.Errorf("%s %s was asked", r.Method, r.URL.Path)
		return false
	}
	model := map[string]string{"model.onnx": "the model"}
	with := func(name, content string) map[string]string {
		files := maps.Clone(model)
		files[name] = content
		return files
	}
	link := func(to, name string) func(dir string) error {
		return func(dir string) error { return os.Symlink(to, filepath.Join(dir, name)) }
	}
	for _, test := range []struct {
		name  string
		files map[string]string
		more  func(dir string) error
		args  []string
		want  string
		code  int
	}{
		{"no folder", model, os.RemoveAll, nil, "DIR: no such file or directory", 1},
		{"no model", map[string]string{"1/model.onnx": "x"}, nil, nil, "there is no model.onnx in DIR: want the folder of one version, such as models/NAME/1", 1},
		{"hidden file", with(".DS_Store", ""), nil, nil, "DIR/.DS_Store: hidden files do not belong in a model's version: what is in the folder is what is shipped", 1},
		{"hidden folder", with("a/.git/HEAD", ""), nil, nil, "DIR/a/.git: hidden files do not belong in a model's version: what is in the folder is what is shipped", 1},
		{"configuration inside", with("config.pbtxt", ""), nil, nil, "DIR/config.pbtxt: want it beside the version's folder, in that of the model", 1},
		{"link out", model, link("/etc/passwd", "a.txt"), nil, "DIR/a.txt: the link leads out of the folder: copy what it leads to", 1},
		{"link up", with("../b.txt", ""), link("../b.txt", "a.txt"), nil, "DIR/a.txt: the link leads out of the folder: copy what it leads to", 1},
		{"link to a folder", with("a/b.txt", ""), link("a", "b"), nil, "DIR/b: links to folders are not followed: copy what it leads to", 1},
		{"link to nothing", model, link("c.txt", "b"), nil, "DIR/b: no such file or directory", 1},
		{"manifest that is none", with("model.yaml", "name: [\n"), nil, nil, "DIR/model.yaml: yaml: line 1: did not find expected node content", 1},
		{"manifest of nobody", with("model.yaml", "schema: onda/v2\n"), nil, nil, "DIR/model.yaml: schema: \"onda/v2\": want \"onda/v1\"\nversion: 0: want a positive whole number", 1},
		{"another name", with("model.yaml", manifest(model)), nil, []string{"faq"}, "model.yaml says name: faq-matching, the command line faq: want the same", 1},
		{"another version", with("model.yaml", manifest(model)), nil, []string{"--version", "3"}, "model.yaml says version: 2, the command line 3: want the same", 1},
		{"no name", model, nil, nil, "the name of the model is missing, and DIR has no model.yaml with one", 2},
		{"damaged", with("model.yaml", manifest(map[string]string{"model.onnx": "a model"})), nil, nil, "DIR/model.onnx: SHA-256 is " + sum([]byte("the model")) + ", model.yaml says " + sum([]byte("a model")) + ": the file is damaged or was changed", 1},
		{"file missing", with("model.yaml", manifest(with("labels.txt", ""))), nil, nil, "model.yaml names labels.txt, which is not in DIR", 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := folder(t, test.files)
			if test.more != nil {
				if err := test.more(dir); err != nil {
					t.Fatal(err)
				}
			}
			code, stdout, stderr := o.run(append([]string{"register", "--from", dir}, test.args...)...)
			want := "onda: " + strings.ReplaceAll(test.want, "DIR", dir) + "\n"
			if code != test.code || stdout != "" || !strings.Contains(stderr, want) {
				t.Errorf("got %d, %q and\n%s\nwant %d and\n%s", code, stdout, stderr, test.code, want)
			}
		})
	}
}

// TestLinksInside are what they lead to.
func TestLinksInside(t *testing.T) {
	t.Parallel()
	o := newOnda(t)
	dir := folder(t, map[string]string{"weights/model.bin": "the model"})
	if err := os.Symlink("weights/model.bin", filepath.Join(dir, "model.onnx")); err != nil {
		t.Fatal(err)
	}
	o.does("register", "faq", "--from", dir)
	if want := `"model.onnx":{"sha256":"` + sum([]byte("the model")); !strings.Contains(o.last(), want) {
		t.Errorf("got %s, want %s in it", o.last(), want)
	}
}

// TestRegisterJSON has nothing but the answer on stdout.
func TestRegisterJSON(t *testing.T) {
	t.Parallel()
	o := newOnda(t)
	dir := folder(t, map[string]string{"model.onnx": "the model"})
	code, stdout, stderr := o.run("register", "faq", "--from", dir, "-o", "json")
	if code != 0 || !strings.HasPrefix(stdout, `{"model":"faq","report":{"digest":"sha256:`) || strings.Count(stdout, "\n") != 1 || !strings.Contains(stderr, "sending") {
		t.Errorf("got %d, stdout\n%s\nstderr\n%s", code, stdout, stderr)
	}
}

// TestRegisterBeside has a model with a live version: a rollout is possible, and what answers
// already needs nothing.
func TestRegisterBeside(t *testing.T) {
	t.Parallel()
	o := newOnda(t)
	o.faq(1)
	_, _, stderr := o.run("register", "faq-matching", "--location", "azblob://models/faq/2")
	if want := "It gets requests with \"onda models label faq-matching live 2\", or step by step with \"onda models rollout faq-matching 2\".\n"; stderr != want {
		t.Errorf("got %q, want %q", stderr, want)
	}
	o.hook = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodGet {
			answer(w, 200, map[string]any{"name": "faq-matching", "serving": map[string]any{"labels": map[string]int{"live": 3}}})
		}
		return r.Method == http.MethodGet
	}
	if code, _, stderr := o.run("register", "faq-matching", "--location", "azblob://models/faq/3"); code != 0 || stderr != "" {
		t.Errorf("got %d and %q, want no hint for what answers already", code, stderr)
	}
}

// TestRegisterKnown registers what was registered before: what is said of it anew changes
// nothing, and what cannot be used is a failure.
func TestRegisterKnown(t *testing.T) {
	t.Parallel()
	o := newOnda(t)
	dir := folder(t, map[string]string{"model.onnx": "the model"})
	again := []string{"register", "faq-matching", "--from", dir, "--version", "1"}
	o.does(append(again, "--description", "old", "--metric", "accuracy=0.93", "--tag", "team=search")...)
	const sent, known = "reading 1 file, 9 B\nthe server has all files already\n", "faq-matching version 1 was registered before, by alice 2 h ago"
	o.want(append(again, "--description", "new", "--metric", "accuracy=0.95", "--metric", "recall=1", "--tag", "team=search", "--commit", "4e1f0c2"), 0,
		known+": nothing to change\nWhat was registered does not change, and says other things than --description, --commit, --metric accuracy, --metric recall.\n", sent)
	o.want(append(again, "--description", "old"), 0, known+": nothing to change\n", sent)

	o.does("register", "faq-matching", "--location", "azblob://models/faq/2")
	o.does("label", "faq-matching", "live", "2")
	o.does("rollout", "faq-matching", "1", "--steps", "10")
	o.does("rollback", "faq-matching")
	o.want(again, 1, "", sent+"onda: "+known+" and is rolled back\nIf it is meant to answer all the same: onda models label faq-matching live 1 --accept rolled-back\n")
	o.does("retire", "faq-matching", "1")
	o.want(append(again, "--tag", "team=ads"), 1, "What was registered does not change, and says other things than --tag team.\n",
		sent+"onda: "+known+" and is retired, which cannot be undone: register the files under another number\n")
}

// TestRegisterNothing reads a file without a byte.
func TestRegisterNothing(t *testing.T) {
	t.Parallel()
	o := newOnda(t)
	_, _, stderr := o.run("register", "faq-matching", "--from", folder(t, map[string]string{"model.onnx": ""}))
	if want := "reading 1 file, 0 B\nsending 1 of 1 file, 0 B\n"; !strings.HasPrefix(stderr, want) {
		t.Errorf("got %q, want %q at first", stderr, want)
	}
}
