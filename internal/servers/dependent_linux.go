package servers

import (
	"os/exec"
	"runtime"
	"syscall"
)

// StartDependent starts a program that gets SIGTERM when this process ends, even by kill -9. Linux binds that to the
// thread that starts it, so that thread is kept for as long as the program lives.
func StartDependent(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine, and the goroutine doesn't end
		started <- cmd.Start()
		select {}
	}()
	return <-started
}
