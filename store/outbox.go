package store

import (
	"context"
	"database/sql/driver"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"

	"castad/events"
)

// Due is a run that the broker should have a work message for.
type Due struct {
	TaskID      string       `db:"task_id"`
	Stage       events.Stage `db:"stage"`
	Revision    int          `db:"revision"`
	Status      string       `db:"status"`
	Attempt     int          `db:"attempt"`
	Filings     int          `db:"filings"`
	DueAt       time.Time    `db:"due_at"`
	Traceparent string       `db:"traceparent"`
}

const selectDue = "SELECT r.`task_id`,r.`stage`,r.`revision`,r.`status`,r.`attempt`,r.`filings`,r.`due_at`,t.`traceparent`" +
	" FROM `stage_run` r JOIN `task` t ON t.`task_id`=r.`task_id` WHERE r.`due_at` <= NOW(6) ORDER BY r.`due_at` LIMIT ?"

// DueRuns returns the runs that are due, the longest overdue first.
func (db *DB) DueRuns(ctx context.Context, limit int) ([]Due, error) {
	var due []Due
	if err := db.sql.SelectContext(ctx, &due, selectDue, limit); err != nil {
		return nil, fmt.Errorf("read due runs: %w", err)
	}
	return due, nil
}

// A filed run that nobody claims is filed again after 2^filings seconds. One that the broker took rests half a minute at
// least; one that it refused, because a message for that stage and task is still queued or in work, only a second at
// first; and nothing is asked about more often than every eight minutes for long.
const (
	takenRun = "UPDATE `stage_run` SET `filings`=LEAST(GREATEST(`filings`+1, 5), 9)," +
		" `due_at`=DATE_ADD(NOW(6), INTERVAL POW(2, `filings`) SECOND)" + whereRuns + " AND `due_at` <= ?"
	refusedRun = "UPDATE `stage_run` SET `due_at`=DATE_ADD(NOW(6), INTERVAL POW(2, `filings`) SECOND)," +
		" `filings`=LEAST(`filings`+1, 9)" + whereRuns + " AND `due_at` <= ?"
)

// MarkTaken notes that the broker has new messages for these runs. Runs that were claimed meanwhile are left alone,
// because their due_at is another one.
func (db *DB) MarkTaken(ctx context.Context, due []Due) error {
	return db.markFiled(ctx, takenRun, due)
}

// MarkRefused notes that the broker has older messages for the stages and tasks of these runs.
func (db *DB) MarkRefused(ctx context.Context, due []Due) error {
	return db.markFiled(ctx, refusedRun, due)
}

func (db *DB) markFiled(ctx context.Context, statement string, due []Due) error {
	if len(due) == 0 {
		return nil
	}
	latest := due[0].DueAt
	type kind struct {
		stage    events.Stage
		revision int
	}
	keys := map[kind][]any{}
	for _, d := range due {
		of := kind{d.Stage, d.Revision}
		keys[of] = append(keys[of], d.TaskID)
		if d.DueAt.After(latest) {
			latest = d.DueAt
		}
	}
	var b batch
	for of, ids := range keys {
		b.add(fmt.Sprintf(statement, placeholders("?", len(ids))), append(append([]any{of.stage, of.revision}, ids...), latest)...)
	}
	return db.retried(ctx, func() error {
		if _, err := db.sql.ExecContext(ctx, b.text(), b.values...); err != nil {
			return fmt.Errorf("mark %d runs as filed: %w", len(due), err)
		}
		return nil
	})
}

const allDue = "UPDATE `stage_run` SET `due_at`=NOW(6), `filings`=0 WHERE `due_at` IS NOT NULL" +
	" AND `status` IN ('pending','waiting') AND `lease_token` IS NULL AND `filings` > 0"

// MakeAllDue makes every run due that was filed and not yet claimed. It is for a broker that came back without its
// messages. It returns how many there were.
func (db *DB) MakeAllDue(ctx context.Context) (int64, error) {
	res, err := db.sql.ExecContext(ctx, allDue)
	if err != nil {
		return 0, fmt.Errorf("make all filed runs due: %w", err)
	}
	return res.RowsAffected()
}

const nextDue = "SELECT TIMESTAMPDIFF(MICROSECOND, NOW(6), `due_at`) FROM `stage_run` WHERE `due_at` IS NOT NULL" +
	" ORDER BY `due_at` LIMIT 1"

// NextDue returns how long it is until the next run is due, at most most.
func (db *DB) NextDue(ctx context.Context, most time.Duration) (time.Duration, error) {
	var micros []int64
	if err := db.sql.SelectContext(ctx, &micros, nextDue); err != nil {
		return most, fmt.Errorf("read when the next run is due: %w", err)
	}
	if len(micros) == 0 {
		return most, nil
	}
	return max(0, min(most, time.Duration(micros[0])*time.Microsecond)), nil
}

// Unsent is an event that the broker hasn't confirmed yet.
type Unsent struct {
	ID int64 `db:"id"`
	eventRow
}

