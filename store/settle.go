package store

import (
	"context"
	"fmt"
	"time"

	"castad/events"
	"castad/internal/fault"
	"castad/internal/pipeline"
)

// held locks the task and checks that the claim still stands: same token, and neither cancelled nor superseded.
func (tx *Tx) held(ctx context.Context, c Claim) (*Task, []Run, error) {
	task, err := tx.lockTask(ctx, c.TaskID)
	if err != nil {
		return nil, nil, err
	}
	runs, err := tx.runs(ctx, task)
	if err != nil {
		return nil, nil, err
	}
	run, ok := find(runs, c.Stage)
	if !ok || run.Revision != c.Revision || !run.LeaseToken.Valid || run.LeaseToken.V != c.Token {
		return nil, nil, fmt.Errorf("settle %s of task %s: %w", c.Stage, c.TaskID, ErrLeaseLost)
	}
	return task, runs, nil
}

// Complete saves a result: save writes its rows, the run is completed (or held), and what follows is wanted, all in one
// transaction. Errors: ErrLeaseLost, and then nothing is saved.
func (db *DB) Complete(ctx context.Context, c Claim, save func(tx *Tx) error) error {
	return db.InTx(ctx, func(tx *Tx) error {
		task, runs, err := tx.held(ctx, c)
		if err != nil {
			return err
		}
		if err := save(tx); err != nil {
			return err
		}
		return tx.proceed(ctx, task, runs, c.Stage, pipeline.Follow(task.rules(runs), c.Stage))
	})
}

const completeRun = "UPDATE `stage_run` SET `status`=?, `due_at`=NULL, `lease_token`=NULL, `code`='', `reason`=''," +
	" `finished_at`=?, `version`=`version`+1 WHERE `task_id`=? AND `stage`=? AND `revision`=?"

// proceed applies what follows a result or a resume.
func (tx *Tx) proceed(ctx context.Context, task *Task, runs []Run, stage events.Stage, step pipeline.Step) error {
	run, _ := find(runs, stage)
	run.Status, run.Code, run.Reason = step.Run, "", ""
	if _, err := tx.sql.ExecContext(ctx, completeRun, run.Status, task.now, task.ID, stage, run.Revision); err != nil {
		return fmt.Errorf("complete %s of task %s: %w", stage, task.ID, err)
	}
	tx.emitRun(task, run)
	if next, ok := find(runs, step.Want); ok {
		if err := tx.want(ctx, task, next); err != nil {
			return err
		}
	}
	tx.setTask(task, step.Task, task.Code, task.Reason)
	return nil
}

const waitRun = "UPDATE `stage_run` SET `status`='waiting', `attempt`=?, `due_at`=DATE_ADD(NOW(6), INTERVAL ? MICROSECOND)," +
	" `lease_token`=NULL, `filings`=0, `code`=?, `reason`=?, `version`=`version`+1" +
	" WHERE `task_id`=? AND `stage`=? AND `revision`=? AND `lease_token`=?"

// Wait puts the run to rest until a provider has had time to work: it is a row with a time, and nothing else. The
// attempts begin anew, because the provider took the job. Watchers are told once, not at every look.
// Errors: ErrLeaseLost.
func (db *DB) Wait(ctx context.Context, c Claim, rest time.Duration, code, reason string) error {
	if c.Resumed && c.Code == code {
		return db.waitOn(ctx, c, rest)
	}
	return db.InTx(ctx, func(tx *Tx) error {
		task, runs, err := tx.held(ctx, c)
		if err != nil {
			return err
		}
		run, _ := find(runs, c.Stage)
		if err := tx.rest(ctx, c, rest, code, reason); err != nil {
			return err
		}
		run.Status, run.Code, run.Reason = pipeline.Waiting, code, reason
		tx.emitRun(task, run)
		return nil
	})
}

func (tx *Tx) rest(ctx context.Context, c Claim, rest time.Duration, code, reason string) error {
	_, err := tx.sql.ExecContext(ctx, waitRun, 0, rest.Microseconds(), code, cut(reason, 1000),
		c.TaskID, c.Stage, c.Revision, c.Token)
	if err != nil {
		return fmt.Errorf("let %s of task %s wait: %w", c.Stage, c.TaskID, err)
	}
	return nil
}

