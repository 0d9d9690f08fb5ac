// Package usage reads what processes use of the machine. It is for tests and benchmarks; it knows Linux alone, and finds
// nothing elsewhere.
package usage

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// ticksPerSecond is the unit of CPU times in /proc: Linux's USER_HZ, the same on all its machines.
const ticksPerSecond = 100

// CPU returns the CPU time that each process, named with its id, has used so far. Those that are gone are left out.
func CPU(processes map[string]int) map[string]time.Duration {
	used := map[string]time.Duration{}
	for name, pid := range processes {
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue
		}
		fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
		user, _ := strconv.Atoi(fields[11])
		system, _ := strconv.Atoi(fields[12])
		used[name] = time.Duration(user+system) * time.Second / ticksPerSecond
	}
	return used
}

// Memory returns the resident bytes of each process. Those that are gone are left out.
func Memory(processes map[string]int) map[string]int64 {
	used := map[string]int64{}
	for name, pid := range processes {
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
		if err != nil {
			continue
		}
		pages, _ := strconv.ParseInt(strings.Fields(string(raw))[1], 10, 64)
		used[name] = pages * int64(os.Getpagesize())
	}
	return used
}
