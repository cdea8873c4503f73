//go:build !linux

package verify

import (
	"syscall"
	"time"
)

// attributes are those of any process.
func attributes() *syscall.SysProcAttr { return nil }

// confine does nothing: these systems have no such means, or others. The parent watches all
// the same.
func confine(time.Duration) {}
