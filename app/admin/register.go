package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/verify"
)

// Registration is a version that somebody wants registered.
type Registration struct {
	// Version number; 0 for the highest and one more. If there is a model.yaml, the number in
	// it must be the same: it is not looked up.
	Version int64
	// Location of the files: catalog.InStore, or the URL of a folder.
	Location string
	// Files by their paths, for catalog.InStore.
	Files map[string]catalog.File
	// Description, Licence, Framework, Source, Metrics and Tags are what the version is said
	// to be. What is left out is taken from its model.yaml, if that has it.
	Description string
	Licence     string
	Framework   string
	Source      catalog.Source
	Metrics     map[string]float64
	Tags        map[string]string
}

// Registered is the answer to a registration.
type Registered struct {
	// Model's name.
	Model string `json:"model"`
	// Version as it was registered.
	Version catalog.Version `json:"version"`
	// Report of its check; nil if it was registered before.
	Report *verify.Report `json:"report,omitempty"`

	// New says that it was not registered before.
	New bool `json:"-"`
	// Revision of the document.
	Revision int64 `json:"-"`
}

// Register adds a version to a model, and the model itself if it is the first one. To
// register the same files again changes nothing, and gives the version that has them.
func (a *Admin) Register(ctx context.Context, name string, want Registration, ask Ask) (registered *Registered, err error) {
	defer a.ended(&err)
	if err := want.check(); err != nil {
		return nil, err
	}
	ctx, done, err := a.begin(ctx, name, &ask)
	if err != nil {
		return nil, err
	}
	defer done()
	before, err := a.read(ctx, name)
	if err != nil {
		return nil, err
	}
	if before == nil {
		before = catalog.New(name)
	}
	if err := guarded(ask, func(*catalog.Model) error { return nil })(before); err != nil {
		return nil, err
	}
	files, err := a.filesOf(ctx, want, ask.Progress)
	if err != nil {
		return nil, err
	}
	same, err := registeredBefore(before, want, files)
	if err != nil {
		return nil, err
	}
	if same != nil {
		return &Registered{Model: name, Version: *same, Revision: before.Revision}, nil
	}
	if want.Location == catalog.InStore {
		if err := a.stored(ctx, files); err != nil {
			return nil, err
		}
	}
	v := want.version(files)
	if v.Version == 0 {
		v.Version = next(before)
	}
	report, err := a.Replica.Inspect(ctx, name, v, ask.Progress)
	if err != nil {
		return nil, err
	}
	complete(&v, report)
	v.RegisteredBy, v.RegisteredAt = ask.Actor, a.now().Truncate(time.Millisecond) // as documents hold it
	return a.add(ctx, name, v, want.Version == 0, report, ask)
}

// filesOf lists the files of a version.
func (a *Admin) filesOf(ctx context.Context, want Registration, progress func(Progress)) (map[string]catalog.File, error) {
	if want.Location == catalog.InStore {
		return want.Files, nil // which were checked
	}
	files, err := a.Hasher.Sums(ctx, want.Location, progress)
	if err != nil {
		return nil, err
	}
	return files, checkFiles(files)
}

// registeredBefore finds the version that was registered with the same files. The same number
// with other files is a Conflict that says which.
func registeredBefore(m *catalog.Model, want Registration, files map[string]catalog.File) (*catalog.Version, error) {
	if want.Version == 0 {
		for number, v := range m.Versions {
			if m.Standing[number] != catalog.Retired && v.Location == want.Location && maps.Equal(v.Files, files) {
				return &v, nil
			}
		}
		return nil, nil //nolint:nilnil // none is what there is
	}
	v, ok := m.Versions[want.Version]
	switch {
	case !ok:
		return nil, nil //nolint:nilnil // as above
	case maps.Equal(v.Files, files):
		return &v, nil
	default:
		return nil, scoring.Errorf(scoring.Conflict, "version %d of model %q is registered, %s: versions never change, %s",
			want.Version, m.Name, difference(v, files), otherNumber(files, next(m)))
	}
}

// otherNumber says how a version gets a number that is free: model.yaml has the last word.
func otherNumber(files map[string]catalog.File, free int64) string {
	if _, ok := files[manifestFile]; ok {
		return fmt.Sprintf("set version: in model.yaml to the new number (%d is free)", free)
	}
	return fmt.Sprintf("register it under another number (%d is free)", free)
}

// difference names a file in which a registered version and files differ.
func difference(v catalog.Version, files map[string]catalog.File) string {
	if len(v.Files) == 0 {
		return "with the digest " + v.Digest + ", from a models folder"
	}
	for _, name := range sortedNames(v.Files) {
		switch other, ok := files[name]; {
		case !ok:
			return "with a file " + name + " that is missing here"
		case other.SHA256 != v.Files[name].SHA256:
			return "with another " + name + " (SHA-256 " + v.Files[name].SHA256 + ", here " + other.SHA256 + ")"
		}
	}
	return "without some of the files here"
}

// version makes the version of what was asked for.
func (want Registration) version(files map[string]catalog.File) catalog.Version {
	v := catalog.Version{
		Version: want.Version, Location: want.Location, Files: files,
		Description: want.Description, Licence: want.Licence, Framework: want.Framework,
		Source: want.Source, Metrics: want.Metrics, Tags: want.Tags,
	}
	for _, file := range files {
		v.SizeBytes += file.Size
	}
	return v
}

func next(m *catalog.Model) int64 {
	var highest int64
	for number := range m.Versions {
		highest = max(highest, number)
	}
	return highest + 1
}

// errTaken says that somebody else took the number of a version.
var errTaken = errors.New("the number is taken")

// maxNumbers bounds how often another number is tried.
const maxNumbers = 16

// add writes the version. Where the number was left to us and somebody takes it first, it
// gets the next one.
func (a *Admin) add(ctx context.Context, name string, v catalog.Version, anyNumber bool, report verify.Report, ask Ask) (*Registered, error) {
	for range maxNumbers {
		written, err := a.commit(ctx, name, ask, catalog.Change{
			Action: catalog.ActionRegister, Reason: ask.Reason, Version: v.Version,
			Apply: func(m *catalog.Model) error {
				if taken, ok := m.Versions[v.Version]; ok && anyNumber && !maps.Equal(taken.Files, v.Files) {
					return errTaken
				}
				return m.Register(v, ask.Accept)
			},
		})
		switch {
		case err == nil:
			got := written.Versions[v.Version]
			// Somebody else can have registered the very same in between.
			isNew := got.RegisteredAt.Equal(v.RegisteredAt)
			return &Registered{Model: name, Version: got, Report: &report, New: isNew, Revision: written.Revision}, nil
		case !errors.Is(err, errTaken):
			return nil, err
		case hasManifest(v):
			// model.yaml says the number, and was checked with it.
			return nil, scoring.Errorf(scoring.Conflict, "version %d of model %q was registered by somebody else in between: give model.yaml the next number", v.Version, name)
		}
		m, err := a.existing(ctx, name)
		if err != nil {
			return nil, err
		}
		v.Version = next(m)
	}
	return nil, scoring.Errorf(scoring.Conflict, "every number that was tried was taken by somebody else: try again")
}

// complete adds what the check found out. What was asked for goes before what model.yaml says.
func complete(v *catalog.Version, report verify.Report) {
	v.Digest, v.Pipeline = report.Digest, report.Pipeline
	v.Inputs, v.Outputs = report.Inputs, report.Outputs
	v.MemoryBytes, v.Golden = report.MemoryBytes, report.Golden.Cases
	v.Framework = cmp.Or(v.Framework, report.Framework, report.Provenance.Framework)
	v.Description = cmp.Or(v.Description, report.Description)
	v.Licence = cmp.Or(v.Licence, report.Licence)
	v.Source.Origin = cmp.Or(v.Source.Origin, report.Provenance.Source)
	v.Source.Script = cmp.Or(v.Source.Script, report.Provenance.Script)
	v.Source.Created = cmp.Or(v.Source.Created, report.Provenance.Created)
	if len(v.Metrics) == 0 {
		v.Metrics = report.Metrics
	}
}
