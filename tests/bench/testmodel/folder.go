package testmodel

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
)

// The shipped models.
const (
	// Image is the shipped model of pictures.
	Image = "image-classification"
	// FAQ is the shipped model of questions.
	FAQ = "faq-matching"
)

// Mode is a way to batch, as a manifest says it.
type Mode struct {
	// Name of the mode and of its folder.
	Name string
	// Batching is the value of the manifest's key.
	Batching string
}

// The modes.
var (
	// Off runs every request by itself.
	Off = Mode{"off", "{max_rows: 1}"}
	// Delay waits a fixed time for more rows, as most servers do.
	Delay = Mode{"delay", "{max_rows: 64, delay: 2ms}"}
	// Adaptive waits for nothing but a free session.
	Adaptive = Mode{"adaptive", "{max_rows: 64}"}
)

// Folder makes a models folder with all models, or with some, out of the shipped ones'
// folder.
func Folder(folder, shipped string, mode Mode, only ...string) error {
	wanted := func(name string) bool { return len(only) == 0 || slices.Contains(only, name) }
	for _, s := range Synthetics {
		if !wanted(s.Name) {
			continue
		}
		if err := synthetic(folder, s, mode); err != nil {
			return fmt.Errorf("make model %s: %w", s.Name, err)
		}
	}
	for _, name := range []string{Image, FAQ} {
		if !wanted(name) {
			continue
		}
		if err := copied(folder, filepath.Join(shipped, name, "1"), name, mode); err != nil {
			return fmt.Errorf("copy model %s: %w", name, err)
		}
	}
	return nil
}

func synthetic(folder string, s Synthetic, mode Mode) error {
	to := filepath.Join(folder, s.Name, "1")
	if err := os.MkdirAll(to, 0o750); err != nil {
		return err
	}
	model := s.build()
	sum := sha256.Sum256(model)
	return writeSynthetic(to, s.Name, s.What, mode, model, hex.EncodeToString(sum[:]))
}

// batching finds the key of a shipped manifest, in either style of YAML, with its value.
var batching = regexp.MustCompile(`(?m)^batching:.*\n(?:[ \t]+.*\n)*`)

// copied copies the files of a shipped version and changes its manifest's batching: the
// digest leaves the manifest itself out.
func copied(folder, from, name string, mode Mode) error {
	to := filepath.Join(folder, name, "1")
	if err := os.MkdirAll(to, 0o750); err != nil {
		return err
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		data, err := os.ReadFile(filepath.Join(from, entry.Name())) //nolint:gosec // the bench names its files
		if err != nil {
			return err
		}
		if entry.Name() == "model.yaml" {
			data = append(batching.ReplaceAll(data, nil), "\nbatching: "+mode.Batching+"\n"...)
		}
		if err := os.WriteFile(filepath.Join(to, entry.Name()), data, 0o600); err != nil { //nolint:gosec // the bench names its files
			return err
		}
	}
	return nil
}
