package store

import (
	"context"
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
	State          string       `db:"state"` // filed | replayed | dropped
}

// What has become of a dead letter.
const (
	DeadFiled    = "filed"
	DeadReplayed = "replayed"
	DeadDropped  = "dropped"
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
	tx.filed = true
	return nil
}

const resolveDead = "UPDATE `dead_letter` SET `state`=?, `unsent`=NULL WHERE `dead_id`=? AND `state`='filed'"

// resolveDead notes that a dead letter was dealt with. One that is gone already, or "", is left alone.
func (tx *Tx) resolveDead(ctx context.Context, id, state string) error {
	if id == "" {
		return nil
	}
	if _, err := tx.sql.ExecContext(ctx, resolveDead, state, id); err != nil {
		return fmt.Errorf("mark dead letter %s as %s: %w", id, state, err)
	}
	return nil
}

// DeadFilter narrows a list of dead letters. Zero values don't.
type DeadFilter struct {
	TaskID string
	Stage  events.Stage
	Cause  string
	Limit  int // 0 means 100
}

const selectDeads = "SELECT " + deadColumns + " FROM `dead_letter` WHERE `state`='filed' AND (?='' OR `stage`=?)" +
	" AND (?='' OR `cause`=?) AND (?='' OR `task_id`=?) ORDER BY `dead_id` LIMIT ?"

// ListDead returns the dead letters that nobody has dealt with yet, oldest first.
func (db *DB) ListDead(ctx context.Context, f DeadFilter) ([]Dead, error) {
	limit := f.Limit
	if limit <= 0 {
		limit = 100
	}
	letters := []Dead{}
	err := db.sql.SelectContext(ctx, &letters, selectDeads, f.Stage, f.Stage, f.Cause, f.Cause, f.TaskID, f.TaskID, limit)
	if err != nil {
		return nil, fmt.Errorf("list dead letters: %w", err)
	}
	return letters, nil
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

// Replay sets the run of a dead letter to pending again, from its first attempt. A second replay, or one of a run that
// was retried, superseded or cancelled meanwhile, changes nothing and returns false. Paid calls that were accepted are
// found again. Errors: ErrNotFound.
func (db *DB) Replay(ctx context.Context, id string) (bool, error) {
	letter, err := db.LoadDead(ctx, id)
	if err != nil {
		return false, err
	}
	replayed := false
	err = db.InTx(ctx, func(tx *Tx) error {
		replayed, err = tx.replay(ctx, letter)
		return err
	})
	return replayed, err
}

func (tx *Tx) replay(ctx context.Context, letter Dead) (bool, error) {
	task, err := tx.lockTask(ctx, letter.TaskID)
	if errors.Is(err, ErrNotFound) {
		return false, tx.resolveDead(ctx, letter.ID, DeadDropped)
	}
	if err != nil {
		return false, err
	}
	runs, err := tx.runs(ctx, task)
	if err != nil {
		return false, err
	}
	run, _ := find(runs, letter.Stage)
	if run.Status != pipeline.Failed || run.DeadID.V != letter.ID || task.Deleted {
		return false, tx.resolveDead(ctx, letter.ID, DeadReplayed)
	}
	return true, tx.retry(ctx, task, runs, letter.Stage)
}

// Drop takes a dead letter off the list; the run stays failed. Dropping twice is harmless.
func (db *DB) Drop(ctx context.Context, id string) error {
	return db.InTx(ctx, func(tx *Tx) error { return tx.resolveDead(ctx, id, DeadDropped) })
}
