package onnx

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/onda-serving/onda/app/scoring"
)

// Without further words, the library allocates a run's outputs, and they are copied from
// there. It can also write them where it is told, which saves a quarter of the time of a
// small model and the copies of a large one, but their shapes must be known before.
// They are, where inputs of the same shapes were scored before, unless they depend on the
// values: then the library refuses, the run is done again without, and never tried again.

// plan says what shapes the outputs have for inputs of some shapes. It never changes.
type plan struct {
	in  []int64   // rank and dimensions of each input
	out [][]int64 // dimensions of each output
	// sizes of the outputs in bytes, and where those that are too small for a buffer of
	// their own begin in the call's room: -1 for the others.
	sizes, small []int
	// rank is the sum of the outputs' ranks, total the room of the small ones.
	rank, total int
}

// The states of a session's plans.
const (
	unproven int32 = iota
	proving
	proven
	refuted
)

// plans are those of a session. A new one may take the place of another.
type plans struct {
	state atomic.Int32
	slots [64]atomic.Pointer[plan]
}

// slowRun is from when on a run is not done twice for a proof, if somebody waits for it. What
// could be saved then is little beside the run.
const slowRun = 20 * time.Millisecond

// slot gives the place for inputs of these shapes.
func (p *plans) slot(k *call) *atomic.Pointer[plan] {
	var h uint64
	for i := range k.in {
		h = (h ^ uint64(k.in[i].rank)) * 0x9e3779b97f4a7c15
		for _, d := range dims(&k.in[i]) {
			h = (h ^ uint64(d)) * 0x9e3779b97f4a7c15
		}
	}
	return &p.slots[h>>58]
}

// find gives the plan for what was fed, or nil.
func (p *plans) find(k *call) *plan {
	if p.state.Load() != proven {
		return nil
	}
	if found := p.slot(k).Load(); found != nil && found.fits(k) {
		return found
	}
	return nil
}

// fits says whether p is for inputs of the shapes that were fed.
func (p *plan) fits(k *call) bool {
	in := p.in
	for i := range k.in {
		rank := int(k.in[i].rank)
		if len(in) <= rank || in[0] != int64(rank) || !slices.Equal(in[1:1+rank], dims(&k.in[i])) {
			return false
		}
		in = in[1+rank:]
	}
	return true
}

// newPlan makes a plan of what a run gave, or nil where the library cannot be told where
// to write.
func newPlan(k *call, outputs []scoring.Tensor) *plan {
	p := &plan{}
	for i := range k.in {
		p.in = append(append(p.in, int64(k.in[i].rank)), dims(&k.in[i])...)
	}
	for _, t := range outputs {
		if t.Datatype == scoring.Bytes || len(t.Data) == 0 {
			return nil
		}
		p.out = append(p.out, slices.Clone(t.Shape))
		p.sizes = append(p.sizes, len(t.Data))
		p.rank += len(t.Shape)
		at := -1
		if len(t.Data) < leastBuffer {
			at = p.total
			// As the library's own outputs do: the last bits depend on where a tensor begins.
			p.total += (len(t.Data) + line - 1) &^ (line - 1)
		}
		p.small = append(p.small, at)
	}
	return p
}

// learn remembers what shapes a run gave that took so long. The first time, it runs the
// model once more, with the outputs bound, and compares: a model whose results differ
// from run to run, or do not arrive where the library was told, is never bound.
func (s *Session) learn(ctx context.Context, k *call, outputs []scoring.Tensor, took time.Duration) {
	p := newPlan(k, outputs)
	switch state := s.plans.state.Load(); {
	case p == nil || state == refuted || state == proving:
		return
	case state == unproven:
		if took > slowRun && s.settled.Load() || !s.plans.state.CompareAndSwap(unproven, proving) {
			return
		}
		same := s.prove(k, p, outputs)
		switch {
		case same:
			s.plans.state.Store(proven)
		case ctx.Err() != nil:
			s.plans.state.Store(unproven)
			return
		default:
			s.plans.state.Store(refuted)
			return
		}
	}
	s.plans.slot(k).Store(p)
}

// prove says whether a bound run gives the same outputs.
func (s *Session) prove(k *call, p *plan, want []scoring.Tensor) bool {
	got := make([]scoring.Tensor, len(want))
	if s.place(k, p, got) != nil {
		return false
	}
	for i := range got {
		into := got[i].Data
		if into == nil {
			into = k.room[p.small[i]:][:p.sizes[i]]
		}
		for j := range into {
			// Whatever is not written differs.
			into[j] = ^want[i].Data[j]
		}
	}
	if k.run(true) != nil {
		return false
	}
	s.pickUp(k, p, got)
	same := slices.EqualFunc(got, want, func(a, b scoring.Tensor) bool { return slices.Equal(a.Data, b.Data) })
	s.Release(got)
	return same
}

// place tells the library where to write the outputs: large ones to memory that becomes
// the caller's, small ones to the call's own, from where they are cheaper to copy than
// to tell the library of another place.
func (s *Session) place(k *call, p *plan, all []scoring.Tensor) error {
	k.grow(p.total)
	for i := range all {
		var data []byte
		if at := p.small[i]; at >= 0 {
			data = k.room[at:][:p.sizes[i]]
		} else {
			data = s.env.buffers.get(p.sizes[i])
			k.pins.Pin(&data[0])
			all[i].Data = data
		}
		if err := k.bind(&k.out[i], s.outputTypes[i], p.out[i], data); err != nil {
			return err
		}
	}
	return nil
}

// pickUp completes what place began, after the run.
func (s *Session) pickUp(k *call, p *plan, all []scoring.Tensor) {
	shapes := make([]int64, p.rank)
	slab := make([]byte, p.total)
	copy(slab, k.room)
	for i := range all {
		t, spec, rank := &all[i], &s.info.Signature.Outputs[i], len(p.out[i])
		t.Name, t.Datatype = spec.Name, spec.Datatype
		t.Shape, shapes = shapes[:rank:rank], shapes[rank:]
		copy(t.Shape, p.out[i])
		if at := p.small[i]; at >= 0 {
			end := at + p.sizes[i]
			t.Data = slab[at:end:end]
		}
	}
}
