package catalog_test

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/scoring"
)

// stored is a version whose files are in the artifact store.
func stored(n int64, files ...string) catalog.Version {
	v := version(n)
	v.Location, v.Files = catalog.InStore, map[string]catalog.File{}
	for _, name := range files {
		v.Files[name] = catalog.File{SHA256: strings.Repeat("ab", 32), Size: 7}
	}
	return v
}

func TestRegister(t *testing.T) {
	t.Parallel()
	m := catalog.New("faq")
	v := stored(3, "model.onnx", "sub/labels.txt")
	v.Pipeline, v.Inputs[0].Shape = "", nil
	v.RegisteredAt = time.Date(2026, 9, 1, 14, 0, 0, 123_456_789, time.FixedZone("CEST", 2*3600))
	must(t, m.Register(v, nil))
	got := m.Versions[3]
	if got.Pipeline != "none" || got.Inputs[0].Shape == nil || got.Digest != v.Digest || len(got.Files) != 2 {
		t.Errorf("got %+v", got)
	}
	if want := noon.Add(123 * time.Millisecond); !got.RegisteredAt.Equal(want) || got.RegisteredAt.Location() != time.UTC {
		t.Errorf("registered at %v, want %v", got.RegisteredAt, want)
	}
	if m.Managed() || len(m.Labels) != 0 {
		t.Errorf("registering a version gave it the labels %v", m.Labels)
	}
}

func TestRegisterAgain(t *testing.T) {
	t.Parallel()
	m := catalog.New("faq")
	must(t, m.Register(stored(1, "model.onnx", "model.yaml"), nil))
	before := text(t, m)

	again := stored(1, "model.onnx", "model.yaml")
	again.Description, again.RegisteredAt = "another text", noon.Add(time.Hour)
	must(t, m.Register(again, nil))
	// The app brings the same version in its models folder, whose files are not listed.
	must(t, m.Register(version(1), nil))
	if after := text(t, m); after != before {
		t.Errorf("registering again changed the document:\n%s\n%s", before, after)
	}

	other := stored(1, "model.onnx", "model.yaml")
	other.Digest = "sha256:other"
	refuses(t, m, func() error { return m.Register(other, catalog.Accept{catalog.AcceptSignature}) }, scoring.Conflict,
		version(1).Digest, "sha256:other", "give this one a new number")
	other = stored(1, "model.onnx", "config.pbtxt")
	refuses(t, m, func() error { return m.Register(other, nil) }, scoring.Conflict, "other files (config.pbtxt, model.yaml)", version(1).Digest)
	other = stored(1, "a", "b", "c", "d", "model.onnx", "z")
	refuses(t, m, func() error { return m.Register(other, nil) }, scoring.Conflict, "other files (a, b, c, d, model.yaml and others)")
}

