package servers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Claim is the right to use a folder. It has two locks: the owner's says that somebody uses the folder; the other is
// inherited by the processes that write in it, so that it outlives a killed owner for as long as any of them lives.
type Claim struct{ owner, writers *os.File }

// ErrInUse is returned for a folder that another living process uses.
var ErrInUse = errors.New("the folder is in use")

// leftPatience is how long the processes of a killed owner may take to end.
const leftPatience = 40 * time.Second

// ClaimFolder takes a folder, or returns ErrInUse. Processes that a killed owner left are waited for, which say (may be
// nil) is told. A process ends the claim with its own end, too.
func ClaimFolder(ctx context.Context, dir string, say func(line string)) (*Claim, error) {
	path := filepath.Join(dir, "owner.lock")
	owner, err := tryLock(path)
	if errors.Is(err, errLocked) {
		return nil, fmt.Errorf("%w: process %s uses %s: end it first, or choose another folder", ErrInUse, readPid(path), dir)
	} else if err != nil {
		return nil, err
	}
	if err := writePid(owner, os.Getpid()); err != nil {
		owner.Close()
		return nil, err
	}
	writers, err := awaitWriters(ctx, filepath.Join(dir, "writers.lock"), say)
	if err != nil {
		owner.Close()
		return nil, err
	}
	return &Claim{owner: owner, writers: writers}, nil
}

// awaitWriters takes the lock of the processes that write. One that noted itself is told to end.
func awaitWriters(ctx context.Context, path string, say func(line string)) (*os.File, error) {
	ctx, cancel := context.WithTimeout(ctx, leftPatience)
	defer cancel()
	lock, err := waitLock(ctx, path, func() {
		if say != nil {
			say("waiting for what a killed start left running in " + filepath.Dir(path))
		}
		// The file is emptied under the lock before a process starts, so its number can't be that of an older one.
		if pid, err := strconv.Atoi(readPid(path)); err == nil {
			_ = syscall.Kill(pid, syscall.SIGTERM)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("processes of an earlier start still use %s; end them by hand: %w", filepath.Dir(path), err)
	}
	if err := lock.Truncate(0); err != nil {
		lock.Close()
		return nil, fmt.Errorf("forget an earlier process: %w", err)
	}
	return lock, nil
}

// Inherited is the file that processes which write in the folder have to get among their exec.Cmd.ExtraFiles.
func (c *Claim) Inherited() *os.File { return c.writers }

// noteWriter notes the only process that inherits, so that the next start can end it.
func (c *Claim) noteWriter(pid int) error { return writePid(c.writers, pid) }

// Release gives the folder free as soon as all processes that inherited have ended.
func (c *Claim) Release() {
	c.writers.Close()
	c.owner.Close()
}

func writePid(file *os.File, pid int) error {
	if err := file.Truncate(0); err != nil {
		return fmt.Errorf("note the process: %w", err)
	}
	if _, err := file.WriteAt([]byte(strconv.Itoa(pid)+"\n"), 0); err != nil {
		return fmt.Errorf("note the process: %w", err)
	}
	return nil
}

// readPid returns the process id in a lock file, or "?".
func readPid(path string) string {
	file, err := os.Open(path)
	if err != nil {
		return "?"
	}
	defer file.Close()
	raw, err := io.ReadAll(io.LimitReader(file, 20))
	text := strings.TrimSpace(string(raw))
	if _, bad := strconv.Atoi(text); err != nil || bad != nil {
		return "?"
	}
	return text
}
