package servers

import (
	"errors"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// StartDependent starts a program that gets SIGTERM when this process ends, even by kill -9, and that doesn't get the
// terminal's Ctrl-C. Its caller waits for it with cmd.Wait, once.
func StartDependent(cmd *exec.Cmd) error { return startDependent(cmd, syscall.SIGTERM) }

// startDependent keeps the thread that starts the program for as long as the program lives: Linux binds the signal to
// the end of that thread, not of the process.
func startDependent(cmd *exec.Cmd, atEnd syscall.Signal) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: atEnd}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		err := cmd.Start()
		started <- err
		if err == nil {
			awaitEnd(cmd.Process.Pid)
		}
	}()
	return <-started
}

// awaitEnd returns when a child has ended, and leaves its exit status to cmd.Wait.
func awaitEnd(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}
