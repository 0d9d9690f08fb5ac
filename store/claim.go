package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"castad/events"
	"castad/internal/crash"
	"castad/internal/pipeline"
)

// Claim is a run in a worker's hands until its lease ends. Token is the fence: no other claim of this run ever has it
// (claims of other runs that were made in the same transaction do), and it stands in the condition of every change that
// the worker makes.
type Claim struct {
	Run
	Task  Task
	Token string
	// Resumed says that the run was waiting for a provider: it is another look, not another attempt.
	Resumed bool
	// First says that nobody has claimed this revision before.
	First bool

	early *early // nil when it was written before the work began
}

// Answer is what a look at the row says about a delivery.
type Answer uint8

// What a worker does with the delivery.
const (
	Claimed   Answer = iota // it is ours: work
	Idle                    // nothing to do: final, held, or not reached yet
	Busy                    // another holds a live lease, until Claim.LeaseUntil
	Exhausted               // claimed, but for giving it up: the attempts before never came to an end
)

// Claim tries to take the newest run of the stage. The attempt is counted here, before anything is looked at, so that
// a run that kills its program is counted too. The locked task row lets one of many claimers win.
// Errors: ErrNotFound when there is no such task.
func (db *DB) Claim(ctx context.Context, taskID string, stage events.Stage, owner string, lease time.Duration, limit int) (Claim, Answer, error) {
	var claim Claim
	var answer Answer
	err := db.together.do(ctx, ahead{taskID: taskID, stage: stage, whole: true}, func(tx *Tx) error {
		var err error
		claim, answer, err = tx.claim(ctx, taskID, stage, owner, lease, limit)
		return err
	})
	if err == nil && answer == Claimed {
		crash.At(string(stage), "after_claim", "")
	}
	if err != nil { // a claim that nobody waits for any more may still be under way
		return Claim{}, Idle, err
	}
	return claim, answer, nil
}

func (tx *Tx) claim(ctx context.Context, taskID string, stage events.Stage, owner string, lease time.Duration, limit int) (Claim, Answer, error) {
	task, err := tx.lockTask(ctx, taskID)
	if err != nil {
		return Claim{}, Idle, err
	}
	run, ok := find(tx.read[taskID], stage) // read ahead, and locked: a call may be about to be sent under its lease
	if !ok {
		return Claim{}, Idle, fmt.Errorf("load %s of task %s: %w", stage, taskID, ErrNotFound)
	}
	if answer := lookAt(run, task.now); answer != Claimed {
		return Claim{Run: run, Task: *task}, answer, nil
	}
	resumed := run.Status == pipeline.Waiting && !run.LeaseToken.Valid
	if !resumed {
		run.Attempt++
		run.Status = pipeline.Processing
	}
	claim := Claim{Run: run, Task: *task, Token: tx.token, Resumed: resumed, First: !run.StartedAt.Valid}
	tx.take(task, claim, owner, lease)
	if run.Attempt > limit {
		return claim, Exhausted, nil
	}
	return claim, Claimed, nil
}

// take gives a run to a claim for as long as its lease lasts.
func (tx *Tx) take(task *Task, c Claim, owner string, lease time.Duration) {
	until := task.now.Add(lease)
	sets := []set{{"`status`=?", c.Status}, {"`attempt`=?", c.Attempt}, {"`due_at`=?", until}, {"`filings`=?", 0},
		{"`lease_token`=?", c.Token}, {"`lease_until`=?", until}, {"`owner`=?", cut(owner, 128)}}
	if c.First {
		sets = append(sets, set{"`started_at`=?", task.now})
	}
	tx.change(c.Run, sets...)
	if !c.Resumed {
		tx.setTask(task, pipeline.TaskProcessing, "", "")
		tx.emitRun(task, c.Run)
	}
}

// lookAt says what a delivery for this run means now.
func lookAt(run Run, now time.Time) Answer {
	switch {
	case !run.Status.Active(), run.Status == pipeline.Pending && !run.DueAt.Valid:
		return Idle
	case run.LeaseToken.Valid && run.LeaseUntil.V.After(now):
		return Busy
	}
	return Claimed
}

const extendLease = "UPDATE `stage_run` SET `due_at`=DATE_ADD(NOW(6), INTERVAL ? MICROSECOND), `lease_until`=`due_at`, `version`=`version`+1" +
	" WHERE `task_id`=? AND `stage`=? AND `revision`=? AND `lease_token`=?"

// Extend keeps the claim for another lease from now. Errors: ErrLeaseLost.
func (db *DB) Extend(ctx context.Context, c Claim, lease time.Duration) error {
	if c.early != nil && !c.early.written.Load() {
		return c.Stand(ctx)
	}
	res, err := db.sql.ExecContext(ctx, extendLease, lease.Microseconds(), c.TaskID, c.Stage, c.Revision, c.Token)
	if err != nil {
		return fmt.Errorf("extend the lease of %s of task %s: %w", c.Stage, c.TaskID, err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return errors.Join(ErrLeaseLost, err)
	}
	return nil
}
