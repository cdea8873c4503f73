package pool

import (
	"math/bits"
	"unsafe"
)

const (
	// smallest and largest are the sizes, in bytes, that have a class. Below, a buffer
	// costs little to make and its bookkeeping much; above, one would fill any pool.
	smallest, largest = 1 << minLog, 1 << maxLog
	minLog, maxLog    = 8, 28
	// steps per doubling: a class is at most a quarter larger than what was asked for.
	stepLog = 2
	// classes are those from smallest to largest, with both.
	classes = (maxLog-minLog)<<stepLog + 1
)

// classOf is the number of the smallest class that holds n bytes, or -1 if there is none.
func classOf(n int) int {
	if n < smallest || n > largest {
		return -1
	}
	// The bits after the highest one of n-1 count the steps; one more rounds up.
	doubling := bits.Len(uint(n-1)) - 1
	step := (n - 1) >> (doubling - stepLog)
	return (doubling-minLog)<<stepLog + step - 1<<stepLog + 1
}

// sizeOf is the number of bytes of a class.
func sizeOf(class int) int {
	doubling, step := class>>stepLog, class&(1<<stepLog-1)
	return (1<<stepLog + step) << (minLog - stepLog + doubling)
}

// fresh makes an aligned buffer of size bytes. The runtime's own classes of these sizes
// are aligned already, but do not promise it.
func fresh(size int) []byte {
	b := make([]byte, size)
	if aligned(b) {
		return b
	}
	return within(make([]byte, size+alignment-1), size)
}

// within gives the first aligned size bytes of room, which has as many to spare.
func within(room []byte, size int) []byte {
	skip := -int(address(room)) & (alignment - 1)
	return room[skip : skip+size : skip+size]
}

// aligned says whether b begins where a buffer of the pool does.
func aligned(b []byte) bool { return address(b)&(alignment-1) == 0 }

func address(b []byte) uintptr {
	return uintptr(unsafe.Pointer(unsafe.SliceData(b))) //nolint:gosec // only looked at
}
