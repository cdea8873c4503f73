package onnx

import "C"

import (
	"errors"
	"sync"
	"unsafe"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/onda-serving/onda/app/scoring"
)

// Session is a loaded model. Its methods are safe for concurrent use, and concurrent
// runs share the model's weights.
type Session struct {
	env     *Environment
	info    *Info
	inputs  map[string]int
	outputs map[string]int
	// outputTypes are ONNX's numbers of the outputs' element types.
	outputTypes []int32
	// names are the inputs' and the outputs', in C memory.
	names  **C.char
	device Device
	// arena says whether the session has an arena of the processor's memory.
	arena bool
	// loaded is what the session has held of the heap since it was loaded, besides its
	// arena, in bytes; 0 if it was not measured.
	loaded int64
	plans  plans
	surge  surge

	mu sync.Mutex
	// model is nil once the library has freed it; raw is the library's view of it.
	model *ort.DynamicAdvancedSession
	raw   unsafe.Pointer
	// runs counts the runs under way; the last one of a closed session frees it.
	runs   int
	closed bool
	// spare holds calls for reuse.
	spare []*call
}

// ErrClosed means that a session was used after [Session.Close]. It is the cause of a
// [scoring.Error] with code Unavailable.
var ErrClosed = errors.New("onnx session is closed")

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
	options, err := e.sessionOptions(o, info.Signature)
	if err != nil {
		return nil, err
	}
	defer options.Destroy()
	sig := info.Signature
	model, err := ort.NewDynamicAdvancedSessionWithONNXData(file, names(sig.Inputs), names(sig.Outputs), options)
	if err != nil {
		return nil, loadError(err)
	}
	raw, err := sessionPointer(model)
	if err != nil {
		model.Destroy()
		return nil, err
	}
	s := &Session{
		env: e, info: info, model: model, raw: raw, device: o.Device, arena: o.MemArena != Off && o.Device == CPU,
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

// Signature is what the model takes and gives; see [Info.Signature] for unknown ranks.
// The caller must not change it.
func (s *Session) Signature() scoring.Signature { return s.info.Signature }

// Info is what the model's file says about itself. The caller must not change it.
func (s *Session) Info() *Info { return s.info }

// Close frees the model. Runs under way go on, and the last of them frees it; a run
// that begins later fails with [ErrClosed]. To close twice is fine.
func (s *Session) Close() error {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		if s.surge.timer != nil {
			s.surge.timer.Stop()
		}
		s.freeLocked()
	}
	s.mu.Unlock()
	// Memory that is given back just now is no run: nobody expects it to hold the model.
	s.surge.busy.Lock()
	defer s.surge.busy.Unlock()
	return nil
}

// begin counts a run and lends it a call; end takes both back.
func (s *Session) begin() (*call, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, scoring.Errorf(scoring.Unavailable, "this version of the model was unloaded just now: try again").WithCause(ErrClosed)
	}
	if n := len(s.spare); n > 0 {
		k := s.spare[n-1]
		s.spare = s.spare[:n-1]
		s.runs++
		return k, nil
	}
	k, err := s.newCall()
	if err != nil {
		return nil, err
	}
	s.runs++
	return k, nil
}

// mostSpare is how many calls a session keeps. More of them at once come and go.
const mostSpare = 64

// end takes back begin; k may be nil.
func (s *Session) end(k *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k != nil && len(s.spare) < mostSpare {
		s.spare = append(s.spare, k)
	} else if k != nil {
		k.free()
	}
	s.runs--
	s.freeLocked()
}

// freeLocked frees the model if nobody will use it any more.
func (s *Session) freeLocked() {
	if !s.closed || s.runs > 0 || s.model == nil {
		return
	}
	for _, k := range s.spare {
		k.free()
	}
	s.spare = nil
	s.env.accounts.forget(s, func() {
		// It fails for nil alone.
		_ = s.model.Destroy()
		s.model, s.raw = nil, nil
	})
	freeNames(s.names, len(s.inputs)+len(s.outputs))
	s.env.leave()
	trimHeap()
}

func names(specs []scoring.TensorSpec) []string {
	all := make([]string, len(specs))
	for i, s := range specs {
		all[i] = s.Name
	}
	return all
}

func index(specs []scoring.TensorSpec) map[string]int {
	m := make(map[string]int, len(specs))
	for i, s := range specs {
		m[s.Name] = i
	}
	return m
}
