package chaos

import "syscall"

// endWithParent makes the kernel end a program with this one, also where this one is killed.
func endWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
