package e2e_test

import (
	"database/sql"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"castad/internal/e2e"
	"castad/internal/testkit"
)

// The broker's disk is full, and then it isn't. The broker answers nobody meanwhile, and says so on the page that a
// supervisor asks; after a restart everything goes on.
func TestBroker_DiskFull(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t, "64m")
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

// The database's disk is full, and then it isn't. Who submits is told to come again, and everything goes on by itself.
func TestDatabase_DiskFull(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t, "300m")
	p := e2e.Start(t, e2e.Options{Env: slow, Database: true, Disk: filepath.Join(disk.dir, "db")})
	p.Login()
	pid := p.DatabaseProcess()
	underLoad(t, p, []fault{{"full, and freed", func(l *e2e.Load) {
		disk.fill(t, pid)
		useUp(t, p.Admin(t))
		var accepted []string
		testkit.Eventually(t, "who submits is told to come again", func() bool {
			var task e2e.Task
			body := strings.NewReader(order(len(accepted), "Korean"))
			status, err := p.Call(http.MethodPost, "/tasks", nil, body, &task)
			if err == nil {
				accepted = append(accepted, task.TaskID)
			}
			return status == http.StatusServiceUnavailable
		})
		t.Logf("%d more were accepted with the disk full", len(accepted))
		disk.free(t, pid)
		rows := p.Admin(t)
		testkit.Eventually(t, "the database writes again", func() bool {
			p.ReviveDatabase() // InnoDB ends the server where it can't write what it has promised to
			_, err := rows.Exec("DELETE FROM `task_event` WHERE `task_id`='none' LIMIT 1")
			return err == nil
		})
		p.Completed(accepted...)
	}}})
}

// useUp fills the room that the table of events has in its file with events of no task, until its disk is asked for more.
func useUp(t *testing.T, rows *sql.DB) {
	t.Helper()
	const event = "(UUID(),'none',NULL,'task','filler','pending',REPEAT('숲',1000),NOW(6)),"
	seq := 0
	for _, many := range []int{64, 1} { // in large steps, and then into what they leave
		var err error
		for err == nil {
			statement := strings.Builder{}
			statement.WriteString("INSERT INTO `task_event` (`event_id`,`task_id`,`seq`,`stage`,`what`,`task_status`,`reason`,`at`) VALUES ")
			for range many {
				seq++
				statement.WriteString(strings.Replace(event, "NULL", strconv.Itoa(seq), 1))
			}
			_, err = rows.Exec(strings.TrimSuffix(statement.String(), ","))
		}
		t.Logf("after %d events: %v", seq, err)
	}
}

// small is a disk that can be filled: a file system in memory where this process may mount one, or else a folder whose
// server is forbidden to let files grow, which it can't tell from a full disk.
type small struct {
	dir     string
	mounted bool
	stop    func() // of the filling
}

func smallDisk(t *testing.T, size string) *small {
	t.Helper()
	d := &small{dir: t.TempDir()}
	if err := unix.Mount("tmpfs", d.dir, "tmpfs", 0, "size="+size); err != nil {
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

// fill leaves no room until free, also not where the server makes some; the server is process pid.
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
	stop := make(chan struct{})
	var filling sync.WaitGroup
	d.stop = sync.OnceFunc(func() { close(stop); filling.Wait(); f.Close() })
	t.Cleanup(d.stop)
	fillUp(f)
	filling.Go(func() {
		for tick := time.NewTicker(refillEvery); ; {
			select {
			case <-tick.C:
				fillUp(f)
			case <-stop:
				tick.Stop()
				return
			}
		}
	})
}

const refillEvery = 5 * time.Millisecond

func fillUp(f *os.File) {
	var err error
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
	d.stop()
	if err := os.Remove(d.filler()); err != nil {
		t.Fatal(err)
	}
}

// limitFiles sets how long a process may make its files, if it hasn't given up.
func limitFiles(t *testing.T, pid int, bytes uint64) {
	t.Helper()
	if err := unix.Prlimit(pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: bytes, Max: unix.RLIM_INFINITY}, nil); err != nil && !errors.Is(err, unix.ESRCH) {
		t.Fatal(err)
	}
}
