package e2e_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"castad/internal/e2e"
	"castad/internal/testkit"
)

// The power of the broker's machine is cut under load, the other machines go on. With the default sync of nats.conf the
// broker comes back without the newest messages, which it had acknowledged: no task is lost by that and none is paid
// twice, because the rows know. With `sync_interval: always` it comes back with all.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]map[string]string{"default sync": nil, "always": syncAlways} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			disk := powered(t)
			p := e2e.Start(t, e2e.Options{Env: slow, Brokers: testkit.BrokerSettings{Nodes: 1, Store: disk.dir, Edit: edit}})
			p.Login()
			b := p.Brokers()
			underLoad(t, p, []fault{{"cut", func(l *e2e.Load) {
				disk.keep(t)
				l.Completes(8)
				var before, after uint64
				whileQueued(t, p, func(*e2e.Load) {
					before = newest(t, b)
					disk.cut(t, b)
					b.Start(0)
					after = newest(t, b)
				})(l)
				t.Logf("the newest message was %d before the cut, and is %d after it", before, after)
				if lost, may := after < before, edit == nil || disk.image == ""; lost != may {
					t.Errorf("%d was acknowledged before the cut, and %d is there after it", before, after)
				}
			}}})
		})
	}
}

// newest returns the number of the newest work message.
func newest(t *testing.T, b *testkit.Brokers) (seq uint64) {
	t.Helper()
	testkit.Eventually(t, "the work stream can be asked", func() bool {
		return b.Ask(func(ctx context.Context, js jetstream.JetStream) error {
			work, err := js.Stream(ctx, workStream)
			if err == nil {
				seq = work.CachedInfo().State.LastSeq
			}
			return err
		}) == nil
	})
	return seq
}

// disk is what a broker's store is on: an image with a file system, where this process may mount one. A copy of the
// image, taken while it is in use, holds what a real disk would hold after a power cut: what was synced, and what the
// system happened to have written. Elsewhere it is a folder, which goes back to an older copy of itself.
type disk struct {
	dir   string
	image string // "" for a folder
	old   string // copy of the folder
}

func powered(t *testing.T) *disk {
	t.Helper()
	d := &disk{dir: t.TempDir(), old: t.TempDir()}
	image := filepath.Join(t.TempDir(), "disk")
	err := os.WriteFile(image, nil, 0o600)
	if err == nil {
		err = os.Truncate(image, 256<<20)
	}
	if err == nil {
		err = exec.Command("mkfs.ext4", "-q", "-F", image).Run()
	}
	if err == nil {
		err = exec.Command("mount", "-o", "loop", image, d.dir).Run()
	}
	if err != nil {
		t.Logf("no disk of its own (%v): an older copy of the folder instead", err)
		return d
	}
	d.image = image
	t.Cleanup(func() { d.run(t, "umount", d.dir) })
	return d
}

func (d *disk) run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
}

// keep notes the state that a folder will go back to.
func (d *disk) keep(t *testing.T) {
	t.Helper()
	if d.image == "" {
		copyFolder(t, d.dir, d.old)
	}
}

// cut ends the broker, whose disk then holds no more than a power cut would leave.
func (d *disk) cut(t *testing.T, b *testkit.Brokers) {
	t.Helper()
	b.Pause(0) // it writes nothing while its disk is copied
	if d.image == "" {
		b.Kill(0)
		b.Wipe(0)
		copyFolder(t, d.old, d.dir)
		return
	}
	after := d.image + "-after"
	d.run(t, "cp", "--sparse=always", d.image, after)
	b.Kill(0)
	d.run(t, "umount", d.dir)
	d.run(t, "mount", "-o", "loop", after, d.dir) // ext4 recovers from its journal
}

// copyFolder copies the files of a running broker, which may vanish meanwhile.
func copyFolder(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		target := filepath.Join(to, path[len(from):])
		if err == nil && entry.IsDir() {
			err = os.MkdirAll(target, 0o700)
		} else if err == nil {
			var raw []byte
			if raw, err = os.ReadFile(path); err == nil {
				err = os.WriteFile(target, raw, 0o600)
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
