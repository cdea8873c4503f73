//go:build !linux

package proc

import "syscall"

// ownGroup makes a process the head of a group, so that all it starts can be ended with it.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
