package verify

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"
	"unsafe"
)

// attributes are how a child is started: it is ended when the thread that started it ends.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

// confine makes this process, a child, one that does little harm. What of it the system does
// not allow is left out: the parent watches all the same.
//
// There is no bound on the address space: Go and GPU drivers reserve many times what they
// use. The parent looks at what is really in memory. Nor is there one on threads, which a
// model does not choose.
func confine(timeout time.Duration) {
	// When memory is short, this is the process to end.
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0o600)
	lowerPriority()
	// A core file would be as large as the model, for no reader.
	_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{})
	// The parent ends what takes too long. Should it be gone, and this process not with it,
	// this is the end: all processors for all of the time, and a margin.
	seconds := uint64(timeout/time.Second+10) * uint64(runtime.NumCPU())
	_ = syscall.Setrlimit(syscall.RLIMIT_CPU, &syscall.Rlimit{Cur: seconds, Max: seconds})
	for _, s := range []syscall.Signal{syscall.SIGABRT, syscall.SIGBUS, syscall.SIGFPE, syscall.SIGILL, syscall.SIGSEGV, syscall.SIGTRAP} {
		setDefault(s)
	}
}

// lowerPriority lets all other processes go first. Linux has a priority for each thread, and
// a new thread gets that of the one that starts it: so it is every thread's turn, twice, as
// one may be starting another.
func lowerPriority() {
	const nice = 10
	for range 2 {
		tasks, err := filepath.Glob("/proc/self/task/*")
		if err != nil {
			return
		}
		for _, task := range tasks {
			if id, err := strconv.Atoi(filepath.Base(task)); err == nil {
				_ = syscall.Setpriority(syscall.PRIO_PROCESS, id, nice)
			}
		}
	}
}

// setDefault gives a signal the system's own effect, which is to end the process by it. Go's
// handler would print the stacks of all goroutines and exit with status 2, and nobody could
// tell a segmentation fault in ONNX Runtime from another end. The price is that using a nil
// pointer in Go is no panic here, but the end as well. Where the system refuses, Go's handler
// stays.
func setDefault(s syscall.Signal) {
	// Package signal changes only who is told of a signal. To the kernel, a struct sigaction
	// of zeros is the default, no flags and no mask, in the layout of every processor; none
	// needs more than these bytes.
	var action [64]byte
	const maskBytes = 8
	_, _, _ = syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(s), uintptr(unsafe.Pointer(&action)), 0, maskBytes, 0, 0) //nolint:gosec,dogsled // the kernel reads the action before it returns, and has nothing to say
}
