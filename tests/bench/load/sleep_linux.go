package load

import (
	"syscall"
	"time"
)

// sleepUntil sleeps in the kernel: Go's own timers are a millisecond late when a process
// has nothing else to do, which is more than some of the latencies measured here.
func sleepUntil(t time.Time) {
	for {
		left := time.Until(t)
		if left <= 0 {
			return
		}
		spec := syscall.NsecToTimespec(int64(left))
		_ = syscall.Nanosleep(&spec, nil) // an interrupted sleep goes on with the rest
	}
}
