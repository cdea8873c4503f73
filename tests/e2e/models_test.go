package e2e_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// linkModel adds a version of the repository's model to a models folder.
func linkModel(t *testing.T, models, model string) {
	t.Helper()
	makeDir(t, filepath.Join(models, model))
	if err := os.Symlink(modelDir(model), filepath.Join(models, model, "1")); err != nil {
		t.Fatal(err)
	}
}

// severalVersions makes a models folder in which the image model has three versions: two
// that work, and a newer one whose file is cut off.
func severalVersions(t *testing.T) string {
	t.Helper()
	models := t.TempDir()
	linkModel(t, models, faqModel)
	linkModel(t, models, imageModel)
	copyVersion(t, models, 2)
	third := copyVersion(t, models, 3)
	if err := os.Truncate(filepath.Join(third, "model.onnx"), 1000); err != nil {
		t.Fatal(err)
	}
	return models
}

// copyVersion copies the image model's first version under another number. The manifest
// says which version it is, and is itself no part of the digest.
func copyVersion(t *testing.T, models string, version int) string {
	t.Helper()
	dir := filepath.Join(models, imageModel, strconv.Itoa(version))
	if err := os.CopyFS(dir, os.DirFS(modelDir(imageModel))); err != nil {
		t.Fatal(err)
	}
	manifest := filepath.Join(dir, "model.yaml")
	before := read(t, manifest)
	after := bytes.Replace(before, []byte("\nversion: 1\n"), []byte("\nversion: "+strconv.Itoa(version)+"\n"), 1)
	if bytes.Equal(before, after) {
		t.Fatalf("%s does not say version: 1", manifest)
	}
	write(t, manifest, after)
	return dir
}

func makeDir(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
