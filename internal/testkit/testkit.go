// Package testkit gives tests real servers: a MariaDB for the whole run, a JetStream for each test process, Redis
// protocol servers; each test with its own database and names, so that all run in parallel. What is missing is fetched
// (internal/servers); what can't be fails with what to do about it.
package testkit

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/go-sql-driver/mysql"

	"castad/internal/servers"
)

// patience is how long Eventually waits: long enough for a busy machine, since a test that succeeds never waits for it.
const patience = 60 * time.Second

// Eventually waits until cond is true, and fails the test with what was missing.
func Eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	Within(t, patience, what, cond)
}

// Within is Eventually for what takes longer, or may take less.
func Within(t testing.TB, most time.Duration, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(most)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("it never came to this: %s", what)
		}
		<-tick.C
	}
}

// Prefix returns a name that is the test's own, for streams and subjects.
func Prefix(testing.TB) string { return "t" + strings.ToLower(rand.Text()[:12]) }

// Root returns the folder of the repository.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}

// EnvDSN names the database server of the whole run, as runtests sets it: a DSN without a database, whose user may
// create databases.
const EnvDSN = "CASTAD_TEST_MYSQL_DSN"

// server is the database server of this process: the run's, or one of its own.
var server = sync.OnceValues(func() (*mysql.Config, error) {
	if dsn := os.Getenv(EnvDSN); dsn != "" {
		return mysql.ParseDSN(dsn)
	}
	dir, err := os.MkdirTemp("", "castad-test-")
	if err != nil {
		return nil, err
	}
	m, err := StartDatabase(context.Background(), dir)
	if err != nil {
		return nil, err
	}
	return mysql.ParseDSN(m.DSN("")) // it ends with this process
})

// StartDatabase starts a database server for tests in a folder.
func StartDatabase(ctx context.Context, dir string) (*servers.MariaDB, error) {
	port, _, err := servers.FreePort(20000 + os.Getpid()%20000)
	if err != nil {
		return nil, err
	}
	return servers.StartMariaDB(ctx, servers.MariaDBSettings{Dir: dir, Port: port, Test: true,
		Cache: servers.Cache{Say: func(line string) { fmt.Fprintln(os.Stderr, "test servers:", line) }}})
}

// EmptyDatabase returns the settings of a database without tables; it is dropped at the test's end.
func EmptyDatabase(t testing.TB) *mysql.Config {
	t.Helper()
	base, err := server()
	if err != nil {
		t.Fatalf("no database server for tests: %v", err)
	}
	cfg := base.Clone()
	cfg.DBName = "t_" + strings.ToLower(rand.Text()[:20])
	statement(t, base, "CREATE DATABASE `"+cfg.DBName+"` CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci")
	t.Cleanup(func() { statement(t, base, "DROP DATABASE `"+cfg.DBName+"`") })
	return cfg
}

// Database returns the DSN of a fresh database with the tables of schema.sql; it is dropped at the test's end.
func Database(t testing.TB) string {
	t.Helper()
	dsn := EmptyDatabase(t).FormatDSN()
	Apply(t, dsn)
	return dsn
}

func statement(t testing.TB, at *mysql.Config, text string) {
	t.Helper()
	connector, err := mysql.NewConnector(at)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	if _, err := db.Exec(text); err != nil {
		t.Fatalf("prepare the test's database: %v", err)
	}
}

// NATSServer is a JetStream of a test's own, which can be stopped and started again.
type NATSServer struct {
	t       testing.TB
	dir     string
	port    int
	running *servers.NATS
}

// OwnNATS starts a broker for this test alone.
func OwnNATS(t testing.TB) *NATSServer {
	t.Helper()
	n := &NATSServer{t: t, dir: t.TempDir(), port: -1}
	n.Start()
	t.Cleanup(n.Stop)
	return n
}

// Start starts the broker, again at the same address.
func (n *NATSServer) Start() {
	n.t.Helper()
	running, err := servers.StartNATS(servers.NATSSettings{Dir: n.dir, Port: n.port})
	if err != nil {
		n.t.Fatal(err)
	}
	n.running = running
	if n.port == -1 {
		if _, err := fmt.Sscanf(running.URL(), "nats://127.0.0.1:%d", &n.port); err != nil {
			n.t.Fatalf("read the broker's port from %q: %v", running.URL(), err)
		}
	}
}

// Stop ends the broker; its store stays.
func (n *NATSServer) Stop() {
	if n.running != nil {
		n.running.Stop()
		n.running = nil
	}
}

// Wipe removes the store of a stopped broker.
func (n *NATSServer) Wipe() {
	n.t.Helper()
	if err := os.RemoveAll(n.dir); err != nil {
		n.t.Fatal(err)
	}
}

// URL returns the broker's address.
func (n *NATSServer) URL() string { return fmt.Sprintf("nats://127.0.0.1:%d", n.port) }

// shared is the broker of this test process.
var shared = sync.OnceValues(func() (*servers.NATS, error) {
	dir, err := os.MkdirTemp("", "castad-nats-")
	if err != nil {
		return nil, err
	}
	return servers.StartNATS(servers.NATSSettings{Dir: dir, Port: -1})
})

// NATS returns the address of the broker that all tests of this process share; use it with a Prefix.
func NATS(t testing.TB) string {
	t.Helper()
	n, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return n.URL()
}

// Redis starts a Redis protocol server for this test.
func Redis(t testing.TB) (addr string, m *miniredis.Miniredis) {
	t.Helper()
	m, err := servers.StartRedis("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m.Addr(), m
}

// Media returns ffmpeg and the fonts, fetching them the first time.
func Media(t testing.TB) servers.Media {
	t.Helper()
	m, err := servers.Cache{Say: func(line string) { fmt.Fprintln(os.Stderr, "test media:", line) }}.Media(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Apply makes the tables of schema.sql in the database of a DSN.
func Apply(t testing.TB, dsn string) {
	t.Helper()
	cfg, err := mysql.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	tables, err := os.ReadFile(filepath.Join(Root(), "schema.sql"))
	if err != nil {
		t.Fatal(err)
	}
	cfg.MultiStatements = true
	statement(t, cfg, string(tables))
}
