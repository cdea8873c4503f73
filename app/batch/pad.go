package batch

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/bits"
	"slices"

	"github.com/onda-serving/onda/app/scoring"
)

// padOf finds the padding of an input's axis; nil where there is none.
func (b *Batcher) padOf(input string, axis int) *Pad {
	for i := range b.config.Pad {
		if p := &b.config.Pad[i]; p.Input == input && p.Axis == axis {
			return p
		}
	}
	return nil
}

// bucket is the length that jobs of length n are grouped by: the next one that is listed,
// or else the next power of two.
func (p *Pad) bucket(n int64) int64 {
	for _, edge := range p.Buckets {
		if n <= int64(edge) {
			return int64(edge)
		}
	}
	if n <= 1 {
		return n
	}
	return 1 << bits.Len64(uint64(n-1))
}

// joined are the inputs of several jobs in one piece.
type joined struct {
	inputs []scoring.Tensor
	// padded of elements are padding.
	padded, elements int64
}

// join copies the inputs of a run's jobs one after the other. An axis that may be padded
// gets the length of the longest job, not that of the bucket: less to compute.
func (b *Batcher) join(r *run) joined {
	// Even if something is wrong here: a caller that leaves must not wait for ever.
	defer close(r.copied)
	b.measure(r)
	out := joined{inputs: make([]scoring.Tensor, len(r.jobs[0].inputs))}
	for i := range out.inputs {
		t := &out.inputs[i]
		*t = r.jobs[0].inputs[i]
		t.Shape = slices.Clone(t.Shape)
		t.Shape[0] = r.rows
		for _, j := range r.jobs {
			for axis := 1; axis < len(t.Shape); axis++ {
				t.Shape[axis] = max(t.Shape[axis], j.inputs[i].Shape[axis])
			}
		}
		total, _ := scoring.Elements(t.Shape) // no longer than the jobs' own, padded within a bucket
		filled := b.fill(t, total, r.jobs, i)
		out.elements += total
		out.padded += total - filled
	}
	return out
}

// fill allocates t and copies input i of jobs into it. It returns the elements copied.
func (b *Batcher) fill(t *scoring.Tensor, total int64, jobs []*job, i int) (copied int64) {
	size := t.Datatype.Size()
	if t.Datatype == scoring.Bytes {
		t.Strings = make([][]byte, total)
	} else {
		t.Data = b.buffer(int(total) * size)
	}
	own := int64(0)
	for _, j := range jobs {
		n, _ := scoring.Elements(j.inputs[i].Shape)
		own += n
	}
	if own < total {
		b.background(t)
	}
	row := int64(0)
	for _, j := range jobs {
		from := &j.inputs[i]
		c := copier{size: size, to: t, from: from}
		c.copy(0, row, 0, from.Shape[0])
		row += from.Shape[0]
	}
	// The elements of strings, too, are the caller's until here.
	for i, s := range t.Strings {
		t.Strings[i] = bytes.Clone(s)
	}
	return own
}

// background fills a tensor with the padding of its input.
func (b *Batcher) background(t *scoring.Tensor) {
	if t.Datatype == scoring.Bytes {
		for i := range t.Strings {
			t.Strings[i] = []byte{}
		}
		return
	}
	value := 0.0
	for i := range b.config.Pad {
		if b.config.Pad[i].Input == t.Name {
			value = b.config.Pad[i].Value
		}
	}
	if value == 0 {
		clear(t.Data)
		return
	}
	element := encode(t.Datatype, value)
	for at := 0; at < len(t.Data); at += len(element) {
		copy(t.Data[at:], element)
	}
}

