package pipeline

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strings"
)

// DefaultTopK is the number of classes or matches of a prediction when neither the
// request nor the manifest says otherwise.
const DefaultTopK = 5

// maxSize bounds the width and height that a manifest can ask for. The largest models for
// pictures take some 1000 pixels; a typing mistake should not cost gigabytes.
const maxSize = 4096

// Spec is the pipeline part of a model's manifest. Exactly one of its fields is set.
type Spec struct {
	// Image describes a model that takes pictures and gives classes.
	Image *ImageSpec `yaml:"image"`
	// Text describes a model that takes texts and gives matches from a table.
	Text *TextSpec `yaml:"text"`
}

// ImageSpec says how pictures become a tensor and scores become classes. What decides the
// numbers a model sees has no default: a wrong guess would not fail, it would answer
// wrongly.
type ImageSpec struct {
	// Input is the name of the model's input.
	Input string `yaml:"input"`
	// Output is the name of the output that holds a score for each class.
	Output string `yaml:"output"`
	// Size is the width and height the model takes, in pixels.
	Size int `yaml:"size"`
	// Crop is the share of the shorter side that the centre square keeps: 0 < crop <= 1.
	Crop float64 `yaml:"crop"`
	// Resize is the filter, antialiased when it shrinks: "bilinear" or "bicubic" (a = -0.5).
	Resize string `yaml:"resize"`
	// Colour is the order of the channels: "rgb" or "bgr".
	Colour string `yaml:"colour"`
	// Layout is the order of the axes: "nchw" or "nhwc".
	Layout string `yaml:"layout"`
	// Mean is subtracted from the values 0 to 255 of each channel, in the order of Colour.
	Mean [3]float64 `yaml:"mean"`
	// Scale multiplies what is left, in the order of Colour.
	Scale [3]float64 `yaml:"scale"`
	// Activation is applied to the output: "softmax", or "none" (also if empty).
	Activation string `yaml:"activation"`
	// Labels is the file with the names of the classes, in the order of the output: one a
	// line, or a JSON array, or a JSON object with the keys "0", "1" and so on.
	Labels string `yaml:"labels"`
	// TopK is the number of classes of a prediction; [DefaultTopK] if 0.
	TopK int `yaml:"top_k"`
}

// TextSpec says how texts become a tensor and scores become matches.
type TextSpec struct {
	// Input is the name of the model's input, a tensor of strings.
	Input string `yaml:"input"`
	// Output is the name of the output that holds a score for each entry of the table.
	Output string `yaml:"output"`
	// Normalise lists what is done to a text, in this order: "nfkc", "lower", "whitespace".
	Normalise []string `yaml:"normalise"`
	// Table is the JSON file of the entries, in the order of the output:
	// [{"id": "...", "question": "...", "answer": "..."}].
	Table string `yaml:"table"`
	// TopK is the number of matches of a prediction; [DefaultTopK] if 0.
	TopK int `yaml:"top_k"`
}

// Validate checks everything that can be checked without the model. The error lists all
// problems, one a line; each begins with the key in the manifest and says what would be
// right.
func (s Spec) Validate() error {
	switch {
	case s.Image != nil && s.Text != nil:
		return errors.New("pipeline: has both image and text: keep one of them")
	case s.Image != nil:
		return s.Image.validate()
	case s.Text != nil:
		return s.Text.validate()
	default:
		return errors.New("pipeline: is empty: say image or text")
	}
}

func (s *ImageSpec) validate() error {
	c := checks{prefix: "pipeline.image."}
	c.notEmpty("input", s.Input, "the name of the model's input")
	c.notEmpty("output", s.Output, "the name of the model's output")
	if s.Size < 1 || s.Size > maxSize {
		c.add("size", "is %d: give the width and height in pixels, 1 to %d", s.Size, maxSize)
	}
	if !(s.Crop > 0 && s.Crop <= 1) { // written so that NaN fails too
		c.add("crop", "is %v: give the share of the shorter side to keep, above 0 and at most 1", s.Crop)
	}
	c.oneOf("resize", s.Resize, "bilinear", "bicubic")
	c.oneOf("colour", s.Colour, "rgb", "bgr")
	c.oneOf("layout", s.Layout, "nchw", "nhwc")
	for i := range s.Mean {
		if !finite(s.Mean[i]) {
			c.add(fmt.Sprintf("mean[%d]", i), "is %v: give a finite number", s.Mean[i])
		}
		if !finite(s.Scale[i]) || s.Scale[i] == 0 {
			c.add(fmt.Sprintf("scale[%d]", i), "is %v: give a finite number other than 0, such as 1", s.Scale[i])
		}
	}
	if s.Activation != "" {
		c.oneOf("activation", s.Activation, "none", "softmax")
	}
	c.file("labels", s.Labels)
	c.topK(s.TopK)
	return c.err()
}

func (s *TextSpec) validate() error {
	c := checks{prefix: "pipeline.text."}
	c.notEmpty("input", s.Input, "the name of the model's input")
	c.notEmpty("output", s.Output, "the name of the model's output")
	for i, step := range s.Normalise {
		key := fmt.Sprintf("normalise[%d]", i)
		c.oneOf(key, step, "nfkc", "lower", "whitespace")
		if slices.Contains(s.Normalise[:i], step) {
			c.add(key, "repeats %q: name each step once", step)
		}
	}
	c.file("table", s.Table)
	c.topK(s.TopK)
	return c.err()
}

// checks collects the problems of a spec, so that a manifest is mended in one go.
type checks struct {
	prefix string
	errs   []error
}

func (c *checks) add(key, format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf("%s%s: "+format, append([]any{c.prefix, key}, args...)...))
}

func (c *checks) err() error { return errors.Join(c.errs...) }

func (c *checks) notEmpty(key, value, want string) {
	if value == "" {
		c.add(key, "is missing: give %s", want)
	}
}

func (c *checks) oneOf(key, value string, allowed ...string) {
	if slices.Contains(allowed, value) {
		return
	}
	want := strings.Join(allowed, ", ")
	if value == "" {
		c.add(key, "is missing: use one of %s", want)
		return
	}
	c.add(key, "is %q: use one of %s", value, want)
}

// file allows only a path inside the version's folder.
func (c *checks) file(key, name string) {
	if name == "" || name == "." || !fs.ValidPath(name) {
		c.add(key, "is %q: give the name of a file in the folder of the version", name)
	}
}

func (c *checks) topK(k int) {
	if k < 0 {
		c.add("top_k", "is %d: give 1 or more, or leave it out for %d", k, DefaultTopK)
	}
}

func finite(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }
