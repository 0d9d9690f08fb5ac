// Package schema compares a live database with schema.sql and applies the difference. schema.sql is declarative and the
// only place of the schema; nothing is dropped unless it is allowed by name of the flag. Start with Diff and Apply.
package schema

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/go-sql-driver/mysql"
	"github.com/sqldef/sqldef/v3/database"
	sqldef "github.com/sqldef/sqldef/v3/database/mysql"
	"github.com/sqldef/sqldef/v3/parser"
	generator "github.com/sqldef/sqldef/v3/schema"
)

// skipped is how the generator marks a statement that it leaves out because it drops something.
const skipped = "-- Skipped"

// ErrDrops is returned when the difference holds statements that drop something and drops weren't allowed.
var ErrDrops = errors.New("the difference drops something")

// Diff returns the statements that make the database of at what desired (the text of schema.sql) says, in order; none
// when it is that already. Statements that drop something are included only with drops.
// Errors: ErrDrops, with the statements in its text.
func Diff(at *mysql.Config, desired string, drops bool) ([]string, error) {
	settings, err := connection(at)
	if err != nil {
		return nil, err
	}
	db, err := sqldef.NewDatabase(settings)
	if err != nil {
		return nil, fmt.Errorf("connect for the schema: %w", err)
	}
	defer db.Close()
	db.SetGeneratorConfig(database.GeneratorConfig{EnableDrop: drops})
	current, err := db.ExportDDLs()
	if err != nil {
		return nil, fmt.Errorf("read the present schema: %w", err)
	}
	statements, err := generator.GenerateIdempotentDDLs(generator.GeneratorModeMysql, database.NewParser(parser.ParserModeMysql),
		desired, current, db.GetGeneratorConfig(), db.GetDefaultSchema())
	if err != nil {
		return nil, fmt.Errorf("compare the schemas: %w", err)
	}
	for _, statement := range statements {
		if strings.HasPrefix(statement, skipped) {
			return statements, fmt.Errorf("%w: %s", ErrDrops, statement)
		}
	}
	return statements, nil
}

// Apply runs the difference, one process at a time, and returns what it ran. A statement that fails leaves the ones
// before it done: MySQL commits each by itself. Running it again goes on.
func Apply(ctx context.Context, at *mysql.Config, desired string, drops bool) ([]string, error) {
	connector, err := mysql.NewConnector(at)
	if err != nil {
		return nil, fmt.Errorf("prepare a connection for the schema: %w", err)
	}
	pool := sql.OpenDB(connector)
	defer pool.Close()
	conn, err := pool.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect for the schema: %w", err)
	}
	defer conn.Close()
	var got sql.NullInt64
	if err := conn.QueryRowContext(ctx, "SELECT GET_LOCK(?, 60)", "castad.schema."+at.DBName).Scan(&got); err != nil || got.Int64 != 1 {
		return nil, fmt.Errorf("wait for another schema change: %w", errors.Join(err, errors.New("it holds the lock")))
	}
	statements, err := Diff(at, desired, drops)
	if err != nil {
		return nil, err
	}
	for i, statement := range statements {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			return statements[:i], fmt.Errorf("run %q: %w", statement, err)
		}
	}
	return statements, nil
}

// connection turns the driver's settings into the generator's.
func connection(at *mysql.Config) (database.Config, error) {
	settings := database.Config{DbName: at.DBName, User: at.User, Password: at.Passwd, DumpConcurrency: 1}
	if at.Net == "unix" {
		settings.Socket = at.Addr
		return settings, nil
	}
	host, port, err := net.SplitHostPort(at.Addr)
	if err != nil {
		return settings, fmt.Errorf("the database's address %q isn't host:port", at.Addr)
	}
	settings.Host = host
	settings.Port, err = strconv.Atoi(port)
	return settings, err
}