// encode writes a number as an element, little-endian. Numbers that the datatype does not
// hold are cut to the nearest that it does.
func encode(d scoring.Datatype, value float64) []byte {
	var word [8]byte
	le := binary.LittleEndian
	switch d {
	case scoring.FP64:
		le.PutUint64(word[:], math.Float64bits(value))
	case scoring.FP32:
		le.PutUint32(word[:], math.Float32bits(float32(value)))
	case scoring.BF16:
		le.PutUint16(word[:], uint16(math.Float32bits(float32(value))>>16))
	case scoring.FP16:
		le.PutUint16(word[:], scoring.ToFloat16(float32(value)))
	case scoring.Uint64:
		le.PutUint64(word[:], uint64(max(value, 0)))
	default:
		le.PutUint64(word[:], uint64(int64(value)))
	}
	return word[:d.Size()]
}

// copier copies a tensor into the upper corner of a larger one.
type copier struct {
	size     int // of an element; 0 for strings
	to, from *scoring.Tensor
}

// copy copies n steps of axis, from offset from on to offset to on, both counted in steps
// of that axis.
func (c copier) copy(axis int, to, from, n int64) {
	if c.sameBelow(axis) {
		step := int64(1)
		for _, d := range c.from.Shape[axis+1:] {
			step *= d
		}
		c.move(to*step, from*step, n*step)
		return
	}
	wide, narrow := c.to.Shape[axis+1], c.from.Shape[axis+1]
	for i := range n {
		c.copy(axis+1, (to+i)*wide, (from+i)*narrow, min(wide, narrow))
	}
}

// sameBelow says whether the axes below axis are equally long in both.
func (c copier) sameBelow(axis int) bool {
	return slices.Equal(c.to.Shape[axis+1:], c.from.Shape[axis+1:])
}

// move copies n elements.
func (c copier) move(to, from, n int64) {
	if c.size == 0 {
		copy(c.to.Strings[to:to+n], c.from.Strings[from:from+n])
		return
	}
	s := int64(c.size)
	copy(c.to.Data[to*s:(to+n)*s], c.from.Data[from*s:(from+n)*s])
}

// unpad cuts an output's padded axes back to the lengths that the job's own inputs have.
func (b *Batcher) unpad(r *run, j *job, t scoring.Tensor) scoring.Tensor {
	shape := slices.Clone(t.Shape)
	for i := range b.config.Pad {
		p := &b.config.Pad[i]
		for _, o := range p.Outputs {
			if o.Output != t.Name || o.Axis >= len(shape) {
				continue
			}
			// An output of another length is not as long as the input after all: whole.
			if shape[o.Axis] == r.longest[i] {
				shape[o.Axis] = j.own[i]
			}
		}
	}
	if slices.Equal(shape, t.Shape) {
		return t
	}
	small := scoring.Tensor{Name: t.Name, Datatype: t.Datatype, Shape: shape}
	n, _ := scoring.Elements(shape)
	size := t.Datatype.Size()
	if t.Datatype == scoring.Bytes {
		small.Strings = make([][]byte, n)
	} else {
		small.Data = make([]byte, n*int64(size))
	}
	copier{size: size, to: &small, from: &t}.copy(0, 0, 0, shape[0])
	return small
}

// measure notes the lengths of the padded axes, while the jobs' memory is there.
func (b *Batcher) measure(r *run) {
	r.longest = make([]int64, len(b.config.Pad))
	for _, j := range r.jobs {
		j.own = make([]int64, len(b.config.Pad))
		for i := range b.config.Pad {
			p := &b.config.Pad[i]
			j.own[i] = j.inputs[b.inputs[p.Input]].Shape[p.Axis]
			r.longest[i] = max(r.longest[i], j.own[i])
		}
	}
}

// buffer lends n bytes for a batch.
func (b *Batcher) buffer(n int) []byte {
	if b.parts.Buffers == nil {
		return make([]byte, n)
	}
	return b.parts.Buffers.Get(n)
}

// recycle gives the memory of a batch back, once its run is over.
func (b *Batcher) recycle(in joined) {
	if b.parts.Buffers == nil {
		return
	}
	for i := range in.inputs {
		if in.inputs[i].Data != nil {
			b.parts.Buffers.Put(in.inputs[i].Data)
		}
	}
}
