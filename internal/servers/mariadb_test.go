package servers_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/google/go-cmp/cmp"

	"castad/internal/servers"
)

// settings are of a server as dev starts it, in a folder of the test's own.
func settings(t *testing.T, dir string) servers.MariaDBSettings {
	t.Helper()
	port, _, err := servers.FreePort(0)
	if err != nil {
		t.Fatal(err)
	}
	return servers.MariaDBSettings{Dir: dir, Port: port, Cache: servers.Cache{Say: func(line string) { t.Log(line) }}}
}

func start(t *testing.T, s servers.MariaDBSettings) *servers.MariaDB {
	t.Helper()
	m, err := servers.StartMariaDB(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Stop)
	return m
}

func open(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("mysql", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func run(t *testing.T, db *sql.DB, statement string) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// kept returns the numbers in the table of these tests.
func kept(t *testing.T, m *servers.MariaDB) (got []int) {
	t.Helper()
	rows, err := open(t, m.DSN("castad")).QueryContext(t.Context(), "SELECT n FROM kept ORDER BY n")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var n int
		if err := rows.Scan(&n); err != nil {
			t.Fatal(err)
		}
		got = append(got, n)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestMariaDB_KeepsRowsOverStopAndKill(t *testing.T) {
	t.Parallel()
	s := settings(t, t.TempDir())
	m := start(t, s)
	run(t, open(t, m.AdminDSN("castad")), "CREATE TABLE kept (n INT PRIMARY KEY)")
	run(t, open(t, m.DSN("castad")), "INSERT INTO kept VALUES (1)")
	m.Stop()
	m = start(t, s)
	run(t, open(t, m.DSN("castad")), "INSERT INTO kept VALUES (2)")
	if err := syscall.Kill(m.Process(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-m.Ended()
	m = start(t, s)
	if diff := cmp.Diff(kept(t, m), []int{1, 2}); diff != "" {
		t.Errorf("rows after a stop and a kill (-got +want):\n%s", diff)
	}
}

const (
	dbAccessDenied    = 1044
	tableAccessDenied = 1142
	accessDenied      = 1045
)

func number(err error) uint16 {
	refused, ok := errors.AsType[*mysql.MySQLError](err)
	if !ok {
		return 0
	}
	return refused.Number
}

func TestMariaDB_LetsProgramsDoOnlyTheirWork(t *testing.T) {
	t.Parallel()
	m := start(t, settings(t, t.TempDir()))
	program := open(t, m.DSN("castad"))
	stranger, err := mysql.ParseDSN(m.DSN("castad"))
	if err != nil {
		t.Fatal(err)
	}
	stranger.Passwd = "wrong"
	for _, c := range []struct {
		what string
		db   *sql.DB
		do   string
		want uint16
	}{
		{"work", program, "SELECT 1", 0},
		{"change tables", program, "CREATE TABLE mine (n INT)", tableAccessDenied},
		{"read accounts", program, "SELECT * FROM mysql.global_priv", tableAccessDenied},
		{"make databases", program, "CREATE DATABASE mine", dbAccessDenied},
		{"come without password", open(t, strings.Replace(m.AdminDSN(""), password(t, m.AdminDSN("")), "", 1)), "SELECT 1", accessDenied},
		{"come with a wrong password", open(t, stranger.FormatDSN()), "SELECT 1", accessDenied},
	} {
		_, err := c.db.ExecContext(t.Context(), c.do)
		if got := number(err); got != c.want || (err != nil && got == 0) {
			t.Errorf("%s: got %v, want error %d", c.what, err, c.want)
		}
	}
}

func password(t *testing.T, dsn string) string {
	t.Helper()
	cfg, err := mysql.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return cfg.Passwd
}

func TestMariaDB_MakesHalfMadeFolderAgain(t *testing.T) {
	t.Parallel()
	s := settings(t, t.TempDir())
	half := filepath.Join(s.Dir, "data", "mysql")
	if err := os.MkdirAll(half, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(half, "global_priv.frm"), []byte("cut off"), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, open(t, start(t, s).DSN("castad")), "SELECT 1")
}

func TestMariaDB_SecondStartOnOneFolderIsRefused(t *testing.T) {
	t.Parallel()
	s := settings(t, t.TempDir())
	type outcome struct {
		m   *servers.MariaDB
		err error
	}
	outcomes := make(chan outcome)
	for range 2 {
		go func() {
			m, err := servers.StartMariaDB(t.Context(), s)
			outcomes <- outcome{m, err}
		}()
	}
	first, second := <-outcomes, <-outcomes
	if first.err == nil {
		first, second = second, first
	}
	if second.err != nil {
		t.Fatalf("neither started: %v; %v", first.err, second.err)
	}
	t.Cleanup(second.m.Stop)
	want := " uses " + s.Dir
	if !errors.Is(first.err, servers.ErrInUse) || !strings.Contains(first.err.Error(), want) {
		t.Errorf("two starts: got %v, want one to say %q", first.err, want)
	}
	run(t, open(t, second.m.DSN("castad")), "SELECT 1")
}

func TestMariaDB_LostPasswordsAreSaidAtOnce(t *testing.T) {
	t.Parallel()
	s := settings(t, t.TempDir())
	start(t, s).Stop()
	if err := os.WriteFile(filepath.Join(s.Dir, "passwords"), []byte("other\nones\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := servers.StartMariaDB(t.Context(), s)
	if err == nil || !strings.Contains(err.Error(), "put the right file \"passwords\" back") {
		t.Errorf("start with other passwords: %v", err)
	}
}

func TestMariaDB_BrokenOffStartLeavesNothingRunning(t *testing.T) {
	t.Parallel()
	s := settings(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if m, err := servers.StartMariaDB(ctx, s); err == nil {
		m.Stop()
		t.Fatal("it started although it was told to stop")
	}
	run(t, open(t, start(t, s).DSN("castad")), "SELECT 1")
}
