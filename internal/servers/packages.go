// Package servers starts the servers that dev and the tests embed, and fetches the programs and files that they need.
//
// What the machine has is used. What it lacks is fetched by the machine's own package manager, with its signatures, and
// unpacked into the user's cache folder: no root, nothing installed, no service. Only cmd/dev and internal/testkit use
// this package; the programs of the pipeline never do.
package servers

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Cache is where fetched packages are kept between runs.
type Cache struct {
	Dir string            // "" is the user's own cache folder, in castad
	Say func(line string) // told what takes long; may be nil
}

func (c Cache) say(format string, args ...any) {
	if c.Say != nil {
		c.Say(fmt.Sprintf(format, args...))
	}
}

func (c Cache) dir() (string, error) {
	if c.Dir != "" {
		return c.Dir, nil
	}
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find a cache folder (set HOME or XDG_CACHE_HOME): %w", err)
	}
	return filepath.Join(base, "castad"), nil
}

// unpacked is the mark of a whole folder: it is written last, so a half-made one is never found.
const unpacked = ".unpacked"

// Packages returns a folder that holds the files of Debian packages and of what they need and this machine lacks,
// fetching and unpacking them if no run before has. The folder's name begins with set and stands for exactly these
// packages on this system. It is safe for several processes at once. The error says what to do instead.
func (c Cache) Packages(ctx context.Context, set string, names ...string) (string, error) {
	base, err := c.dir()
	if err != nil {
		return "", err
	}
	set += "-" + fingerprint(names)
	root := filepath.Join(base, set)
	if marked(root) {
		return root, nil
	}
	if err := os.MkdirAll(base, 0o755); err != nil {
		return "", fmt.Errorf("make the cache folder: %w", err)
	}
	lock, err := waitLock(ctx, filepath.Join(base, set+".lock"), func() { c.say("waiting for another process that fetches the same") })
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if marked(root) { // made by another process meanwhile
		return root, nil
	}
	if err := c.fetch(ctx, base, set, names); err != nil {
		return "", fmt.Errorf("fetch %s: %w", strings.Join(names, " "), err)
	}
	return root, nil
}

// fingerprint tells apart lists of packages, and systems that share a home folder.
func fingerprint(names []string) string {
	system, _ := os.ReadFile("/etc/os-release") // none: the list alone tells
	sum := sha256.Sum256([]byte(strings.Join(slices.Sorted(slices.Values(names)), "\n") + "\n" + runtime.GOARCH + "\n" + string(system)))
	return hex.EncodeToString(sum[:5])
}

func marked(root string) bool {
	_, err := os.Stat(filepath.Join(root, unpacked))
	return err == nil
}

// fetch makes the folder of a set. The set's lock is held.
func (c Cache) fetch(ctx context.Context, base, set string, names []string) error {
	for _, tool := range []string{"apt-get", "dpkg-deb"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("there is no %s here, so it can't be fetched: install %s by this machine's own means", tool, strings.Join(names, " "))
		}
	}
	if err := removeLeftovers(base, set); err != nil {
		return err
	}
	work, err := os.MkdirTemp(base, fetching(set))
	if err != nil {
		return fmt.Errorf("make a folder for the download: %w", err)
	}
	defer os.RemoveAll(work)
	if err := c.fill(ctx, apt{dir: work}, names); err != nil {
		return err
	}
	root := filepath.Join(base, set)
	if err := os.RemoveAll(root); err != nil {
		return fmt.Errorf("remove a half-made folder: %w", err)
	}
	return os.Rename(filepath.Join(work, "root"), root)
}

func fetching(set string) string { return "fetch-" + set + "-" }

// removeLeftovers removes the downloads of processes that were killed: none other lives while the lock is held.
func removeLeftovers(base, set string) error {
	left, err := filepath.Glob(filepath.Join(base, fetching(set)+"*"))
	if err != nil {
		return err
	}
	for _, dir := range left {
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("remove a broken-off download: %w", err)
		}
	}
	return nil
}

// unpackedTimes is how many times its download a package needs on the disk, the download included.
const unpackedTimes = 6

func (c Cache) fill(ctx context.Context, a apt, names []string) error {
	if err := a.prepare(); err != nil {
		return err
	}
	c.say("looking up %s", strings.Join(names, ", "))
	packages, size, err := a.plan(ctx, names)
	if err != nil {
		return err
	}
	room, err := FreeBytes(a.dir)
	if err != nil {
		return err
	}
	if room < size*unpackedTimes {
		return fmt.Errorf("%s has %d MB free, and %d MB are needed: make room, or set XDG_CACHE_HOME to a folder on a larger disk",
			filepath.Dir(a.dir), room/1e6, size*unpackedTimes/1e6)
	}
	c.say("fetching %d packages, %d MB, once", len(packages), size/1e6)
	stop := c.watch(filepath.Join(a.dir, "dl"), size)
	err = a.download(ctx, packages)
	stop()
	if err != nil {
		return err
	}
	c.say("unpacking")
	if err := a.unpack(ctx); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(a.dir, "root", unpacked), []byte(strings.Join(names, "\n")+"\n"), 0o644); err != nil {
		return fmt.Errorf("mark the folder: %w", err)
	}
	return nil
}

const watchEvery = 3 * time.Second

// watch tells how much of a download is there, until stop is called.
func (c Cache) watch(dir string, size int64) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(watchEvery)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				c.say("fetched %d of %d MB", folderBytes(dir)/1e6, size/1e6)
			}
		}
	}()
	return func() { close(done); <-ended }
}

func folderBytes(dir string) (sum int64) {
	_ = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // files come and go during a download
		}
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() {
			sum += info.Size()
		}
		return nil
	})
	return sum
}

// libraries returns the folders of an unpacked root in which the loader has to look.
func libraries(root string) string {
	triplet := map[string]string{"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}[runtime.GOARCH]
	lib := filepath.Join(root, "usr", "lib", triplet)
	folders := []string{lib}
	for _, sub := range []string{"blas", "lapack", "pulseaudio"} {
		folders = append(folders, filepath.Join(lib, sub))
	}
	return strings.Join(append(folders, filepath.Join(root, "lib", triplet)), ":")
}

// wrapper writes a script that runs an unpacked program with its own libraries, so that one plain path can be handed
// to other programs.
func wrapper(root, program string) (string, error) {
	target := filepath.Join(root, program)
	if _, err := os.Stat(target); err != nil {
		return "", fmt.Errorf("the unpacked files lack %s; remove %s and try again: %w", program, root, err)
	}
	if strings.Contains(root, ":") { // the loader knows no way to quote it
		return "", fmt.Errorf("the cache folder %s must not have a colon in its name: set XDG_CACHE_HOME to another", root)
	}
	script := []byte(fmt.Sprintf("#!/bin/sh\nLD_LIBRARY_PATH=%s\nexport LD_LIBRARY_PATH\nexec %s \"$@\"\n", quoted(libraries(root)), quoted(target)))
	path := filepath.Join(root, "run-"+filepath.Base(program))
	if present, err := os.ReadFile(path); err == nil && bytes.Equal(present, script) {
		return path, nil
	}
	if err := replaceFile(path, script, 0o755); err != nil {
		return "", fmt.Errorf("write a wrapper for %s: %w", program, err)
	}
	return path, nil
}

// quoted makes a text one word of the shell.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
