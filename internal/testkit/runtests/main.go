// Command runtests runs `go test` with its arguments on one database server for the whole run, which it starts and
// stops. It is what `go tool task test` calls.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"

	"castad/internal/testkit"
)

func main() {
	code, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(args []string) (int, error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	env := os.Environ()
	if os.Getenv(testkit.EnvDSN) == "" {
		dir, err := os.MkdirTemp("", "castad-test-")
		if err != nil {
			return 1, err
		}
		defer os.RemoveAll(dir)
		database, err := testkit.StartDatabase(ctx, dir)
		if err != nil {
			return 1, err
		}
		defer database.Stop()
		env = append(env, testkit.EnvDSN+"="+database.DSN(""))
	}
	// Tests of whole products wait more than they compute, and are many: more of them at once, and more time for all.
	tests := exec.CommandContext(ctx, "go", append([]string{"test", "-timeout=30m", "-parallel=" + strconv.Itoa(max(4, runtime.GOMAXPROCS(0)))}, args...)...)
	tests.Stdout, tests.Stderr, tests.Env = os.Stdout, os.Stderr, env
	tests.Cancel = func() error { return tests.Process.Signal(os.Interrupt) }
	err := tests.Run()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		return failed.ExitCode(), nil
	}
	return 0, err
}
