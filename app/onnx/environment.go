package onnx

import (
	"errors"
	"fmt"
	"os"
	"sync"

	ort "github.com/yalue/onnxruntime_go"
)

// Environment is ONNX Runtime, loaded into this process. There can be one at a time,
// because the library and its binding keep global state. It is safe for concurrent use.
type Environment struct {
	library  string
	version  string
	lib      library
	buffers  buffers
	accounts accounts

	mu       sync.Mutex
	sessions int
	closed   bool
	// freeing are the sessions that are freed just now, and idle is told when they are.
	freeing int
	idle    sync.Cond // of mu
}

// ErrOpen means that the process has an open [Environment] already.
var ErrOpen = errors.New("onnx runtime is open already: a process has one environment")

// opened guards the binding's global state.
var opened struct {
	sync.Mutex
	now bool
}

// Open loads ONNX Runtime's shared library from the file libraryPath. The error says
// whether the file is missing, made for another platform, or of a version that does not
// fit, and what would be right.
func Open(libraryPath string) (*Environment, error) {
	opened.Lock()
	defer opened.Unlock()
	if opened.now {
		return nil, ErrOpen
	}
	path, err := checkLibrary(libraryPath)
	if err != nil {
		return nil, err
	}
	if err := silence(); err != nil {
		return nil, err
	}
	heedHeap()
	ort.SetSharedLibraryPath(path)
	if err := ort.InitializeEnvironment(ort.WithLogLevelFatal()); err != nil {
		return nil, fmt.Errorf("load onnx runtime from %s (want version %s or newer of API %s): %w", path, oldest, oldest, err)
	}
	lib, err := openLibrary(path)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("load onnx runtime from %s (want version %s or newer): %w", path, oldest, err), ort.DestroyEnvironment())
	}
	opened.now = true
	e := &Environment{library: path, version: ort.GetVersion(), lib: lib, accounts: accounts{open: map[*Session]struct{}{}}}
	e.idle.L = &e.mu
	return e, nil
}

// silence keeps the library from reporting to its maker. From 1.30 on, the published
// builds for Linux do so unless told otherwise: they start a thread, keep a database
// under the user's cache folder and a log under /tmp, and send what they gathered about
// each session. A service must not call home about the models it serves, and its memory
// must not depend on how fast that goes. The variable is read while the library loads,
// which is why the binding's DisableTelemetry comes too late.
func silence() error {
	if err := os.Setenv("ORT_DISABLE_TELEMETRY", "1"); err != nil {
		return fmt.Errorf("turn off the telemetry of onnx runtime: %w", err)
	}
	return nil
}

// Version is the library's version, such as "1.30.0".
func (e *Environment) Version() string { return e.version }

// Close unloads the library. It fails, and changes nothing, while sessions are open. To
// close twice is fine.
func (e *Environment) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for e.freeing > 0 {
		e.idle.Wait()
	}
	if e.closed {
		return nil
	}
	if e.sessions > 0 {
		return fmt.Errorf("close onnx runtime: %d sessions are still open", e.sessions)
	}
	opened.Lock()
	defer opened.Unlock()
	e.closed, opened.now = true, false
	e.lib.close()
	if err := ort.DestroyEnvironment(); err != nil {
		return fmt.Errorf("close onnx runtime: %w", err)
	}
	return nil
}

// enter counts a session, and fails when the library is gone.
func (e *Environment) enter() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return errors.New("onnx runtime is closed")
	}
	e.sessions++
	return nil
}

// leave takes back enter.
func (e *Environment) leave() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sessions--
}

// freeLater frees a session beside whoever used it last. [Environment.Close] waits for it.
func (e *Environment) freeLater(free func()) {
	e.mu.Lock()
	e.freeing++
	e.mu.Unlock()
	go func() {
		free()
		e.mu.Lock()
		defer e.mu.Unlock()
		e.freeing--
		e.idle.Broadcast()
	}()
}
