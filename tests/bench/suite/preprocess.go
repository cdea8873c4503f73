package suite

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/onda-serving/onda/tests/bench/stats"
)

// preprocess runs the measurement of the picture pipeline beside Pillow, which is a
// program of its own, and takes over its sums.
func (b *Bench) preprocess(ctx context.Context) (r Result, err error) {
	file, err := b.scratch("preprocess.json", nil)
	if err != nil {
		return r, err
	}
	// Its long form, with every quality of JPEG, would take longer than all other parts.
	args := []string{filepath.Join("tests", "bench", "preprocess", "run.sh"), "--out", file, "--quick"}
	if _, err := os.Stat(photos); err == nil {
		args = append(args, "--photos", photos)
	}
	cmd := exec.CommandContext(ctx, "bash", args...) //nolint:gosec // the arguments are made here
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return r, err
	}
	text, err := os.ReadFile(file) //nolint:gosec // the bench names its files
	if err != nil {
		return r, err
	}
	var found struct {
		Versions map[string]string `json:"versions"`
		Groups   []map[string]any  `json:"groups"`
	}
	if err := json.Unmarshal(text, &found); err != nil {
		return r, err
	}
	for _, group := range found.Groups {
		cell := Cell{Keys: map[string]string{}, Values: map[string]stats.Spread{}}
		for name, value := range group {
			switch value := value.(type) {
			case float64:
				cell.Values[name] = stats.NewSpread(value)
			case string:
				cell.Keys[name] = value
			}
		}
		r.Cells = append(r.Cells, cell)
	}
	for name, version := range found.Versions {
		r.Notes = append(r.Notes, name+" "+version)
	}
	slices.Sort(r.Notes)
	return r, nil
}
