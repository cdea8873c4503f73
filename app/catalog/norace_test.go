//go:build !race

package catalog_test

// raceEnabled says that the race detector slows everything down, JSON most of all.
const raceEnabled = false
