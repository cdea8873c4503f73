package ondatest

import "syscall"

// endWithParent makes the kernel end a program with the tests, also where those are
// killed and run no clean-up.
func endWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
