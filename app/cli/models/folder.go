package models

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/onda-serving/onda/app/artifact"
	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/cli/client"
)

// The files that mean something to Onda itself.
const (
	manifestFile = "model.yaml"
	modelFile    = "model.onnx"
	configFile   = "config.pbtxt"
)

// folder is a version's folder on this machine: what is in it is what is shipped.
type folder struct {
	dir string
	// files in the order of their names.
	files []localFile
	// manifest is model.yaml; nil if there is none.
	manifest *artifact.Manifest
	// roots are the folder and the one above it: no link leads out of them.
	roots []*os.Root
}

// localFile is a file of a version.
type localFile struct {
	// name below the folder, with slashes, as it is shipped.
	name string
	root *os.Root
	catalog.File
}

// errChanged says that a file is not any more what it was.
var errChanged = errors.New("it changed since it was read: start again when nobody writes into the folder")

// open reads the file from its start. It must have its size yet: what else changed, the
// server finds out.
func (f *localFile) open() (io.ReadCloser, error) {
	content, err := f.root.Open(filepath.FromSlash(f.name))
	if err != nil {
		return nil, err
	}
	if info, err := content.Stat(); err != nil || info.Size() != f.Size {
		content.Close()
		return nil, errors.Join(err, errChanged)
	}
	return content, nil
}

// openFolder lists what is in a version's folder, and reads model.yaml.
func openFolder(dir string) (*folder, error) {
	path, err := filepath.Abs(dir) // of ".", too, there is a folder above
	if err != nil {
		return nil, fmt.Errorf("open folder: %w", err)
	}
	f := &folder{dir: dir}
	if err := f.list(path); err != nil {
		f.close()
		return nil, err
	}
	if err := f.readManifest(); err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

// close frees the folder.
func (f *folder) close() {
	for _, root := range f.roots {
		root.Close()
	}
}

// list finds the files.
func (f *folder) list(path string) error {
	root, err := f.root(path)
	if err != nil {
		return err
	}
	err = fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		return f.visit(root, name, entry)
	})
	if err != nil {
		return err
	}
	if err := f.addConfig(filepath.Dir(path)); err != nil {
		return err
	}
	slices.SortFunc(f.files, func(a, b localFile) int { return strings.Compare(a.name, b.name) })
	if !f.has(modelFile) && !f.has(configFile) {
		return fmt.Errorf("there is no %s in %s: want the folder of one version, such as models/NAME/1", modelFile, f.dir)
	}
	return nil
}

func (f *folder) root(path string) (*os.Root, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, inner(err))
	}
	f.roots = append(f.roots, root)
	return root, nil
}

func (f *folder) has(name string) bool {
	return slices.ContainsFunc(f.files, func(file localFile) bool { return file.name == name })
}

// visit takes a file, or says why it cannot be shipped.
func (f *folder) visit(root *os.Root, name string, entry fs.DirEntry) error {
	shown := filepath.Join(f.dir, filepath.FromSlash(name))
	switch {
	case strings.HasPrefix(entry.Name(), "."):
		return fmt.Errorf("%s: hidden files do not belong in a model's version: what is in the folder is what is shipped", shown)
	case entry.IsDir():
		return nil
	case name == configFile:
		return fmt.Errorf("%s: want it beside the version's folder, in that of the model", shown)
	case !utf8.ValidString(name):
		return fmt.Errorf("%q: want a name in UTF-8", shown)
	}
	info, err := root.Stat(filepath.FromSlash(name)) // of what a link leads to
	switch {
	case err != nil && entry.Type()&fs.ModeSymlink != 0 && !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: the link leads out of the folder: copy what it leads to", shown)
	case err != nil:
		return fmt.Errorf("%s: %w", shown, inner(err))
	case info.IsDir():
		return fmt.Errorf("%s: links to folders are not followed: copy what it leads to", shown)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s: want a regular file", shown)
	case info.Size() > artifact.MaxFileBytes:
		return fmt.Errorf("%s: it has %s, at most %s are possible", shown, size(info.Size()), size(artifact.MaxFileBytes))
	}
	f.files = append(f.files, localFile{name: name, root: root, File: catalog.File{Size: info.Size()}})
	return nil
}

// addConfig adds the configuration that stands beside the version's folder.
func (f *folder) addConfig(above string) error {
	info, err := os.Stat(filepath.Join(above, configFile))
	if err != nil || !info.Mode().IsRegular() {
		return nil //nolint:nilerr // most models have none
	}
	root, err := f.root(above)
	if err != nil {
		return err
	}
	f.files = append(f.files, localFile{name: configFile, root: root, File: catalog.File{Size: info.Size()}})
	return nil
}

// readManifest reads model.yaml, if there is one.
func (f *folder) readManifest() error {
	at := slices.IndexFunc(f.files, func(file localFile) bool { return file.name == manifestFile })
	if at < 0 {
		return nil
	}
	content, err := f.files[at].open()
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(f.dir, manifestFile), inner(err))
	}
	defer content.Close()
	const most = 16 << 20
	text, err := io.ReadAll(io.LimitReader(content, most))
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(f.dir, manifestFile), inner(err))
	}
	manifest, err := artifact.ParseManifest(text)
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(f.dir, manifestFile), err)
	}
	f.manifest = &manifest
	return nil
}

// total is the size of all files.
func (f *folder) total() (bytes int64) {
	for _, file := range f.files {
		bytes += file.Size
	}
	return bytes
}

// digest computes the SHA-256 of every file, and compares them with model.yaml: who finds
// out that a file is damaged before it is sent saves time. progress is told the bytes done.
func (f *folder) digest(ctx context.Context, progress func(int64)) error {
	var done int64
	buffer := make([]byte, 1<<20)
	for i := range f.files {
		file := &f.files[i]
		content, err := file.open()
		if err != nil {
			return fmt.Errorf("%s: %w", filepath.Join(f.dir, file.name), inner(err))
		}
		hash := sha256.New()
		read := &reading{ctx: ctx, content: content, told: func(n int) { done += int64(n); progress(done) }}
		n, err := io.CopyBuffer(struct{ io.Writer }{hash}, read, buffer)
		content.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", filepath.Join(f.dir, file.name), inner(err))
		}
		file.File = catalog.File{SHA256: hex.EncodeToString(hash.Sum(nil)), Size: n}
	}
	return f.check()
}

// check compares the files with model.yaml.
func (f *folder) check() error {
	if f.manifest == nil {
		return nil
	}
	sums := f.sums()
	for _, name := range sortedKeys(f.manifest.Files) {
		got, ok := sums[name]
		switch want := f.manifest.Files[name]; {
		case !ok:
			return fmt.Errorf("%s names %s, which is not in %s", manifestFile, client.Clean(name), f.dir)
		case got.SHA256 != want:
			return fmt.Errorf("%s: SHA-256 is %s, %s says %s: the file is damaged or was changed", filepath.Join(f.dir, name), got.SHA256, manifestFile, client.Clean(want))
		}
	}
	return nil
}

// sums lists the files as a registration wants them.
func (f *folder) sums() map[string]catalog.File {
	all := map[string]catalog.File{}
	for _, file := range f.files {
		all[file.name] = file.File
	}
	return all
}

// reading reads until the context ends.
type reading struct {
	ctx     context.Context //nolint:containedctx // it lives as long as one copy
	content io.Reader
	told    func(n int)
}

// Read reads on.
func (r *reading) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	n, err := r.content.Read(p)
	r.told(n)
	return n, err
}

// inner takes the operation and the path off an error: the message has a better one.
func inner(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err
	}
	return err
}
