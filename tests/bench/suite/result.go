package suite

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// Result is what a part leaves in its file.
type Result struct {
	// Part is its name.
	Part string `json:"part"`
	// Machine, Commit and Date say where and when it was measured, and what.
	Machine Machine `json:"machine"`
	Commit  string  `json:"commit"`
	Date    string  `json:"date"`
	// Versions of the programs that took part.
	Versions map[string]string `json:"versions"`
	// Quick results show that the bench works, and nothing else.
	Quick bool `json:"quick"`
	// Seconds that it took.
	Seconds float64 `json:"seconds"`
	// Facts are numbers that hold for the whole part, such as a capacity.
	Facts map[string]float64 `json:"facts,omitempty"`
	// Notes are for the reader: what could not be measured, and why.
	Notes []string `json:"notes,omitempty"`
	// Cells are the measurements.
	Cells []Cell `json:"cells"`
}

// Machine is what the numbers depend on.
type Machine struct {
	CPU       string  `json:"cpu"`
	Cores     int     `json:"cores"`
	MemoryGiB float64 `json:"memory_gib"`
}

// save writes the result to its file.
func (r Result) save() error {
	text, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(ResultsDir, 0o750); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(ResultsDir, r.Part+".json"), append(text, '\n'), 0o600)
}

// Load reads the result of a part; the error is fs.ErrNotExist where there is none.
func Load(dir, part string) (r Result, err error) {
	text, err := os.ReadFile(filepath.Join(dir, part+".json")) //nolint:gosec // the bench names its files
	if err != nil {
		return r, err
	}
	err = json.Unmarshal(text, &r)
	return r, err
}

// machine reads what the kernel says.
func machine() Machine {
	m := Machine{CPU: runtime.GOARCH, Cores: runtime.NumCPU()}
	if model := field("/proc/cpuinfo", "model name"); model != "" {
		m.CPU = model
	}
	var kib float64
	if _, err := fmt.Sscan(field("/proc/meminfo", "MemTotal"), &kib); err == nil {
		m.MemoryGiB = kib / (1 << 20)
	}
	return m
}

// field finds a line "name : value" in a file of the kernel's.
func field(file, name string) string {
	f, err := os.Open(file) //nolint:gosec // the bench names its files
	if err != nil {
		return ""
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if key, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// commit names what is measured, and says so if there is more than that.
func commit(ctx context.Context) string {
	name := output(ctx, "git", "rev-parse", "--short=12", "HEAD")
	// The results themselves change while the bench runs.
	if output(ctx, "git", "status", "--porcelain", "--", ".", ":!tests/bench/results", ":!tests/bench/RESULTS.md") != "" {
		name += " with changes"
	}
	return name
}

// output is what a program prints, or "" if it fails.
func output(ctx context.Context, program string, args ...string) string {
	text, err := exec.CommandContext(ctx, program, args...).Output() //nolint:gosec // the callers name the programs
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// versions asks the programs, or looks at where they lie.
func (b *Bench) versions(ctx context.Context) map[string]string {
	v := map[string]string{"Go": strings.TrimPrefix(runtime.Version(), "go"), "ONNX Runtime": filepath.Base(filepath.Dir(b.library))}
	if text := output(ctx, b.daprd, "--version"); text != "" {
		v["Dapr"] = text
	}
	if text := output(ctx, "python3", "--version"); text != "" {
		v["Python"] = strings.TrimPrefix(text, "Python ")
	}
	return v
}
