package proc

import "syscall"

// ownGroup makes a process the head of a group, so that all it starts can be ended with
// it, and has the kernel end it with the bench, however that ends.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
