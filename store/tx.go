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

	"castad/events"
	"castad/internal/pipeline"
)

// Tx is one caller's part of a transaction, which may be the whole. Changes of tasks and runs and their events are
// gathered in it and written in few statements at the transaction's end. It isn't safe for concurrent use.
type Tx struct {
	sql      *statements
	tasks    map[string]*Task // locked in this transaction
	unlocked bool             // the task was seen, and isn't locked yet
	read     map[string][]Run // what was read ahead: the newest runs of a task, or of one of its stages
	runs     map[runKey][]set // changed
	made     []Run
	events   []eventRow
	births   []birth
	accepted []Job // of the task that was read ahead
	planned  *Job  // that was read ahead, and is locked
	plans    []Job // to be written as planned
	sends    []Job // to be written as sent, with their holds
	settled  []settlement
	last     batch     // statements that go as they are, after all else
	files    bool      // what becomes due is filed by this process
	wanted   []Due     // what became due so
	now      time.Time // the database's clock; of shared transactions only
	token    string    // of the claims that are made in this transaction
	filed    bool      // a run became due for the relay
	dead     bool      // a dead letter is to be filed, or taken away
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
	line, err := db.connect(ctx)
	if err != nil {
		return err
	}
	defer line.end(ctx)
	tx := db.newTx(line)
	if err := do(tx); err != nil {
		return err
	}
	return db.commit(ctx, line, []*Tx{tx})
}

func (db *DB) newTx(on *line) *Tx {
	return &Tx{sql: &statements{line: on}, token: newID(), files: db.File != nil, tasks: map[string]*Task{}, read: map[string][]Run{}, runs: map[runKey][]set{}}
}

// commit writes what the parts of a transaction have gathered, ends it, has filed what became due, and wakes the relay
// for the rest.
func (db *DB) commit(ctx context.Context, on *line, parts []*Tx) error {
	if err := on.commit(ctx, gathered(parts)); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	for _, tx := range parts {
		for _, due := range tx.wanted {
			db.File(due)
		}
	}
	db.nudge(parts)
	return nil
}

// nudge wakes the relay for what a commit has left for it.
func (db *DB) nudge(parts []*Tx) {
	owed := map[events.Owed]bool{}
	for _, tx := range parts {
		owed[events.OwedRuns] = owed[events.OwedRuns] || tx.filed
		owed[events.OwedFacts] = owed[events.OwedFacts] || len(tx.events) > 0
		owed[events.OwedDead] = owed[events.OwedDead] || tx.dead
	}
	for kind, is := range owed {
		if is && db.Nudge != nil {
			db.Nudge(kind)
		}
	}
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
