package onnx

// #include <stdlib.h>
// #include "capi.h"
import "C"

import (
	"fmt"
	"runtime"
	"unsafe"

	"github.com/onda-serving/onda/app/scoring"
)

// call is what one run needs besides its results. It is used again: a run of a small
// model takes less time than to make all this anew.
type call struct {
	lib library
	c   *C.onda_call
	// in and out are the call's tensors in C memory, in the session's order.
	in, out []C.onda_tensor
	// order gives, for each input of the model, the position in the caller's list.
	order []int
	// wanted are the outputs asked for, in the caller's order.
	wanted []int
	// room is C memory for small outputs, from the first multiple of [line] in roomMemory on.
	roomMemory unsafe.Pointer
	room       []byte
	pins       runtime.Pinner
	watch      watch
	// way is how the run shares the processor.
	way way
}

// way is how a run shares the processor with others.
type way uint8

const (
	evenly   way = iota // as everybody
	gently              // little beside others
	yielding            // next to nothing beside others
)

// newCall makes a call of a session; free frees it.
func (s *Session) newCall() (*call, error) {
	inputs, outputs := len(s.info.Signature.Inputs), len(s.info.Signature.Outputs)
	k := &call{lib: s.env.lib, order: make([]int, inputs), wanted: make([]int, 0, outputs)}
	status := C.onda_new(k.lib.api, s.raw, k.lib.memory, s.names, C.size_t(inputs), C.size_t(outputs), &k.c) //nolint:gocritic // it sees what cgo makes of the line
	if err := k.lib.check(status); err != nil {
		C.onda_free(k.c)
		return nil, fmt.Errorf("make a run: %w", err)
	}
	all := unsafe.Slice(k.c.tensors, inputs+outputs)
	k.in, k.out = all[:inputs], all[inputs:]
	for i := range k.in {
		k.in[i]._type = C.int32_t(elementTypes[s.info.Signature.Inputs[i].Datatype])
	}
	k.watch.stop = func() { C.onda_stop(k.c) }
	return k, nil
}

func (k *call) free() {
	C.free(k.roomMemory)
	C.onda_free(k.c)
}

// grow sees to it that the room has so many bytes.
func (k *call) grow(size int) {
	if size <= len(k.room) {
		return
	}
	C.free(k.roomMemory)
	k.roomMemory = C.malloc(C.size_t(size + line))
	raw := unsafe.Slice((*byte)(k.roomMemory), size+line)
	k.room = raw[(line-int(uintptr(k.roomMemory)%line))%line:][:size]
}

// run runs the model on what was fed. With bound, the outputs are where bind said;
// without, they can be read until release.
func (k *call) run(bound bool) error {
	var b C.int
	if bound {
		b = 1
	}
	switch k.way {
	case gently:
		return k.lib.check(C.onda_run_gently(k.c, b, 0))
	case yielding:
		return k.lib.check(C.onda_run_gently(k.c, b, 1))
	default:
		return k.lib.check(C.onda_run(k.c, b))
	}
}

// release frees the outputs that the library made.
func (k *call) release() { C.onda_release(k.c) }

// goOn makes a call that was stopped fit for the next run.
func (k *call) goOn() { C.onda_go_on(k.c) }

// shrinkArena makes each run of this call end with giving the arena's unused memory back.
func (k *call) shrinkArena() error {
	arenas := C.CString("cpu:0")
	defer C.free(unsafe.Pointer(arenas))
	return k.lib.check(C.onda_shrink(k.c, arenas))
}

// setDims copies a shape, and marks the tensor where it is another one.
func setDims(t *C.onda_tensor, shape []int64) error {
	n := C.size_t(len(shape))
	if n > t.room && C.onda_room(t, n) == 0 {
		return fmt.Errorf("no memory for %d dimensions", len(shape))
	}
	if t.rank != n {
		t.rank, t.stale = n, 1
	}
	dims := unsafe.Slice((*int64)(t.dims), len(shape))
	for i, d := range shape {
		if dims[i] != d {
			dims[i], t.stale = d, 1
		}
	}
	return nil
}

// setData has t view data until the pins are taken off.
func (k *call) setData(t *C.onda_tensor, data []byte) {
	if len(data) == 0 {
		data = nothing
	}
	p := unsafe.Pointer(unsafe.SliceData(data))
	k.pins.Pin(p)
	view(t, p, len(data))
}

// bind has an output written to data, which is pinned, or in C memory.
func (k *call) bind(t *C.onda_tensor, datatype int32, shape []int64, data []byte) error {
	t._type = C.int32_t(datatype)
	view(t, unsafe.Pointer(unsafe.SliceData(data)), len(data))
	return setDims(t, shape)
}

// view has t stand for the memory at p, which is pinned.
func view(t *C.onda_tensor, p unsafe.Pointer, size int) {
	if data := C.uintptr_t(uintptr(p)); t.data != data || t.bytes != C.size_t(size) {
		t.data, t.bytes, t.stale = data, C.size_t(size), 1
	}
}

// dims is the shape of an output that was run.
func dims(t *C.onda_tensor) []int64 { return unsafe.Slice((*int64)(t.dims), int(t.rank)) }

// read copies output i, which the library made, into Go memory.
func (k *call) read(i int, into *scoring.Tensor, buffers *buffers) error {
	t := &k.out[i]
	if want := elementTypes[into.Datatype]; int64(t._type) != want {
		return fmt.Errorf("the value is of %s, declared as %s", datatypes[int64(t._type)], into.Datatype)
	}
	into.Shape = append([]int64{}, dims(t)...)
	n, ok := scoring.Elements(into.Shape)
	if !ok {
		return fmt.Errorf("the value has the shape %v", into.Shape)
	}
	if into.Datatype == scoring.Bytes {
		return k.readText(i, n, into)
	}
	size := int(n) * sizes[into.Datatype]
	into.Data = buffers.get(size)
	copy(into.Data, unsafe.Slice((*byte)(t.made), size))
	return nil
}

// readText copies an output of strings.
func (k *call) readText(i int, n int64, into *scoring.Tensor) error {
	into.Strings = make([][]byte, n)
	if n == 0 {
		return nil
	}
	var size C.size_t
	if err := k.lib.check(C.onda_text_size(k.c, C.size_t(i), &size)); err != nil {
		return err
	}
	// A byte more, so that there is one to point at.
	text := make([]byte, int(size)+1)
	starts := make([]C.size_t, n)
	if err := k.lib.check(C.onda_text(k.c, C.size_t(i), unsafe.Pointer(&text[0]), size, &starts[0], C.size_t(n))); err != nil {
		return err
	}
	end := int(size)
	for e := len(starts) - 1; e >= 0; e-- {
		start := int(starts[e])
		into.Strings[e] = text[start:end:end]
		end = start
	}
	return nil
}
