package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"castad/internal/schema"
	"castad/internal/servers"
)

// database starts dev's own database, or takes the one of CASTAD_MYSQL_DSN, and brings its tables to schema.sql.
// adminDSN is "" for one that isn't dev's.
func (d *dev) database(ctx context.Context) (dsn, adminDSN string, err error) {
	if dsn := d.own["CASTAD_MYSQL_DSN"]; dsn != "" {
		return dsn, "", d.foreignSchema(ctx, dsn)
	}
	var first *servers.MariaDB // later ones have the same addresses
	settings := servers.MariaDBSettings{Dir: d.at.path("mariadb"), Port: d.ports["mariadb"], Cache: d.cache("mariadb"), Hold: d.claim.Inherited()}
	err = d.keep(ctx, databases, service{name: "mariadb", where: local(settings.Port),
		start: func(ctx context.Context) (running, error) {
			m, err := servers.StartMariaDB(ctx, settings)
			if err != nil {
				return nil, err
			}
			if first == nil {
				first = m
			}
			return m, nil
		},
		ready: func(context.Context) error { return nil }, // StartMariaDB has waited for it
	})
	if err != nil {
		return "", "", err
	}
	adminDSN = first.AdminDSN("castad")
	return first.DSN("castad"), adminDSN, d.applySchema(ctx, adminDSN)
}

// foreignSchema changes somebody else's database only when it is told to.
func (d *dev) foreignSchema(ctx context.Context, dsn string) error {
	if err := reach(ctx, dsn); err != nil {
		return err
	}
	if !d.ApplySchema {
		d.out.note("database", "the one of CASTAD_MYSQL_DSN; its tables stay as they are without --apply-schema")
		return nil
	}
	if admin := d.own["CASTAD_MYSQL_ADMIN_DSN"]; admin != "" {
		dsn = admin
	}
	return d.applySchema(ctx, dsn)
}

// reach tells at once what would otherwise be seen as programs that don't become ready.
func reach(ctx context.Context, dsn string) error {
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	at, err := parseDSN(dsn)
	if err != nil {
		return err
	}
	connector, err := mysql.NewConnector(at)
	if err != nil {
		return fmt.Errorf("prepare a connection to the database: %w", err)
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	if err := db.PingContext(ctx); err != nil {
		return fmt.Errorf("the database of CASTAD_MYSQL_DSN can't be reached; without that variable dev starts one of its own: %w", err)
	}
	return nil
}

func parseDSN(dsn string) (*mysql.Config, error) {
	at, err := mysql.ParseDSN(dsn)
	if err != nil { // not wrapped: it may hold the password
		return nil, errors.New("the MySQL DSN isn't of the form user:password@tcp(host:port)/database")
	}
	return at, nil
}

func (d *dev) applySchema(ctx context.Context, dsn string) error {
	begun := time.Now()
	at, err := parseDSN(dsn)
	if err != nil {
		return err
	}
	ran, err := schema.Apply(ctx, at, d.schema, d.Drops)
	if errors.Is(err, schema.ErrDrops) {
		return fmt.Errorf("schema.sql no longer has something that the database has; start once with --drops to drop it: %w", err)
	} else if err != nil {
		return fmt.Errorf("apply schema.sql: %w", err)
	}
	if len(ran) > 0 {
		d.out.up("schema", fmt.Sprintf("%d statements of schema.sql", len(ran)), time.Since(begun))
	}
	return nil
}

const mostLastLines = 1200

// lastLines returns the end of a program's log, for the error that tells of its end.
func (d *dev) lastLines(name string) string {
	raw, err := os.ReadFile(d.at.log(name))
	text := strings.TrimSpace(string(raw[max(0, len(raw)-mostLastLines):]))
	if err != nil || text == "" {
		return ""
	}
	return fmt.Sprintf("\nthe end of %s:\n%s", d.at.log(name), text)
}
