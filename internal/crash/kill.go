//go:build crashpoints

// Package crash names the points between two steps at which a process may die, so that tests reach each of them on
// purpose. In a program as it is shipped a point is nothing: the compiler removes the empty function. Built with the tag
// "crashpoints", the process whose CASTAD_CRASH names a point kills itself there.
package crash

import (
	"os"
	"syscall"
)

// Point is the environment variable that names the point: "song.after_call", or with a purpose "upload.after_call.title".
// It is read here, past internal/config, because nothing but a test build has it.
const Point = "CASTAD_CRASH"

// At ends the process with SIGKILL, as a power cut would, if it is at the point that the environment names.
func At(scope, step, purpose string) {
	wanted := os.Getenv(Point)
	if wanted == "" || wanted != scope+"."+step && wanted != scope+"."+step+"."+purpose {
		return
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // the signal is on its way
}

// Guard is the environment variable that names a guard to switch off.
const Guard = "CASTAD_WITHOUT"

// Without reports whether a guard is switched off, to show what it is there for.
func Without(guard string) bool { return os.Getenv(Guard) == guard }
