package store

import (
	"context"
	"fmt"
	"time"
)

// Owed is what the broker hasn't been told yet.
type Owed struct {
	Runs   int           // that are due and not filed
	Oldest time.Duration // that the longest overdue of them has waited
	Facts  int           // that aren't confirmed
}

// owedMost is how far Owed counts: whether it is ten thousand or more makes no difference to anybody.
const owedMost = 10_000

const (
	owedRuns = "SELECT COUNT(*), COALESCE(MAX(TIMESTAMPDIFF(MICROSECOND, `due_at`, NOW(6))), 0) FROM" +
		" (SELECT `due_at` FROM `stage_run` WHERE `due_at` <= NOW(6) ORDER BY `due_at` LIMIT ?) `due`"
	owedFacts = "SELECT COUNT(*) FROM (SELECT 1 FROM `task_event` WHERE `unsent`=1 LIMIT ?) `unsent`"
)

// Owed counts, up to ten thousand of each.
func (db *DB) Owed(ctx context.Context) (Owed, error) {
	var owed Owed
	var micros int64
	if err := db.sql.QueryRowContext(ctx, owedRuns, owedMost).Scan(&owed.Runs, &micros); err != nil {
		return Owed{}, fmt.Errorf("count the runs that are due: %w", err)
	}
	owed.Oldest = time.Duration(micros) * time.Microsecond
	if err := db.sql.GetContext(ctx, &owed.Facts, owedFacts, owedMost); err != nil {
		return Owed{}, fmt.Errorf("count the unsent facts: %w", err)
	}
	return owed, nil
}
