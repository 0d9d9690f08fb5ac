package e2e

import (
	"database/sql"
	"testing"

	"github.com/jmoiron/sqlx"
)

// Read returns all rows of a query, each as a T: a value, or a struct whose fields are named as the columns.
func Read[T any](t testing.TB, rows *sql.DB, query string, args ...any) []T {
	t.Helper()
	var all []T
	if err := sqlx.NewDb(rows, "mysql").Select(&all, query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return all
}
