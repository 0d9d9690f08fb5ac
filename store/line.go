package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"

	"github.com/jmoiron/sqlx"
)

// line is a connection with one transaction. Its beginning goes with the first statement and its end with the last, so a
// transaction takes no round trip of its own (database/sql's takes two).
type line struct {
	conn *sqlx.Conn
	open bool // the database has been told to begin, and not to end
}

const begin = "START TRANSACTION;"

func (db *DB) connect(ctx context.Context) (*line, error) {
	conn, err := db.sql.Connx(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to the database: %w", err)
	}
	return &line{conn: conn}, nil
}

// begun puts the transaction's beginning before its first statement.
func (l *line) begun(statement string) string {
	if l.open {
		return statement
	}
	l.open = true
	return begin + statement
}

// ExecContext runs a statement that changes something.
func (l *line) ExecContext(ctx context.Context, statement string, values ...any) (sql.Result, error) {
	return l.conn.ExecContext(ctx, l.begun(statement), values...)
}

// QueryxContext runs a statement, or several, that read.
func (l *line) QueryxContext(ctx context.Context, statement string, values ...any) (*sqlx.Rows, error) {
	return l.conn.QueryxContext(ctx, l.begun(statement), values...)
}

// GetContext reads one row.
func (l *line) GetContext(ctx context.Context, into any, statement string, values ...any) error {
	return l.conn.GetContext(ctx, into, l.begun(statement), values...)
}

// SelectContext reads all rows.
func (l *line) SelectContext(ctx context.Context, into any, statement string, values ...any) error {
	return l.conn.SelectContext(ctx, into, l.begun(statement), values...)
}

// commit runs the last statements, if there are any, and ends the transaction.
func (l *line) commit(ctx context.Context, last batch) error {
	if !l.open && len(last.statements) == 0 {
		return nil
	}
	last.add("COMMIT")
	if _, err := l.ExecContext(ctx, last.text(), last.values...); err != nil {
		return err
	}
	l.open = false
	return nil
}

// end gives the connection back, and takes back what wasn't committed. A connection that can't be asked for that isn't used
// again: the database takes its transaction back when it is gone.
func (l *line) end(ctx context.Context) {
	if l.open {
		if _, err := l.conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK"); err != nil {
			_ = l.conn.Raw(func(any) error { return driver.ErrBadConn })
		}
	}
	_ = l.conn.Close()
}

// statements are a line as one part of a transaction uses it, with a note of whether it has written anything by it.
type statements struct {
	*line
	wrote bool
}

// ExecContext runs a statement that changes something.
func (s *statements) ExecContext(ctx context.Context, statement string, values ...any) (sql.Result, error) {
	s.wrote = true
	return s.line.ExecContext(ctx, statement, values...)
}

// NamedExecContext is ExecContext for a statement whose placeholders have the names of a struct's fields, or of several.
func (s *statements) NamedExecContext(ctx context.Context, statement string, rows any) (sql.Result, error) {
	bound, values, err := sqlx.Named(statement, rows)
	if err != nil {
		return nil, fmt.Errorf("bind the names of a statement: %w", err)
	}
	return s.ExecContext(ctx, bound, values...)
}