// waitOn is another look that found the provider still working: one statement, no event.
func (db *DB) waitOn(ctx context.Context, c Claim, rest time.Duration) error {
	res, err := db.sql.ExecContext(ctx, waitRun, 0, rest.Microseconds(), c.Code, c.Reason, c.TaskID, c.Stage, c.Revision, c.Token)
	if err != nil {
		return fmt.Errorf("let %s of task %s wait on: %w", c.Stage, c.TaskID, err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return fmt.Errorf("let %s of task %s wait on: %w", c.Stage, c.TaskID, ErrLeaseLost)
	}
	return nil
}

// Origin is where the message of a failed run came from, for its dead letter.
type Origin struct {
	Stream   string
	Subject  string
	Seq      uint64
	Consumer string
	Program  string
	Version  string
}

// Fail settles a failed attempt as the verdict says: pending again after a rest, waiting for word about a paid call, or
// failed for good with its dead letter, in one transaction. Errors: ErrLeaseLost.
func (db *DB) Fail(ctx context.Context, c Claim, v pipeline.Verdict, f *fault.Error, from Origin) error {
	return db.InTx(ctx, func(tx *Tx) error {
		task, runs, err := tx.held(ctx, c)
		if err != nil {
			return err
		}
		run, _ := find(runs, c.Stage)
		run.Code, run.Reason = v.Code, cut(f.Error(), 1000)
		switch v.Status {
		case pipeline.Failed:
			return tx.giveUp(ctx, task, run, from)
		case pipeline.Waiting:
			run.Status = pipeline.Waiting
			if !c.Resumed || c.Code != v.Code {
				tx.emitRun(task, run)
			}
			return tx.rest(ctx, c, db.askAgain, v.Code, run.Reason)
		}
		return tx.again(ctx, task, run, v)
	})
}

const againRun = "UPDATE `stage_run` SET `status`='pending', `attempt`=?, `due_at`=?, `lease_token`=NULL, `filings`=0," +
	" `code`=?, `reason`=?, `version`=`version`+1 WHERE `task_id`=? AND `stage`=? AND `revision`=?"

func (tx *Tx) again(ctx context.Context, task *Task, run Run, v pipeline.Verdict) error {
	due := task.now.Add(v.After)
	if !v.Until.IsZero() {
		due = v.Until
	}
	attempt := run.Attempt
	if v.GiveBack {
		attempt = max(attempt-1, 0)
	}
	_, err := tx.sql.ExecContext(ctx, againRun, attempt, due, run.Code, run.Reason, run.TaskID, run.Stage, run.Revision)
	if err != nil {
		return fmt.Errorf("try %s of task %s again: %w", run.Stage, run.TaskID, err)
	}
	run.Status, tx.filed = pipeline.Pending, true
	tx.emitRun(task, run)
	return nil
}

const failRun = "UPDATE `stage_run` SET `status`='failed', `due_at`=NULL, `lease_token`=NULL, `code`=?, `reason`=?," +
	" `dead_id`=?, `finished_at`=?, `version`=`version`+1 WHERE `task_id`=? AND `stage`=? AND `revision`=?"

func (tx *Tx) giveUp(ctx context.Context, task *Task, run Run, from Origin) error {
	dead := newID()
	_, err := tx.sql.ExecContext(ctx, failRun, run.Code, run.Reason, dead, task.now, run.TaskID, run.Stage, run.Revision)
	if err != nil {
		return fmt.Errorf("fail %s of task %s: %w", run.Stage, run.TaskID, err)
	}
	if err := tx.SettleJobs(ctx, run, nil); err != nil {
		return err
	}
	if err := tx.saveDead(ctx, task, run, dead, from); err != nil {
		return err
	}
	run.Status = pipeline.Failed
	tx.emitRun(task, run)
	tx.setTask(task, pipeline.TaskFailed, run.Code, run.Reason)
	return nil
}

const releaseRun = "UPDATE `stage_run` SET `status`=IF(?, 'waiting', 'pending'), `attempt`=?, `due_at`=NOW(6), `lease_token`=NULL," +
	" `filings`=0, `version`=`version`+1 WHERE `task_id`=? AND `stage`=? AND `revision`=? AND `lease_token`=?"

// Release gives a claim back unused, because the program ends: the attempt doesn't count. A lost lease isn't an error.
func (db *DB) Release(ctx context.Context, c Claim) error {
	attempt := c.Attempt
	if !c.Resumed {
		attempt = max(attempt-1, 0)
	}
	_, err := db.sql.ExecContext(ctx, releaseRun, c.Resumed, attempt, c.TaskID, c.Stage, c.Revision, c.Token)
	if err != nil {
		return fmt.Errorf("release %s of task %s: %w", c.Stage, c.TaskID, err)
	}
	if db.Nudge != nil {
		db.Nudge()
	}
	return nil
}
