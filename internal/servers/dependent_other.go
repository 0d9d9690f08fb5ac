//go:build unix && !linux

package servers

import (
	"os/exec"
	"syscall"
)

// StartDependent starts a program in a process group of its own, so that it doesn't get the terminal's Ctrl-C. Here
// nothing ends it when this process is killed; a database's next start does. Its caller waits for it with cmd.Wait, once.
func StartDependent(cmd *exec.Cmd) error { return startDependent(cmd, syscall.SIGTERM) }

func startDependent(cmd *exec.Cmd, _ syscall.Signal) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd.Start()
}
