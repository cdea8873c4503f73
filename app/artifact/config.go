package artifact

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/triton"
	"github.com/onda-serving/onda/app/triton/configpb"
)

// configFile stands in the model's folder, beside its versions.
const configFile = "config.pbtxt"

// Bounds of the files beside the versions, in bytes. The largest lists of labels in use
// have some ten thousand lines.
const (
	maxLabelBytes  = 16 << 20
	maxWarmUpBytes = 256 << 20
)

// readConfig reads config.pbtxt in a model's folder; nil if there is none. With a
// configuration given, that is the answer.
func readConfig(dir string, given *configpb.ModelConfig) (cfg *configpb.ModelConfig, text []byte, err error) {
	if given != nil {
		return given, nil, nil
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, nil, err
	}
	defer root.Close()
	text, err = read(root, configFile, triton.MaxBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err // it names the file
	}
	if cfg, err = triton.Parse(text); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", configFile, err)
	}
	return cfg, text, nil
}

// configure reads config.pbtxt and the files that it names in the model's folder.
func (a *Artifact) configure() error {
	dir := filepath.Dir(a.Dir)
	cfg, text, err := readConfig(dir, a.Config)
	if err != nil {
		return err
	}
	a.Config = cfg
	if a.Settings, err = triton.SettingsOf(cfg); err != nil {
		return fmt.Errorf("%s: %w", configFile, err)
	}
	if cfg == nil {
		return nil
	}
	if a.Settings.Name != "" && a.Settings.Name != a.Name {
		return fmt.Errorf("%s: name: %q: want the folder's own name, %q", configFile, a.Settings.Name, a.Name)
	}
	a.Warnings = triton.Warnings(cfg)
	a.shared = map[string]string{}
	a.share(configFile, text)
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := a.readLabels(root); err != nil {
		return err
	}
	return a.readWarmUp(root)
}

// share notes a file beside the version's folder, as part of the version.
func (a *Artifact) share(name string, data []byte) {
	a.shared[path.Join("..", name)] = sum(data)
	a.Size += int64(len(data))
}

// readLabels reads the label files. Their lines end as those of Linux or Windows do.
func (a *Artifact) readLabels(root *os.Root) error {
	a.Labels = map[string][]string{}
	for output, name := range a.Settings.Labels {
		data, err := read(root, name, maxLabelBytes)
		if err != nil {
			return fmt.Errorf("%s: labels of output %q: %w", configFile, output, err)
		}
		a.share(name, data)
		var labels []string
		for line := range strings.Lines(strings.ToValidUTF8(string(data), "\ufffd")) {
			labels = append(labels, strings.TrimRight(line, "\r\n"))
		}
		a.Labels[output] = labels
	}
	return nil
}

// readWarmUp reads the files of warm-up requests. They are no part of the version: no
// answer depends on them.
func (a *Artifact) readWarmUp(root *os.Root) error {
	a.warmUp = memory{}
	left := int64(maxWarmUpBytes)
	for _, request := range a.Settings.WarmUp {
		for _, in := range request.Inputs {
			if _, ok := a.warmUp[in.File]; ok || in.File == "" {
				continue
			}
			data, err := read(root, path.Join(triton.WarmUpFolder, in.File), left)
			if err != nil {
				return fmt.Errorf("%s: warm-up %q: input %q: %w", configFile, request.Name, in.Name, err)
			}
			a.warmUp[in.File] = data
			left -= int64(len(data))
		}
	}
	return nil
}

// WarmUpInputs makes the inputs of one of Settings.WarmUp.
func (a *Artifact) WarmUpInputs(w triton.WarmUp) ([]scoring.Tensor, error) {
	return w.Tensors(a.warmUp.ReadFile)
}

// Configure shows a session of the model as config.pbtxt describes it, with its shapes: see
// [triton.Configure]. Without config.pbtxt it is the session itself. The error lists all
// that does not fit, with both sides.
func (a *Artifact) Configure(s triton.Session) (triton.Session, error) {
	configured, err := triton.Configure(s, a.Config)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", configFile, err)
	}
	return configured, nil
}
