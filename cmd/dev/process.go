package main

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"castad/internal/servers"
)

// running is something that lives until it ends by itself or is told to.
type running interface {
	Process() int           // its process id
	Ended() <-chan struct{} // closed when it has ended
	State() string          // how it ended
	Stop()                  // in an orderly way; waits
}

// process is a program that ends with dev.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

// program is how to start a process.
type program struct {
	path string
	args []string
	env  []string
	log  string   // gets its output
	hold *os.File // kept open by it, so that the next start knows of it
}

func (p program) start() (*process, error) {
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open a log: %w", err)
	}
	defer log.Close()
	started := &process{cmd: exec.Command(p.path, p.args...), ended: make(chan struct{})}
	started.cmd.Env, started.cmd.Stdout, started.cmd.Stderr, started.cmd.ExtraFiles = p.env, log, log, []*os.File{p.hold}
	if err := servers.StartDependent(started.cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", p.path, err)
	}
	go func() {
		_ = started.cmd.Wait()
		close(started.ended)
	}()
	return started, nil
}

// Process returns the process id.
func (p *process) Process() int { return p.cmd.Process.Pid }

// Ended is closed when the process has ended.
func (p *process) Ended() <-chan struct{} { return p.ended }

// State says how it ended.
func (p *process) State() string { return p.cmd.ProcessState.String() }

// stopGrace is a little more than the programs give their running work.
const stopGrace = 25 * time.Second

// Stop asks the process to end, and kills it after the grace.
func (p *process) Stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(stopGrace):
		kill(p)
		<-p.ended
	}
}

// kill ends something at once, with what it started.
func kill(r running) {
	select {
	case <-r.Ended():
	default:
		_ = syscall.Kill(-r.Process(), syscall.SIGKILL)
	}
}
