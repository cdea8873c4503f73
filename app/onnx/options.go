package onnx

import (
	"fmt"
	"strconv"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/onda-serving/onda/app/scoring"
)

// Device is where a session runs.
type Device uint8

const (
	// CPU is the processor.
	CPU Device = iota
	// CUDA is an NVIDIA GPU. It needs ONNX Runtime's GPU library.
	CUDA
)

// String is the device's name in configuration and errors.
func (d Device) String() string {
	switch d {
	case CPU:
		return "cpu"
	case CUDA:
		return "cuda"
	default:
		return "device " + strconv.Itoa(int(d))
	}
}

// ParseDevice reads the name that [Device.String] writes.
func ParseDevice(s string) (Device, error) {
	for _, d := range []Device{CPU, CUDA} {
		if s == d.String() {
			return d, nil
		}
	}
	return 0, fmt.Errorf("device %q: want cpu or cuda", s)
}

// Options say how a session runs.
type Options struct {
	// IntraOpThreads is how many threads share one operator: at least 1. The caller
	// decides, because ONNX Runtime's own default takes every core of the machine,
	// whatever the container's quota.
	IntraOpThreads int
	// InterOpThreads is how many operators run side by side; 0 and 1 mean one after
	// the other, which is best for all but models with long parallel branches.
	InterOpThreads int
	// Device to run on.
	Device Device
	// DeviceID counts the devices of a kind from 0.
	DeviceID int
	// ExternalFolder is the folder of the files in [Info.ExternalFiles]; it may be
	// empty when there are none.
	ExternalFolder string
}

// setting is one call on the session options.
type setting struct {
	name string
	set  func(*ort.SessionOptions) error
}

// settings turns options into calls, for a model with this signature.
func (o Options) settings(sig scoring.Signature) []setting {
	inter := max(o.InterOpThreads, 1)
	mode := ort.ExecutionMode(ort.ExecutionModeSequential)
	if inter > 1 {
		mode = ort.ExecutionModeParallel
	}
	all := []setting{
		{"intra-op threads", func(s *ort.SessionOptions) error { return s.SetIntraOpNumThreads(o.IntraOpThreads) }},
		{"inter-op threads", func(s *ort.SessionOptions) error { return s.SetInterOpNumThreads(inter) }},
		{"execution mode", func(s *ort.SessionOptions) error { return s.SetExecutionMode(mode) }},
		// A waiting thread must not burn the core that the sidecar and Go share with it.
		entry("session.intra_op.allow_spinning", "0"),
		entry("session.inter_op.allow_spinning", "0"),
		// Every failure comes back as an error, and whoever handles that logs it; the
		// library would write it to stderr a second time, in a format of its own.
		{"log level", func(s *ort.SessionOptions) error { return s.SetLogSeverityLevel(ort.LoggingLevelFatal) }},
		// ONNX Runtime keeps a plan of the memory for every combination of input shapes it
		// has seen. That pays where only the batch varies, and grows where more does.
		{"memory plan", func(s *ort.SessionOptions) error { return s.SetMemPattern(onlyBatchVaries(sig)) }},
	}
	if o.ExternalFolder != "" {
		all = append(all, entry("session.model_external_initializers_file_folder_path", o.ExternalFolder))
	}
	return all
}

func entry(key, value string) setting {
	return setting{key, func(s *ort.SessionOptions) error { return s.AddSessionConfigEntry(key, value) }}
}

// onlyBatchVaries says whether every axis but the first is fixed, for all inputs.
func onlyBatchVaries(sig scoring.Signature) bool {
	for _, in := range sig.Inputs {
		if in.Shape == nil {
			return false
		}
		for i, d := range in.Shape {
			if i > 0 && d < 0 {
				return false
			}
		}
	}
	return true
}

// sessionOptions makes the binding's options; the caller destroys them.
func (e *Environment) sessionOptions(o Options, sig scoring.Signature) (*ort.SessionOptions, error) {
	if o.IntraOpThreads < 1 {
		return nil, fmt.Errorf("intra-op threads is %d: want 1 or more", o.IntraOpThreads)
	}
	s, err := ort.NewSessionOptions()
	if err != nil {
		return nil, fmt.Errorf("make session options: %w", err)
	}
	for _, each := range o.settings(sig) {
		if err := each.set(s); err != nil {
			s.Destroy()
			return nil, fmt.Errorf("set %s: %w", each.name, err)
		}
	}
	if o.Device == CUDA {
		if err := e.addCUDA(s, o.DeviceID); err != nil {
			s.Destroy()
			return nil, err
		}
	}
	return s, nil
}

// addCUDA puts the GPU before the processor, which runs what the GPU cannot.
func (e *Environment) addCUDA(s *ort.SessionOptions, id int) error {
	fail := func(err error) error {
		return fmt.Errorf("device cuda:%d with library %s: want ONNX Runtime's GPU library (onnxruntime-gpu), CUDA, cuDNN and that device; or use device cpu: %w", id, e.library, err)
	}
	cuda, err := ort.NewCUDAProviderOptions()
	if err != nil {
		return fail(err)
	}
	defer cuda.Destroy()
	err = cuda.Update(map[string]string{
		"device_id": strconv.Itoa(id),
		// The default tries every algorithm of every convolution anew for each batch size.
		"cudnn_conv_algo_search": "HEURISTIC",
		// The default doubles the arena each time it grows.
		"arena_extend_strategy": "kSameAsRequested",
	})
	if err != nil {
		return fail(err)
	}
	if err := s.AppendExecutionProviderCUDA(cuda); err != nil {
		return fail(err)
	}
	return nil
}
