package onnx

/*
#cgo CFLAGS: -O2
#cgo linux LDFLAGS: -ldl -lpthread
#include <stdlib.h>
#include "capi.h"

// None of these calls Go, or keeps a pointer to Go's memory that is not pinned.
#cgo noescape onda_run
#cgo nocallback onda_run
#cgo noescape onda_run_gently
#cgo nocallback onda_run_gently
#cgo noescape onda_load
#cgo nocallback onda_load
#cgo noescape onda_release
#cgo nocallback onda_release
#cgo noescape onda_go_on
#cgo nocallback onda_go_on
#cgo noescape onda_stop
#cgo nocallback onda_stop
*/
import "C"

import (
	"errors"
	"fmt"
	"strings"
	"unsafe"

	ort "github.com/yalue/onnxruntime_go"
)

// library is the C API of the library that the binding has loaded.
type library struct {
	api    *unsafe.Pointer
	handle unsafe.Pointer
	memory unsafe.Pointer // *OrtMemoryInfo of the processor's memory
	// environment is the library's own, an *OrtEnv.
	environment unsafe.Pointer
}

// openLibrary finds the C API of the library at path, which the binding has loaded.
func openLibrary(path string) (l library, err error) {
	info, err := ort.GetMemoryInfo()
	if err != nil {
		return l, err
	}
	l.memory = unsafe.Pointer(info)
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	l.api = C.onda_open(name, &l.handle) //nolint:gocritic // it sees what cgo makes of the line
	if l.api == nil {
		return l, fmt.Errorf("the library has no C API of version %d", int(C.onda_version))
	}
	if err := l.check(C.onda_begin(l.api, &l.environment)); err != nil { //nolint:gocritic // it sees what cgo makes of the line
		return l, err
	}
	return l, nil
}

// close takes back openLibrary.
func (l library) close() {
	C.onda_end(l.api, l.environment)
	C.onda_close(l.handle)
}

// check makes an error of a status, and releases it.
func (l library) check(status unsafe.Pointer) error {
	if status == nil {
		return nil
	}
	defer C.onda_forget(l.api, status)
	return errors.New(strings.TrimSpace(C.GoString(C.onda_message(l.api, status))))
}

// heedHeap makes the C library give large blocks, such as weights and the memory of runs,
// back to the system as they are freed. By itself it raises the size that it does so from to
// that of the largest block that was ever freed, up to 32 MB. Freed models then stay in up to
// eight heaps for each core, whose ends not even [trimHeap] cuts off.
func heedHeap() { C.onda_heed() }

// trimHeap hands what the C library's heap does not use back to the system.
func trimHeap() { C.onda_trim() }

// cNames makes C strings, one after the other; [freeNames] frees them.
func cNames(all ...string) **C.char {
	names := (**C.char)(C.malloc(C.size_t(len(all)) * C.size_t(unsafe.Sizeof((*C.char)(nil)))))
	for i, name := range all {
		unsafe.Slice(names, len(all))[i] = C.CString(name)
	}
	return names
}

// freeNames takes back cNames.
func freeNames(names **C.char, count int) {
	for _, name := range unsafe.Slice(names, count) {
		C.free(unsafe.Pointer(name))
	}
	C.free(unsafe.Pointer(names))
}
