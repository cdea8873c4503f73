//go:build race

package cache_test

// raceEnabled says that the race detector slows everything down, and makes pools forget.
const raceEnabled = true
