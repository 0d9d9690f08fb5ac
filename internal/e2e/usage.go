package e2e

import (
	"strconv"
	"strings"
	"time"

	"castad/internal/usage"
)

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

// CPU returns what each program has used so far.
func (p *Product) CPU() map[string]time.Duration { return usage.CPU(p.pids()) }

// Memory returns the resident bytes of each program.
func (p *Product) Memory() map[string]int64 { return usage.Memory(p.pids()) }
