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
	cmd    *exec.Cmd
	ended  chan struct{}
	pass   passwords
}

// MariaDBSettings are how it is started.
type MariaDBSettings struct {
	Dir   string // of data, log and passwords; made when it isn't there, kept when it is
	Port  int    // of loopback
	Test  bool   // for tests: a crash of the machine may lose commits, a crash of the process not; more connections
	Cache Cache
}

const mariaReady = 60 * time.Second

// StartMariaDB finds or fetches a server, makes its data folder if need be, starts it, and waits until it answers. The
// server ends with this process, whatever ends it. Errors say what to do.
func StartMariaDB(ctx context.Context, s MariaDBSettings) (*MariaDB, error) {
	program, err := s.Cache.mariadbd(ctx)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the database's folder: %w", err)
	}
	pass, err := loadPasswords(filepath.Join(s.Dir, "passwords"))
	if err != nil {
		return nil, err
	}
	if err := program.bootstrap(ctx, s); err != nil {
		return nil, fmt.Errorf("make the database's folder: %w", err)
	}
	m := &MariaDB{Port: s.Port, Socket: socketPath(s.Dir), ended: make(chan struct{}), pass: pass}
	if err := m.start(program, s); err != nil {
		return nil, err
	}
	if err := m.ready(ctx, s); err != nil {
		m.Stop()
		return nil, err
	}
	return m, nil
}

// socketPath keeps to the 107 bytes that a socket's path may have.
func socketPath(dir string) string {
	path := filepath.Join(dir, "mysqld.sock")
	if len(path) < 100 {
		return path
	}
	short, err := os.MkdirTemp("", "castad-")
	if err != nil {
		return path
	}
	return filepath.Join(short, "mysqld.sock")
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
	m.cmd.Stdout, m.cmd.Stderr = log, log
	if err := StartDependent(m.cmd); err != nil {
		return fmt.Errorf("start %s: %w", program.path, err)
	}
	go func() {
		_ = m.cmd.Wait()
		close(m.ended)
	}()
	return nil
}

// ready waits for the first answer, gives root a password and the programs a user of their own.
func (m *MariaDB) ready(ctx context.Context, s MariaDBSettings) error {
	ctx, cancel := context.WithTimeout(ctx, mariaReady)
	defer cancel()
	for {
		err := m.secure(ctx, s)
		if err == nil {
			return nil
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
	rights := "SELECT, INSERT, UPDATE, DELETE"
	if s.Test {
		rights = "ALL"
	}
	for _, statement := range []string{
		"ALTER USER root@localhost IDENTIFIED BY '" + m.pass.Root + "'",
		"DELETE FROM mysql.global_priv WHERE User IN ('root','') AND Host<>'localhost'",
		"DELETE FROM mysql.global_priv WHERE User=''",
		"FLUSH PRIVILEGES",
		"CREATE DATABASE IF NOT EXISTS castad CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci",
		"CREATE USER IF NOT EXISTS castad@'127.0.0.1' IDENTIFIED BY '" + m.pass.User + "'",
		"GRANT " + rights + " ON *.* TO castad@'127.0.0.1'",
	} {
		if _, err := root.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("secure the database: %w", err)
		}
	}
	return nil
}

// rootConn connects with root's password, or without at the very first start.
func (m *MariaDB) rootConn(ctx context.Context) (*sql.DB, error) {
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
		err = os.WriteFile(path, raw, 0o600)
	}
	lines := strings.Fields(string(raw))
	if err != nil || len(lines) != 2 {
		return passwords{}, fmt.Errorf("read the database's passwords in %s: %w", path, errors.Join(err, errors.New("two lines are wanted")))
	}
	return passwords{Root: lines[0], User: lines[1]}, nil
}
