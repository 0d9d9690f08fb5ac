package e2e

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// ticksPerSecond is the unit of CPU times in /proc on Linux.
const ticksPerSecond = 100

// pids returns the process ids by program; copies of one are told apart.
func (p *Product) pids() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	ids := map[string]int{}
	for key, running := range p.processes {
		ids[strings.TrimSuffix(key, "-0")] = running.cmd.Process.Pid
	}
	if p.brokers != nil {
		for i := range p.brokers.Len() {
			ids["broker-"+strconv.Itoa(i+1)] = p.brokers.Process(i)
		}
	}
	if p.database != nil {
		ids["database"] = p.database.Process()
	}
	return ids
}

// CPU returns what each program has used so far (Linux; empty elsewhere).
func (p *Product) CPU() map[string]time.Duration {
	used := map[string]time.Duration{}
	for name, pid := range p.pids() {
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

// Memory returns the resident bytes of each program (Linux; empty elsewhere).
func (p *Product) Memory() map[string]int64 {
	used := map[string]int64{}
	for name, pid := range p.pids() {
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
		if err != nil {
			continue
		}
		pages, _ := strconv.ParseInt(strings.Fields(string(raw))[1], 10, 64)
		used[name] = pages * int64(os.Getpagesize())
	}
	return used
}
