//go:build !linux

package ondatest

import "syscall"

// endWithParent has no counterpart outside Linux.
func endWithParent() *syscall.SysProcAttr { return nil }
