package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"castad/events"
	"castad/internal/pipeline"
)

// Dead is a dead letter: what was given up on, and why.
type Dead struct {
	ID             string       `db:"dead_id"`
	TaskID         string       `db:"task_id"`
	Stage          events.Stage `db:"stage"`
	Revision       int          `db:"revision"`
	Cause          string       `db:"cause"` // stable code
	Reason         string       `db:"reason"`
	Attempts       int          `db:"attempts"`
	Stream         string       `db:"stream"` // where the last message came from
	Subject        string       `db:"subject"`
	StreamSeq      uint64       `db:"stream_seq"`
	Consumer       string       `db:"consumer"`
	Program        string       `db:"program"`
	ProgramVersion string       `db:"program_version"`
	Traceparent    string       `db:"traceparent"`
	FirstAt        time.Time    `db:"first_at"` // when the run was first begun
	LastAt         time.Time    `db:"last_at"`
	State          string       `db:"state"` // one of the Dead… below
}

// What has become of a dead letter. All but DeadFiled are final.
const (
	DeadFiled      = "filed"      // nobody has dealt with it
	DeadReplayed   = "replayed"   // its run was tried again, by a replay or by its owner's retry
	DeadDropped    = "dropped"    // taken off the list; its run stays failed
	DeadSuperseded = "superseded" // its run was made again as a new revision, or its task was deleted
)

const deadColumns = "`dead_id`,`task_id`,`stage`,`revision`,`cause`,`reason`,`attempts`,`stream`,`subject`,`stream_seq`," +
	"`consumer`,`program`,`program_version`,`traceparent`,`first_at`,`last_at`,`state`"

const insertDead = "INSERT INTO `dead_letter` (" + deadColumns + ",`unsent`) VALUES (:dead_id,:task_id,:stage,:revision,:cause," +
	":reason,:attempts,:stream,:subject,:stream_seq,:consumer,:program,:program_version,:traceparent,:first_at,:last_at,:state,1)"

func (tx *Tx) saveDead(ctx context.Context, task *Task, run Run, id string, from Origin) error {
	letter := Dead{ID: id, TaskID: task.ID, Stage: run.Stage, Revision: run.Revision, Cause: run.Code, Reason: run.Reason,
		Attempts: run.Attempt, Stream: from.Stream, Subject: from.Subject, StreamSeq: from.Seq, Consumer: from.Consumer,
		Program: from.Program, ProgramVersion: from.Version, Traceparent: task.Traceparent,
		FirstAt: task.now, LastAt: task.now, State: DeadFiled}
	if run.StartedAt.Valid {
		letter.FirstAt = run.StartedAt.V
	}
	if _, err := tx.sql.NamedExecContext(ctx, insertDead, letter); err != nil {
		return fmt.Errorf("file dead letter of %s of task %s: %w", run.Stage, task.ID, err)
	}
	tx.dead = true
	return nil
}

const resolveDead = "UPDATE `dead_letter` SET `state`=?, `unsent`=2 WHERE `dead_id`=? AND `state`='filed'"

