package riverqueue

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"castad/bench/system"
	"castad/internal/servers"
)

const (
	postgresName  = "postgres"
	postgresReady = 60 * time.Second
)

// postgres is a server that runs.
type postgres struct{ dsn string }

// startPostgres starts a PostgreSQL server as one more program. Every commit is on disk before it is answered; for the
// rest it is set up as it comes, with room for the connections. It is reached by TCP, as all servers here are.
func startPostgres(ctx context.Context, programs *system.Programs, dir string) (*postgres, error) {
	found, err := findPostgres(ctx)
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, postgresName)
	if err := found.makeFolder(data); err != nil {
		return nil, fmt.Errorf("make PostgreSQL's folder: %w", err)
	}
	if err := found.initialise(ctx, data); err != nil {
		return nil, err
	}
	port, _, err := servers.FreePort(0)
	if err != nil {
		return nil, fmt.Errorf("find a port for PostgreSQL: %w", err)
	}
	cmd := found.command(data, "postgres", "-D", data, "-p", strconv.Itoa(port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
		"-c", "fsync=on", "-c", "synchronous_commit=on", "-c", "shared_buffers=128MB", "-c", "max_connections=300")
	if err := programs.Run(postgresName, cmd, map[string]string{"LD_LIBRARY_PATH": found.libraries}); err != nil {
		return nil, err
	}
	p := &postgres{dsn: fmt.Sprintf("postgres://castad@127.0.0.1:%d/postgres?sslmode=disable", port)}
	if err := p.await(ctx); err != nil {
		log, _ := os.ReadFile(filepath.Join(dir, postgresName+".log"))
		return nil, fmt.Errorf("PostgreSQL doesn't answer: %w; its log says: %s", err, log)
	}
	if len(backends(programs.Processes()[postgresName])) == 0 {
		return nil, errors.New("the processes of PostgreSQL can't be listed, so they couldn't be measured: this needs Linux with /proc/PID/task/PID/children")
	}
	return p, nil
}

func (p *postgres) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, postgresReady)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, p.dsn)
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(30 * time.Millisecond):
		}
	}
}

// backends are the processes that a server has started, by name.
func backends(server int) map[string]int {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", server, server))
	if err != nil {
		return nil
	}
	processes := map[string]int{}
	for _, field := range strings.Fields(string(raw)) {
		if pid, err := strconv.Atoi(field); err == nil {
			processes[postgresName+"/"+field] = pid
		}
	}
	return processes
}

// installation is PostgreSQL's programs on this machine.
type installation struct {
	bin       string
	libraries string // where the loader finds what came with them; "" for installed ones
	owner     *owner // nil: ourselves
}

// owner is who they run as: they refuse to run as root.
type owner struct{ uid, gid int }

// findPostgres finds PostgreSQL on this machine, or fetches it.
func findPostgres(ctx context.Context) (installation, error) {
	p := installation{}
	if os.Geteuid() == 0 {
		var err error
		if p.owner, err = findOwner(); err != nil {
			return p, err
		}
	}
	if path, err := exec.LookPath("postgres"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			p.bin = filepath.Dir(path)
			return p, nil
		}
	}
	if p.bin = newest("/"); p.bin != "" { // Debian's place, which isn't in PATH
		return p, nil
	}
	cache := servers.Cache{}
	if p.owner != nil {
		cache.Dir = "/var/cache/castad" // root's own isn't open to the owner
	}
	root, err := cache.Packages(ctx, "postgresql", "postgresql")
	if err != nil {
		return p, fmt.Errorf("%w; or by hand: sudo apt-get install postgresql", err)
	}
	if p.bin = newest(root); p.bin == "" {
		return p, fmt.Errorf("the unpacked files lack PostgreSQL; remove %s and try again", root)
	}
	folders, err := filepath.Glob(filepath.Join(root, "usr/lib/*-linux-gnu*"))
	p.libraries = strings.Join(folders, ":")
	return p, err
}

// newest is the folder of the newest of Debian's versions, or "".
func newest(root string) string {
	found, err := filepath.Glob(filepath.Join(root, "usr/lib/postgresql/*/bin/postgres"))
	if err != nil || len(found) == 0 {
		return ""
	}
	return filepath.Dir(found[len(found)-1]) // of two digits since 2017
}

func findOwner() (*owner, error) {
	if _, err := exec.LookPath("setpriv"); err != nil {
		return nil, errors.New("PostgreSQL doesn't run as root, and there is no setpriv to run it as another user: install util-linux, or don't be root")
	}
	found, err := user.Lookup("postgres")
	if err != nil {
		found, err = user.Lookup("nobody")
	}
	if err != nil {
		return nil, fmt.Errorf("find a user that PostgreSQL can run as: %w", err)
	}
	uid, err1 := strconv.Atoi(found.Uid)
	gid, err2 := strconv.Atoi(found.Gid)
	return &owner{uid: uid, gid: gid}, errors.Join(err1, err2)
}

// makeFolder makes the data folder and lets its owner reach it through the two above, which the benchmark has made.
func (p installation) makeFolder(data string) error {
	if err := os.Mkdir(data, 0o700); err != nil || p.owner == nil {
		return err
	}
	round := filepath.Dir(data)
	for _, dir := range []string{round, filepath.Dir(round)} {
		info, err := os.Stat(dir)
		if err != nil {
			return err
		}
		if err := os.Chmod(dir, info.Mode()|0o011); err != nil {
			return err
		}
	}
	return os.Chown(data, p.owner.uid, p.owner.gid)
}

// command is one of the programs as its owner, in the data folder. It is not a credential of the exec.Cmd because
// StartDependent sets those attributes itself; and Linux forgets the signal at the parent's end when a process changes
// its user, so it is set again: SIGINT, which doesn't wait for connections to end.
func (p installation) command(data, program string, args ...string) *exec.Cmd {
	path := filepath.Join(p.bin, program)
	if p.owner != nil {
		args = append([]string{"--reuid", strconv.Itoa(p.owner.uid), "--regid", strconv.Itoa(p.owner.gid), "--clear-groups", "--pdeathsig", "INT", path}, args...)
		path = "setpriv"
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = data
	return cmd
}

// initialise makes an empty database cluster, whose order of texts is that of their bytes, the cheapest.
func (p installation) initialise(ctx context.Context, data string) error {
	cmd := p.command(data, "initdb", "-D", data, "-U", "castad", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+p.libraries)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := servers.StartDependent(cmd); err != nil {
		return fmt.Errorf("start initdb: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	defer stop()
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("initdb: %w (can its user reach %s?): %s", err, data, said.String())
	}
	return nil
}
