//go:build race

package judge_test

// raceEnabled says that the race detector slows everything down.
const raceEnabled = true
