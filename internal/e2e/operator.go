package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"castad/internal/testkit"
)

// natsCLI builds the nats command line beside the programs, once for the test process, from the versions that
// tools/nats.mod pins.
var natsCLI = sync.OnceValues(func() (string, error) {
	dir, err := binaries()
	if err != nil {
		return "", err
	}
	build := exec.Command("go", "build", "-modfile=tools/nats.mod", "-o", filepath.Join(dir, "nats"), "github.com/nats-io/natscli/nats")
	build.Dir = testkit.Root()
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the nats command line: %w\n%s", err, out)
	}
	return dir, nil
})

const shellPatience = 3 * time.Minute

// Shell runs a script with bash, as an operator of this product would: castad and nats are on its PATH, and its
// environment holds what castad and nats want to know, and env. It returns all that was printed, and the exit code.
func (p *Product) Shell(script string, env map[string]string) (printed string, code int) {
	p.t.Helper()
	dir, err := natsCLI()
	if err != nil {
		p.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), shellPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", script)
	cmd.Dir = p.dir
	cmd.Env = []string{"PATH=" + dir + string(os.PathListSeparator) + os.Getenv("PATH"), "HOME=" + p.dir, "LC_ALL=C.UTF-8",
		"CASTAD_MYSQL_DSN=" + p.env["CASTAD_MYSQL_DSN"], "CASTAD_NATS_URL=" + p.env["CASTAD_NATS_URL"],
		"CASTAD_PUBLIC_URL=" + p.env["CASTAD_PUBLIC_URL"], "NATS_URL=" + p.env["CASTAD_NATS_URL"]}
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	out, err := cmd.CombinedOutput()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		return string(out), failed.ExitCode()
	}
	if err != nil {
		p.t.Fatalf("run bash: %v", err)
	}
	return string(out), 0
}

// castad runs the operators' command line and returns what it printed.
func (p *Product) castad(args ...string) string {
	p.t.Helper()
	dir, err := binaries()
	if err != nil {
		p.t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(dir, "castad"), args...)
	cmd.Dir, cmd.Env = p.dir, []string{"CASTAD_MYSQL_DSN=" + p.env["CASTAD_MYSQL_DSN"]}
	out, err := cmd.CombinedOutput()
	if err != nil {
		p.t.Logf("castad %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// Messages counts what is on a stream, or returns -1 where it can't be asked.
func (p *Product) Messages(stream string) int {
	js, done, err := p.jetStream(time.Second)
	if err != nil {
		return -1
	}
	defer done()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	found, err := js.Stream(ctx, stream)
	if err != nil {
		return -1
	}
	return int(found.CachedInfo().State.Msgs)
}

// AdminToken logs an administrator in.
func (p *Product) AdminToken() string {
	p.t.Helper()
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if _, err := p.Call("POST", "/auth/dev/login", nil, strings.NewReader(`{"nickname":"boss","role":"admin"}`), &answer); err != nil {
		p.t.Fatal(err)
	}
	return answer.AccessToken
}

// NoFaults makes the sandbox well again.
func (p *Product) NoFaults() {
	p.t.Helper()
	req, err := http.NewRequest(http.MethodDelete, p.Sandbox()+"/admin/faults", nil)
	if err != nil {
		p.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		p.t.Fatalf("the sandbox doesn't forget its faults: status %d", resp.StatusCode)
	}
}
