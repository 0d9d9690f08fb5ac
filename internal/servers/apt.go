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
	"strconv"
	"strings"
)

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
		"-o", "Dir::Cache=" + a.dir + "/cache", "-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User=", "-o", "Acquire::Languages=none",
		"-o", "APT::Update::Error-Mode=any", "-o", "Acquire::Retries=2", "-o", "Acquire::http::Timeout=30", "-o", "Acquire::https::Timeout=30"}
	return command(ctx, dir, "apt-get", append(opts, args...)...)
}

// command runs a program and returns what it printed; its error ends with the last of what it complained about.
func command(ctx context.Context, dir, name string, args ...string) (string, error) {
	var out, complaints bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &complaints
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	if err := runDependent(ctx, cmd); err != nil {
		return out.String(), fmt.Errorf("%s: %w: %s", name, err, tail(complaints.String(), 600))
	}
	return out.String(), nil
}

func tail(text string, most int) string {
	text = strings.TrimSpace(text)
	return text[max(0, len(text)-most):]
}

var uriLine = regexp.MustCompile(`^'[^']+' (\S+?)_\S+ (\d+) `)

// plan asks apt which packages are missing here, and how many bytes they are.
func (a apt) plan(ctx context.Context, names []string) (packages []string, size int64, err error) {
	_, stale := a.run(ctx, a.dir, "update") // it fails when only one of many sources does, too: judged by what follows
	out, err := a.run(ctx, a.dir, append([]string{"--no-install-recommends", "--print-uris", "-y", "install"}, names...)...)
	switch {
	case err != nil && stale != nil:
		return nil, 0, fmt.Errorf("the package lists can't be fetched; is there a network? %w", stale)
	case err != nil:
		return nil, 0, fmt.Errorf("this system's package sources don't offer it: %w", err)
	}
	for line := range strings.Lines(out) {
		if m := uriLine.FindStringSubmatch(line); m != nil {
			bytes, err := strconv.ParseInt(m[2], 10, 64)
			if err != nil {
				return nil, 0, fmt.Errorf("read apt's plan: %w", err)
			}
			packages, size = append(packages, m[1]), size+bytes
		}
	}
	if len(packages) == 0 {
		return nil, 0, errors.New("apt says that all of it is installed, but it wasn't found where it should be")
	}
	return packages, size, nil
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
