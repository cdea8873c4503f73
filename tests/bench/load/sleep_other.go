//go:build !linux

package load

import "time"

// sleepUntil is less exact than on Linux.
func sleepUntil(t time.Time) { time.Sleep(time.Until(t)) }
