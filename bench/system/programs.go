package system

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"castad/internal/servers"
)

// Role is a part of a system that runs as a process of its own: the benchmark's own program, started again under the
// role's name. It works until its context ends, and calls ready once it can work. completed tells the benchmark of a
// task that has come through.
type Role func(ctx context.Context, env func(string) string, ready func(), completed func(taskID string)) error

const (
	roleEnv   = "CASTAD_BENCH_ROLE"
	readyLine = "ready"
	donePart  = "done "
)

// Play runs the role that the environment names, if it names one, and ends the process after it.
func Play(roles map[string]Role) {
	name := os.Getenv(roleEnv)
	if name == "" {
		return
	}
	role, ok := roles[name]
	if !ok {
		fmt.Fprintf(os.Stderr, "there is no role %q\n", name)
		os.Exit(2)
	}
	ctx, stop := context.WithCancel(context.Background())
	go func() { // the benchmark closes our input, or dies
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	var out sync.Mutex
	say := func(line string) {
		out.Lock()
		defer out.Unlock()
		fmt.Println(line)
	}
	err := role(ctx, os.Getenv, func() { say(readyLine) }, func(taskID string) { say(donePart + taskID) })
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Programs are the processes of a system.
type Programs struct {
	dir       string
	mu        sync.Mutex
	running   []*program
	completed chan string
}

type program struct {
	name  string
	cmd   *exec.Cmd
	stop  func() // asks it to end
	ready chan struct{}
	ended chan struct{}
}

// NewPrograms returns an empty set whose logs go to a folder.
func NewPrograms(dir string) *Programs {
	return &Programs{dir: dir, completed: make(chan string, 1<<17)}
}

// Completed is what roles tell with completed.
func (p *Programs) Completed() <-chan string { return p.completed }

const readyWithin = 30 * time.Second

// Play starts a role under a name, and waits until it is ready.
func (p *Programs) Play(ctx context.Context, name, role string, env map[string]string) error {
	own, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the benchmark's own program: %w", err)
	}
	cmd := exec.Command(own)
	cmd.Env = append(cmd.Env, roleEnv+"="+role)
	input, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("connect %s: %w", name, err)
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("connect %s: %w", name, err)
	}
	started, err := p.start(name, cmd, env, func() { input.Close() })
	if err != nil {
		return err
	}
	go func() {
		p.listen(started, output)
		started.wait()
	}()
	return p.await(ctx, started)
}

// Run starts any program under a name; SIGTERM is what ends it. The caller finds out whether it is ready.
func (p *Programs) Run(name string, cmd *exec.Cmd, env map[string]string) error {
	started, err := p.start(name, cmd, env, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })
	if err == nil {
		go started.wait()
	}
	return err
}

func (p *Programs) start(name string, cmd *exec.Cmd, env map[string]string, stop func()) (*program, error) {
	log, err := os.Create(p.log(name))
	if err != nil {
		return nil, fmt.Errorf("make the log of %s: %w", name, err)
	}
	defer log.Close()
	cmd.Env = append(cmd.Env, "PATH="+os.Getenv("PATH"), "HOME="+os.Getenv("HOME"))
	for key, value := range env {
		cmd.Env = append(cmd.Env, key+"="+value)
	}
	cmd.Stderr = log
	if err := servers.StartDependent(cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	started := &program{name: name, cmd: cmd, stop: stop, ready: make(chan struct{}), ended: make(chan struct{})}
	p.mu.Lock()
	p.running = append(p.running, started)
	p.mu.Unlock()
	return started, nil
}

func (s *program) wait() {
	_ = s.cmd.Wait()
	close(s.ended)
}

// listen takes what a role says until it ends.
func (p *Programs) listen(from *program, output io.Reader) {
	for lines := bufio.NewScanner(output); lines.Scan(); {
		line := lines.Text()
		if line == readyLine {
			close(from.ready)
		} else if id, ok := strings.CutPrefix(line, donePart); ok {
			p.completed <- id
		}
	}
}

func (p *Programs) await(ctx context.Context, started *program) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	select {
	case <-started.ready:
		return nil
	case <-started.ended:
	case <-ctx.Done():
	}
	log, _ := os.ReadFile(p.log(started.name))
	return fmt.Errorf("%s isn't ready; its log says: %s", started.name, log)
}

func (p *Programs) log(name string) string { return filepath.Join(p.dir, name+".log") }

// Processes are the running programs with their ids.
func (p *Programs) Processes() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	ids := map[string]int{}
	for _, started := range p.running {
		ids[started.name] = started.cmd.Process.Pid
	}
	return ids
}

const endWithin = 10 * time.Second

// Stop ends the programs, the last one first, and waits for each; one that doesn't end in time is killed.
func (p *Programs) Stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, started := range slices.Backward(p.running) {
		started.stop()
		select {
		case <-started.ended:
		case <-time.After(endWithin):
			_ = started.cmd.Process.Kill()
			<-started.ended
		}
	}
	p.running = nil
}
