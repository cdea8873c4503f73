package artifact

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/triton"
	"github.com/onda-serving/onda/app/triton/configpb"
)

// Scan lists the versions below the folder models, by name and number: those that the
// version policy of a model's config.pbtxt serves, and all of them where there is no such
// file. Hidden folders, and folders beside the versions whose names are no numbers, such as
// one for training, are passed over. passed tells of what looks like a model and cannot be
// one: nobody should have to find out why a model does not exist. The error is for a folder
// that cannot be read.
func Scan(models string) (refs []Ref, passed []error, err error) {
	entries, err := os.ReadDir(models)
	if err != nil {
		return nil, nil, fmt.Errorf("read models folder: %w", err)
	}
	for _, entry := range entries {
		if strings.ContainsAny(entry.Name()[:1], "._") || entry.Name() == "lost+found" {
			continue // what editors, Python, version control, file systems and mounts leave
		}
		if info, err := os.Stat(filepath.Join(models, entry.Name())); err != nil || !info.IsDir() {
			continue // a file beside the models' folders, such as a README, is no model
		}
		versions, err := ScanModel(models, entry.Name(), nil)
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

// ScanModel lists the versions of one model, as [Scan] does: cfg stands in place of
// config.pbtxt, if it is not nil. There can be versions and an error, which then tells of
// versions that the policy names and that are not there. A model whose configuration is
// refused has versions too: [Open] says why they cannot be served.
func ScanModel(models, name string, cfg *configpb.ModelConfig) ([]Ref, error) {
	if err := scoring.CheckName("model folder", name); err != nil {
		return nil, err
	}
	// Links are followed, because that is how Kubernetes mounts a volume's content.
	dir := filepath.Join(models, name)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read model folder: %w", err)
	}
	cfg, _, refused := readConfig(dir, cfg)
	settings, err := triton.SettingsOf(cfg)
	refused = errors.Join(refused, err)
	var numbers []int64
	for _, entry := range entries {
		version, err := strconv.ParseInt(entry.Name(), 10, 64)
		if err != nil || version < 1 || strconv.FormatInt(version, 10) != entry.Name() {
			continue
		}
		if hasVersion(filepath.Join(dir, entry.Name()), settings.File, refused) {
			numbers = append(numbers, version)
		}
	}
	if len(numbers) == 0 {
		return nil, errors.Join(fmt.Errorf("%s has no version: want %s", dir, filepath.Join(dir, "<number>", settings.File)), refused)
	}
	if cfg == nil && refused == nil {
		settings.Versions.All = true
	}
	var refs []Ref
	served, missing := settings.Versions.Select(numbers)
	for _, version := range served {
		refs = append(refs, Ref{Name: name, Version: version, Dir: filepath.Join(dir, strconv.FormatInt(version, 10))})
	}
	if len(missing) > 0 {
		return refs, fmt.Errorf("%s: %s: version_policy.specific.versions: %v: there is no %s for them", dir, configFile, missing, filepath.Join("<number>", settings.File))
	}
	return refs, nil
}

// hasVersion says whether the folder is a version's. The model of a refused configuration
// need not be an ONNX file: its version shall be seen to fail, and not be missing.
func hasVersion(dir, file string, refused error) bool {
	if refused != nil {
		info, err := os.Stat(dir)
		return err == nil && info.IsDir()
	}
	_, err := os.Stat(filepath.Join(dir, file))
	return err == nil
}
