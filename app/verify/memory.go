package verify

import (
	"bytes"
	"os"
	"path"
	"runtime/debug"
	"strconv"
)

// The fields of /proc/<pid>/statm that are read here.
const (
	statmResident = 1 // all pages that are in memory
	statmShared   = 2 // those of them that are pages of files, such as the library's code
)

// statm reads the memory of a process, in bytes: field by field as proc(5) describes it, and
// nil on a system that does not tell, or for a process that is gone.
func statm(pid string) []int64 {
	text, err := os.ReadFile(path.Join("/proc", pid, "statm")) //nolint:gosec // pid is "self" or a number
	if err != nil {
		return nil
	}
	var fields []int64
	for word := range bytes.FieldsSeq(text) {
		pages, err := strconv.ParseInt(string(word), 10, 64)
		if err != nil {
			return nil
		}
		fields = append(fields, pages*int64(os.Getpagesize()))
	}
	if len(fields) <= statmShared {
		return nil
	}
	return fields
}

// ownMemory is what this process keeps in memory, without the pages of files: the library is
// there once, however many versions are. It is 0 where the system does not tell.
func ownMemory() int64 {
	debug.FreeOSMemory() // what Go keeps for later would count for the version
	fields := statm("self")
	if fields == nil {
		return 0
	}
	return fields[statmResident] - fields[statmShared]
}

// memoryOf is what another process has in memory; 0 where the system does not tell.
func memoryOf(pid int) int64 {
	fields := statm(strconv.Itoa(pid))
	if fields == nil {
		return 0
	}
	return fields[statmResident]
}
