package artifact

import (
	"fmt"
	"slices"
	"time"
)

// Batching says what is run at once: requests of several callers share a run.
type Batching struct {
	// MaxRows is the most rows of one run; 0 sets no bound, and 1 keeps requests apart.
	MaxRows int `yaml:"max_rows"`
	// Delay is how long a batch that is not full waits for more rows, also where the
	// model is idle; 0 leaves it to the server.
	Delay time.Duration `yaml:"delay"`
	// Pad lists the axes that requests may differ in and still run together.
	Pad []Pad `yaml:"pad"`
}

// Pad is an axis of an input that is padded, so that rows of different lengths can run
// together. The model must not care: its answer for a row may not depend on the padding,
// which is true of models that take a mask.
type Pad struct {
	// Input that is padded.
	Input string `yaml:"input"`
	// Axis of the input, from 1: axis 0 is the rows.
	Axis int `yaml:"axis"`
	// Value of the padding; BYTES are always padded with empty strings.
	Value float64 `yaml:"value"`
	// Buckets are lengths in rising order: rows are padded to the next one. Beyond the
	// last one, and without buckets, it is the next power of two.
	Buckets []int `yaml:"buckets"`
	// Outputs whose axis is as long as that of the input, and is cut back to the input's
	// own length.
	Outputs []PadOutput `yaml:"outputs"`
}

// PadOutput is an axis of an output that is cut back.
type PadOutput struct {
	// Output that is cut.
	Output string `yaml:"output"`
	// Axis of the output, from 1.
	Axis int `yaml:"axis"`
}

// Cache says which answers are given again.
type Cache struct {
	// TTL is how long an answer is kept and given again for the same request; 0 keeps none.
	TTL time.Duration `yaml:"ttl"`
}

// maxDelay bounds how long a batch may wait: callers wait with it.
const maxDelay = time.Minute

// validate checks what can be checked without the model.
func (b Batching) validate(fail func(format string, args ...any)) {
	if b.MaxRows < 0 {
		fail("batching.max_rows: %d: want at least 0", b.MaxRows)
	}
	if b.Delay < 0 || b.Delay > maxDelay {
		fail("batching.delay: %s: want a time such as 2ms, 0 to %s", b.Delay, maxDelay)
	}
	type axis struct {
		tensor string
		axis   int
	}
	inputs, outputs := map[axis]bool{}, map[axis]bool{}
	for i, p := range b.Pad {
		key := fmt.Sprintf("batching.pad[%d].", i)
		p.validate(func(format string, args ...any) { fail(key+format, args...) })
		if at := (axis{p.Input, p.Axis}); inputs[at] {
			fail(key+"axis: %d: this axis of %q is there twice", p.Axis, p.Input)
		} else {
			inputs[at] = true
		}
		for j, out := range p.Outputs {
			if at := (axis{out.Output, out.Axis}); outputs[at] {
				fail(key+"outputs[%d].axis: %d: this axis of %q is there twice", j, out.Axis, out.Output)
			} else {
				outputs[at] = true
			}
		}
	}
}

func (p Pad) validate(fail func(format string, args ...any)) {
	if p.Input == "" {
		fail("input: is missing: give the name of an input")
	}
	if p.Axis < 1 {
		fail("axis: %d: want 1 or more: axis 0 is the rows", p.Axis)
	}
	for i, length := range p.Buckets {
		if length < 1 || i > 0 && length <= p.Buckets[i-1] {
			fail("buckets: %v: want lengths of 1 or more, in rising order", slices.Clone(p.Buckets))
			break
		}
	}
	for i, out := range p.Outputs {
		if out.Output == "" {
			fail("outputs[%d].output: is missing: give the name of an output", i)
		}
		if out.Axis < 1 {
			fail("outputs[%d].axis: %d: want 1 or more: axis 0 is the rows", i, out.Axis)
		}
	}
}
