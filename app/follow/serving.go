package follow

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/registry"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/statistics"
)

// Serving is the runtime of a replica that serves.
type Serving struct {
	// Registry holds the versions.
	*registry.Registry
	// Keeper loads them.
	*registry.Keeper
}

// Has implements [Runtime].
func (s Serving) Has(name string, version int64) bool {
	status, err := s.Status(scoring.ModelRef{Name: name, Version: version})
	if err != nil || status.Retired {
		return false
	}
	return status.State == registry.Available || status.State == registry.Cold && s.Budget() > 0 && s.canWake(name, version)
}

// freshProof is how old a proof may be of a version that nobody was sent to yet: its files may
// be gone since.
const freshProof = time.Minute

// canWake says whether a version that is not in memory can be brought there when somebody
// asks for it.
func (s Serving) canWake(name string, version int64) bool {
	proven := s.Proven(name, version)
	if proven.IsZero() {
		return false
	}
	route, ok := s.Route(name)
	return ok && deals(route, version) || time.Since(proven) < freshProof
}

// deals says whether requests that name neither version nor label are sent to a version. One
// that only a label names may be out of reach for long, with nobody who asked for it.
func deals(route catalog.Route, version int64) bool {
	return route.Labels[scoring.LabelLive] == version ||
		slices.ContainsFunc(route.Shares, func(s catalog.Share) bool { return s.Version == version })
}

// Ensure implements [Runtime]: with a budget of memory a version need not be loaded, but
// proven to be one that can be.
func (s Serving) Ensure(ctx context.Context, name string, version int64) error {
	if s.Budget() > 0 {
		if m, err := s.Model(name); err == nil && !m.Pinned {
			return s.Prove(ctx, name, version, nil)
		}
	}
	return s.Bring(ctx, name, version, nil)
}

// Recorder implements [Runtime].
func (s Serving) Recorder(name string, version int64) *statistics.Recorder {
	status, err := s.Status(scoring.ModelRef{Name: name, Version: version})
	if err != nil || status.Version == nil {
		return nil
	}
	return status.Version.Statistics
}

// Unregistered implements [Runtime].
func (s Serving) Unregistered() map[string][]catalog.Version {
	all := map[string][]catalog.Version{}
	for _, m := range s.Models() {
		for _, v := range m.Versions {
			known := cmp.Or(v.Version, v.Past)
			if known != nil && v.Registered == nil && v.Ref.Dir != "" {
				all[m.Name] = append(all[m.Name], Describe(known))
			}
		}
	}
	return all
}

// Describe says what a loaded version of the models folder is.
func Describe(v *registry.Version) catalog.Version {
	signature, provenance := v.Session.Signature(), v.Manifest.Provenance
	return catalog.Version{
		Version:      v.ID.Version,
		Digest:       v.ID.Digest,
		Location:     catalog.InModelsFolder,
		SizeBytes:    v.Size,
		MemoryBytes:  v.Memory,
		Inputs:       tensors(signature.Inputs),
		Outputs:      tensors(signature.Outputs),
		Pipeline:     v.PipelineKind(),
		Framework:    provenance.Framework,
		Description:  v.Manifest.Description,
		Licence:      v.Manifest.Licence,
		Source:       catalog.Source{Origin: provenance.Source, Script: provenance.Script, Created: provenance.Created},
		Metrics:      v.Manifest.Metrics,
		RegisteredBy: actor,
		RegisteredAt: time.Now().UTC().Truncate(time.Second),
	}
}

func tensors(specs []scoring.TensorSpec) []catalog.Tensor {
	all := make([]catalog.Tensor, 0, len(specs))
	for _, s := range specs {
		all = append(all, catalog.Tensor{Name: s.Name, Datatype: s.Datatype.String(), Shape: append([]int64{}, s.Shape...)})
	}
	return all
}