// Fact returns the event's body.
func (u Unsent) Fact() events.Fact { return u.eventRow.fact() }

// EventIDAndTrace returns the de-duplication id and the trace of the event.
func (u Unsent) EventIDAndTrace() (string, string) { return u.EventID, u.Traceparent }

func (e eventRow) fact() events.Fact {
	return events.Fact{Version: events.SchemaVersion, TaskID: e.TaskID, Seq: e.Seq, Stage: events.Stage(e.Stage), What: e.What,
		Revision: e.Revision, Attempt: e.Attempt, TaskStatus: e.TaskStatus, Code: e.Code, Reason: e.Reason, At: e.At}
}

const eventColumns = "`event_id`,`task_id`,`seq`,`stage`,`what`,`revision`,`attempt`,`task_status`,`code`,`reason`,`traceparent`,`at`"

const (
	selectUnsent = "SELECT `id`," + eventColumns + " FROM `task_event` WHERE `unsent`=1 ORDER BY `id` LIMIT ?"
	markSent     = "UPDATE `task_event` SET `unsent`=NULL WHERE `id` IN (?)"
)

// UnsentEvents returns events in the order of their commits within each task.
func (db *DB) UnsentEvents(ctx context.Context, limit int) ([]Unsent, error) {
	var rows []Unsent
	if err := db.sql.SelectContext(ctx, &rows, selectUnsent, limit); err != nil {
		return nil, fmt.Errorf("read unsent events: %w", err)
	}
	return rows, nil
}

// MarkSent notes that the broker has these events.
func (db *DB) MarkSent(ctx context.Context, ids []int64) error {
	return db.markIn(ctx, "mark events as sent", markSent, ids)
}

func (db *DB) markIn(ctx context.Context, doing, statement string, ids any) error {
	query, args, err := sqlx.In(statement, ids)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	if _, err := db.sql.ExecContext(ctx, query, args...); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}

const selectEvents = "SELECT " + eventColumns + " FROM `task_event` WHERE `task_id`=? AND `seq`>? ORDER BY `seq` LIMIT ?"

// EventsAfter returns a task's events with a greater number than after, in order, at most limit.
func (db *DB) EventsAfter(ctx context.Context, taskID string, after int64, limit int) ([]events.Fact, error) {
	var rows []eventRow
	if err := db.sql.SelectContext(ctx, &rows, selectEvents, taskID, after, limit); err != nil {
		return nil, fmt.Errorf("read events of task %s: %w", taskID, err)
	}
	facts := make([]events.Fact, len(rows))
	for i, row := range rows {
		facts[i] = row.fact()
	}
	return facts, nil
}

const selectNewest = "SELECT `task_id`,`event_seq` FROM `task` WHERE `task_id` IN (?)"

// NewestEvents returns the number of the newest event of each of some tasks.
func (db *DB) NewestEvents(ctx context.Context, taskIDs []string) (map[string]int64, error) {
	query, args, err := sqlx.In(selectNewest, taskIDs)
	if err != nil {
		return nil, fmt.Errorf("read the newest events: %w", err)
	}
	var rows []struct {
		TaskID string `db:"task_id"`
		Seq    int64  `db:"event_seq"`
	}
	if err := db.sql.SelectContext(ctx, &rows, query, args...); err != nil {
		return nil, fmt.Errorf("read the newest events: %w", err)
	}
	newest := make(map[string]int64, len(rows))
	for _, row := range rows {
		newest[row.TaskID] = row.Seq
	}
	return newest, nil
}

// Relaying holds the lock of the one relay that publishes, for as long as its connection lives.
type Relaying struct {
	conn *sqlx.Conn
	name string
}

// BecomeRelay tries to become the one relay of this database that publishes, and returns nil when another is it. The lock is the
// database's, on a connection of its own: it dies with the connection, so no relay can hold it from the grave.
func (db *DB) BecomeRelay(ctx context.Context, name string) (*Relaying, error) {
	conn, err := db.sql.Connx(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect for the relay's lock: %w", err)
	}
	var got int
	if err := conn.GetContext(ctx, &got, "SELECT COALESCE(GET_LOCK(CONCAT(DATABASE(), '.', ?), 0), 0)", name); err != nil || got != 1 {
		conn.Close()
		if err != nil {
			return nil, fmt.Errorf("take the relay's lock: %w", err)
		}
		return nil, nil
	}
	return &Relaying{conn: conn, name: name}, nil
}

// Still checks that the lock is still ours, by asking on its own connection.
func (r *Relaying) Still(ctx context.Context) error {
	var one int
	return r.conn.GetContext(ctx, &one, "SELECT 1")
}

// Stop gives the lock up; the connection goes back to the pool without it.
func (r *Relaying) Stop(ctx context.Context) {
	_, err := r.conn.ExecContext(ctx, "DO RELEASE_LOCK(CONCAT(DATABASE(), '.', ?))", r.name)
	if err != nil { // a connection that can't be asked must not go back with the lock
		_ = r.conn.Raw(func(any) error { return driver.ErrBadConn })
	}
	r.conn.Close()
}
