package proc

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// ticks is how many of the kernel's units of CPU time make a second: Linux has shown
// 100 to programs on every platform for decades.
const ticks = 100

// CPUSeconds is the CPU time, user and system, that processes have used so far. One that
// is gone counts as 0.
func CPUSeconds(pids []int) float64 {
	var sum uint64
	for _, pid := range pids {
		if f := statFields(pid); f != nil {
			sum += number(f[11]) + number(f[12])
		}
	}
	return float64(sum) / ticks
}

// Tree is a process and all its descendants.
func Tree(root int) []int {
	children := map[int][]int{}
	entries, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return []int{root}
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(filepath.Base(entry))
		if err != nil {
			continue
		}
		if f := statFields(pid); f != nil {
			parent := int(number(f[1]))
			children[parent] = append(children[parent], pid)
		}
	}
	all := []int{root}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}

// Memory is what processes hold, in MiB: PSS shares the pages that several of them map
// among them, so that none is counted twice; RSS counts them for each.
func Memory(pids []int) (pss, rss float64) {
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			fields := strings.Fields(line)
			if len(fields) < 2 {
				continue
			}
			switch fields[0] {
			case "Pss:":
				pss += float64(number(fields[1])) / 1024
			case "Rss:":
				rss += float64(number(fields[1])) / 1024
			}
		}
	}
	return pss, rss
}

// statFields are the fields of /proc/PID/stat after the program's name, which may itself
// hold spaces: the first is the state, the second the parent.
func statFields(pid int) []string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	end := bytes.LastIndexByte(text, ')')
	fields := strings.Fields(string(text[end+1:]))
	if end < 0 || len(fields) < 13 {
		return nil
	}
	return fields
}

// number reads a number of the kernel's.
func number(s string) uint64 {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
