// Package servers starts the servers that dev and the tests embed, and fetches the programs and files that they need.
//
// What the machine has is used. What it lacks is fetched by the machine's own package manager, with its signatures, and
// unpacked into the user's cache folder: no root, nothing installed, no service. Only cmd/dev and internal/testkit use
// this package; the programs of the pipeline never do.
package servers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
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
// fetching and unpacking them if no run before has. set names the folder. It is safe for several processes at once.
// The error says what to do instead.
func (c Cache) Packages(ctx context.Context, set string, names ...string) (string, error) {
	base, err := c.dir()
	if err != nil {
		return "", err
	}
	root := filepath.Join(base, set)
	if marked(root) {
		return root, nil
	}
	if err := os.MkdirAll(base, 0o755); err != nil {
		return "", fmt.Errorf("make the cache folder: %w", err)
	}
	unlock, err := lockFile(filepath.Join(base, set+".lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	if marked(root) { // made by another process meanwhile
		return root, nil
	}
	if err := c.fetch(ctx, base, root, names); err != nil {
		return "", fmt.Errorf("fetch %s: %w", strings.Join(names, " "), err)
	}
	return root, nil
}

func marked(root string) bool {
	_, err := os.Stat(filepath.Join(root, unpacked))
	return err == nil
}

func (c Cache) fetch(ctx context.Context, base, root string, names []string) error {
	for _, tool := range []string{"apt-get", "dpkg-deb"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("there is no %s here, so it can't be fetched: install %s by this machine's own means", tool, strings.Join(names, " "))
		}
	}
	work, err := os.MkdirTemp(base, "fetch-")
	if err != nil {
		return fmt.Errorf("make a folder for the download: %w", err)
	}
	defer os.RemoveAll(work)
	apt := apt{dir: work}
	if err := apt.prepare(); err != nil {
		return err
	}
	c.say("looking up %s", strings.Join(names, ", "))
	files, megabytes, err := apt.plan(ctx, names)
	if err != nil {
		return err
	}
	c.say("fetching %d packages, %.0f MB, once", len(files), megabytes)
	if err := apt.download(ctx, files); err != nil {
		return err
	}
	c.say("unpacking")
	if err := apt.unpack(ctx); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(work, "root", unpacked), []byte(strings.Join(names, "\n")+"\n"), 0o644); err != nil {
		return fmt.Errorf("mark the folder: %w", err)
	}
	if err := os.RemoveAll(root); err != nil {
		return fmt.Errorf("remove a half-made folder: %w", err)
	}
	return os.Rename(filepath.Join(work, "root"), root)
}

// apt is the machine's own package manager with state of its own, so that it needs no root.
type apt struct{ dir string }

func (a apt) prepare() error {
	for _, sub := range []string{"state/lists/partial", "cache/archives/partial", "dl", "root"} {
		if err := os.MkdirAll(filepath.Join(a.dir, sub), 0o755); err != nil {
			return fmt.Errorf("make a folder for the download: %w", err)
		}
	}
	return nil
}

func (a apt) run(ctx context.Context, dir string, args ...string) (string, error) {
	opts := []string{"-qq", "-o", "Dir::State=" + a.dir + "/state", "-o", "Dir::State::status=/var/lib/dpkg/status",
		"-o", "Dir::Cache=" + a.dir + "/cache", "-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User=", "-o", "Acquire::Languages=none"}
	return command(ctx, dir, "apt-get", append(opts, args...)...)
}

// command runs a program and returns what it printed; its error ends with the last of what it complained about.
func command(ctx context.Context, dir, name string, args ...string) (string, error) {
	var out, complaints bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &complaints
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s: %w: %s", name, err, tail(complaints.String(), 600))
	}
	return out.String(), nil
}

func tail(text string, most int) string {
	text = strings.TrimSpace(text)
	return text[max(0, len(text)-most):]
}

var uriLine = regexp.MustCompile(`^'[^']+' (\S+?)_\S+ (\d+) `)

// plan asks apt which packages are missing here, and how large they are.
func (a apt) plan(ctx context.Context, names []string) (packages []string, megabytes float64, err error) {
	_, updateErr := a.run(ctx, a.dir, "update") // its hook may fail without root: judged by what follows
	out, err := a.run(ctx, a.dir, append([]string{"--no-install-recommends", "--print-uris", "-y", "install"}, names...)...)
	if err != nil {
		return nil, 0, fmt.Errorf("%w (is there a network? updating the package lists: %w)", err, errors.Join(updateErr))
	}
	for line := range strings.Lines(out) {
		if m := uriLine.FindStringSubmatch(line); m != nil {
			packages = append(packages, m[1])
			var bytes float64
			_, _ = fmt.Sscan(m[2], &bytes)
			megabytes += bytes / 1e6
		}
	}
	if len(packages) == 0 {
		return nil, 0, errors.New("apt says that all of it is installed, but it wasn't found where it should be")
	}
	return packages, megabytes, nil
}

func (a apt) download(ctx context.Context, packages []string) error {
	if _, err := a.run(ctx, filepath.Join(a.dir, "dl"), append([]string{"download"}, packages...)...); err != nil {
		return fmt.Errorf("%w (is the network there, and room on the disk?)", err)
	}
	return nil
}

func (a apt) unpack(ctx context.Context) error {
	archives, err := filepath.Glob(filepath.Join(a.dir, "dl", "*.deb"))
	if err != nil || len(archives) == 0 {
		return errors.New("nothing was downloaded")
	}
	for _, archive := range archives {
		if _, err := command(ctx, a.dir, "dpkg-deb", "-x", archive, filepath.Join(a.dir, "root")); err != nil {
			return fmt.Errorf("%w (is there room on the disk?)", err)
		}
	}
	return nil
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
	path := filepath.Join(root, "run-"+filepath.Base(program))
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	script := fmt.Sprintf("#!/bin/sh\nLD_LIBRARY_PATH='%s'\nexport LD_LIBRARY_PATH\nexec '%s' \"$@\"\n", libraries(root), filepath.Join(root, program))
	fresh, err := os.CreateTemp(root, "run-*")
	if err != nil {
		return "", fmt.Errorf("write a wrapper for %s: %w", program, err)
	}
	_, err = fresh.WriteString(script)
	err = errors.Join(err, fresh.Chmod(0o755), fresh.Close())
	if err == nil {
		err = os.Rename(fresh.Name(), path) // at once, for those who start it at this moment
	}
	if err != nil {
		return "", fmt.Errorf("write a wrapper for %s: %w", program, err)
	}
	return path, nil
}
