// Package riverqueue carries tasks through six durable stages with River, a Go library for background jobs in PostgreSQL,
// in its best case: the statuses are in the same database, so a job's completion, its status and the next stage's job are
// one transaction, and nothing is lost or done twice.
package riverqueue

import (
	"context"
	"fmt"
	"maps"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"castad/bench/system"
)

// System is River.
type System struct{}

// Roles are its programs.
var Roles = map[string]system.Role{"river/api": serveAPI, "river/stage": serveStage}

// schema is system.Schema in PostgreSQL's words.
var schema = []string{
	"CREATE TABLE task (task_id uuid PRIMARY KEY, payload text NOT NULL, created_at timestamptz NOT NULL)",
	"CREATE TABLE status (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, task_id uuid NOT NULL, stage varchar(16) NOT NULL, at timestamptz NOT NULL)",
	"CREATE INDEX status_task_index ON status (task_id)",
}

type running struct {
	*system.Programs
	system.Door
	database *postgres
	pool     *pgxpool.Pool
}

// Start starts PostgreSQL, six stages, and the accepting program.
func (System) Start(ctx context.Context, dir string) (system.Running, error) {
	r := &running{Programs: system.NewPrograms(dir)}
	if err := r.start(ctx, dir); err != nil {
		r.Stop()
		return nil, err
	}
	return r, nil
}

func (r *running) start(ctx context.Context, dir string) (err error) {
	if r.database, err = startPostgres(ctx, r.Programs, dir); err != nil {
		return err
	}
	if r.pool, err = openPool(ctx, r.database.dsn, 1); err != nil {
		return err
	}
	if err := makeTables(ctx, r.pool); err != nil {
		return err
	}
	r.Door, err = r.PlayAll(ctx, "river", map[string]string{system.EnvDSN: r.database.dsn})
	return err
}

func makeTables(ctx context.Context, pool *pgxpool.Pool) error {
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), nil)
	if err != nil {
		return fmt.Errorf("make River's tables: %w", err)
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("make River's tables: %w", err)
	}
	for _, statement := range schema {
		if _, err := pool.Exec(ctx, statement); err != nil {
			return fmt.Errorf("make the tables: %w", err)
		}
	}
	return nil
}

// Processes has each process of PostgreSQL. One that serves a connection lives as long as its pool, which has a fixed
// size, so what it used isn't lost to the count; only autovacuum's workers come and go. Each one's resident memory has what
// it touched of the 128 MB that they share, so the sum is more than the server takes.
func (r *running) Processes() map[string]int {
	all := r.Programs.Processes()
	maps.Copy(all, backends(all[postgresName]))
	return all
}

func (r *running) Audit(ctx context.Context) (system.Audit, error) {
	rows, err := r.pool.Query(ctx, "SELECT (SELECT count(*) FROM task) AS accepted, (SELECT count(DISTINCT task_id) FROM status WHERE stage='upload') AS completed,"+
		" (SELECT count(*) FROM status) AS statuses")
	if err != nil {
		return system.Audit{}, fmt.Errorf("read the records: %w", err)
	}
	a, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[system.Audit])
	if err != nil {
		return a, fmt.Errorf("read the records: %w", err)
	}
	return a, nil
}

func (r *running) Stop() {
	if r.pool != nil {
		r.pool.Close()
	}
	r.Programs.Stop()
}
