package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"castad/events"
	"castad/internal/pipeline"
)

// Claim is a run in a worker's hands until its lease ends. Token is the fence: it was made for this claim alone, and
// stands in the condition of every change that the worker makes.
type Claim struct {
	Run
	Task  Task
	Token string
	// Resumed says that the run was waiting for a provider: it is another look, not another attempt.
	Resumed bool
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

const selectNewestRun = "SELECT " + runColumns + " FROM `stage_run` WHERE `task_id`=? AND `stage`=?" +
	" ORDER BY `revision` DESC LIMIT 1 FOR UPDATE"

const claimRun = "UPDATE `stage_run` SET `status`=?, `attempt`=?, `due_at`=DATE_ADD(NOW(6), INTERVAL ? MICROSECOND)," +
	" `lease_until`=`due_at`, `lease_token`=?, `owner`=?, `filings`=0, `started_at`=COALESCE(`started_at`, NOW(6)), `version`=`version`+1" +
	" WHERE `task_id`=? AND `stage`=? AND `revision`=?"

// Claim tries to take the newest run of the stage. The attempt is counted here, before anything is looked at, so that
// a run that kills its program is counted too. The locked task row lets one of many claimers win.
// Errors: ErrNotFound when there is no such task.
func (db *DB) Claim(ctx context.Context, taskID string, stage events.Stage, owner string, lease time.Duration, limit int) (Claim, Answer, error) {
	var claim Claim
	var answer Answer
	err := db.InTx(ctx, func(tx *Tx) error {
		var err error
		claim, answer, err = tx.claim(ctx, taskID, stage, owner, lease, limit)
		return err
	})
	return claim, answer, err
}

func (tx *Tx) claim(ctx context.Context, taskID string, stage events.Stage, owner string, lease time.Duration, limit int) (Claim, Answer, error) {
	task, err := tx.lockTask(ctx, taskID)
	if err != nil {
		return Claim{}, Idle, err
	}
	var run Run
	if err := tx.sql.GetContext(ctx, &run, selectNewestRun, taskID, stage); err != nil {
		return Claim{}, Idle, fmt.Errorf("load %s of task %s: %w", stage, taskID, one(err))
	}
	if answer := lookAt(run, task.now); answer != Claimed {
		return Claim{Run: run, Task: *task}, answer, nil
	}
	resumed := run.Status == pipeline.Waiting && !run.LeaseToken.Valid
	if !resumed {
		run.Attempt++
		run.Status = pipeline.Processing
	}
	claim := Claim{Run: run, Task: *task, Token: newID(), Resumed: resumed}
	_, err = tx.sql.ExecContext(ctx, claimRun, run.Status, run.Attempt, lease.Microseconds(), claim.Token, cut(owner, 128),
		taskID, stage, run.Revision)
	if err != nil {
		return Claim{}, Idle, fmt.Errorf("claim %s of task %s: %w", stage, taskID, err)
	}
	if !resumed {
		tx.setTask(task, pipeline.TaskProcessing, "", "")
		tx.emitRun(task, run)
	}
	if run.Attempt > limit {
		return claim, Exhausted, nil
	}
	return claim, Claimed, nil
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
	res, err := db.sql.ExecContext(ctx, extendLease, lease.Microseconds(), c.TaskID, c.Stage, c.Revision, c.Token)
	if err != nil {
		return fmt.Errorf("extend the lease of %s of task %s: %w", c.Stage, c.TaskID, err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return errors.Join(ErrLeaseLost, err)
	}
	return nil
}