func TestRegisterRefusesWhatIsNoVersion(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*catalog.Version)
		part   string
	}{
		{"number", func(v *catalog.Version) { v.Version = 0 }, "version 0: want a positive whole number"},
		{"digest", func(v *catalog.Version) { v.Digest = "" }, "digest"},
		{"location", func(v *catalog.Version) { v.Location = "" }, "location"},
		{"size", func(v *catalog.Version) { v.SizeBytes = -1 }, "negative"},
		{"memory", func(v *catalog.Version) { v.MemoryBytes = -1 }, "negative"},
		{"golden", func(v *catalog.Version) { v.Golden = -1 }, "negative"},
		{"pipeline", func(v *catalog.Version) { v.Pipeline = "audio" }, `pipeline "audio"`},
		{"metric NaN", func(v *catalog.Version) { v.Metrics = map[string]float64{"top1": math.NaN()} }, `metric "top1" is NaN`},
		{"metric infinite", func(v *catalog.Version) { v.Metrics = map[string]float64{"top1": math.Inf(-1)} }, `metric "top1" is -Inf`},
		{"no files", func(v *catalog.Version) { v.Files = nil }, "lists no files"},
		{"file above", func(v *catalog.Version) { v.Files["../secret"] = v.Files["model.onnx"] }, `file "../secret"`},
		{"file absolute", func(v *catalog.Version) { v.Files["/etc/passwd"] = v.Files["model.onnx"] }, `file "/etc/passwd"`},
		{"file with a backslash", func(v *catalog.Version) { v.Files[`..\secret`] = v.Files["model.onnx"] }, "want a path below"},
		{"file is the folder", func(v *catalog.Version) { v.Files["."] = v.Files["model.onnx"] }, `file "."`},
		{"sum short", func(v *catalog.Version) { v.Files["a"] = catalog.File{SHA256: "abcd"} }, `file "a": SHA-256 "abcd"`},
		{"sum upper case", func(v *catalog.Version) { v.Files["a"] = catalog.File{SHA256: strings.Repeat("AB", 32)} }, "lower-case"},
		{"file size", func(v *catalog.Version) { v.Files["a"] = catalog.File{SHA256: strings.Repeat("ab", 32), Size: -1} }, `file "a" has -1 bytes`},
		{"tensor name", func(v *catalog.Version) { v.Inputs[0].Name = "" }, "an input has no name"},
		{"tensor type", func(v *catalog.Version) { v.Outputs[0].Datatype = "" }, "an output has no name or no datatype"},
		{"tensor twice", func(v *catalog.Version) { v.Outputs = append(v.Outputs, v.Outputs[0]) }, `two outputs have the name "y"`},
		{"dimension", func(v *catalog.Version) { v.Inputs[0].Shape = []int64{-2} }, `input "x" has the shape [-2]`},
		{"too long", func(v *catalog.Version) { v.Description = strings.Repeat("x", 64<<10) }, "at most 65536 fit"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m := managed(t, 1)
			v := stored(2, "model.onnx")
			test.change(&v)
			refuses(t, m, func() error { return m.Register(v, nil) }, scoring.Invalid, test.part)
		})
	}
}

func TestBreaking(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*catalog.Version)
		want   []string
	}{
		{"nothing", func(*catalog.Version) {}, nil},
		{"freer input", func(v *catalog.Version) { v.Inputs[0].Shape[1] = -1 }, nil},
		{"new output", func(v *catalog.Version) {
			v.Outputs = append(v.Outputs, catalog.Tensor{Name: "z", Datatype: "INT64"})
		}, nil},
		{"order", func(v *catalog.Version) { slices.Reverse(v.Inputs) }, nil},
		{"input gone", func(v *catalog.Version) { v.Inputs = v.Inputs[:1] }, []string{`input "mask" (INT64 [-1]) is gone`}},
		{
			"input renamed", func(v *catalog.Version) { v.Inputs[1].Name = "m" },
			[]string{`input "mask" (INT64 [-1]) is gone`, `input "m" (INT64 [-1]) is new, and callers do not send it`},
		},
		{"input type", func(v *catalog.Version) { v.Inputs[0].Datatype = "FP16" }, []string{`input "x" is FP16, it was FP32`}},
		{"input rank", func(v *catalog.Version) { v.Inputs[1].Shape = []int64{-1, 1} }, []string{`input "mask" has the shape [-1 1], it had [-1]`}},
		{"input dimension", func(v *catalog.Version) { v.Inputs[0].Shape[1] = 5 }, []string{`input "x" has the shape [-1 5], it had [-1 4]`}},
		{"input fixed", func(v *catalog.Version) { v.Inputs[0].Shape[0] = 1 }, []string{`input "x" has the shape [1 4], it had [-1 4]`}},
		{"output gone", func(v *catalog.Version) { v.Outputs = nil }, []string{`output "y" (FP32 [-1 2]) is gone`}},
		{"output freer", func(v *catalog.Version) { v.Outputs[0].Shape[1] = -1 }, []string{`output "y" has the shape [-1 -1], it had [-1 2]`}},
		{"output fixed", func(v *catalog.Version) { v.Outputs[0].Shape[0] = 8 }, []string{`output "y" has the shape [8 2], it had [-1 2]`}},
		{
			"type and shape", func(v *catalog.Version) { v.Outputs[0] = catalog.Tensor{Name: "y", Datatype: "BYTES"} },
			[]string{`output "y" is BYTES, it was FP32`, `output "y" has the shape [], it had [-1 2]`},
		},
		{"pipeline", func(v *catalog.Version) { v.Pipeline = "image" }, []string{`the pipeline is "image", it was "none"`}},
	}
	two := func(n int64) catalog.Version {
		v := version(n)
		v.Inputs = append(v.Inputs, catalog.Tensor{Name: "mask", Datatype: "INT64", Shape: []int64{-1}})
		return v
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			after := two(2)
			test.change(&after)
			if got := catalog.Breaking(two(1), after); !slices.Equal(got, test.want) {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
			m := catalog.New("faq")
			must(t, m.Register(two(1), nil))
			if len(test.want) == 0 {
				must(t, m.Register(after, nil))
				return
			}
			parts := append(slices.Clone(test.want), `accept "signature"`, "callers of version 1")
			refuses(t, m, func() error { return m.Register(after, catalog.Accept{catalog.AcceptRolledBack}) }, scoring.Conflict, parts...)
			must(t, m.Register(after, catalog.Accept{catalog.AcceptSignature}))
		})
	}
}

