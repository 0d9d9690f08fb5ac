// Package store is CastAD's MySQL: row types with their queries beside them, a file for each aggregate.
//
// MySQL is the truth about tasks. A change of a task is one transaction that holds the conditional change of the run,
// its result rows and the events that tell of it; the rows themselves are the outbox that internal/relay publishes
// from (docs/adr/0001). Nothing here talks to the broker or to a provider. Start with DB.InTx, Submit, Claim, Settle
// and PayOnce.
package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jmoiron/sqlx"

	"castad/events"
)

// ErrNotFound is returned by Load… and by commands on something that isn't there, or isn't the asker's.
var ErrNotFound = errors.New("not found")

// ErrLeaseLost is returned to a worker whose claim is no longer the run's: it was cancelled, superseded by a new
// revision, or its lease ran out and another has claimed it. Nothing was saved.
var ErrLeaseLost = errors.New("lease lost")

// Settings are how a program connects.
type Settings struct {
	DSN      string // go-sql-driver form: user:password@tcp(host:port)/database
	MaxOpen  int    // connections at most; 0 means 20
	MaxIdle  int    // 0 means the half of MaxOpen
	Lifetime time.Duration
	// Flight is what a paused process or a slow network may add to a paid call's own time limit; 0 means 30 s.
	Flight time.Duration
	// AskAgain is how long a run whose paid call has an unknown outcome rests before the provider is asked again; 0 means
	// 30 s. A callback wakes it at once.
	AskAgain time.Duration
	Caps     Caps
}

// DB is a pool of connections and what is done with them. It is safe for concurrent use.
type DB struct {
	sql *sqlx.DB
	// Nudge is called after a commit that left something for the relay to publish. It must not block. May be nil.
	Nudge func(events.Owed)
	// File is called after a commit with each run that became due by it, to have it filed without the relay. It must not
	// block, and may fail: the relay files what nobody claims. May be nil: then the relay files all.
	File func(Due)

	flight, askAgain time.Duration
	caps             Caps
	together         together
	looks            looks
}

// Open prepares a pool; it doesn't connect yet, so that a program can start before its database.
func Open(s Settings) (*DB, error) {
	cfg, err := mysql.ParseDSN(s.DSN)
	if err != nil {
		return nil, errors.New("the MySQL DSN isn't of the form user:password@tcp(host:port)/database")
	}
	cfg.ParseTime, cfg.Loc = true, time.UTC
	cfg.InterpolateParams = true // one round trip a statement instead of three
	cfg.MultiStatements = true   // and fewer still (batch, readAhead); all values come as parameters
	if cfg.Params == nil {
		cfg.Params = map[string]string{}
	}
	cfg.Params["time_zone"] = "'+00:00'"
	if cfg.Timeout == 0 {
		cfg.Timeout = 5 * time.Second
	}
	if err := cfg.Apply(mysql.Charset("utf8mb4", "utf8mb4_unicode_ci")); err != nil {
		return nil, fmt.Errorf("set the connection's character set: %w", err)
	}
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, fmt.Errorf("prepare MySQL connections: %w", err)
	}
	pool := sql.OpenDB(readCommitted{connector})
	open := s.MaxOpen
	if open == 0 {
		open = 20
	}
	idle := s.MaxIdle
	if idle == 0 {
		idle = max(open/2, 2)
	}
	lifetime := s.Lifetime
	if lifetime == 0 {
		lifetime = 280 * time.Second // under MySQL's usual wait_timeout of 300 s
	}
	pool.SetMaxOpenConns(open)
	pool.SetMaxIdleConns(idle)
	pool.SetConnMaxLifetime(lifetime)
	db := &DB{sql: sqlx.NewDb(pool, "mysql"), flight: cmp.Or(s.Flight, 30*time.Second), askAgain: cmp.Or(s.AskAgain, 30*time.Second), caps: s.Caps}
	db.together.open(db)
	db.looks.open(db)
	return db, nil
}

// Ping checks that the database answers and has our schema.
func (db *DB) Ping(ctx context.Context) error {
	var one int
	err := db.sql.GetContext(ctx, &one, "SELECT COUNT(*) FROM `task` WHERE `task_id` = ''")
	if err != nil {
		return fmt.Errorf("ask the database: %w", err)
	}
	return nil
}

// Now returns the database's clock, which is the clock of leases and timers.
func (db *DB) Now(ctx context.Context) (time.Time, error) {
	var now time.Time
	err := db.sql.GetContext(ctx, &now, "SELECT NOW(6)")
	return now, err
}

// Close ends all connections.
func (db *DB) Close() error { return db.sql.Close() }

// codes of MySQL and MariaDB after which the whole transaction may simply be run again.
const (
	errDeadlock      = 1213
	errLockWait      = 1205
	errRecordChanged = 1020 // MariaDB 11: the row changed since it was read
	errDuplicate     = 1062
	errLockNoWait    = 3572 // MySQL's word for what MariaDB calls a lock wait
)

func sqlCode(err error) uint16 {
	if e, ok := errors.AsType[*mysql.MySQLError](err); ok {
		return e.Number
	}
	return 0
}

func transient(err error) bool {
	code := sqlCode(err)
	return code == errDeadlock || code == errLockWait || code == errRecordChanged
}

func duplicate(err error) bool { return sqlCode(err) == errDuplicate }
