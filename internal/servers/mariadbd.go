package servers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
)

// mariadbd is a server program with its share folder.
type mariadbd struct {
	path   string
	base   string // --basedir
	share  string // folder of the system tables' SQL
	prefix string // of those files: mysql or mariadb, it moved
	libs   string // LD_LIBRARY_PATH; "" for an installed one
}

// mariadbd finds a server on this machine, or fetches one.
func (c Cache) mariadbd(ctx context.Context) (mariadbd, error) {
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin", "/usr/libexec", "/usr/local/sbin", "/usr/local/libexec",
		"/opt/homebrew/opt/mariadb/bin", "/usr/local/opt/mariadb/bin") {
		path := filepath.Join(dir, "mariadbd")
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			if program, err := installed(path); err == nil {
				return program, nil
			}
		}
	}
	root, err := c.Packages(ctx, "mariadb", "mariadb-server-core")
	if err != nil {
		return mariadbd{}, fmt.Errorf("%w; or by hand: sudo apt-get install mariadb-server-core, brew install mariadb, "+
			"or set CASTAD_MYSQL_DSN to a MySQL 8 or MariaDB 10.11 of yours", err)
	}
	program, err := withShare(mariadbd{path: filepath.Join(root, "usr/sbin/mariadbd"), base: filepath.Join(root, "usr"), libs: libraries(root)})
	if err != nil {
		return mariadbd{}, fmt.Errorf("%w; remove %s and try again", err, root)
	}
	return program, nil
}

func installed(path string) (mariadbd, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return mariadbd{}, err
	}
	return withShare(mariadbd{path: path, base: filepath.Dir(filepath.Dir(real))})
}

// withShare looks for the folder of the system tables, whose name and files' names differ by version.
func withShare(m mariadbd) (mariadbd, error) {
	if _, err := os.Stat(m.path); err != nil {
		return m, fmt.Errorf("there is no server: %w", err)
	}
	for _, share := range []string{"share/mysql", "share/mariadb", "share"} {
		for _, prefix := range []string{"mysql", "mariadb"} {
			dir := filepath.Join(m.base, share)
			if _, err := os.Stat(filepath.Join(dir, prefix+"_system_tables.sql")); err == nil {
				m.share, m.prefix = dir, prefix
				return m, nil
			}
		}
	}
	return m, fmt.Errorf("the server %s has no system tables beside it", m.path)
}

func (p mariadbd) command(args ...string) *exec.Cmd {
	cmd := exec.Command(p.path, args...)
	cmd.Env = os.Environ()
	if p.libs != "" {
		cmd.Env = append(cmd.Env, "LD_LIBRARY_PATH="+p.libs)
	}
	return cmd
}

// whole marks a data folder whose bootstrap came to its end; one without it is made again.
const whole = "castad-bootstrapped"

// bootstrap makes the data folder, once.
func (p mariadbd) bootstrap(ctx context.Context, s MariaDBSettings, c *Claim) error {
	data := filepath.Join(s.Dir, "data")
	if _, err := os.Stat(filepath.Join(data, whole)); err == nil {
		return nil
	}
	if err := os.RemoveAll(data); err != nil {
		return err
	}
	for _, dir := range []string{data, filepath.Join(s.Dir, "tmp")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	script, err := p.systemTables()
	if err != nil {
		return err
	}
	// The folder for temporary tables is our own: a server that starts anywhere removes what it finds in a shared one.
	cmd := p.command(append([]string{"--no-defaults", "--bootstrap", "--basedir=" + p.base, "--datadir=" + data,
		"--tmpdir=" + filepath.Join(s.Dir, "tmp"),
		"--lc-messages-dir=" + p.share, "--enforce-storage-engine=", "--innodb-log-file-size=16M", "--log-warnings=0"}, asRoot()...)...)
	var complaints bytes.Buffer
	cmd.Stdin, cmd.Stderr, cmd.ExtraFiles = bytes.NewReader(script), &complaints, []*os.File{c.Inherited()}
	if err := runDependent(ctx, cmd); err != nil {
		return fmt.Errorf("bootstrap: %w: %s", err, tail(complaints.String(), 800))
	}
	// It exits with 0 even when it was fed nothing.
	if _, err := os.Stat(filepath.Join(data, "mysql", "global_priv.frm")); err != nil {
		return fmt.Errorf("bootstrap made no system tables: %s", tail(complaints.String(), 800))
	}
	return os.WriteFile(filepath.Join(data, whole), nil, 0o600)
}

// runDependent runs a program to its end. It is killed with this process, and when ctx ends.
func runDependent(ctx context.Context, cmd *exec.Cmd) error {
	if err := startDependent(cmd, syscall.SIGKILL); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }) // and its children
	defer stop()
	return errors.Join(cmd.Wait(), ctx.Err())
}

func (p mariadbd) systemTables() ([]byte, error) {
	script := []byte("create database if not exists mysql;\nuse mysql;\nSET @auth_root_socket=NULL;\n")
	for _, name := range []string{p.prefix + "_system_tables.sql", p.prefix + "_performance_tables.sql", p.prefix + "_system_tables_data.sql", "maria_add_gis_sp_bootstrap.sql"} {
		raw, err := os.ReadFile(filepath.Join(p.share, name))
		if err != nil {
			return nil, errors.Join(errors.New("read the system tables"), err)
		}
		script = append(append(script, raw...), '\n')
	}
	return script, nil
}

// asRoot is what mariadbd demands when it is started by root.
func asRoot() []string {
	if os.Geteuid() == 0 {
		return []string{"--user=root"}
	}
	return nil
}

func (p mariadbd) serve(m *MariaDB, s MariaDBSettings) []string {
	args := []string{"--no-defaults", "--basedir=" + p.base, "--datadir=" + filepath.Join(s.Dir, "data"), "--tmpdir=" + filepath.Join(s.Dir, "tmp"),
		"--lc-messages-dir=" + p.share, "--socket=" + m.Socket, "--pid-file=" + filepath.Join(s.Dir, "mariadb.pid"), "--bind-address=127.0.0.1",
		"--port=" + strconv.Itoa(s.Port), "--skip-name-resolve", "--character-set-server=utf8mb4", "--collation-server=utf8mb4_unicode_ci",
		"--innodb-buffer-pool-size=128M", "--performance-schema=OFF", "--skip-log-bin", "--max-connections=300"}
	if s.Test {
		args = append(args, "--innodb-flush-log-at-trx-commit=2", "--innodb-log-file-size=16M", "--table-open-cache=4000", "--innodb-file-per-table=OFF")
	} else {
		args = append(args, "--innodb-log-file-size=48M")
	}
	return append(args, asRoot()...)
}
