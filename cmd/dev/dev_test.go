package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"castad/internal/testkit"
)

// screen is what dev prints.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// launch builds everything and runs dev in a folder of the test's own, on ports that nobody else uses.
func launch(t *testing.T, at state) (*exec.Cmd, *screen) {
	t.Helper()
	bin := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", bin+"/", "./api", "./consumers/...", "./cmd/...")
	build.Dir = testkit.Root()
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the programs: %v\n%s", err, out)
	}
	own := ports{}
	for _, u := range usual {
		port := testkit.FreePort(t)
		own[u.name] = port
	}
	raw, err := json.Marshal(own)
	if err != nil {
		t.Fatal(err)
	}
	if err := at.write(portsFile, raw); err != nil {
		t.Fatal(err)
	}
	shown := &screen{}
	dev := exec.CommandContext(t.Context(), filepath.Join(bin, "dev"), "--quick", "--state", string(at))
	dev.Dir, dev.Stdout, dev.Stderr = testkit.Root(), shown, shown
	dev.Env = processEnv(os.Environ())
	if err := dev.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(shown.String())
		}
	})
	return dev, shown
}

func TestDev_StartsRestartsAndStops(t *testing.T) {
	t.Parallel()
	at := state(t.TempDir())
	dev, shown := launch(t, at)
	ended := make(chan error, 1)
	go func() { ended <- dev.Wait() }()
	says := func(text string) {
		t.Helper()
		testkit.Eventually(t, "dev says "+text, func() bool {
			select {
			case err := <-ended:
				t.Fatalf("dev ended: %v", err)
			default:
			}
			return strings.Contains(shown.String(), text)
		})
	}
	says("CastAD runs")
	if _, err := os.Stat(at.path(envFile)); err != nil {
		t.Errorf("while it runs: %v", err)
	}
	if err := syscall.Kill(databaseProcess(t, at), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	says("up mariadb  again")
	if err := dev.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil || !strings.HasSuffix(shown.String(), "stopped\n") {
		t.Errorf("after Ctrl-C: %v", err)
	}
	if _, err := os.Stat(at.path(envFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("settings of what no longer runs are left: %v", err)
	}
}

func databaseProcess(t *testing.T, at state) int {
	t.Helper()
	raw, err := os.ReadFile(at.path("mariadb", "writers.lock"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}
