package onnx

import (
	"errors"
	"fmt"
	"slices"
	"sync"

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
	fetches []fetch
	scratch sync.Pool // of *scratch

	mu sync.Mutex
	// raw is nil once the library has freed the model.
	raw *ort.DynamicAdvancedSession
	// runs counts the runs under way; the last one of a closed session frees it.
	runs   int
	closed bool
	// spare holds run options for reuse: no more than runs that ever went on at once.
	spare []*ort.RunOptions
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
	s, err := e.load(model, info, o)
	if err != nil {
		e.leave()
		return nil, err
	}
	return s, nil
}

func (e *Environment) load(model []byte, info *Info, o Options) (*Session, error) {
	options, err := e.sessionOptions(o, info.Signature)
	if err != nil {
		return nil, err
	}
	defer options.Destroy()
	g := newGraft(info.Signature.Outputs)
	if g.suffix != nil {
		model = append(slices.Clip(model), g.suffix...)
	}
	raw, err := ort.NewDynamicAdvancedSessionWithONNXData(model, names(info.Signature.Inputs), g.names, options)
	if err != nil {
		return nil, loadError(err)
	}
	s := &Session{
		env: e, info: info, raw: raw, fetches: g.fetches,
		inputs: index(info.Signature.Inputs), outputs: index(info.Signature.Outputs),
	}
	s.scratch.New = func() any { return newScratch(len(s.inputs), len(g.names)) }
	return s, nil
}

// servable refuses what the library would take but no run could use.
func servable(info *Info, o Options) error {
	for _, in := range info.Signature.Inputs {
		if in.Shape != nil && len(in.Shape) == 0 && !scalars[in.Datatype] {
			return scoring.Errorf(scoring.Invalid, "input %q of the model is a scalar of %s: give it the shape [1] in the model", clip(in.Name), in.Datatype)
		}
	}
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
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	return s.freeLocked()
}

// begin counts a run and lends it run options, if it needs them; end takes both back.
func (s *Session) begin(needOptions bool) (o *ort.RunOptions, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, scoring.Errorf(scoring.Unavailable, "this version of the model was unloaded just now: try again").WithCause(ErrClosed)
	}
	if n := len(s.spare); needOptions && n > 0 {
		o = s.spare[n-1]
		s.spare = s.spare[:n-1]
	} else if needOptions {
		if o, err = ort.NewRunOptions(); err != nil {
			return nil, fmt.Errorf("make run options: %w", err)
		}
	}
	s.runs++
	return o, nil
}

// end takes back begin. Options that were told to terminate are not used again.
func (s *Session) end(o *ort.RunOptions, terminated bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case o == nil:
	case terminated:
		o.Destroy()
	default:
		s.spare = append(s.spare, o)
	}
	s.runs--
	return s.freeLocked()
}

// freeLocked frees the model if nobody will use it any more.
func (s *Session) freeLocked() error {
	if !s.closed || s.runs > 0 || s.raw == nil {
		return nil
	}
	for _, o := range s.spare {
		o.Destroy()
	}
	err := s.raw.Destroy()
	s.raw, s.spare = nil, nil
	s.env.leave()
	if err != nil {
		return fmt.Errorf("close onnx session: %w", err)
	}
	return nil
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
