package catalog

import (
	"cmp"
	"encoding/hex"
	"io/fs"
	"math"
	"slices"
	"strings"

	"github.com/onda-serving/onda/app/scoring"
)

// maxVersionBytes bounds what one version takes in a document. Its largest part is the list
// of files, of which this holds about 500.
const maxVersionBytes = 64 << 10

// check fails for what cannot be registered as a version.
func (v *Version) check() error {
	switch {
	case v.Version < 1:
		return scoring.Errorf(scoring.Invalid, "version %d: want a positive whole number", v.Version)
	case v.Digest == "" || v.Location == "":
		return v.invalid("it needs the digest of its files and their location")
	case v.SizeBytes < 0 || v.MemoryBytes < 0 || v.Golden < 0:
		return v.invalid("sizes and counts cannot be negative")
	}
	if kind := cmp.Or(v.Pipeline, "none"); !slices.Contains([]string{"image", "text", "none"}, kind) {
		return v.invalid("pipeline %q: want \"image\", \"text\" or \"none\"", clip(kind, 64))
	}
	for name, value := range v.Metrics {
		if math.IsNaN(value) || math.IsInf(value, 0) {
			return v.invalid("metric %q is %v: want a number", clip(name, 64), value)
		}
	}
	if err := v.checkFiles(); err != nil {
		return err
	}
	if err := v.checkTensors("input", v.Inputs); err != nil {
		return err
	}
	if err := v.checkTensors("output", v.Outputs); err != nil {
		return err
	}
	return v.checkSize()
}

// checkFiles looks at names and sums because they become paths on every replica.
func (v *Version) checkFiles() error {
	if len(v.Files) == 0 && v.Location != InModelsFolder {
		return v.invalid("it lists no files: name each with its SHA-256 and size")
	}
	for name, f := range v.Files {
		if !fs.ValidPath(name) || name == "." || strings.ContainsAny(name, "\\:\x00") {
			return v.invalid("file %q: want a path below the version's folder, such as \"model.onnx\"", clip(name, 64))
		}
		if sum, err := hex.DecodeString(f.SHA256); err != nil || len(sum) != 32 || strings.ToLower(f.SHA256) != f.SHA256 {
			return v.invalid("file %q: SHA-256 %q: want 64 lower-case hexadecimal digits", clip(name, 64), clip(f.SHA256, 80))
		}
		if f.Size < 0 {
			return v.invalid("file %q has %d bytes", clip(name, 64), f.Size)
		}
	}
	return nil
}

func (v *Version) checkTensors(kind string, all []Tensor) error {
	names := map[string]bool{}
	for _, t := range all {
		switch {
		case t.Name == "" || t.Datatype == "":
			return v.invalid("an %s has no name or no datatype", kind)
		case names[t.Name]:
			return v.invalid("two %ss have the name %q", kind, clip(t.Name, 64))
		case slices.ContainsFunc(t.Shape, func(n int64) bool { return n < -1 }):
			return v.invalid("%s %q has the shape %v: want numbers from 0, or -1 for a dimension that may vary", kind, clip(t.Name, 64), t.Shape)
		}
		names[t.Name] = true
	}
	return nil
}

func (v *Version) checkSize() error {
	encoded, err := encode(v)
	if err != nil {
		return err
	}
	if len(encoded) > maxVersionBytes {
		return v.invalid("what is said about it takes %d bytes, at most %d fit: use fewer files, or shorter texts", len(encoded), maxVersionBytes)
	}
	return nil
}

func (v *Version) invalid(format string, args ...any) error {
	return scoring.Errorf(scoring.Invalid, "version %d: "+format, append([]any{v.Version}, args...)...)
}

// normalised gives v as documents hold it: lists that are never null, and times in UTC.
func (v Version) normalised() Version {
	v.Inputs, v.Outputs = ownTensors(v.Inputs), ownTensors(v.Outputs)
	v.Pipeline = cmp.Or(v.Pipeline, "none")
	v.RegisteredBy = clip(v.RegisteredBy, maxActor)
	v.RegisteredAt = stamp(v.RegisteredAt)
	return v
}

func ownTensors(all []Tensor) []Tensor {
	own := make([]Tensor, 0, len(all))
	for _, t := range all {
		t.Shape = append([]int64{}, t.Shape...)
		own = append(own, t)
	}
	return own
}