// resolveDead notes that a dead letter was dealt with, and that the broker's copy has to go. The condition on its state
// lets one of many win; the others, and "", change nothing.
func (tx *Tx) resolveDead(ctx context.Context, id, state string) (bool, error) {
	if id == "" {
		return false, nil
	}
	res, err := tx.sql.ExecContext(ctx, resolveDead, state, id)
	if err != nil {
		return false, fmt.Errorf("mark dead letter %s as %s: %w", id, state, err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return false, fmt.Errorf("mark dead letter %s as %s: %w", id, state, err)
	}
	tx.dead = tx.dead || n > 0
	return n > 0, nil
}

// DeadFilter narrows a list of dead letters. Zero values don't.
type DeadFilter struct {
	TaskID string
	Stage  events.Stage
	Cause  string
	Since  time.Time // of the last attempt: not before this
	Before time.Time // of the last attempt: before this
	After  string    // the id of the last letter of the page before
	Limit  int       // of the page; 0 means 100
}

const (
	filedDead = " FROM `dead_letter` WHERE `state`='filed' AND (?='' OR `stage`=?) AND (?='' OR `cause`=?) AND (?='' OR `task_id`=?)" +
		" AND (? IS NULL OR `last_at`>=?) AND (? IS NULL OR `last_at`<?)"
	selectDeads = "SELECT " + deadColumns + filedDead + " AND `dead_id`>? ORDER BY `dead_id` LIMIT ?"
	countDeads  = "SELECT `stage`, `cause`, COUNT(*) AS `letters`, MIN(`last_at`) AS `first`, MAX(`last_at`) AS `last`" + filedDead +
		" GROUP BY `stage`, `cause` ORDER BY `stage`, `cause`"
)

func (f DeadFilter) args() []any {
	since, before := sql.Null[time.Time]{V: f.Since, Valid: !f.Since.IsZero()}, sql.Null[time.Time]{V: f.Before, Valid: !f.Before.IsZero()}
	return []any{f.Stage, f.Stage, f.Cause, f.Cause, f.TaskID, f.TaskID, since, since, before, before}
}

// ListDead returns a page of the dead letters that nobody has dealt with yet, by id and so oldest first.
func (db *DB) ListDead(ctx context.Context, f DeadFilter) ([]Dead, error) {
	limit := f.Limit
	if limit <= 0 {
		limit = 100
	}
	letters := []Dead{}
	if err := db.sql.SelectContext(ctx, &letters, selectDeads, append(f.args(), f.After, limit)...); err != nil {
		return nil, fmt.Errorf("list dead letters: %w", err)
	}
	return letters, nil
}

// DeadCount is how many dead letters of a stage have a cause.
type DeadCount struct {
	Stage   events.Stage `db:"stage"`
	Cause   string       `db:"cause"`
	Letters int          `db:"letters"`
	First   time.Time    `db:"first"` // the earliest last attempt of them
	Last    time.Time    `db:"last"`
}

// CountDead counts the dead letters that nobody has dealt with yet by stage and cause; After and Limit don't narrow it.
func (db *DB) CountDead(ctx context.Context, f DeadFilter) ([]DeadCount, error) {
	counts := []DeadCount{}
	if err := db.sql.SelectContext(ctx, &counts, countDeads, f.args()...); err != nil {
		return nil, fmt.Errorf("count dead letters: %w", err)
	}
	return counts, nil
}

const selectDead = "SELECT " + deadColumns + " FROM `dead_letter` WHERE `dead_id`=?"

// LoadDead returns one dead letter, whatever has become of it. Errors: ErrNotFound.
func (db *DB) LoadDead(ctx context.Context, id string) (Dead, error) {
	var letter Dead
	if err := db.sql.GetContext(ctx, &letter, selectDead, id); err != nil {
		return Dead{}, fmt.Errorf("load dead letter %s: %w", id, one(err))
	}
	return letter, nil
}

// Replay sets the run of a dead letter to pending again, from its first attempt. It reports whether this call did it: a
// second replay, one after a drop, and one of a run that was retried, made again or cancelled meanwhile change nothing.
// The locked task row and the letter's state let one of many win. Paid calls that were accepted are found again.
// Errors: ErrNotFound.
func (db *DB) Replay(ctx context.Context, id string) (bool, error) {
	letter, err := db.LoadDead(ctx, id)
	if err != nil || letter.State != DeadFiled {
		return false, err
	}
	replayed := false
	err = db.InTx(ctx, func(tx *Tx) error {
		replayed, err = tx.replay(ctx, letter)
		return err
	})
	return replayed, err
}

const lockDead = "SELECT `state` FROM `dead_letter` WHERE `dead_id`=? FOR UPDATE"

func (tx *Tx) replay(ctx context.Context, letter Dead) (bool, error) {
	task, err := tx.lockTask(ctx, letter.TaskID) // before the letter, like whoever retries or reruns
	if errors.Is(err, ErrNotFound) {
		_, err := tx.resolveDead(ctx, letter.ID, DeadSuperseded)
		return false, err
	}
	if err != nil {
		return false, err
	}
	var state string
	if err := tx.sql.GetContext(ctx, &state, lockDead, letter.ID); err != nil || state != DeadFiled {
		return false, wrap(err, "lock dead letter "+letter.ID)
	}
	runs, err := tx.newestRuns(ctx, task)
	if err != nil {
		return false, err
	}
	run, _ := find(runs, letter.Stage)
	if run.Status != pipeline.Failed || run.DeadID.V != letter.ID || task.Deleted {
		_, err := tx.resolveDead(ctx, letter.ID, DeadSuperseded)
		return false, err
	}
	return true, tx.retry(ctx, task, runs, letter.Stage)
}

func wrap(err error, doing string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// Drop takes a dead letter off the list; the run stays failed. It reports whether this call did it: dropping what was
// dealt with changes nothing.
func (db *DB) Drop(ctx context.Context, id string) (bool, error) {
	dropped := false
	err := db.InTx(ctx, func(tx *Tx) error {
		var err error
		dropped, err = tx.resolveDead(ctx, id, DeadDropped)
		return err
	})
	return dropped, err
}
