package e2e

import (
	"database/sql"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
)

// StopDatabase ends the product's own database server in an orderly way.
func (p *Product) StopDatabase() { p.database.Stop() }

// PauseDatabase stops the server's process where it is.
func (p *Product) PauseDatabase() { p.tellDatabase(syscall.SIGSTOP) }

// ContinueDatabase lets a paused server go on.
func (p *Product) ContinueDatabase() { p.tellDatabase(syscall.SIGCONT) }

func (p *Product) tellDatabase(signal syscall.Signal) {
	p.t.Helper()
	if err := syscall.Kill(p.database.Process(), signal); err != nil {
		p.t.Fatal(err)
	}
}

// Admin connects to the product's own database server as root.
func (p *Product) Admin(t testing.TB) *sql.DB {
	t.Helper()
	return connect(t, p.database.AdminDSN("castad"), func(cfg *mysql.Config) { cfg.ReadTimeout = 30 * time.Second })
}

// connect opens a database that may go away at any time, which isn't worth a line in the log.
func connect(t testing.TB, dsn string, with func(cfg *mysql.Config)) *sql.DB {
	t.Helper()
	cfg, err := mysql.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Logger = &mysql.NopLogger{}
	with(cfg)
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	t.Cleanup(func() { db.Close() })
	return db
}
