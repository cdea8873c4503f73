package onnx

// #include "capi.h"
import "C"

import (
	"unsafe"

	"github.com/onda-serving/onda/app/scoring"
)

// nothing stands for the elements of a tensor without any: the library wants an address.
var nothing = make([]byte, 8)

// sizes are the sizes of elements in bytes, in a form that is quick to look up.
var sizes = func() (all [scoring.Bytes + 1]int) {
	for d := range all {
		all[d] = scoring.Datatype(d).Size()
	}
	return all
}()

// feed hands over the caller's tensors, which were checked. Numbers stay where they are:
// the library reads t.Data, pinned until [call.unpin]. Strings are copied.
func (k *call) feed(inputs []scoring.Tensor) error {
	for i, from := range k.order {
		t, c := &inputs[from], &k.in[i]
		if err := setDims(c, t.Shape); err != nil {
			return scoring.Errorf(scoring.Internal, "input %q could not be handed to the model", clip(t.Name)).WithCause(err)
		}
		if t.Datatype == scoring.Bytes {
			k.feedText(c, t.Strings)
			continue
		}
		k.setData(c, aligned(t.Data))
	}
	return nil
}

// unpin lets the memory of inputs and outputs go.
func (k *call) unpin() { k.pins.Unpin() }

// feedText joins the strings, so that one call to C takes them all.
func (k *call) feedText(c *C.onda_tensor, all [][]byte) {
	var size int
	for _, s := range all {
		size += len(s)
	}
	text, ends := make([]byte, 0, size), make([]C.size_t, len(all)+1)
	for i, s := range all {
		text = append(text, s...)
		ends[i] = C.size_t(len(text))
	}
	k.setData(c, text)
	k.pins.Pin(&ends[0])
	c.ends, c.count, c.stale = C.uintptr_t(uintptr(unsafe.Pointer(&ends[0]))), C.size_t(len(all)), 1
}

// line is what tensors begin at a multiple of, in bytes: a cache line, and the widest
// vector there is.
const line = 64

// aligned gives data itself if it starts at a multiple of [line], and a copy otherwise. The
// library's kernels take the elements before the first whole vector apart, so the last bits
// of a sum depend on where a tensor begins, and the same request must give the same bits by
// every door. Bodies sliced into tensors are where it happens.
func aligned(data []byte) []byte {
	start := func(b []byte) int { return int(uintptr(unsafe.Pointer(unsafe.SliceData(b))) % line) }
	if start(data) == 0 {
		return data
	}
	room := make([]byte, len(data)+line)
	room = room[(line-start(room))%line:][:len(data)]
	copy(room, data)
	return room
}
