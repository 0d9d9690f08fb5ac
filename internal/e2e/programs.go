package e2e

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"castad/internal/servers"
	"castad/internal/testkit"
)

// Programs are all that a product consists of, in the order in which they start.
var Programs = []string{"sandbox", "api", "relay", "crawl", "intel", "lyric", "song", "video", "upload"}

// leftover is the folder that Main removes when all tests have ended.
var leftover string

// binaries builds all programs once for the test process.
var binaries = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "castad-bin-")
	if err != nil {
		return "", err
	}
	leftover = dir
	// The tag gives each step boundary a name at which a process can be told to die; without being told it changes nothing.
	build := exec.Command("go", "build", "-tags", "crashpoints", "-o", dir+"/", "./api", "./consumers/...", "./cmd/sandbox", "./cmd/relay", "./cmd/castad")
	build.Dir = testkit.Root()
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the programs: %w\n%s", err, out)
	}
	return dir, nil
})

// process is one copy of a program, or the broker.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

// key names the nth copy of a program.
func key(name string, n int) string { return fmt.Sprintf("%s-%d", name, n) }

func (p *Product) copiesOf(name string) int {
	if name == "broker" || name == "sandbox" {
		return 1
	}
	return p.copies
}

// healthOf names the port on which a copy of a program tells how it is. The API and the sandbox have another one, for
// everybody, under its key.
func healthOf(key string) string { return "health of " + key }

func (p *Product) findPorts() {
	p.ports["broker"] = testkit.FreePort(p.t)
	for _, name := range Programs {
		for n := range p.copiesOf(name) {
			p.ports[healthOf(key(name, n))] = testkit.FreePort(p.t)
			if name == "api" || name == "sandbox" {
				p.ports[key(name, n)] = testkit.FreePort(p.t)
			}
		}
	}
}

func (p *Product) at(port string) string { return fmt.Sprintf("http://127.0.0.1:%d", p.ports[port]) }

// api returns the address of the API; its copies take turns.
func (p *Product) api() string { return p.at(key("api", int(p.turn.Add(1))%p.copies)) }

// Run starts a program, as many times as the options say, and doesn't wait until it is ready.
func (p *Product) Run(name string) { p.run(name, "") }

// RunUntil starts one copy of a program in place of the running ones, and returns what is closed when it has died at a
// crash point (internal/crash).
func (p *Product) RunUntil(name, point string) (died <-chan struct{}) {
	p.t.Helper()
	p.Kill(name)
	p.run(name, point)
	return p.process(key(name, 0)).ended
}

// run starts a program with a crash point; "" for none.
func (p *Product) run(name, point string) {
	p.t.Helper()
	for n := range p.copiesOf(name) {
		p.start(name, n, point)
	}
}

// start starts one copy of a program.
func (p *Product) start(name string, n int, point string) {
	p.t.Helper()
	dir, err := binaries()
	if err != nil {
		p.t.Fatal(err)
	}
	env := map[string]string{"CASTAD_HEALTH_ADDR": fmt.Sprintf("127.0.0.1:%d", p.ports[healthOf(key(name, n))])}
	if name == "api" {
		env["CASTAD_API_ADDR"] = fmt.Sprintf("127.0.0.1:%d", p.ports[key(name, n)])
	}
	if point != "" {
		env["CASTAD_CRASH"] = point
	}
	p.launch(key(name, n), exec.Command(filepath.Join(dir, name)), env)
}

func (p *Product) launch(key string, cmd *exec.Cmd, env map[string]string) {
	p.t.Helper()
	log, err := os.OpenFile(filepath.Join(p.dir, key+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		p.t.Fatal(err)
	}
	defer log.Close()
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}
	for _, values := range []map[string]string{p.env, env} {
		for name, value := range values {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := servers.StartDependent(cmd); err != nil {
		p.t.Fatal(err)
	}
	started := &process{cmd: cmd, ended: make(chan struct{})}
	go func() { _ = cmd.Wait(); close(started.ended) }()
	p.mu.Lock()
	p.processes[key] = started
	p.mu.Unlock()
}

func (p *Product) process(key string) *process {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.processes[key]
}

// Ready waits until all copies of a program are ready.
func (p *Product) Ready(name string) {
	p.t.Helper()
	for n := range p.copiesOf(name) {
		p.awaitReady(name, n)
	}
}

func (p *Product) awaitReady(name string, n int) {
	p.t.Helper()
	page := p.at(healthOf(key(name, n))) + "/readyz"
	if name == "sandbox" {
		page = p.Sandbox() + "/healthz"
	}
	testkit.Eventually(p.t, key(name, n)+" is ready", func() bool {
		resp, err := http.Get(page)
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// Kill ends a program, or the broker, with kill -9, all its copies.
func (p *Product) Kill(name string) { p.end(name, syscall.SIGKILL) }

// Stop ends a program in an orderly way, and waits for it.
func (p *Product) Stop(name string) { p.end(name, syscall.SIGTERM) }

// Pause stops a program's processes where they are, and Continue lets them go on: as after a long halt of a machine.
func (p *Product) Pause(name string) { p.tell(name, syscall.SIGSTOP) }

// Continue lets a paused program go on.
func (p *Product) Continue(name string) { p.tell(name, syscall.SIGCONT) }

// Roll replaces a program as a deploy does: one copy after the other is told to end, and started again; the next one
// isn't touched before the new one is ready.
func (p *Product) Roll(name string) {
	p.t.Helper()
	for n := range p.copiesOf(name) {
		old := p.process(key(name, n))
		_ = old.cmd.Process.Signal(syscall.SIGTERM)
		<-old.ended
		if code := old.cmd.ProcessState.ExitCode(); code != 0 {
			p.t.Errorf("%s ended with %d when it was told to end", key(name, n), code)
		}
		p.start(name, n, "")
		p.awaitReady(name, n)
	}
}

func (p *Product) tell(name string, signal syscall.Signal) {
	for n := range p.copiesOf(name) {
		_ = p.process(key(name, n)).cmd.Process.Signal(signal)
	}
}

func (p *Product) end(name string, signal syscall.Signal) {
	for n := range p.copiesOf(name) {
		running := p.process(key(name, n))
		_ = running.cmd.Process.Signal(signal)
		<-running.ended
	}
}

// Main is TestMain for packages that use Start: the same binary serves as the broker's process.
func Main(m *testing.M) {
	if settings := os.Getenv(brokerEnv); settings != "" {
		serveBroker(settings)
	}
	code := m.Run()
	if leftover != "" {
		os.RemoveAll(leftover)
	}
	os.Exit(code)
}
