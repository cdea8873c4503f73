//go:build !linux

package chaos

import "syscall"

// endWithParent keeps the terminal's signals from a program. Outside Linux one that is left
// behind by a killed parent goes on.
func endWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
