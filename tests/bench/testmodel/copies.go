package testmodel

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"

	"github.com/onda-serving/onda/app/artifact"
)

// versionLine finds the key of a shipped manifest.
var versionLine = regexp.MustCompile(`(?m)^version: .*$`)

// Versions makes a models folder with n versions of a shipped model, out of the shipped
// models' folder. They differ in their number alone, which is in no digest: each is loaded by
// itself all the same.
func Versions(folder, shipped, name string, n int) error {
	from := filepath.Join(shipped, name, "1")
	manifest, err := os.ReadFile(filepath.Join(from, "model.yaml")) //nolint:gosec // the bench names its files
	if err != nil {
		return fmt.Errorf("copy model %s: %w", name, err)
	}
	for version := range n {
		number := strconv.Itoa(version + 1)
		to := filepath.Join(folder, name, number)
		// What an earlier run left would be in the way.
		if err := os.RemoveAll(to); err != nil {
			return err
		}
		if err := os.CopyFS(to, os.DirFS(from)); err != nil {
			return fmt.Errorf("copy model %s: %w", name, err)
		}
		changed := versionLine.ReplaceAll(manifest, []byte("version: "+number))
		if version > 0 && bytes.Equal(changed, manifest) {
			return fmt.Errorf("copy model %s: its model.yaml has no line for its version", name)
		}
		if err := os.WriteFile(filepath.Join(to, "model.yaml"), changed, 0o600); err != nil { //nolint:gosec // the bench names its files
			return err
		}
	}
	return nil
}

// Many makes a models folder with a synthetic model under the names that NameOf gives, from 0
// to n-1.
func Many(folder string, s Synthetic, n int) error {
	model := s.build()
	sum := sha256.Sum256(model)
	digest := hex.EncodeToString(sum[:])
	for i := range n {
		to := filepath.Join(folder, NameOf(i), "1")
		if err := os.MkdirAll(to, 0o750); err != nil {
			return err
		}
		if err := writeSynthetic(to, NameOf(i), s.What, Adaptive, model, digest); err != nil {
			return fmt.Errorf("make model %s: %w", NameOf(i), err)
		}
	}
	return nil
}

// NameOf is the name of a model that [Many] makes.
func NameOf(i int) string { return fmt.Sprintf("m%04d", i) }

// writeSynthetic writes the files of a version.
func writeSynthetic(to, name, what string, mode Mode, model []byte, digest string) error {
	files := map[string]string{"model.onnx": digest}
	manifest := fmt.Sprintf("schema: onda/v1\nname: %s\nversion: 1\ndescription: '%s'\nfiles: {model.onnx: %s}\ndigest: %s\nbatching: %s\nwarm_up: [1]\n",
		name, what, digest, artifact.Digest(files), mode.Batching)
	if err := os.WriteFile(filepath.Join(to, "model.onnx"), model, 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(to, "model.yaml"), []byte(manifest), 0o600)
}
