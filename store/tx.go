package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"castad/events"
	"castad/internal/pipeline"
)

// Tx is one transaction. Changes of tasks and their events are gathered in it and written in few statements at its
// end. It isn't safe for concurrent use.
type Tx struct {
	sql    *sqlx.Tx
	tasks  map[string]*Task // locked in this transaction
	events []eventRow
	filed  bool // something became due for the relay
}

const transactionTries = 10

// InTx runs do in a transaction and commits it, or rolls back when do returns an error. It is the only way to a
// transaction. do must not call the network, and must stand being run again: a deadlock repeats the whole.
func (db *DB) InTx(ctx context.Context, do func(tx *Tx) error) error {
	return db.retried(ctx, func() error { return db.once(ctx, do) })
}

// retried runs do again as long as it ends in a deadlock or a lock wait.
func (db *DB) retried(ctx context.Context, do func() error) error {
	var err error
	for try := range transactionTries {
		if err = do(); err == nil || !transient(err) {
			return err
		}
		if pause(ctx, try) != nil {
			return err
		}
	}
	return err
}

// pause lets the other side of a deadlock finish.
func pause(ctx context.Context, try int) error {
	timer := time.NewTimer(time.Duration(rand.Int64N(int64(5*time.Millisecond) << min(try, 5))))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

func (db *DB) once(ctx context.Context, do func(tx *Tx) error) error {
	begun, err := db.sql.BeginTxx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin transaction: %w", err)
	}
	defer begun.Rollback() //nolint:errcheck // a no-op after the commit
	tx := &Tx{sql: begun, tasks: map[string]*Task{}}
	if err := do(tx); err != nil {
		return err
	}
	if err := tx.flush(ctx); err != nil {
		return err
	}
	if err := begun.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	if db.Nudge != nil && (tx.filed || len(tx.events) > 0) {
		db.Nudge()
	}
	return nil
}

// flush writes what was gathered: the tasks' own rows, then their events.
func (tx *Tx) flush(ctx context.Context) error {
	for _, task := range tx.tasks {
		if err := tx.saveTask(ctx, task); err != nil {
			return err
		}
	}
	return tx.saveEvents(ctx)
}

// eventRow is a row of task_event.
type eventRow struct {
	EventID     string    `db:"event_id"`
	TaskID      string    `db:"task_id"`
	Seq         int64     `db:"seq"`
	Stage       string    `db:"stage"`
	What        string    `db:"what"`
	Revision    int       `db:"revision"`
	Attempt     int       `db:"attempt"`
	TaskStatus  string    `db:"task_status"`
	Code        string    `db:"code"`
	Reason      string    `db:"reason"`
	Traceparent string    `db:"traceparent"`
	At          time.Time `db:"at"`
}

// emit notes that something happened to a task that this transaction has locked. The number that it gets is the
// task's own, so watchers see a gap where they miss something.
func (tx *Tx) emit(task *Task, stage events.Stage, what string, run Run) {
	task.EventSeq++
	task.dirty = true
	tx.events = append(tx.events, eventRow{
		EventID: newID(), TaskID: task.ID, Seq: task.EventSeq, Stage: string(stage), What: what,
		Revision: run.Revision, Attempt: run.Attempt, Code: run.Code, Reason: run.Reason,
		Traceparent: task.Traceparent, At: task.now,
	})
}

// emitRun tells of a run's new status.
func (tx *Tx) emitRun(task *Task, run Run) { tx.emit(task, run.Stage, string(run.Status), run) }

// setTask changes a task's status and tells of it, if it is another one.
func (tx *Tx) setTask(task *Task, status pipeline.TaskStatus, code, reason string) {
	if task.Status == status {
		return
	}
	task.Status, task.Code, task.Reason, task.dirty = status, code, reason, true
	task.FinishedAt = sql.Null[time.Time]{V: task.now, Valid: status.Final()}
	tx.emit(task, events.TaskScope, string(status), Run{Code: code, Reason: reason})
}

const insertEvents = "INSERT INTO `task_event` (`event_id`,`task_id`,`seq`,`stage`,`what`,`revision`,`attempt`," +
	"`task_status`,`code`,`reason`,`traceparent`,`at`,`unsent`) VALUES " +
	"(:event_id,:task_id,:seq,:stage,:what,:revision,:attempt,:task_status,:code,:reason,:traceparent,:at,1)"

func (tx *Tx) saveEvents(ctx context.Context) error {
	if len(tx.events) == 0 {
		return nil
	}
	for i := range tx.events {
		// The status that the task has after the whole transaction: no watcher sees a state that never was committed.
		tx.events[i].TaskStatus = string(tx.tasks[tx.events[i].TaskID].Status)
	}
	if _, err := tx.sql.NamedExecContext(ctx, insertEvents, tx.events); err != nil {
		return fmt.Errorf("write events: %w", err)
	}
	return nil
}

// newID returns a UUIDv7: unique, and sorted by time, so that rows are inserted at the end of their index.
func newID() string { return uuid.Must(uuid.NewV7()).String() }

// one turns "no row" into ErrNotFound.
func one(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	return err
}

// cut shortens text to what a column of that many characters holds.
func cut(text string, most int) string {
	runes := []rune(strings.ToValidUTF8(text, "\uFFFD"))
	if len(runes) <= most {
		return string(runes)
	}
	return string(runes[:most-1]) + "…"
}
