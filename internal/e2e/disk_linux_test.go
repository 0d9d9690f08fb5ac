package e2e_test

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"castad/internal/e2e"
	"castad/internal/testkit"
)

// The broker's disk is full, and then it isn't. The broker answers nobody meanwhile, and says so on the page that a
// supervisor asks; after a restart everything goes on.
func TestBroker_DiskFull(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t)
	p := e2e.Start(t, e2e.Options{Env: slow, Brokers: testkit.BrokerSettings{Nodes: 1, Store: disk.dir}})
	p.Login()
	b := p.Brokers()
	underLoad(t, p, []fault{{"full, and freed", func(l *e2e.Load) {
		disk.fill(t, b.Process(0))
		testkit.Eventually(t, "the broker says that it isn't well", func() bool { return b.Monitor(0, "/healthz", nil) != nil })
		disk.free(t, b.Process(0))
		t.Logf("with room again, before a restart: %v", b.Monitor(0, "/healthz", nil))
		b.Kill(0)
		b.Start(0)
	}}})
}

// small is a disk that can be filled: a file system in memory where this process may mount one, or else a folder whose
// broker is forbidden to let files grow, which it can't tell from a full disk.
type small struct {
	dir     string
	mounted bool
}

func smallDisk(t *testing.T) *small {
	t.Helper()
	d := &small{dir: t.TempDir()}
	if err := unix.Mount("tmpfs", d.dir, "tmpfs", 0, "size=64m"); err != nil {
		t.Logf("no disk of its own (%v): files that may not grow instead", err)
		return d
	}
	d.mounted = true
	t.Cleanup(func() {
		if err := unix.Unmount(d.dir, 0); err != nil {
			t.Error(err)
		}
	})
	return d
}

func (d *small) filler() string { return filepath.Join(d.dir, "filler") }

// fill leaves no room; the broker is process pid.
func (d *small) fill(t *testing.T, pid int) {
	t.Helper()
	if !d.mounted {
		limitFiles(t, pid, 0)
		return
	}
	f, err := os.Create(d.filler())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for page := make([]byte, 4096); err == nil; {
		_, err = f.Write(page)
	}
}

func (d *small) free(t *testing.T, pid int) {
	t.Helper()
	if !d.mounted {
		limitFiles(t, pid, unix.RLIM_INFINITY)
		return
	}
	if err := os.Remove(d.filler()); err != nil {
		t.Fatal(err)
	}
}

// limitFiles sets how long a process may make its files.
func limitFiles(t *testing.T, pid int, bytes uint64) {
	t.Helper()
	if err := unix.Prlimit(pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: bytes, Max: unix.RLIM_INFINITY}, nil); err != nil {
		t.Fatal(err)
	}
}
