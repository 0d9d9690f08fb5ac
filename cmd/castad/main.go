// Command castad is what operators and newcomers type: it submits a place and watches it (demo), deals with dead letters
// and undecided payments, and applies the schema. `castad --help` lists all of it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/alecthomas/kong"
	"github.com/go-sql-driver/mysql"

	"castad/internal/observe"
	"castad/store"
)

// commands is the whole surface.
type commands struct {
	Demo   demoCommand   `cmd:"" help:"Submit a place to a running API, show the six stages live, end with where the video is."`
	Task   taskCommand   `cmd:"" help:"Show one task: its runs and provider jobs."`
	Dead   deadCommands  `cmd:"" help:"Dead letters: list, show, replay, drop."`
	Job    jobCommands   `cmd:"" help:"Payments of which nobody knows whether they were accepted."`
	Ledger ledgerCommand `cmd:"" help:"What providers have charged, by day, provider, user or task."`
	Schema schemaCommand `cmd:"" help:"Compare the database with schema.sql, and apply the difference."`
}

// session is what every command gets.
type session struct {
	ctx    context.Context
	out    io.Writer
	getenv func(string) string
}

func main() {
	var failure error
	code := observe.Run(func(ctx context.Context, getenv func(string) string, _ io.Writer) error {
		failure = run(ctx, os.Args[1:], getenv, os.Stdout)
		return failure
	})
	if own, ok := errors.AsType[*exitError](failure); ok {
		code = own.code
	}
	os.Exit(code)
}

func run(ctx context.Context, args []string, getenv func(string) string, out io.Writer) error {
	var cli commands
	parser, err := kong.New(&cli, kong.Name("castad"), kong.Description("CastAD's command line."), kong.UsageOnError(), kong.Writers(out, os.Stderr))
	if err != nil {
		return fmt.Errorf("read the command line: %w", err)
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		return err
	}
	return parsed.Run(&session{ctx: ctx, out: out, getenv: withDev(getenv)})
}

// dsn returns the database's address: CASTAD_MYSQL_DSN, from the environment or from a running dev.
func (s *session) dsn() (string, error) {
	dsn := s.getenv("CASTAD_MYSQL_DSN")
	if dsn == "" {
		return "", errors.New("no database: set CASTAD_MYSQL_DSN, or start the product with 'go tool task dev' in this folder")
	}
	return dsn, nil
}

// store opens the database for one command.
func (s *session) store() (*store.DB, error) {
	dsn, err := s.dsn()
	if err != nil {
		return nil, err
	}
	return store.Open(store.Settings{DSN: dsn, MaxOpen: 2})
}

// admin opens the database's settings for schema changes: CASTAD_MYSQL_ADMIN_DSN where the program's own user may not
// change the schema.
func (s *session) admin() (*mysql.Config, error) {
	dsn := s.getenv("CASTAD_MYSQL_ADMIN_DSN")
	if dsn == "" {
		var err error
		if dsn, err = s.dsn(); err != nil {
			return nil, err
		}
	}
	cfg, err := mysql.ParseDSN(dsn)
	if err != nil {
		return nil, errors.New("the MySQL DSN isn't of the form user:password@tcp(host:port)/database")
	}
	return cfg, nil
}
