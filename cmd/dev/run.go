package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"castad/internal/servers"
)

type runCommand struct {
	Quick       bool   `help:"The sandbox makes songs and videos in no time, and fetches no media tools."`
	Port        int    `help:"Port of the API and the page (8080)."`
	State       string `default:".castad" help:"Folder of everything that dev keeps."`
	Bin         string `help:"Folder of the programs; without it that of dev itself."`
	ApplySchema bool   `help:"Bring the database of CASTAD_MYSQL_DSN to schema.sql, too; dev's own always is."`
	Drops       bool   `help:"Let schema.sql drop what it no longer has."`
}

// dev is a running product.
type dev struct {
	runCommand
	plan
	at      state
	environ []string
	self    string // path of this program
	bin     string // folder of the others
	schema  string // text of schema.sql
	config  string // path of nats.conf
	claim   *servers.Claim
	out     *console
	values  map[string]string // CASTAD_* of all programs
	media   servers.Media
	stages  stages // what runs
}

// consumers are the programs of the six stages.
var consumers = []string{"crawl", "intel", "lyric", "song", "video", "upload"}

// run starts everything, waits for stop, and ends everything. When kill ends it doesn't wait for anything to end.
func run(stop, kill context.Context, c runCommand, environ []string, out *console) error {
	begun := time.Now()
	d := &dev{runCommand: c, environ: environ, out: out}
	if err := d.prepare(stop); err != nil {
		return ended(stop, err)
	}
	defer d.claim.Release()
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case <-kill.Done():
			d.stages.kill()
		case <-done:
		}
	}()
	err := d.start(stop)
	if err == nil {
		d.welcome(time.Since(begun))
		<-stop.Done()
	}
	out.line("stopping; Ctrl-C again ends everything at once")
	d.stages.halt()
	os.Remove(d.at.path(envFile))
	out.line("stopped")
	return ended(stop, err)
}

// ended makes an error that is only the consequence of a Ctrl-C none.
func ended(stop context.Context, err error) error {
	if stop.Err() == nil {
		return err
	}
	return nil
}

// prepare finds what has to be there, claims the state folder, and chooses ports.
func (d *dev) prepare(ctx context.Context) error {
	if err := d.find(); err != nil {
		return err
	}
	path, err := filepath.Abs(d.State)
	if err != nil {
		return fmt.Errorf("find the state folder: %w", err)
	}
	d.at = state(path)
	if err := d.at.make(); err != nil {
		return err
	}
	if err := room(path); err != nil {
		return err
	}
	d.claim, err = servers.ClaimFolder(ctx, path, func(line string) { d.out.note("dev", line) })
	if errors.Is(err, servers.ErrInUse) {
		return fmt.Errorf("another dev runs already; stop that one, or give this one --state DIR: %w", err)
	} else if err != nil {
		return err
	}
	if err := d.choose(); err != nil {
		d.claim.Release()
		return err
	}
	return nil
}

// choose settles everything that the programs are told.
func (d *dev) choose() error {
	if err := d.at.rotate(); err != nil {
		return err
	}
	secret, err := d.at.makeSecrets()
	if err != nil {
		return err
	}
	chosen, err := d.at.choosePorts(d.Port, func(line string) { d.out.note("port", line) })
	if err != nil {
		return err
	}
	d.plan = plan{ports: chosen, secret: secret, own: owned(d.environ), quick: d.Quick, sandbox: d.at.path("sandbox")}
	return nil
}

// find looks for the files of the repository and for the programs.
func (d *dev) find() (err error) {
	tables, err := os.ReadFile("schema.sql")
	if err != nil {
		return fmt.Errorf("there is no schema.sql here; run dev in the folder of the repository, best by 'go tool task dev': %w", err)
	}
	d.schema = string(tables)
	if d.config, err = filepath.Abs("nats.conf"); err != nil {
		return fmt.Errorf("find nats.conf: %w", err)
	}
	if d.self, err = os.Executable(); err != nil {
		return fmt.Errorf("find the programs: %w", err)
	}
	d.bin = filepath.Dir(d.self)
	if d.Bin != "" {
		if d.bin, err = filepath.Abs(d.Bin); err != nil {
			return fmt.Errorf("find the programs: %w", err)
		}
	}
	var missing []string
	for _, name := range append([]string{"sandbox", "api", "relay"}, consumers...) {
		if _, err := os.Stat(filepath.Join(d.bin, name)); err != nil {
			missing = append(missing, name)
		}
	}
	if missing != nil {
		return fmt.Errorf("there is no %s in %s: build the programs with 'go tool task build' and start .castad/bin/dev",
			strings.Join(missing, ", "), d.bin)
	}
	return nil
}

// leastRoom is what a database, a broker and some songs and videos take.
const leastRoom = 1 << 30

func room(dir string) error {
	free, err := servers.FreeBytes(dir)
	if err != nil {
		return err
	}
	if free < leastRoom {
		return fmt.Errorf("the disk of %s has %d MB free, and %d MB are needed: make room, or give --state DIR on another disk",
			dir, free>>20, leastRoom>>20)
	}
	return nil
}
