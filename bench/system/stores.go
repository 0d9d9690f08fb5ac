package system

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strconv"

	"github.com/go-sql-driver/mysql"

	"castad/internal/servers"
)

// StartMariaDB starts a database server of its own with an empty database "castad", set up as dev sets it up: every
// commit is on disk before it is answered (innodb_flush_log_at_trx_commit=1).
func StartMariaDB(ctx context.Context, dir string) (server *servers.MariaDB, dsn string, err error) {
	port, _, err := servers.FreePort(0)
	if err != nil {
		return nil, "", fmt.Errorf("find a port for the database: %w", err)
	}
	server, err = servers.StartMariaDB(ctx, servers.MariaDBSettings{Dir: filepath.Join(dir, "mariadb"), Port: port})
	if err != nil {
		return nil, "", err
	}
	return server, server.DSN("castad"), nil
}

// OpenMariaDB opens a pool that takes no round trip more than it must: no prepared statements.
func OpenMariaDB(dsn string, connections int) (*sql.DB, error) {
	settings, err := mysql.ParseDSN(dsn)
	if err != nil {
		return nil, fmt.Errorf("read the database's address: %w", err)
	}
	settings.InterpolateParams, settings.MultiStatements, settings.ParseTime = true, true, true
	connector, err := mysql.NewConnector(settings)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	pool := sql.OpenDB(connector)
	pool.SetMaxOpenConns(connections)
	pool.SetMaxIdleConns(connections)
	return pool, nil
}

// BrokerRole is the role of a process that is a NATS server, with its store in a folder.
const BrokerRole = "nats"

const (
	brokerDir  = "CASTAD_BENCH_NATS_DIR"
	brokerPort = "CASTAD_BENCH_NATS_PORT"
)

// StartBroker starts a NATS server with JetStream as one more program, and returns its address. Its disk is synced as
// by default: in none of the systems here is the broker alone the truth.
func StartBroker(ctx context.Context, programs *Programs, dir string) (url string, err error) {
	port, _, err := servers.FreePort(0)
	if err != nil {
		return "", fmt.Errorf("find a port for the broker: %w", err)
	}
	env := map[string]string{brokerDir: filepath.Join(dir, "nats"), brokerPort: strconv.Itoa(port)}
	if err := programs.Play(ctx, "broker", BrokerRole, env); err != nil {
		return "", err
	}
	return fmt.Sprintf("nats://127.0.0.1:%d", port), nil
}

// Broker plays BrokerRole.
func Broker(ctx context.Context, env func(string) string, ready func(), _ func(string)) error {
	port, err := strconv.Atoi(env(brokerPort))
	if err != nil {
		return fmt.Errorf("read the broker's port: %w", err)
	}
	server, err := servers.StartNATS(servers.NATSSettings{Dir: env(brokerDir), Port: port})
	if err != nil {
		return err
	}
	defer server.Stop()
	ready()
	<-ctx.Done()
	return nil
}
