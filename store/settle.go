package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"castad/events"
	"castad/internal/fault"
	"castad/internal/pipeline"
)

// held locks the task and checks that the claim still stands: same token, and neither cancelled nor superseded. A claim
// that isn't written yet stands as long as nobody has touched the run, and is written with the outcome.
func (tx *Tx) held(ctx context.Context, c Claim) (*Task, []Run, error) {
	task, err := tx.lockTask(ctx, c.TaskID)
	if err != nil {
		return nil, nil, err
	}
	runs, err := tx.newestRuns(ctx, task)
	if err != nil {
		return nil, nil, err
	}
	run, ok := find(runs, c.Stage)
	switch {
	case ok && c.fences(run):
		return task, runs, nil
	case ok && c.early != nil && run.Revision == c.Revision && run.untouched():
		return task, tx.takenNow(task, runs, c), nil
	}
	return nil, nil, fmt.Errorf("settle %s of task %s: %w", c.Stage, c.TaskID, ErrLeaseLost)
}

// takenNow writes a claim together with its outcome: that it has begun is news only to who hasn't seen it end.
func (tx *Tx) takenNow(task *Task, runs []Run, c Claim) []Run {
	runs = slices.Clone(runs)
	i := slices.IndexFunc(runs, func(r Run) bool { return r.Stage == c.Stage })
	runs[i].Status, runs[i].Attempt, runs[i].StartedAt = c.Status, c.Attempt, at(task.now)
	tx.change(runs[i], set{"`attempt`=?", c.Attempt}, set{"`started_at`=?", task.now}, set{"`owner`=?", cut(c.early.owner, 128)})
	return runs
}

// Complete saves a result: save writes its rows, the run is completed (or held), and what follows is wanted, all in one
// transaction. Errors: ErrLeaseLost, and then nothing is saved.
func (db *DB) Complete(ctx context.Context, c Claim, save func(tx *Tx) error) error {
	return db.together.do(ctx, ahead{taskID: c.TaskID, seen: c.early.unwritten()}, func(tx *Tx) error {
		task, runs, err := tx.held(ctx, c)
		if err != nil {
			return err
		}
		if err := save(tx); err != nil {
			return err
		}
		tx.proceed(task, runs, c.Stage, pipeline.Follow(task.rules(runs), c.Stage))
		return nil
	})
}

// proceed applies what follows a result or a resume.
func (tx *Tx) proceed(task *Task, runs []Run, stage events.Stage, step pipeline.Step) {
	run, _ := find(runs, stage)
	run.Status, run.Code, run.Reason = step.Run, "", ""
	run.DueAt, run.Filings = never, 0
	tx.change(run, append(freed(run), set{"`finished_at`=?", task.now})...)
	tx.emitRun(task, run)
	if next, ok := find(runs, step.Want); ok {
		tx.want(task, next)
	}
	tx.setTask(task, step.Task, task.Code, task.Reason)
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
	return db.together.do(ctx, ahead{taskID: c.TaskID}, func(tx *Tx) error {
		task, runs, err := tx.held(ctx, c)
		if err != nil {
			return err
		}
		run, _ := find(runs, c.Stage)
		run.Status, run.Code, run.Reason = pipeline.Waiting, code, reason
		tx.rest(task, run, rest)
		tx.emitRun(task, run)
		return nil
	})
}

// rest puts a run to rest; its attempts begin anew.
func (tx *Tx) rest(task *Task, run Run, rest time.Duration) {
	run.DueAt, run.Filings = at(task.now.Add(rest)), 0
	tx.change(run, append(freed(run), set{"`attempt`=?", 0})...)
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
	return db.together.do(ctx, ahead{taskID: c.TaskID}, func(tx *Tx) error {
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
			tx.rest(task, run, db.askAgain)
			return nil
		}
		tx.again(task, run, v)
		return nil
	})
}

// again lets a run be tried once more, later.
func (tx *Tx) again(task *Task, run Run, v pipeline.Verdict) {
	due := task.now.Add(v.After)
	if !v.Until.IsZero() {
		due = v.Until
	}
	run.Status, tx.filed = pipeline.Pending, true
	tx.emitRun(task, run)
	if v.GiveBack {
		run.Attempt = max(run.Attempt-1, 0)
	}
	run.DueAt, run.Filings = at(due), 0
	tx.change(run, append(freed(run), set{"`attempt`=?", run.Attempt})...)
}

// giveUp fails a run for good, with its dead letter.
func (tx *Tx) giveUp(ctx context.Context, task *Task, run Run, from Origin) error {
	dead := newID()
	if err := tx.SettleJobs(ctx, run, nil); err != nil {
		return err
	}
	if err := tx.saveDead(ctx, task, run, dead, from); err != nil {
		return err
	}
	if err := tx.endUploads(ctx, run, UploadFailed); err != nil {
		return err
	}
	run.Status, run.DueAt, run.Filings = pipeline.Failed, never, 0
	tx.change(run, append(freed(run), set{"`dead_id`=?", dead}, set{"`finished_at`=?", task.now})...)
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
		db.Nudge(events.OwedRuns)
	}
	return nil
}
