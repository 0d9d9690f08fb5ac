package e2e

import (
	"cmp"
	"context"
	"database/sql"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"castad/internal/servers"
	"castad/internal/testkit"
)

// StartDatabase starts the product's own database server, on the data that it had before.
func (p *Product) StartDatabase() {
	p.t.Helper()
	if p.ports["database"] == 0 {
		p.ports["database"] = testkit.FreePort(p.t)
	}
	m, err := servers.StartMariaDB(context.Background(), servers.MariaDBSettings{Dir: cmp.Or(p.disk, filepath.Join(p.dir, "db")), Port: p.ports["database"], Test: true})
	if err != nil {
		p.t.Fatal(err)
	}
	p.database = m
}

// KillDatabase ends the product's own database server with kill -9.
func (p *Product) KillDatabase() {
	p.t.Helper()
	p.tellDatabase(syscall.SIGKILL)
	<-p.database.Ended()
}

// StopDatabase ends the product's own database server in an orderly way.
func (p *Product) StopDatabase() { p.database.Stop() }

// ReviveDatabase starts the product's own database server again if it has given up by itself, as a service manager does.
func (p *Product) ReviveDatabase() {
	p.t.Helper()
	select {
	case <-p.database.Ended():
		p.StartDatabase()
	default:
	}
}

// PauseDatabase stops the server's process where it is.
func (p *Product) PauseDatabase() { p.tellDatabase(syscall.SIGSTOP) }

// ContinueDatabase lets a paused server go on.
func (p *Product) ContinueDatabase() { p.tellDatabase(syscall.SIGCONT) }

// DatabaseProcess returns the process id of the product's own database server.
func (p *Product) DatabaseProcess() int { return p.database.Process() }

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
