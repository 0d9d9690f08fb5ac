//go:build unix

package servers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// errLocked means that somebody else holds a lock.
var errLocked = errors.New("the lock is taken")

// tryLock takes a file's lock or returns errLocked. The lock is held until the last process that has the file open,
// this one or one that inherited it, closes it or ends.
func tryLock(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return file, nil
	}
	file.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, errLocked
	}
	return nil, fmt.Errorf("take lock %s: %w", path, err)
}

const lockPoll = 50 * time.Millisecond

// waitLock waits for a file's lock until ctx ends. waiting is called once if it has to wait.
func waitLock(ctx context.Context, path string, waiting func()) (*os.File, error) {
	for first := true; ; first = false {
		file, err := tryLock(path)
		if !errors.Is(err, errLocked) {
			return file, err
		}
		if first {
			waiting()
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for lock %s: %w", path, ctx.Err())
		case <-time.After(lockPoll):
		}
	}
}

// FreeBytes returns how much this user may still write to the disk of a folder.
func FreeBytes(dir string) (int64, error) {
	var disk unix.Statfs_t
	if err := unix.Statfs(dir, &disk); err != nil {
		return 0, fmt.Errorf("ask for the free room of %s: %w", dir, err)
	}
	return int64(disk.Bavail) * int64(disk.Bsize), nil //nolint:unconvert // the types differ by system
}
