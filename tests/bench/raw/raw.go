// Package raw runs a model with nothing around it: ONNX Runtime's session from Go, its
// tensors bound once and used again, as many runs at once as there are cores. It is what
// a server is measured against, and no server can be faster.
//
// It runs in a process of its own, because ONNX Runtime keeps global state, and because
// its CPU time is compared with a server's.
package raw

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	ort "github.com/yalue/onnxruntime_go" //nolint:depguard // the bare binding is what is measured
)

// Job is one measurement.
type Job struct {
	// Library is ONNX Runtime's shared library.
	Library string `json:"library"`
	// Folder of the model's version.
	Folder string `json:"folder"`
	// Batch is the rows of a run.
	Batch int `json:"batch"`
	// Lanes is how many runs go on at once, Threads how many threads each has.
	Lanes   int `json:"lanes"`
	Threads int `json:"threads"`
	// Instance is what a row is made of: a picture's bytes, or a text. Empty for models
	// of plain numbers.
	Instance []byte `json:"instance,omitempty"`
	// Preprocess makes the row of its instance anew for every run.
	Preprocess bool `json:"preprocess,omitempty"`
	// WarmUp is not measured, Window is.
	WarmUp time.Duration `json:"warm_up"`
	Window time.Duration `json:"window"`
}

// Result is what a job measured.
type Result struct {
	Rows    uint64  `json:"rows"`
	Seconds float64 `json:"seconds"`
	// CPU is the seconds of CPU time, user and system.
	CPU float64 `json:"cpu"`
	// RunSeconds is the mean time of a run, with its pre-processing.
	RunSeconds float64 `json:"run_seconds"`
}

// Run does a job. A process can do only one.
func Run(ctx context.Context, job Job) (Result, error) {
	if job.Batch < 1 || job.Lanes < 1 || job.Threads < 1 {
		return Result{}, errors.New("a job needs a batch, lanes and threads")
	}
	ort.SetSharedLibraryPath(job.Library)
	if err := ort.InitializeEnvironment(ort.WithLogLevelFatal()); err != nil {
		return Result{}, fmt.Errorf("load onnx runtime: %w", err)
	}
	m, err := load(ctx, job)
	if err != nil {
		return Result{}, err
	}
	lanes := make([]*lane, job.Lanes)
	for i := range lanes {
		if lanes[i], err = m.lane(ctx); err != nil {
			return Result{}, err
		}
	}
	return measure(ctx, job, lanes)
}

// measure keeps all lanes busy and counts what they do in the window.
func measure(ctx context.Context, job Job, lanes []*lane) (Result, error) {
	var (
		counting, over atomic.Bool
		runs           atomic.Uint64
		group          sync.WaitGroup
		failure        atomic.Pointer[error]
	)
	for _, l := range lanes {
		group.Go(func() {
			for !over.Load() {
				if err := l.run(ctx); err != nil {
					failure.CompareAndSwap(nil, &err)
					return
				}
				if counting.Load() {
					runs.Add(1)
				}
			}
		})
	}
	time.Sleep(job.WarmUp)
	counting.Store(true)
	began, cpu := time.Now(), cpuSeconds()
	time.Sleep(job.Window)
	n := runs.Load()
	r := Result{Rows: n * uint64(job.Batch), Seconds: time.Since(began).Seconds(), CPU: cpuSeconds() - cpu}
	over.Store(true)
	group.Wait()
	if err := failure.Load(); err != nil {
		return Result{}, *err
	}
	if n > 0 {
		r.RunSeconds = r.Seconds * float64(job.Lanes) / float64(n)
	}
	return r, nil
}

// cpuSeconds is the CPU time of this process.
func cpuSeconds() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}
