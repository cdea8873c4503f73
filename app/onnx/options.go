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

// GraphLevel says how far the library rewrites a model while it loads it.
type GraphLevel uint8

const (
	// GraphAll makes every improvement: the default.
	GraphAll GraphLevel = iota
	// GraphExtended leaves out those that change the layout of data.
	GraphExtended
	// GraphBasic folds constants and drops what does nothing.
	GraphBasic
	// GraphNone leaves the model as it is.
	GraphNone
)

// graphLevels gives the binding's numbers.
var graphLevels = map[GraphLevel]ort.GraphOptimizationLevel{
	GraphAll: ort.GraphOptimizationLevelEnableAll, GraphExtended: ort.GraphOptimizationLevelEnableExtended,
	GraphBasic: ort.GraphOptimizationLevelEnableBasic, GraphNone: ort.GraphOptimizationLevelDisableAll,
}

// Execution says in which order operators run.
type Execution uint8

const (
	// ExecuteAuto is ExecuteParallel with two inter-op threads or more: the default.
	ExecuteAuto Execution = iota
	// ExecuteSequential runs one operator after the other.
	ExecuteSequential
	// ExecuteParallel runs operators side by side that do not need each other's results.
	ExecuteParallel
)

// Switch is a setting that may be left to Onda.
type Switch uint8

const (
	// Auto leaves it to Onda.
	Auto Switch = iota
	// On turns it on.
	On
	// Off turns it off.
	Off
)

// Options say how a session runs. Of the fields after DeviceID, the zero values are best
// for nearly all models.
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
	// Gently has the load, and runs until [Session.Settle], make way for whatever else the
	// process does. It matters in Linux alone, and takes longer where there is much to do.
	Gently bool
	// Graph says how far the library rewrites the model.
	Graph GraphLevel
	// Execution is the order of operators.
	Execution Execution
	// MemArena keeps the memory of a run for the next one, and gives it back after a run
	// that was much larger than usual, or after half a minute without any. Auto is On.
	// Off asks the system for memory in each run, which large models feel.
	MemArena Switch
	// MemPattern plans a run's memory as one block for each combination of input shapes.
	// Auto is On where only the batch axis varies.
	MemPattern Switch
	// ExternalFolder is the folder of the files in [Info.ExternalFiles]; it may be
	// empty when there are none.
	ExternalFolder string
}

// Validate says what is wrong with the options, if anything.
func (o Options) Validate() error {
	switch {
	case o.IntraOpThreads < 1:
		return fmt.Errorf("intra-op threads is %d: want 1 or more", o.IntraOpThreads)
	case o.InterOpThreads < 0:
		return fmt.Errorf("inter-op threads is %d: want 0 or more", o.InterOpThreads)
	case o.Device > CUDA:
		return fmt.Errorf("%s: want cpu or cuda", o.Device)
	case o.DeviceID < 0:
		return fmt.Errorf("device id is %d: want 0 or more", o.DeviceID)
	case o.Graph > GraphNone:
		return fmt.Errorf("graph level is %d: want 0 to %d", o.Graph, GraphNone)
	case o.Execution > ExecuteParallel:
		return fmt.Errorf("execution is %d: want 0 to %d", o.Execution, ExecuteParallel)
	case o.Execution == ExecuteSequential && o.InterOpThreads > 1:
		return fmt.Errorf("inter-op threads is %d with sequential execution: want 0 or 1, or parallel execution", o.InterOpThreads)
	case o.Execution == ExecuteParallel && o.InterOpThreads < 2:
		// The library would take a thread for every core of the machine, or none at all.
		return fmt.Errorf("inter-op threads is %d with parallel execution: want 2 or more", o.InterOpThreads)
	case o.MemArena > Off:
		return fmt.Errorf("memory arena is %d: want 0 to %d", o.MemArena, Off)
	case o.MemPattern > Off:
		return fmt.Errorf("memory pattern is %d: want 0 to %d", o.MemPattern, Off)
	default:
		return nil
	}
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
		{"graph level", func(s *ort.SessionOptions) error { return s.SetGraphOptimizationLevel(graphLevels[o.Graph]) }},
		{"memory arena", func(s *ort.SessionOptions) error { return s.SetCpuMemArena(o.MemArena != Off) }},
		// A waiting thread must not burn the core that the sidecar and Go share with it.
		entry("session.intra_op.allow_spinning", "0"),
		entry("session.inter_op.allow_spinning", "0"),
		// Every failure comes back as an error, and whoever handles that logs it; the
		// library would write it to stderr a second time, in a format of its own.
		{"log level", func(s *ort.SessionOptions) error { return s.SetLogSeverityLevel(ort.LoggingLevelFatal) }},
		{"memory pattern", func(s *ort.SessionOptions) error { return s.SetMemPattern(o.memPattern(sig)) }},
	}
	if o.ExternalFolder != "" {
		all = append(all, entry("session.model_external_initializers_file_folder_path", o.ExternalFolder))
	}
	return all
}

// memPattern decides about the plan that the library keeps of the memory for each
// combination of input shapes it has seen. That pays where only the batch varies, and
// grows where more does.
func (o Options) memPattern(sig scoring.Signature) bool {
	if o.MemPattern == Auto {
		return onlyBatchVaries(sig)
	}
	return o.MemPattern == On
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
	if err := o.Validate(); err != nil {
		return nil, err
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
