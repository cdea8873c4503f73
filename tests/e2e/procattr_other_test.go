//go:build !linux

package e2e_test

import "syscall"

// endsWithParent has no means here: clean-up alone ends the processes.
func endsWithParent() *syscall.SysProcAttr { return nil }