// TestRegisterComparesWithWhatCallersUse registers versions of two signatures: the one that
// counts is that of what answers.
func TestRegisterComparesWithWhatCallersUse(t *testing.T) {
	t.Parallel()
	accept := catalog.Accept{catalog.AcceptSignature}
	other := func(n int64) catalog.Version {
		v := version(n)
		v.Inputs[0].Datatype = "INT8"
		return v
	}
	m := catalog.New("faq")
	must(t, m.Register(version(1), nil))
	must(t, m.Register(other(2), accept))

	must(t, m.Register(other(3), nil)) // not managed: the newest counts
	refuses(t, m, func() error { return m.Register(version(4), nil) }, scoring.Conflict, "callers of version 3")
	refuses(t, m, func() error { return m.Retire(3) }, scoring.Conflict, "answers, as the newest of the models folder")
	overTheRegistry(m)
	must(t, m.Retire(3))
	must(t, m.Retire(2)) // now the newest of those that are left
	must(t, m.Register(version(4), nil))
	must(t, m.Register(other(5), accept))

	const breaks = `version 1 of "faq" breaks what callers of version 5 rely on: input "x" is FP32, it was INT8; if they know, confirm with accept "signature"`
	refuses(t, m, func() error { return m.SetLabel(scoring.LabelLive, 1, nil) }, scoring.Conflict, breaks)
	must(t, m.SetLabel(scoring.LabelLive, 1, accept)) // managed: what is live counts
	must(t, m.Register(version(6), nil))
	refuses(t, m, func() error { return m.Register(other(7), nil) }, scoring.Conflict, "callers of version 1")
	// Those that nobody confirmed when they were registered reach nobody by a label either.
	must(t, m.Register(other(7), accept))
	const broken = `breaks what callers of version 1 rely on`
	refuses(t, m, func() error { return m.SetLabel(scoring.LabelLive, 7, nil) }, scoring.Conflict, broken)
	refuses(t, m, func() error { return m.BeginRollout(7, nil, catalog.Rule{}, "", nil, noon) }, scoring.Conflict, broken)
	refuses(t, m, func() error { return m.SetTraffic(&catalog.Traffic{Weights: map[int64]int{1: 1, 7: 1}}) }, scoring.Conflict, broken)
	must(t, m.SetLabel("next", 7, nil)) // who names it, knows it
}

func TestDocumentIsBounded(t *testing.T) {
	t.Parallel()
	m := catalog.New("faq")
	small := version(1)
	small.Inputs, small.Outputs = nil, nil
	must(t, m.Register(small, nil))
	// Adding versions one by one would measure all of them each time.
	fill := maps.Clone(m.Versions)
	for n := range int64(1000) {
		v := fill[1]
		v.Version = n + 1
		fill[n+1] = v
	}
	m.Versions = fill
	small.Version = 1001
	refuses(t, m, func() error { return m.Register(small, nil) }, scoring.Conflict, "has 1000 versions", "new model name")
	small.Version = 7
	must(t, m.Register(catalog.Version{Version: 7, Digest: small.Digest, Location: small.Location}, nil)) // is there

	large := catalog.New("faq")
	v := version(1)
	v.Description = strings.Repeat("x", 60<<10)
	var err error
	for n := int64(1); err == nil && n < 100; n++ {
		v.Version, v.Digest = n, strconv.FormatInt(n, 10)
		err = large.Register(v, nil)
	}
	fails(t, err, scoring.Conflict, "fill its document", "1048576", "new model name")
	if got := len(large.Versions); got != 16 {
		t.Errorf("%d versions of 60 KiB fit into 1 MiB, want 16", got)
	}
}
