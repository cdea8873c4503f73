package supply_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/onda-serving/onda/app/admin"
	"github.com/onda-serving/onda/app/artifact"
	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/supply"
	"github.com/onda-serving/onda/app/verify"
)

// command is the first argument of the test binary where it is to be a child.
const command = "check-version"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == command {
		os.Exit(child())
	}
	if len(os.Args) > 1 && os.Args[1] == victimArgument {
		os.Exit(victim(os.Stdin))
	}
	goleak.VerifyTestMain(m)
}

// child is what the test binary does as a child: it tries a version. It returns the exit code.
func child() int {
	err := verify.Main(context.Background(), os.Stdin, os.Stdout, func(_ context.Context, settings json.RawMessage) (verify.Loader, error) {
		var tries trials
		return tries, json.Unmarshal(settings, &tries)
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// trials is a loader that notes what it tries in a file of that name. It refuses models whose
// file says "bad".
type trials string

func (t trials) Load(_ context.Context, ref artifact.Ref) (verify.Loaded, error) {
	file, err := os.OpenFile(string(t), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return verify.Loaded{}, err
	}
	_, err = fmt.Fprintln(file, ref)
	if err := errors.Join(err, file.Close()); err != nil {
		return verify.Loaded{}, err
	}
	a, err := artifact.Open(ref)
	if err != nil {
		return verify.Loaded{}, err
	}
	if string(a.Model) == "bad" {
		return verify.Loaded{}, errors.New("it does not load")
	}
	return verify.Loaded{Manifest: a.Manifest, Size: a.Size, Files: a.Files, Asker: echo{}, Close: func() error { return nil }}, nil
}

// echo answers with what it is asked.
type echo struct{}

func (echo) Predict(context.Context, []scoring.Instance, scoring.Parameters) ([]scoring.Prediction, error) {
	return nil, nil
}

func (echo) Infer(_ context.Context, inputs []scoring.Tensor) ([]scoring.Tensor, error) {
	return inputs, nil
}

// trying makes a parent of children that note their trials in a file.
func trying(t *testing.T) (c *verify.Child, trials func() int) {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "trials")
	settings, err := json.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	return &verify.Child{Command: []string{binary, command}, Settings: settings}, func() int {
		text, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		return strings.Count(string(text), "\n")
	}
}

// open opens a supply that must open, and closes it with the test.
func open(t *testing.T, config supply.Config) *supply.Supply {
	t.Helper()
	s, err := supply.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// files are those of a version, by their paths.
type files map[string]string

// write puts files into a folder.
func (f files) write(t *testing.T, dir string) {
	t.Helper()
	for name, text := range f {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// version describes the files as a registered version does.
func (f files) version(number int64, location string) catalog.Version {
	v := catalog.Version{Version: number, Location: location, Files: map[string]catalog.File{}}
	for name, text := range f {
		v.Files[name] = catalog.File{SHA256: sumOf(text), Size: int64(len(text))}
		v.SizeBytes += int64(len(text))
	}
	v.Digest = artifact.Digest(map[string]string{"model.onnx": sumOf(f["model.onnx"])})
	return v
}

func sumOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// expect fails the test where an error has another code or lacks one of the texts.
func expect(t *testing.T, err error, code scoring.Code, texts ...string) {
	t.Helper()
	if err == nil || scoring.CodeOf(err) != code {
		t.Errorf("got %v, want the code %s", err, code)
		return
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("got %v, want %q in it", err, text)
		}
	}
}

// TestPlacesAreURLsOrPaths of whatever names.
func TestPlacesAreURLsOrPaths(t *testing.T) {
	t.Parallel()
	parent := filepath.Join(t.TempDir(), "100% of #1? models")
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	relative, err := filepath.Rel(here, parent)
	if err != nil {
		t.Fatal(err)
	}
	plain := t.TempDir()
	for name, place := range map[string]string{"path": parent, "relative path": relative, "URL": "file://" + plain} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			faq := files{"model.onnx": "onnx by " + name}
			s := open(t, supply.Config{Store: place, Sources: []string{place}})
			sum := sumOf(faq["model.onnx"])
			if err := s.Store().Put(t.Context(), sum, int64(len(faq["model.onnx"])), strings.NewReader(faq["model.onnx"])); err != nil {
				t.Fatal(err)
			}
			dir := map[bool]string{true: plain, false: parent}[name == "URL"]
			if text, err := os.ReadFile(filepath.Join(dir, "sha256", sum[:2], sum)); err != nil || string(text) != faq["model.onnx"] {
				t.Errorf("in the store's folder: %q, %v", text, err)
			}
			ref, release, err := s.Fetch(t.Context(), "faq", faq.version(1, catalog.InStore), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer release()
			if text, err := os.ReadFile(filepath.Join(ref.Dir, "model.onnx")); err != nil || string(text) != faq["model.onnx"] {
				t.Errorf("fetched %q, %v", text, err)
			}
		})
	}
}

// TestWrongSettingsAreNamed, each once, and leave nothing behind. It is not parallel: it sets
// where temporary folders are made.
func TestWrongSettingsAreNamed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	files{"file": ""}.write(t, filepath.Dir(file))
	tests := []struct {
		name   string
		config supply.Config
		names  string
		wrong  string
	}{
		{"a store of no known kind", supply.Config{Store: "ftp://models"}, "ONDA_ARTIFACT_STORE: ", `the scheme "ftp" is not known`},
		{"a store that is a file", supply.Config{Store: file}, "ONDA_ARTIFACT_STORE: ", "not a directory"},
		{"a source of no known kind", supply.Config{Sources: []string{"/srv/models", "ftp://models"}}, "ONDA_ARTIFACT_SOURCES: ", `entry 2: location: the scheme "ftp" is not known`},
		{"a cache that is a file", supply.Config{Dir: file}, "ONDA_ARTIFACT_CACHE=" + file + ": ", "not a directory"},
		{"a cache below a file", supply.Config{Dir: file + "/cache"}, "ONDA_ARTIFACT_CACHE=" + file + "/cache: ", "not a directory"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			temporary := t.TempDir()
			t.Setenv("TMPDIR", temporary)
			_, err := supply.Open(t.Context(), tt.config)
			if err == nil || !strings.Contains(err.Error(), tt.wrong) || strings.Count(err.Error(), tt.names) != 1 || !strings.HasPrefix(err.Error(), tt.names) {
				t.Errorf("got %v, want %s... %s", err, tt.names, tt.wrong)
			}
			if left, err := os.ReadDir(temporary); err != nil || len(left) != 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
	t.Setenv("TMPDIR", filepath.Join(file, "none"))
	if _, err := supply.Open(t.Context(), supply.Config{}); err == nil || !strings.Contains(err.Error(), "(ONDA_ARTIFACT_CACHE sets one)") {
		t.Errorf("no place for temporary folders: %v", err)
	}
}

// TestATemporaryFolderGoes with all that is in it, and one that was named stays. It is not
// parallel: it sets where temporary folders are made.
func TestATemporaryFolderGoes(t *testing.T) {
	temporary, named := t.TempDir(), filepath.Join(t.TempDir(), "cache")
	t.Setenv("TMPDIR", temporary)
	faq := files{"model.onnx": "onnx"}
	source := t.TempDir()
	faq.write(t, source)
	for dir, left := range map[string]int{"": 0, named: 1} {
		s, err := supply.Open(t.Context(), supply.Config{Dir: dir, Sources: []string{source}})
		if err != nil {
			t.Fatal(err)
		}
		ref, release, err := s.Fetch(t.Context(), "faq", faq.version(1, "file://"+source), nil)
		if err != nil {
			t.Fatal(err)
		}
		release()
		if want := map[string]string{"": "", named: filepath.Join(named, "registry.json")}[dir]; s.Snapshot() != want {
			t.Errorf("the snapshot of %q is %q, want %q", dir, s.Snapshot(), want)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if found, _ := filepath.Glob(filepath.Join(ref.Dir, "model.onnx")); len(found) != left {
			t.Errorf("folder %q: %q are left of what was fetched, want %d files", dir, found, left)
		}
	}
	if left, err := os.ReadDir(temporary); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestFetchRefuses(t *testing.T) {
	t.Parallel()
	allowed, other := t.TempDir(), t.TempDir()
	faq := files{"model.onnx": "onnx"}
	faq.write(t, allowed)
	faq.write(t, other)
	s := open(t, supply.Config{Sources: []string{allowed}})
	_, _, err := s.Fetch(t.Context(), "faq", faq.version(1, "file://"+other), nil)
	expect(t, err, scoring.Denied, "not below a folder that is allowed", "ONDA_ARTIFACT_SOURCES")
	_, _, err = s.Fetch(t.Context(), "faq", faq.version(1, catalog.InStore), nil)
	expect(t, err, scoring.Unimplemented, "its files are in the artifact store, and this replica has none: set ONDA_ARTIFACT_STORE to the one that the other replicas have")
	changed := files{"model.onnx": "xnno"}.version(1, "file://"+allowed)
	_, _, err = s.Fetch(t.Context(), "faq", changed, nil)
	expect(t, err, scoring.Invalid, "model.onnx", sumOf("onnx"), sumOf("xnno"))
}

const manifest = "schema: onda/v1\nname: faq\nversion: 1\ndescription: %s\nfiles:\n  model.onnx: %s\ndigest: %s\n"

// TestATrialIsRemembered: a version that passed is tried again only if something decides
// otherwise on how it answers, and after a restart it is not, either.
func TestATrialIsRemembered(t *testing.T) {
	t.Parallel()
	child, trials := trying(t)
	model := t.TempDir()
	ref := artifact.Ref{Name: "faq", Version: 1, Dir: filepath.Join(model, "1")}
	faq := files{"model.onnx": "onnx"}
	faq.write(t, ref.Dir)
	config := supply.Config{Dir: t.TempDir(), Child: child, Runtime: "1.30.0", Device: "cpu"}
	doc := faq.version(1, catalog.InModelsFolder)
	doc.Files = nil
	digest := doc.Digest
	steps := []struct {
		name   string
		change func()
		again  bool
	}{
		{"the first time", func() {}, true},
		{"the same", func() {}, false},
		{"with a model.yaml", func() {
			files{"model.yaml": fmt.Sprintf(manifest, "One.", sumOf("onnx"), digest)}.write(t, ref.Dir)
		}, true},
		{"with another model.yaml", func() {
			files{"model.yaml": fmt.Sprintf(manifest, "Two.", sumOf("onnx"), digest)}.write(t, ref.Dir)
		}, true},
		{"with a config.pbtxt", func() { files{"config.pbtxt": `backend: "onnxruntime"`}.write(t, model) }, true},
		{"the same again", func() {}, false},
		{"with another runtime", func() { config.Runtime = "1.31.0" }, true},
		{"on another device", func() { config.Device = "cuda" }, true},
		{"on the first device again", func() { config.Device = "cpu" }, false},
		{"registered with other files", func() { doc.Files = faq.version(1, "").Files }, true},
		{"registered with another digest", func() { doc.Digest = "sha256:other" }, true},
		{"under another number", func() { ref.Version, doc.Version = 2, 2 }, true},
	}
	before := 0
	for _, step := range steps {
		step.change()
		s := open(t, config) // as after a restart
		if step.name == "under another number" {
			// model.yaml speaks of version 1.
			_, err := s.Inspect(t.Context(), ref, doc)
			expect(t, err, scoring.Invalid, "model.yaml says faq@1")
		} else if report, err := s.Inspect(t.Context(), ref, doc); err != nil || report.Digest != digest {
			t.Errorf("%s: got %+v, %v", step.name, report, err)
		}
		if again := trials() > before; again != step.again {
			t.Errorf("%s: tried again: %t, want %t", step.name, again, step.again)
		}
		before = trials()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestAFailedTrialIsNotRemembered: what was wrong may be mended.
func TestAFailedTrialIsNotRemembered(t *testing.T) {
	t.Parallel()
	child, trials := trying(t)
	ref := artifact.Ref{Name: "faq", Version: 1, Dir: filepath.Join(t.TempDir(), "1")}
	bad := files{"model.onnx": "bad"}
	bad.write(t, ref.Dir)
	s := open(t, supply.Config{Child: child})
	for range 2 {
		expect(t, s.Check(t.Context(), ref, bad.version(1, catalog.InModelsFolder)), scoring.Invalid, "faq@1: it does not load")
	}
	if n := trials(); n != 2 {
		t.Errorf("tried %d times, want 2", n)
	}
	good := files{"model.onnx": "good"}
	good.write(t, ref.Dir)
	for range 2 {
		if err := s.Check(t.Context(), ref, good.version(1, catalog.InModelsFolder)); err != nil {
			t.Error(err)
		}
	}
	if n := trials(); n != 3 {
		t.Errorf("tried %d times, want 3", n)
	}
}

func TestADamagedNoteCostsATrial(t *testing.T) {
	t.Parallel()
	child, trials := trying(t)
	ref := artifact.Ref{Name: "faq", Version: 1, Dir: filepath.Join(t.TempDir(), "1")}
	faq := files{"model.onnx": "onnx"}
	faq.write(t, ref.Dir)
	dir := t.TempDir()
	s := open(t, supply.Config{Dir: dir, Child: child})
	for range 2 {
		report, err := s.Inspect(t.Context(), ref, faq.version(1, catalog.InModelsFolder))
		if err != nil || report.SizeBytes != 4 {
			t.Errorf("got %+v, %v", report, err)
		}
		notes, err := filepath.Glob(filepath.Join(dir, "checked", "*.json"))
		if err != nil || len(notes) != 1 {
			t.Fatalf("the notes are %q, %v", notes, err)
		}
		if err := os.WriteFile(notes[0], []byte(`{"digest": "sha`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if n := trials(); n != 2 {
		t.Errorf("tried %d times, want 2", n)
	}
}

func TestWithoutAChildNothingIsTried(t *testing.T) {
	t.Parallel()
	ref := artifact.Ref{Name: "faq", Version: 1, Dir: t.TempDir()}
	s := open(t, supply.Config{})
	expect(t, s.Check(t.Context(), ref, catalog.Version{Version: 1}), scoring.Unimplemented, "this server cannot try versions")
}

// sums lists the files below dir, and what is told of it.
func sums(t *testing.T, s *supply.Supply, location string, heard func(admin.Progress)) (map[string]catalog.File, error) {
	t.Helper()
	if heard == nil {
		heard = func(admin.Progress) {}
	}
	return s.Sums(t.Context(), location, heard)
}

func TestSums(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	faq := files{"model.onnx": "onnx", "tables/faq.json": "[]", "empty": ""}
	faq.write(t, filepath.Join(dir, "faq", "1"))
	s := open(t, supply.Config{Sources: []string{dir}})
	var progress []admin.Progress
	got, err := sums(t, s, "file://"+dir+"/faq/1", func(p admin.Progress) { progress = append(progress, p) })
	if want := faq.version(1, "").Files; err != nil || !maps.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	want := []admin.Progress{{Stage: "fetch", Done: 0, Total: 6}, {Stage: "fetch", Done: 4, Total: 6}, {Stage: "fetch", Done: 6, Total: 6}}
	if !slices.Equal(progress, want) {
		t.Errorf("progress %v, want %v", progress, want)
	}
}

func TestSumsRefuses(t *testing.T) {
	t.Parallel()
	dir, other := t.TempDir(), t.TempDir()
	many := files{}
	for i := range 257 {
		many[fmt.Sprint("file", i)] = ""
	}
	many.write(t, filepath.Join(dir, "many"))
	files{"empty/.keep": "", "large/model.onnx": "", "linked/model.onnx": ""}.write(t, dir)
	if err := os.Truncate(filepath.Join(dir, "large", "model.onnx"), artifact.MaxFileBytes+1); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/hostname", filepath.Join(dir, "linked", "labels.txt")); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, location string
		code           scoring.Code
		want           string
	}{
		{"too many files", "file://" + dir + "/many", scoring.Invalid, "has 257 files: want the files of one version, model.onnx among them, at most 256"},
		{"no files", "file://" + dir + "/empty", scoring.NotFound, "there are no files"},
		{"no folder", "file://" + dir + "/none", scoring.NotFound, "not found"},
		{"a file that is too large", "file://" + dir + "/large", scoring.TooLarge, `file "model.onnx" has 2147483649 bytes: at most 2147483648 are allowed`},
		{"a link that leads out", "file://" + dir + "/linked", scoring.Denied, "denies it"},
		{"a place that is not allowed", "file://" + other, scoring.Denied, "not below a folder that is allowed"},
		{"no URL", "faq/1", scoring.Invalid, "want the URL of a folder"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := open(t, supply.Config{Sources: []string{dir}})
			_, err := sums(t, s, tt.location, nil)
			expect(t, err, tt.code, tt.want)
		})
	}
}

// TestSumsOfFilesThatChange while they are read: what is registered must be what was there.
func TestSumsOfFilesThatChange(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int64{"longer": 9, "shorter": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			files{"a.txt": "", "model.onnx": "onnx"}.write(t, dir)
			s := open(t, supply.Config{Sources: []string{dir}})
			_, err := sums(t, s, "file://"+dir, func(p admin.Progress) { // after the first file
				if err := os.Truncate(filepath.Join(dir, "model.onnx"), size); err != nil {
					t.Error(err)
				}
			})
			expect(t, err, scoring.Conflict, fmt.Sprintf(`file "model.onnx" has %d bytes and was listed with 4: it changed meanwhile`, size))
		})
	}
}

// TestSumsEndWithTheirCaller, and not only after all that there is to read.
func TestSumsEndWithTheirCaller(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	files{"a.txt": "a", "b.txt": "b", "model.onnx": "onnx"}.write(t, dir)
	s := open(t, supply.Config{Sources: []string{dir}})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	read := 0
	_, err := s.Sums(ctx, "file://"+dir, func(admin.Progress) {
		read++
		cancel()
	})
	if scoring.CodeOf(err) != scoring.Canceled || read != 1 {
		t.Errorf("after %d files: %v, want Canceled after one", read, err)
	}
}
