//go:build !race

package engine_test

// raceEnabled says that the race detector makes allocations of its own.
const raceEnabled = false
