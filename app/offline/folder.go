package offline

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// folder reads the pictures of a folder, and of the folders in it, by name.
type folder struct {
	root  *os.Root
	files []string
	at    int
	most  int
	mark  fingerprint
}

// openFolder lists the pictures.
func openFolder(o Options) (*folder, error) {
	path, err := filepath.Abs(o.Input)
	if err != nil {
		return nil, fmt.Errorf("input: %w", err)
	}
	root, err := os.OpenRoot(o.Input)
	if err != nil {
		return nil, fmt.Errorf("input: %w", err)
	}
	f := &folder{root: root, most: o.MaxRow, mark: fingerprint{Path: path, Format: Folder}}
	if err := f.list(); err != nil {
		f.close()
		return nil, fmt.Errorf("input: %w", err)
	}
	return f, nil
}

func (f *folder) list() error {
	var all []string
	err := fs.WalkDir(f.root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && isPicture(name) {
			all = append(all, name)
		}
		return err
	})
	if err != nil {
		return err
	}
	slices.Sort(all)
	sum := sha256.New()
	for _, name := range all {
		info, err := f.root.Stat(filepath.FromSlash(name))
		if err != nil {
			return err
		}
		f.mark.Size += info.Size()
		fmt.Fprintf(sum, "%q %d %s\n", name, info.Size(), info.ModTime().UTC().Format(timeForm))
	}
	f.files, f.mark.Ends = all, hex.EncodeToString(sum.Sum(nil))
	return nil
}

func isPicture(name string) bool {
	return slices.Contains([]string{".jpg", ".jpeg", ".png", ".webp", ".gif"}, strings.ToLower(filepath.Ext(name)))
}

func (f *folder) next() (raw, error) {
	if f.at == len(f.files) {
		return raw{}, io.EOF
	}
	name := f.files[f.at]
	f.at++
	file, err := f.root.Open(filepath.FromSlash(name))
	if err != nil {
		return raw{file: name, err: unreadable("the file cannot be opened")}, nil
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, int64(f.most)+1))
	switch {
	case err != nil:
		return raw{file: name, err: unreadable("the file cannot be read")}, nil
	case len(data) > f.most:
		return raw{file: name, err: tooLarge("the file", f.most)}, nil
	case len(data) == 0:
		return raw{file: name, err: unreadable("the file is empty")}, nil
	}
	return raw{file: name, data: data}, nil
}

func (f *folder) skip(rows int64) error {
	if rows > int64(len(f.files)) {
		return io.EOF
	}
	f.at = int(rows)
	return nil
}

func (f *folder) position() int64    { return int64(f.at) }
func (f *folder) total() int64       { return int64(len(f.files)) }
func (f *folder) print() fingerprint { return f.mark }
func (f *folder) close()             { _ = f.root.Close() }
