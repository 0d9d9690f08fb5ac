package store

import (
	"context"
	"fmt"

	"github.com/jmoiron/sqlx"
)

// OwedDead is what the dead stream hasn't been told yet about a letter.
type OwedDead struct {
	Dead
	Gone bool `db:"gone"` // it was dealt with: its message has to go. Otherwise it has to be filed.
}

const (
	selectOwedDead = "SELECT " + deadColumns + ", `unsent`=2 AS `gone` FROM `dead_letter` WHERE `unsent` IN (1,2)" +
		" ORDER BY `unsent` DESC, `dead_id` LIMIT ?"
	// A letter that is dealt with while its filing is under way goes from 1 to 2, and must not be taken for done.
	markDeadSent = "UPDATE `dead_letter` SET `unsent`=NULL WHERE `unsent`=1 AND `dead_id` IN (?)"
	markDeadGone = "UPDATE `dead_letter` SET `unsent`=NULL WHERE `unsent`=2 AND `dead_id` IN (?)"
)

// OwedDead returns the letters about which the broker has to be told something: first those that have to go, which makes
// room for those to be filed, then by age.
func (db *DB) OwedDead(ctx context.Context, limit int) ([]OwedDead, error) {
	var owed []OwedDead
	if err := db.sql.SelectContext(ctx, &owed, selectOwedDead, limit); err != nil {
		return nil, fmt.Errorf("read what the dead stream is owed: %w", err)
	}
	return owed, nil
}

// MarkDeadSent notes that the broker has these dead letters.
func (db *DB) MarkDeadSent(ctx context.Context, ids []string) error {
	return db.markDead(ctx, "mark dead letters as filed", markDeadSent, ids)
}

// MarkDeadGone notes that the broker hasn't these dead letters any more.
func (db *DB) MarkDeadGone(ctx context.Context, ids []string) error {
	return db.markDead(ctx, "mark dead letters as removed", markDeadGone, ids)
}

func (db *DB) markDead(ctx context.Context, doing, statement string, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	return db.retried(ctx, func() error { return db.markIn(ctx, doing, statement, ids) })
}

const refileDead = "UPDATE `dead_letter` SET `unsent`=1 WHERE `state`='filed' AND `unsent` IS NULL"

// RefileDead makes all dead letters that nobody has dealt with due for the dead stream again, for a broker that may have
// lost them. It returns how many there were.
func (db *DB) RefileDead(ctx context.Context) (int64, error) {
	res, err := db.sql.ExecContext(ctx, refileDead)
	if err != nil {
		return 0, fmt.Errorf("file all dead letters again: %w", err)
	}
	return res.RowsAffected()
}

const selectDeadStates = "SELECT `dead_id`, `state` FROM `dead_letter` WHERE `dead_id` IN (?)"

// DeadStates returns what has become of the dead letters with these ids; those that have no row are missing in it.
func (db *DB) DeadStates(ctx context.Context, ids []string) (map[string]string, error) {
	states := map[string]string{}
	if len(ids) == 0 {
		return states, nil
	}
	query, args, err := sqlx.In(selectDeadStates, ids)
	if err != nil {
		return nil, fmt.Errorf("look up dead letters: %w", err)
	}
	var rows []struct {
		ID    string `db:"dead_id"`
		State string `db:"state"`
	}
	if err := db.sql.SelectContext(ctx, &rows, query, args...); err != nil {
		return nil, fmt.Errorf("look up dead letters: %w", err)
	}
	for _, row := range rows {
		states[row.ID] = row.State
	}
	return states, nil
}
