package e2e_test

import "syscall"

// endsWithParent makes the kernel end a process with the tests, however those end: a
// time-out of the tests runs no clean-up.
func endsWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
