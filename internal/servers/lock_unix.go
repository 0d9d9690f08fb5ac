//go:build unix

package servers

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// lockFile waits until this process alone holds the file's lock. The lock goes with the process.
func lockFile(path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open lock %s: %w", path, err)
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX); err != nil {
		file.Close()
		return nil, fmt.Errorf("take lock %s: %w", path, err)
	}
	return func() { file.Close() }, nil
}
