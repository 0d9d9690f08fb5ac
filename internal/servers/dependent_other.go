//go:build unix && !linux

package servers

import (
	"os/exec"
	"syscall"
)

// StartDependent starts a program in a process group of its own. Here nothing ends it when this process is killed; the
// next start finds its port taken and says so.
func StartDependent(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd.Start()
}
