//go:build !race

package simulation_test

// raceEnabled says that the race detector slows everything down.
const raceEnabled = false
