package azblob_test

import (
	"bufio"
	"cmp"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"castad/internal/testkit/sandboxed"
	"castad/providers/sandbox"
)

func as[T error](err error) (T, bool) {
	var target T
	ok := errors.As(err, &target)
	return target, ok
}

// TestContract_Sandbox holds the sandbox and our client to the wire contract of Blob Storage.
func TestContract_Sandbox(t *testing.T) {
	t.Parallel()
	check(t, sandboxed.Open(t, sandbox.Config{}, nil).URL, false)
}

// TestContract_Azurite holds Microsoft's own emulator to the same rows, so that the sandbox can't drift from it.
// CASTAD_TEST_AZURITE or PATH names its program azurite-blob (npm install azurite).
func TestContract_Azurite(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath(cmp.Or(os.Getenv("CASTAD_TEST_AZURITE"), "azurite-blob"))
	if err != nil {
		t.Skip("no Azurite here: npm install azurite, and put azurite-blob into PATH or its path into CASTAD_TEST_AZURITE")
	}
	check(t, azurite(t, program), true)
}

func check(t *testing.T, base string, azurite bool) {
	t.Helper()
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			row.holds(t, openShop(t, base, row.access, azurite))
		})
	}
}

// azurite starts the emulator on a free port and waits until it listens.
func azurite(t *testing.T, program string) string {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := free.Addr().(*net.TCPAddr).Port
	free.Close()
	cmd := exec.Command(program, "--blobHost", "127.0.0.1", "--blobPort", strconv.Itoa(port), "--location", t.TempDir(),
		"--silent", "--skipApiVersionCheck", "--disableTelemetry")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	ready := make(chan string, 1)
	go func() {
		var said strings.Builder
		for lines := bufio.NewScanner(out); lines.Scan(); {
			said.WriteString(lines.Text() + "\n")
			if strings.Contains(lines.Text(), "successfully listen") {
				ready <- ""
			}
		}
		ready <- said.String()
	}()
	select {
	case said := <-ready:
		if said != "" {
			t.Fatalf("Azurite ended: %s", said)
		}
	case <-time.After(time.Minute):
		t.Fatal("Azurite doesn't listen after a minute")
	}
	base := "http://127.0.0.1:" + strconv.Itoa(port)
	resp, err := http.Get(base + "/devstoreaccount1?comp=list")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return base
}
