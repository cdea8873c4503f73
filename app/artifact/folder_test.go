package artifact_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/onda-serving/onda/app/artifact"
)

// files maps paths to contents.
type files map[string]string

// write makes the files below dir.
func write(t *testing.T, dir string, all files) {
	t.Helper()
	for name, content := range all {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func link(t *testing.T, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

func sum(content string) string {
	s := sha256.Sum256([]byte(content))
	return hex.EncodeToString(s[:])
}

// manifest makes a model.yaml for all, with more lines before the files.
func manifest(all files, more ...string) string {
	sums := map[string]string{}
	var text strings.Builder
	text.WriteString("schema: onda/v1\nname: m\nversion: 1\n" + strings.Join(more, "\n") + "\nfiles:\n")
	for _, name := range slices.Sorted(maps.Keys(all)) {
		sums[name] = sum(all[name])
		fmt.Fprintf(&text, "  %s: %s\n", name, sums[name])
	}
	return text.String() + "digest: " + artifact.Digest(sums) + "\n"
}

// refused checks the text of err.
func refused(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil {
		t.Fatalf("got no error, want %q", want)
	}
	if got := err.Error(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestScan(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, files{
		"README.md":                    "no model",
		"digest.py":                    "no model",
		"b/1/model.onnx":               "x",
		"b/10/model.onnx":              "x",
		"b/2/model.onnx":               "x",
		"b/training/model.onnx":        "a folder for training",
		"b/0/model.onnx":               "versions start at 1",
		"b/-1/model.onnx":              "versions start at 1",
		"b/+4/model.onnx":              "another way to write 4",
		"b/03/model.onnx":              "another way to write 3",
		"b/1.5/model.onnx":             "no whole number",
		"b/9223372036854775808/m.onnx": "no int64",
		"b/5/weights.bin":              "no model.onnx",
		"b/6":                          "a file",
		"a/7/model.onnx":               "x",
		"elsewhere/model.onnx":         "x",
		"no versions!/notes.txt":       "a bad name, and nothing to ask for",
		"store/linked/8/model.onnx":    "x",
		".old/1/model.onnx":            "hidden",
		"__pycache__/x.pyc":            "Python's",
	})
	// Kubernetes mounts volumes as links to folders.
	link(t, filepath.Join(dir, "store", "linked"), filepath.Join(dir, "c"))
	link(t, filepath.Join("..", "elsewhere"), filepath.Join(dir, "a", "8"))
	link(t, "nowhere", filepath.Join(dir, "a", "9"))
	link(t, "nowhere", filepath.Join(dir, "broken"))
	got, passed, err := artifact.Scan(dir)
	if err != nil {
		t.Fatal(err)
	}
	reasons := []string{
		filepath.Join(dir, "elsewhere") + " has no version: want " + filepath.Join(dir, "elsewhere", "<number>", "model.onnx"),
		`Invalid: model folder "no versions!": use letters, digits, '.', '_' and '-', a letter or digit first`,
		filepath.Join(dir, "store") + " has no version: want " + filepath.Join(dir, "store", "<number>", "model.onnx"),
	}
	if len(passed) != len(reasons) {
		t.Fatalf("passed over %v, want %q", passed, reasons)
	}
	for i, want := range reasons {
		refused(t, passed[i], want)
	}
	want := []artifact.Ref{
		{Name: "a", Version: 7, Dir: filepath.Join(dir, "a", "7")},
		{Name: "a", Version: 8, Dir: filepath.Join(dir, "a", "8")},
		{Name: "b", Version: 1, Dir: filepath.Join(dir, "b", "1")},
		{Name: "b", Version: 2, Dir: filepath.Join(dir, "b", "2")},
		{Name: "b", Version: 10, Dir: filepath.Join(dir, "b", "10")},
		{Name: "c", Version: 8, Dir: filepath.Join(dir, "c", "8")},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestScanOfAnEmptyFolder(t *testing.T) {
	t.Parallel()
	if got, passed, err := artifact.Scan(t.TempDir()); err != nil || len(got) != 0 || len(passed) != 0 {
		t.Errorf("got %v, %v, %v, want nothing", got, passed, err)
	}
}

func TestScanRefuses(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "none")
	_, _, err := artifact.Scan(dir)
	refused(t, err, "read models folder: open "+dir+": no such file or directory")
}

// TestScanGoesOnAfterABadName keeps one badly named folder from stopping all others.
func TestScanGoesOnAfterABadName(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, files{"my model/1/model.onnx": "x", "good/1/model.onnx": "x"})
	refs, passed, err := artifact.Scan(dir)
	if err != nil || len(refs) != 1 || refs[0].Name != "good" || len(passed) != 1 {
		t.Errorf("got %v, %v, %v, want good alone and a word about the other", refs, passed, err)
	}
}

func TestRefString(t *testing.T) {
	t.Parallel()
	if got, want := (artifact.Ref{Name: "m", Version: 3, Dir: "/models/m/3"}).String(), "m@3"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	all := files{"model.onnx": "the model", "labels.txt": "cat\ndog\n", "extra/NOTICE": "notice"}
	write(t, dir, all)
	write(t, dir, files{
		"model.yaml": manifest(all, "description: A test.", "batching: {max_rows: 8}", "warm_up: [1, 8]", "metrics: {accuracy: 0.75}",
			"provenance: {source: a, script: b, framework: c, created: '2026-11-23'}"),
		"unnamed.txt": "not named in the manifest",
	})
	a, err := artifact.Open(artifact.Ref{Name: "m", Version: 1, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if string(a.Model) != "the model" || a.String() != "m@1" {
		t.Errorf("got %s with the model %q, want m@1 with %q", a, a.Model, "the model")
	}
	if want := int64(len("the model" + "cat\ndog\n" + "notice")); a.Size != want {
		t.Errorf("got size %d, want %d", a.Size, want)
	}
	m := a.Manifest
	if m.Description != "A test." || m.Batching.MaxRows != 8 || !slices.Equal(m.WarmUp, []int{1, 8}) || m.Metrics["accuracy"] != .75 || m.Provenance.Created != "2026-11-23" {
		t.Errorf("got the manifest %+v, want what model.yaml says", m)
	}
	for _, name := range []string{"labels.txt", "extra/NOTICE"} {
		if got, err := fs.ReadFile(a.Files, name); err != nil || string(got) != all[name] {
			t.Errorf("%s: got %q, %v, want %q", name, got, err, all[name])
		}
		f, err := a.Files.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		info, statErr := f.Stat()
		got, readErr := io.ReadAll(f)
		if err := errors.Join(statErr, readErr, f.Close()); err != nil {
			t.Fatal(err)
		}
		if string(got) != all[name] || info.Name() != name || info.Size() != int64(len(got)) || info.IsDir() || !info.Mode().IsRegular() {
			t.Errorf("%s: opened, got %q, %d bytes, %v", info.Name(), got, info.Size(), info.Mode())
		}
	}
	// What nobody vouched for is not served, though it is there.
	for _, name := range []string{"unnamed.txt", "model.yaml", "../m", "none"} {
		if _, err := fs.ReadFile(a.Files, name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: got %v, want %v", name, err, fs.ErrNotExist)
		}
		if _, err := a.Files.Open(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: opened, got %v, want %v", name, err, fs.ErrNotExist)
		}
	}
}

// TestOpenServesWhatItChecked changes the files after they were checked.
func TestOpenServesWhatItChecked(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	all := files{"model.onnx": "the model", "labels.txt": "cat"}
	write(t, dir, all)
	write(t, dir, files{"model.yaml": manifest(all)})
	a, err := artifact.Open(artifact.Ref{Name: "m", Version: 1, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, files{"labels.txt": "dog"})
	if got, err := fs.ReadFile(a.Files, "labels.txt"); err != nil || string(got) != "cat" {
		t.Errorf("got %q, %v, want %q", got, err, "cat")
	}
}

func TestOpenBareFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, files{"model.onnx": "the model", "labels.txt": "cat"})
	a, err := artifact.Open(artifact.Ref{Name: "m", Version: 1, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	sums := map[string]string{"model.onnx": sum("the model")}
	m := a.Manifest
	if m.Schema != artifact.SchemaV1 || m.Name != "m" || m.Version != 1 || m.Digest != artifact.Digest(sums) || !maps.Equal(m.Files, sums) {
		t.Errorf("got the manifest %+v, want one made for model.onnx alone", m)
	}
	if m.Pipeline.Image != nil || m.Pipeline.Text != nil {
		t.Errorf("got the pipeline %+v, want none", m.Pipeline)
	}
	if a.Size != int64(len("the model")) {
		t.Errorf("got size %d, want %d", a.Size, len("the model"))
	}
	if _, err := a.Files.Open("labels.txt"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("labels.txt: got %v, want %v: nothing vouches for it", err, fs.ErrNotExist)
	}
}

// TestOpenFollowsLinksInside opens a folder as Kubernetes mounts it: every file is a link
// into a folder beside it, and so is that folder.
func TestOpenFollowsLinksInside(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, files{"..2026_11_23/model.onnx": "the model"})
	link(t, "..2026_11_23", filepath.Join(dir, "..data"))
	link(t, filepath.Join("..data", "model.onnx"), filepath.Join(dir, "model.onnx"))
	a, err := artifact.Open(artifact.Ref{Name: "m", Version: 1, Dir: dir})
	if err != nil || string(a.Model) != "the model" {
		t.Errorf("got %v, %v, want the model", a, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	good := files{"model.onnx": "the model", "labels.txt": "cat"}
	goodText := manifest(good)
	with := func(changes files) files {
		all := maps.Clone(good)
		all["model.yaml"] = goodText
		maps.Copy(all, changes)
		return all
	}
	const damaged = ": the file is damaged or was changed"
	digest := artifact.Digest(map[string]string{"model.onnx": sum("the model"), "labels.txt": sum("cat")})
	tests := []struct {
		name  string
		files files
		want  string
	}{
		{"no model", files{"model.yaml": goodText}, "open m@1: openat model.onnx: no such file or directory"},
		{"changed model", with(files{"model.onnx": "another"}), "open m@1: model.onnx: SHA-256 is " + sum("another") + ", model.yaml says " + sum("the model") + damaged},
		{"cut-off model", with(files{"model.onnx": ""}), "open m@1: model.onnx: SHA-256 is " + sum("") + ", model.yaml says " + sum("the model") + damaged},
		{"changed labels", with(files{"labels.txt": "dog"}), "open m@1: labels.txt: SHA-256 is " + sum("dog") + ", model.yaml says " + sum("cat") + damaged},
		{"several changed", with(files{"labels.txt": "dog", "model.onnx": "x"}), "open m@1: labels.txt: SHA-256 is " + sum("dog") + ", model.yaml says " + sum("cat") + damaged},
		{"missing labels", files{"model.onnx": "the model", "model.yaml": goodText}, "open m@1: openat labels.txt: no such file or directory"},
		{"wrong digest", with(files{"model.yaml": strings.Replace(goodText, digest, "sha256:00", 1)}), "open m@1: model.yaml: digest is sha256:00, the files make " + digest},
		{"no digest", with(files{"model.yaml": strings.Replace(goodText, "digest: "+digest, "", 1)}), "open m@1: model.yaml: digest is missing, the files make " + digest},
		{"other name", with(files{"model.yaml": strings.Replace(goodText, "name: m", "name: n", 1)}), "open m@1: model.yaml says n@1: want the folder's own name and version"},
		{"other version", with(files{"model.yaml": strings.Replace(goodText, "version: 1", "version: 2", 1)}), "open m@1: model.yaml says m@2: want the folder's own name and version"},
		{"model is not named", with(files{"model.yaml": manifest(files{"labels.txt": "cat"})}), "open m@1: model.yaml: files: model.onnx is missing: every file needs its SHA-256"},
		{"file outside", with(files{"model.yaml": manifest(files{"../secret": "x", "model.onnx": "the model"})}), "open m@1: openat ../secret: path escapes from parent"},
		{"absolute path", with(files{"model.yaml": manifest(files{"/etc/hosts": "x", "model.onnx": "the model"})}), "open m@1: openat /etc/hosts: path escapes from parent"},
		{"folder for a file", with(files{"sub/x": "", "model.yaml": manifest(files{"sub": "x", "model.onnx": "the model"})}), "open m@1: sub: want a regular file of at most 2147483648 bytes"},
		{"empty manifest", with(files{"model.yaml": ""}), "open m@1: model.yaml: the file is empty"},
		{"unknown key", with(files{"model.yaml": goodText + "licens: MIT\n"}), "open m@1: model.yaml: yaml: unmarshal errors:\n  line 9: field licens not found in type artifact.Manifest"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			write(t, dir, test.files)
			_, err := artifact.Open(artifact.Ref{Name: "m", Version: 1, Dir: dir})
			refused(t, err, test.want)
		})
	}
}

func TestOpenRefusesLinksThatLeave(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "secret")
	write(t, filepath.Dir(secret), files{"secret": "cat"})
	for _, name := range []string{"model.onnx", "model.yaml", "labels.txt"} {
		for kind, target := range map[string]string{"absolute": secret, "relative": "../../secret"} {
			t.Run(name+" "+kind, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				all := files{"model.onnx": "the model", "labels.txt": "cat"}
				write(t, dir, all)
				write(t, dir, files{"model.yaml": manifest(all)})
				if err := os.Remove(filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
				link(t, target, filepath.Join(dir, name))
				_, err := artifact.Open(artifact.Ref{Name: "m", Version: 1, Dir: dir})
				refused(t, err, "open m@1: openat "+name+": path escapes from parent")
			})
		}
	}
}

func TestOpenRefusesAMissingFolder(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "none")
	_, err := artifact.Open(artifact.Ref{Name: "m", Version: 1, Dir: dir})
	refused(t, err, "open m@1: open "+dir+": no such file or directory")
}

// TestOpenRefusesHugeFiles uses a file with a hole: it takes no room on disk.
func TestOpenRefusesHugeFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, files{"model.onnx": ""})
	if err := os.Truncate(filepath.Join(dir, "model.onnx"), artifact.MaxFileBytes+1); err != nil {
		t.Skip("the file system has no files of this size:", err)
	}
	_, err := artifact.Open(artifact.Ref{Name: "m", Version: 1, Dir: dir})
	refused(t, err, "open m@1: model.onnx: want a regular file of at most 2147483648 bytes")
}

func TestDigest(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		files map[string]string
		lines string
	}{
		{"none", nil, ""},
		{"one", map[string]string{"model.onnx": sum("x")}, sum("x") + "  model.onnx\n"},
		{"sorted by line", map[string]string{"a": "b0", "b": "a0"}, "a0  b\nb0  a\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got, want := artifact.Digest(test.files), "sha256:"+sum(test.lines); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

// TestShippedModels opens every version in the repository.
func TestShippedModels(t *testing.T) {
	t.Parallel()
	refs, passed, err := artifact.Scan("../../models")
	if err != nil || len(passed) != 0 {
		t.Fatal(err, passed)
	}
	if len(refs) == 0 {
		t.Fatal("got no versions in models, want at least one")
	}
	for _, ref := range refs {
		t.Run(ref.String(), func(t *testing.T) {
			t.Parallel()
			a, err := artifact.Open(ref)
			if err != nil {
				t.Fatal(err)
			}
			// Nothing is shipped that the digest does not cover.
			var found []string
			err = fs.WalkDir(os.DirFS(ref.Dir), ".", func(path string, d fs.DirEntry, err error) error {
				if err == nil && !d.IsDir() && path != "model.yaml" {
					found = append(found, path)
				}
				return err
			})
			if named := slices.Sorted(maps.Keys(a.Manifest.Files)); err != nil || !slices.Equal(found, named) {
				t.Errorf("got the files %v, %v, want those of model.yaml, %v", found, err, named)
			}
			if a.Manifest.Licence == "" || a.Manifest.Provenance.Source == "" {
				t.Error("got no licence or no source: nobody may use a model without")
			}
		})
	}
}

// TestDigestByPython compares the digests with those of models/digest.py.
func TestDigestByPython(t *testing.T) {
	t.Parallel()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("there is no python3 to run models/digest.py")
	}
	refs, passed, err := artifact.Scan("../../models")
	if err != nil || len(passed) != 0 {
		t.Fatal(err, passed)
	}
	for _, ref := range refs {
		a, err := artifact.Open(ref)
		if err != nil {
			t.Errorf("open: %v", err)
			continue
		}
		out, err := exec.CommandContext(t.Context(), python, "-B", "../../models/digest.py", ref.Dir).Output()
		if want := a.Manifest.Digest + " " + ref.Dir + "\n"; err != nil || !strings.HasSuffix(string(out), want) {
			t.Errorf("%s: got %s, %v, want it to end with %s", ref, out, err, want)
		}
	}
}
