package onnx

// #include "capi.h"
import "C"

import (
	"errors"
	"reflect"
	"runtime"
	"time"
	"unsafe"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/onda-serving/onda/app/scoring"
)

// Load makes a session of an ONNX file's bytes, which it does not keep. Bytes, rather
// than a path, are what the caller has verified the digest of.
//
// A model that ONNX Runtime or Onda refuses gives a [scoring.Error] with code Invalid;
// its text is for whoever supplies the model. Anything else (a device that is not there,
// options that make no sense) is a plain error.
func (e *Environment) Load(model []byte, o Options) (*Session, error) {
	info, err := Inspect(model)
	if err != nil {
		return nil, err
	}
	if err := servable(info, o); err != nil {
		return nil, err
	}
	if err := e.enter(); err != nil {
		return nil, err
	}
	s, err := e.measured(func() (*Session, error) { return e.load(model, info, o) })
	if err != nil {
		e.leave()
		return nil, err
	}
	return s, nil
}

func (e *Environment) load(file []byte, info *Info, o Options) (*Session, error) {
	raw, err := e.make(file, info, o)
	if err != nil {
		return nil, err
	}
	sig := info.Signature
	s := &Session{
		env: e, info: info, raw: raw, device: o.Device, gentle: o.Gently, arena: o.MemArena != Off && o.Device == CPU,
		yields: runtime.GOOS == "linux" && o.Device == CPU && o.IntraOpThreads == 1 && o.InterOpThreads < 2,
		inputs: index(sig.Inputs), outputs: index(sig.Outputs),
		names: cNames(append(names(sig.Inputs), names(sig.Outputs)...)...),
	}
	for _, out := range sig.Outputs {
		s.outputTypes = append(s.outputTypes, int32(elementTypes[out.Datatype]))
	}
	if info.branches {
		s.plans.state.Store(refuted)
	}
	return s, nil
}

// servable refuses what the library would take but no run could use.
func servable(info *Info, o Options) error {
	if len(info.ExternalFiles) > 0 && o.ExternalFolder == "" {
		return scoring.Errorf(scoring.Invalid, "the model keeps weights in %q: put the file beside it, or save the model with its weights inside", clip(info.ExternalFiles[0]))
	}
	return nil
}

// gentlePatience is how long a gentle load may take before it is done the usual way.
const gentlePatience = 10 * time.Second

// make makes the library's session, gently if that is wanted and possible.
func (e *Environment) make(file []byte, info *Info, o Options) (unsafe.Pointer, error) {
	if o.Gently {
		raw, err := e.makeWithin(file, info, o, gentlePatience)
		if !errors.Is(err, errGaveUp) {
			return raw, err
		}
	}
	return e.makeWithin(file, info, o, 0)
}

func (e *Environment) makeWithin(file []byte, info *Info, o Options, patience time.Duration) (unsafe.Pointer, error) {
	options, err := e.sessionOptions(o, info.Signature)
	if err != nil {
		return nil, err
	}
	defer options.Destroy()
	return e.lib.load(file, options, patience)
}

// errGaveUp means that a gentle load took longer than it may.
var errGaveUp = errors.New("the load was given up")

// load makes the library's session, which unload frees. With a patience, it does so gently,
// and gives up after that.
func (l library) load(model []byte, options *ort.SessionOptions, patience time.Duration) (session unsafe.Pointer, err error) {
	pointer, err := optionsPointer(options)
	if err != nil {
		return nil, err
	}
	status := C.onda_load(l.api, l.environment, unsafe.Pointer(unsafe.SliceData(model)), C.size_t(len(model)), pointer, C.int64_t(patience.Milliseconds()), &session) //nolint:gocritic // it sees what cgo makes of the line
	gaveUp := status != nil && C.onda_gave_up(l.api, status) != 0
	err = l.check(status)
	switch {
	case gaveUp:
		return nil, errGaveUp
	case err != nil:
		return nil, loadError(err)
	default:
		return session, nil
	}
}

func (l library) unload(session unsafe.Pointer) { C.onda_unload(l.api, session) }

// optionsPointer gives the C pointer that the binding keeps to itself.
func optionsPointer(options *ort.SessionOptions) (unsafe.Pointer, error) {
	v := reflect.ValueOf(options).Elem().FieldByName("o")
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return nil, errors.New("onnxruntime_go keeps its session options elsewhere than version 1.27.0 does: want that version in go.mod")
	}
	return v.UnsafePointer(), nil
}
