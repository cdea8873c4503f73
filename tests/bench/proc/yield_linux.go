package proc

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// Yield lets processes run on what others leave of the cores (SCHED_IDLE, see sched(7)), as if they were on another
// machine, until restore is called. Threads that they start meanwhile inherit it.
func Yield(pids []int) (restore func() error, err error) {
	restore = func() error { return schedule(pids, unix.SCHED_NORMAL) }
	if err := schedule(pids, unix.SCHED_IDLE); err != nil {
		return nil, errors.Join(err, restore())
	}
	return restore, nil
}

// schedule gives each thread of the processes a policy. A thread that ended meanwhile needs none.
func schedule(pids []int, policy uint32) error {
	for _, pid := range pids {
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
		if err != nil {
			return err
		}
		for _, task := range tasks {
			id, err := strconv.Atoi(filepath.Base(task))
			if err != nil {
				return err
			}
			err = unix.SchedSetAttr(id, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: policy}, 0)
			if err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("the thread %d of %d: %w", id, pid, os.NewSyscallError("sched_setattr", err))
			}
		}
	}
	return nil
}
