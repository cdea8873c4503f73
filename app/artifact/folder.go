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
	"strconv"
	"strings"

	"github.com/onda-serving/onda/app/scoring"
)

// MaxFileBytes bounds a file of an artifact: 2 GiB is the most that an ONNX file, a
// Protocol Buffers message, can have.
const MaxFileBytes = 2 << 30

// Names of the two files that every version can have.
const (
	modelFile    = "model.onnx"
	manifestFile = "model.yaml"
)

// Ref is the place of a version: its name, number and folder.
type Ref struct {
	// Name of the model.
	Name string
	// Version number.
	Version int64
	// Dir is the version's folder.
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
	// Model is the content of model.onnx. What was checked is what is loaded: the file
	// is read once.
	Model []byte
	// Files reads the other files, every one of them checked.
	Files fs.FS
	// Size of all files, in bytes.
	Size int64
}

// Scan lists the versions below the folder models, by name and number. Hidden folders,
// and folders beside the versions whose names are no numbers, such as one for training,
// are passed over. passed tells of what looks like a model and cannot be one: nobody
// should have to find out why a model does not exist. The error is for a folder that
// cannot be read.
func Scan(models string) (refs []Ref, passed []error, err error) {
	entries, err := os.ReadDir(models)
	if err != nil {
		return nil, nil, fmt.Errorf("read models folder: %w", err)
	}
	for _, entry := range entries {
		if strings.ContainsAny(entry.Name()[:1], "._") || entry.Name() == "lost+found" {
			continue // what editors, Python, version control, file systems and mounts leave
		}
		versions, err := scanModel(models, entry.Name())
		if err != nil {
			passed = append(passed, err)
		}
		refs = append(refs, versions...)
	}
	slices.SortFunc(refs, func(a, b Ref) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version))
	})
	return refs, passed, nil
}

// scanModel lists the versions of one model. It follows links, because that is how
// Kubernetes mounts a volume's content.
func scanModel(models, name string) ([]Ref, error) {
	dir := filepath.Join(models, name)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil //nolint:nilerr // a file beside the models' folders, such as a README, is no model
	}
	if err := scoring.CheckName("model folder", name); err != nil {
		return nil, err
	}
	var refs []Ref
	for _, entry := range entries {
		version, err := strconv.ParseInt(entry.Name(), 10, 64)
		if err != nil || version < 1 || strconv.FormatInt(version, 10) != entry.Name() {
			continue
		}
		if _, err := os.Stat(filepath.Join(dir, entry.Name(), modelFile)); err != nil {
			continue
		}
		refs = append(refs, Ref{Name: name, Version: version, Dir: filepath.Join(dir, entry.Name())})
	}
	if len(refs) == 0 {
		return nil, fmt.Errorf("%s has no version: want %s", dir, filepath.Join(dir, "<number>", modelFile))
	}
	return refs, nil
}

// Open reads the version at ref and proves its files against the manifest. The error
// names the file and what is wrong with it.
func Open(ref Ref) (*Artifact, error) {
	root, err := os.OpenRoot(ref.Dir)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", ref, err)
	}
	defer root.Close()
	model, err := read(root, modelFile)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", ref, err)
	}
	a := &Artifact{Ref: ref, Model: model, Size: int64(len(model))}
	text, err := read(root, manifestFile)
	if errors.Is(err, fs.ErrNotExist) {
		a.Manifest = bare(ref, model)
		a.Files = memory{}
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

// bare makes the manifest of a version that has none.
func bare(ref Ref, model []byte) Manifest {
	files := map[string]string{modelFile: sum(model)}
	return Manifest{Schema: SchemaV1, Name: ref.Name, Version: ref.Version, Files: files, Digest: Digest(files)}
}

// verify reads every file that the manifest names and compares digests.
func (a *Artifact) verify(root *os.Root) error {
	m := a.Manifest
	if m.Name != a.Name || m.Version != a.Version {
		return fmt.Errorf("%s says %s@%d: want the folder's own name and version", manifestFile, m.Name, m.Version)
	}
	if _, ok := m.Files[modelFile]; !ok {
		return fmt.Errorf("%s: files: %s is missing: every file needs its SHA-256", manifestFile, modelFile)
	}
	files := memory{}
	for _, name := range slices.Sorted(maps.Keys(m.Files)) { // the same error for the same fault, every time
		want, data := m.Files[name], a.Model
		if name != modelFile {
			var err error
			if data, err = read(root, name); err != nil {
				return err
			}
			files[name] = data
			a.Size += int64(len(data))
		}
		if got := sum(data); got != want {
			return fmt.Errorf("%s: SHA-256 is %s, %s says %s: the file is damaged or was changed", name, got, manifestFile, want)
		}
	}
	if got := Digest(m.Files); got != m.Digest {
		return fmt.Errorf("%s: digest is %s, the files make %s", manifestFile, cmp.Or(m.Digest, "missing"), got)
	}
	a.Files = files
	return nil
}

// read reads a regular file below root, up to [MaxFileBytes].
func read(root *os.Root, name string) ([]byte, error) {
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > MaxFileBytes {
		return nil, fmt.Errorf("%s: want a regular file of at most %d bytes", name, MaxFileBytes)
	}
	data := make([]byte, info.Size())
	if _, err := io.ReadFull(f, data); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return data, nil
}
