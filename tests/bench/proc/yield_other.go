//go:build !linux

package proc

import "errors"

// Yield would let processes run on what others leave of the cores; only Linux has that.
func Yield([]int) (restore func() error, err error) {
	return nil, errors.ErrUnsupported
}
