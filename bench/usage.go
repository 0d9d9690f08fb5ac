package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

const ticksPerSecond = 100 // Linux's USER_HZ, the same on all its machines

// cpu returns the CPU time that each process has used so far.
func cpu(processes map[string]int) map[string]time.Duration {
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

// memory returns the resident megabytes of each process.
func memory(processes map[string]int) map[string]float64 {
	used := map[string]float64{}
	for name, pid := range processes {
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
		if err != nil {
			continue
		}
		pages, _ := strconv.ParseInt(strings.Fields(string(raw))[1], 10, 64)
		used[name] = float64(pages*int64(os.Getpagesize())) / 1e6
	}
	return used
}
