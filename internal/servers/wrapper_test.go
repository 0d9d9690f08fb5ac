package servers_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"castad/internal/servers"
	"castad/internal/testkit"
)

func TestWrapper_RunsFromAnyFolder(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), `it's $HOME "here"`)
	program := filepath.Join(root, "bin", "say")
	if err := os.MkdirAll(filepath.Dir(program), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, []byte("#!/bin/sh\nprintf '%s' \"$1\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "run-say"), []byte("#!/bin/sh\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err) // as an earlier version of us might have written it
	}
	path, err := servers.Wrapper(root, "bin/say")
	if err != nil {
		t.Fatal(err)
	}
	var got []byte
	testkit.Eventually(t, "no other test's child holds what was just written", func() bool {
		got, err = exec.CommandContext(t.Context(), path, "a  b").Output()
		return !errors.Is(err, syscall.ETXTBSY)
	})
	if err != nil || string(got) != "a  b" {
		t.Errorf("the wrapped program says %q, %v", got, err)
	}
	if _, err := servers.Wrapper(root, "bin/none"); err == nil {
		t.Error("a program that isn't there was wrapped")
	}
}
