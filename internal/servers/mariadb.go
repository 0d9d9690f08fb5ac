package servers

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/go-sql-driver/mysql"
)

// MariaDB is a real database server, private to one folder.
type MariaDB struct {
	Port   int
	Socket string // root gets in here, and only here
	dir    string
	cmd    *exec.Cmd
	claim  *Claim
	ended  chan struct{}
	pass   passwords
}

// MariaDBSettings are how it is started.
type MariaDBSettings struct {
	Dir   string // of data, log and passwords; made when it isn't there, kept when it is
	Port  int    // of loopback
	Test  bool   // for tests: a crash of the machine may lose commits, a crash of the process not; more connections
	Cache Cache
	Hold  *os.File // kept open by the server's process: a Claim's Inherited; may be nil
}

const mariaReady = 60 * time.Second

// StartMariaDB finds or fetches a server, makes its data folder if need be, starts it, and waits until it answers. The
// server ends with this process, whatever ends it. Errors say what to do; ErrInUse means that another process runs a
// server in this folder.
func StartMariaDB(ctx context.Context, s MariaDBSettings) (*MariaDB, error) {
	program, err := s.Cache.mariadbd(ctx)
	if err != nil {
		return nil, err
	}
	if s.Dir, err = filepath.Abs(s.Dir); err != nil {
		return nil, fmt.Errorf("find the database's folder: %w", err)
	}
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the database's folder: %w", err)
	}
	claim, err := ClaimFolder(ctx, s.Dir, s.Cache.Say)
	if err != nil {
		return nil, fmt.Errorf("start the database: %w", err)
	}
	m := &MariaDB{Port: s.Port, dir: s.Dir, claim: claim, ended: make(chan struct{})}
	if err := m.open(ctx, program, s); err != nil {
		claim.Release()
		return nil, err
	}
	if err := m.ready(ctx, s); err != nil {
		m.Stop()
		return nil, err
	}
	return m, nil
}

// open makes what is missing in the folder and starts the server on it.
func (m *MariaDB) open(ctx context.Context, program mariadbd, s MariaDBSettings) (err error) {
	if m.pass, err = loadPasswords(filepath.Join(s.Dir, "passwords")); err != nil {
		return err
	}
	if err := program.bootstrap(ctx, s, m.claim); err != nil {
		return fmt.Errorf("make the database's folder: %w", err)
	}
	if m.Socket, err = socketPath(s.Dir); err != nil {
		return err
	}
	return m.start(program, s)
}

// longestSocket is a little less than the 107 bytes that a socket's path may have (104 on macOS).
const longestSocket = 100

func socketPath(dir string) (string, error) {
	path := filepath.Join(dir, "mysqld.sock")
	if len(path) < longestSocket {
		return path, nil
	}
	short, err := os.MkdirTemp("", "castad-")
	if err != nil {
		return "", fmt.Errorf("make a folder for the database's socket: %w", err)
	}
	return filepath.Join(short, "mysqld.sock"), nil
}

func (m *MariaDB) start(program mariadbd, s MariaDBSettings) error {
	logPath := filepath.Join(s.Dir, "mariadb.log")
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the database's log: %w", err)
	}
	defer log.Close()
	os.Remove(m.Socket)
	m.cmd = program.command(program.serve(m, s)...)
	m.cmd.Stdout, m.cmd.Stderr, m.cmd.ExtraFiles = log, log, []*os.File{m.claim.Inherited()}
	if s.Hold != nil {
		m.cmd.ExtraFiles = append(m.cmd.ExtraFiles, s.Hold)
	}
	if err := StartDependent(m.cmd); err != nil {
		return fmt.Errorf("start %s: %w", program.path, err)
	}
	go func() {
		_ = m.cmd.Wait()
		if short := filepath.Dir(m.Socket); short != s.Dir {
			os.RemoveAll(short)
		}
		m.claim.Release()
		close(m.ended)
	}()
	return m.claim.noteWriter(m.cmd.Process.Pid)
}

// ready waits for the first answer, gives root a password and the programs a user of their own.
func (m *MariaDB) ready(ctx context.Context, s MariaDBSettings) error {
	ctx, cancel := context.WithTimeout(ctx, mariaReady)
	defer cancel()
	for {
		err := m.secure(ctx, s)
		if err == nil || errors.Is(err, errPasswords) {
			return err
		}
		select {
		case <-m.ended:
			return fmt.Errorf("the database ended at its start; the end of its log:\n%s", logTail(s.Dir))
		case <-ctx.Done():
			return fmt.Errorf("the database doesn't answer: %w; the end of its log:\n%s", err, logTail(s.Dir))
		case <-time.After(30 * time.Millisecond):
		}
	}
}

func logTail(dir string) string {
	raw, err := os.ReadFile(filepath.Join(dir, "mariadb.log"))
	if err != nil {
		return err.Error()
	}
	return tail(string(raw), 1500)
}

