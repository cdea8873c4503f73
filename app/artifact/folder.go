package artifact

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/onda-serving/onda/app/triton"
	"github.com/onda-serving/onda/app/triton/configpb"
)

// MaxFileBytes bounds a file of an artifact: 2 GiB is the most that an ONNX file, a
// Protocol Buffers message, can have.
const MaxFileBytes = 2 << 30

// manifestFile stands beside a version's model.
const manifestFile = "model.yaml"

// Ref is the place of a version: its name, number and folder.
type Ref struct {
	// Name of the model.
	Name string
	// Version number.
	Version int64
	// Dir is the version's folder, in the folder of its model.
	Dir string
}

// String gives "name@version".
func (r Ref) String() string { return fmt.Sprintf("%s@%d", r.Name, r.Version) }

// Artifact is a version whose files were read and whose digests hold.
type Artifact struct {
	Ref

	// Manifest of the version; only Name, Version, Files and Digest are set where the
	// folder has no model.yaml.
	Manifest Manifest
	// Config is config.pbtxt, which stands in the model's folder; nil without one.
	Config *configpb.ModelConfig
	// Settings is what applies of Config; of an empty configuration where it is nil.
	// Where model.yaml speaks of the same thing, it wins: see [Artifact.Plan].
	Settings triton.Settings
	// Warnings name the fields of Config that have no effect, one sentence each.
	Warnings []string
	// Labels names the classes of outputs, by output: the n-th label is for index n. Only
	// outputs with a label file in Config are in it.
	Labels map[string][]string
	// Model is the content of the model's file. What was checked is what is loaded: the
	// file is read once.
	Model []byte
	// Files reads the other files, every one of them checked.
	Files fs.FS
	// Size of all files that were read, in bytes.
	Size int64

	// shared has the SHA-256 of the files beside the version's folder, by their paths as
	// seen from it.
	shared map[string]string
	// pause is called after each piece of work; nil for none.
	pause func()
	// warmUp reads the files that Settings.WarmUp names.
	warmUp memory
}

// Open reads the version at ref and proves its files against the manifest. The error
// names the file and what is wrong with it.
func Open(ref Ref) (*Artifact, error) { return OpenWith(ref, nil, nil) }

// OpenWith is [Open] with a configuration in place of the one in config.pbtxt, which is
// then not read: what a load request can bring. nil stands for the file. pause, if it is not
// nil, is called after every half megabyte, for who has the time to leave the processor to
// others.
func OpenWith(ref Ref, cfg *configpb.ModelConfig, pause func()) (*Artifact, error) {
	a := &Artifact{Ref: ref, Config: cfg, Files: memory{}, pause: pause}
	root, err := os.OpenRoot(ref.Dir)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", ref, err)
	}
	defer root.Close()
	if err := a.configure(); err != nil {
		return nil, fmt.Errorf("open %s: %w", ref, err)
	}
	if a.Model, err = readAt(root, a.Settings.File, MaxFileBytes, pause); err != nil {
		return nil, fmt.Errorf("open %s: %w", ref, err)
	}
	a.Size += int64(len(a.Model))
	text, err := read(root, manifestFile, MaxFileBytes)
	if errors.Is(err, fs.ErrNotExist) {
		a.bare()
		return a, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", ref, err)
	}
	if a.Manifest, err = ParseManifest(text); err != nil {
		return nil, fmt.Errorf("open %s: %s: %w", ref, manifestFile, err)
	}
	if err := a.verify(root); err != nil {
		return nil, fmt.Errorf("open %s: %w", ref, err)
	}
	return a, nil
}

// bare makes the manifest of a version that has none. Its digest covers the model and, as
// they decide on answers too, config.pbtxt and the label files beside the version's folder.
func (a *Artifact) bare() {
	files := map[string]string{a.Settings.File: sumAt(a.Model, a.pause)}
	maps.Copy(files, a.shared)
	a.Manifest = Manifest{Schema: SchemaV1, Name: a.Name, Version: a.Version, Files: files, Digest: Digest(files)}
}

// verify reads every file that the manifest names and compares digests.
func (a *Artifact) verify(root *os.Root) error {
	m := a.Manifest
	if m.Name != a.Name || m.Version != a.Version {
		return fmt.Errorf("%s says %s@%d: want the folder's own name and version", manifestFile, m.Name, m.Version)
	}
	if _, ok := m.Files[a.Settings.File]; !ok {
		return fmt.Errorf("%s: files: %s is missing: every file needs its SHA-256", manifestFile, a.Settings.File)
	}
	files := memory{}
	for _, name := range slices.Sorted(maps.Keys(m.Files)) { // the same error for the same fault, every time
		want, data := m.Files[name], a.Model
		if name != a.Settings.File {
			var err error
			if data, err = readAt(root, name, MaxFileBytes, a.pause); err != nil {
				return err
			}
			files[name] = data
			a.Size += int64(len(data))
		}
		if got := sumAt(data, a.pause); got != want {
			return fmt.Errorf("%s: SHA-256 is %s, %s says %s: the file is damaged or was changed", name, got, manifestFile, want)
		}
	}
	if got := Digest(m.Files); got != m.Digest {
		return fmt.Errorf("%s: digest is %s, the files make %s", manifestFile, cmp.Or(m.Digest, "missing"), got)
	}
	a.Files = files
	return nil
}

// read reads a regular file below root, of at most so many bytes.
func read(root *os.Root, name string, most int64) ([]byte, error) {
	return readAt(root, name, most, nil)
}

// readAt is read with a pause after each piece.
func readAt(root *os.Root, name string, most int64, pause func()) ([]byte, error) {
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > most {
		return nil, fmt.Errorf("%s: want a regular file of at most %d bytes", name, most)
	}
	data := make([]byte, info.Size())
	for part := range slices.Chunk(data, piece) {
		if _, err := io.ReadFull(f, part); err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		rest(pause)
	}
	return data, nil
}

// SizeOf is the size of the files in a version's folder, in bytes, without reading them.
func SizeOf(ref Ref) (int64, error) {
	entries, err := os.ReadDir(ref.Dir)
	if err != nil {
		return 0, fmt.Errorf("read folder of %s: %w", ref, err)
	}
	size := int64(0)
	for _, entry := range entries {
		if info, err := os.Stat(filepath.Join(ref.Dir, entry.Name())); err == nil && info.Mode().IsRegular() {
			size += info.Size()
		}
	}
	return size, nil
}
