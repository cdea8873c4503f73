package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/onda-serving/onda/app/artifact"
	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/scoring"
)

// Bounds of a version's entry in the document, which holds those of all versions.
const (
	maxFiles    = 256
	maxPath     = 255
	maxLocation = 1024
	maxVersion  = 32 << 10
)

// sumForm is the form of a SHA-256.
var sumForm = regexp.MustCompile(`^[0-9a-f]{64}$`)

// check refuses what can be refused without a look at the registry.
func (want Registration) check() error {
	if want.Version < 0 {
		return scoring.Errorf(scoring.Invalid, "version is %d: want a positive whole number, or 0 for the next one", want.Version)
	}
	if err := checkLocation(want.Location); err != nil {
		return err
	}
	switch {
	case want.Location == catalog.InStore:
		if err := checkFiles(want.Files); err != nil {
			return err
		}
	case len(want.Files) > 0:
		return scoring.Errorf(scoring.Invalid, "files is for the location %q: the files at a URL are listed by Onda itself", catalog.InStore)
	}
	text, err := json.Marshal(want.version(want.Files))
	if err != nil {
		return scoring.Errorf(scoring.Invalid, "the version cannot be written as JSON: want metrics that are numbers").WithCause(err)
	}
	if len(text) > maxVersion {
		return scoring.Errorf(scoring.TooLarge, "the version's entry has %d bytes: at most %d are allowed; keep long texts beside the model", len(text), maxVersion)
	}
	return nil
}

// checkLocation refuses what cannot be opened, and what must not be kept in a document that
// everybody reads.
func checkLocation(location string) error {
	const want = `want "store:" for uploaded files, or the URL of the version's folder, such as "azblob://models/faq/3"`
	switch {
	case location == catalog.InStore:
		return nil
	case location == "":
		return scoring.Errorf(scoring.Invalid, "location is missing: %s", want)
	case location == catalog.InModelsFolder:
		return scoring.Errorf(scoring.Invalid, "location %q is for what the models folders of the replicas hold, which is registered by itself: %s", location, want)
	case len(location) > maxLocation:
		return scoring.Errorf(scoring.Invalid, "location is %d bytes long: at most %d are allowed", len(location), maxLocation)
	}
	u, err := url.Parse(location)
	switch {
	case err != nil || u.Scheme == "" || u.Opaque != "" || u.Fragment != "":
		return scoring.Errorf(scoring.Invalid, "location %q: %s", clip(location), want).WithCause(err)
	case u.User != nil:
		return scoring.Errorf(scoring.Invalid, "location has a user name or password in it: everybody who reads the registry would see it; give Onda its credentials by its environment")
	}
	return nil
}

// checkFiles checks the names, sums and sizes of a version's files.
func checkFiles(files map[string]catalog.File) error {
	if len(files) == 0 {
		return scoring.Errorf(scoring.Invalid, "the version has no files: want model.onnx at least")
	}
	if len(files) > maxFiles {
		return scoring.Errorf(scoring.Invalid, "the version has %d files: at most %d are allowed", len(files), maxFiles)
	}
	for _, name := range sortedNames(files) {
		file := files[name]
		switch {
		case !fs.ValidPath(name) || name == "." || len(name) > maxPath || strings.ContainsFunc(name, notInPath):
			return scoring.Errorf(scoring.Invalid, "file %q: want a path below the version's folder, such as model.onnx", clip(name))
		case !sumForm.MatchString(file.SHA256):
			return scoring.Errorf(scoring.Invalid, "file %q: sha256 is %q: want 64 hexadecimal digits in lower case", clip(name), clip(file.SHA256))
		}
		if err := checkSize(name, file.Size); err != nil {
			return err
		}
	}
	return nil
}

func checkSize(name string, size int64) error {
	switch {
	case size < 0:
		return scoring.Errorf(scoring.Invalid, "file %q: size is %d: want the number of bytes", clip(name), size)
	case size > artifact.MaxFileBytes:
		return scoring.Errorf(scoring.Invalid, "file %q has %d bytes: at most %d can be served", clip(name), size, int64(artifact.MaxFileBytes))
	default:
		return nil
	}
}

// notInPath says which characters no file of a version has in its name, because not every
// system has them.
func notInPath(c rune) bool { return c < ' ' || c == 0x7f || strings.ContainsRune(`\:*?"<>|`, c) }

// stored makes sure that every file is in the artifact store.
func (a *Admin) stored(ctx context.Context, files map[string]catalog.File) error {
	if a.Store == nil {
		return noStore()
	}
	const fewNamed = 5
	var missing []string
	for _, name := range sortedNames(files) {
		size, ok, err := a.Store.Has(ctx, files[name].SHA256)
		switch {
		case err != nil:
			return err
		case !ok:
			missing = append(missing, fmt.Sprintf("%s (%s)", name, files[name].SHA256))
		case size != files[name].Size:
			return scoring.Errorf(scoring.Invalid, "file %q: size is %d, and the file with that sum has %d bytes", name, files[name].Size, size)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	more := ""
	if len(missing) > fewNamed {
		more = fmt.Sprintf(" and %d more", len(missing)-fewNamed)
		missing = missing[:fewNamed]
	}
	return scoring.Errorf(scoring.Invalid, "not in the artifact store: %s%s: PUT each to /registry/v1/blobs/SHA256 first", strings.Join(missing, ", "), more)
}

// manifestFile names a version, in its folder.
const manifestFile = "model.yaml"

// hasManifest says whether model.yaml is among the files, which names the version.
func hasManifest(v catalog.Version) bool {
	_, ok := v.Files[manifestFile]
	return ok
}

func sortedNames(files map[string]catalog.File) []string { return slices.Sorted(maps.Keys(files)) }