// secure is done at every start, and changes nothing the second time. Without it every local user could come in.
func (m *MariaDB) secure(ctx context.Context, s MariaDBSettings) error {
	root, err := m.rootConn(ctx)
	if err != nil {
		return err
	}
	defer root.Close()
	// Tests make databases of their own.
	rights := "GRANT ALL ON *.* TO castad@'127.0.0.1'"
	if !s.Test {
		rights = "GRANT SELECT, INSERT, UPDATE, DELETE ON castad.* TO castad@'127.0.0.1'"
	}
	for _, statement := range []string{
		"ALTER USER root@localhost IDENTIFIED BY '" + m.pass.Root + "'",
		"DELETE FROM mysql.global_priv WHERE User='' OR (User='root' AND Host<>'localhost')",
		"FLUSH PRIVILEGES",
		"CREATE DATABASE IF NOT EXISTS castad CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci",
		"CREATE USER IF NOT EXISTS castad@'127.0.0.1'",
		"ALTER USER castad@'127.0.0.1' IDENTIFIED BY '" + m.pass.User + "'",
		"REVOKE ALL PRIVILEGES, GRANT OPTION FROM castad@'127.0.0.1'",
		rights,
	} {
		if _, err := root.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("secure the database: %w", err)
		}
	}
	return nil
}

// errPasswords means that no waiting will help.
var errPasswords = errors.New("the passwords don't fit the data")

const accessDenied = 1045

// rootConn connects with root's password, or without at the very first start.
func (m *MariaDB) rootConn(ctx context.Context) (*sql.DB, error) {
	denied := 0
	var failed error
	for _, password := range []string{m.pass.Root, ""} {
		cfg := m.admin("")
		cfg.Passwd = password
		connector, err := mysql.NewConnector(cfg)
		if err != nil {
			return nil, fmt.Errorf("prepare root's connection: %w", err)
		}
		db := sql.OpenDB(connector)
		if failed = db.PingContext(ctx); failed == nil {
			return db, nil
		}
		db.Close()
		if refused, ok := errors.AsType[*mysql.MySQLError](failed); ok && refused.Number == accessDenied {
			denied++
		}
	}
	if denied == 2 {
		return nil, fmt.Errorf("%w: put the right file \"passwords\" back beside the database's folder \"data\" in %s, or remove that folder to begin anew",
			errPasswords, m.dir)
	}
	return nil, failed
}

func (m *MariaDB) admin(database string) *mysql.Config {
	cfg := mysql.NewConfig()
	cfg.User, cfg.Passwd, cfg.Net, cfg.Addr, cfg.DBName = "root", m.pass.Root, "unix", m.Socket, database
	cfg.Timeout, cfg.Logger = 5*time.Second, &mysql.NopLogger{}
	return cfg
}

// AdminDSN is root's way in, by the socket: for schema changes.
func (m *MariaDB) AdminDSN(database string) string { return m.admin(database).FormatDSN() }

// DSN is the programs' way in: they read and write rows, and change no tables.
func (m *MariaDB) DSN(database string) string {
	cfg := mysql.NewConfig()
	cfg.User, cfg.Passwd, cfg.Net, cfg.Addr, cfg.DBName = "castad", m.pass.User, "tcp", fmt.Sprintf("127.0.0.1:%d", m.Port), database
	return cfg.FormatDSN()
}

// Process returns the server's process id.
func (m *MariaDB) Process() int { return m.cmd.Process.Pid }

// State says how the server's process ended; call it after Ended is closed.
func (m *MariaDB) State() string { return m.cmd.ProcessState.String() }

// Ended is closed when the server's process has ended.
func (m *MariaDB) Ended() <-chan struct{} { return m.ended }

const mariaStop = 30 * time.Second

// Stop ends the server in an orderly way and waits for it.
func (m *MariaDB) Stop() {
	_ = m.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-m.ended:
	case <-time.After(mariaStop):
		_ = m.cmd.Process.Kill()
		<-m.ended
	}
}

// passwords are made once a folder.
type passwords struct{ Root, User string }

func loadPasswords(path string) (passwords, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		raw = []byte(rand.Text() + "\n" + rand.Text() + "\n")
		err = replaceFile(path, raw, 0o600)
	}
	if err != nil {
		return passwords{}, fmt.Errorf("the database's passwords: %w", err)
	}
	lines := strings.Fields(string(raw))
	if len(lines) != 2 || strings.ContainsAny(lines[0]+lines[1], `'\`) {
		return passwords{}, fmt.Errorf("%s doesn't hold the database's two passwords, a line each: put them back, or remove the whole folder to begin anew", path)
	}
	return passwords{Root: lines[0], User: lines[1]}, nil
}

// replaceFile writes a file whole or not at all: a kill leaves the old one or the new one.
func replaceFile(path string, content []byte, mode os.FileMode) error {
	fresh, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = fresh.Write(content)
	err = errors.Join(err, fresh.Chmod(mode), fresh.Sync(), fresh.Close())
	if err == nil {
		err = os.Rename(fresh.Name(), path)
	}
	if err != nil {
		os.Remove(fresh.Name())
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
