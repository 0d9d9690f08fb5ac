package store

import (
	"context"
	"fmt"

	"castad/events"
	"castad/internal/pipeline"
)

// command runs do on a user's task with its runs, under the task's lock.
// Errors: ErrNotFound, also for somebody else's task and for deleted ones.
func (db *DB) command(ctx context.Context, userUUID, taskID string, do func(tx *Tx, task *Task, runs []Run) error) error {
	return db.InTx(ctx, func(tx *Tx) error {
		task, err := tx.lockTask(ctx, taskID)
		if err != nil {
			return err
		}
		if task.UserUUID != userUUID || task.Deleted {
			return fmt.Errorf("task %s: %w", taskID, ErrNotFound)
		}
		runs, err := tx.newestRuns(ctx, task)
		if err != nil {
			return err
		}
		return do(tx, task, runs)
	})
}

// Cancel ends a task: queued work stops, and who works on it now can't save. Errors: *pipeline.Refusal when it has
// ended already, ErrNotFound.
func (db *DB) Cancel(ctx context.Context, userUUID, taskID string) error {
	return db.command(ctx, userUUID, taskID, func(tx *Tx, task *Task, runs []Run) error {
		return tx.cancel(ctx, task, runs)
	})
}

func (tx *Tx) cancel(ctx context.Context, task *Task, runs []Run) error {
	stages, err := pipeline.Cancel(task.rules(runs))
	if err != nil {
		return err
	}
	for _, stage := range stages {
		run, _ := find(runs, stage)
		if err := tx.end(ctx, task, run, pipeline.Cancelled); err != nil {
			return err
		}
	}
	tx.setTask(task, pipeline.TaskCancelled, "", "")
	return nil
}

// Resume lets a held task go on. Errors: *pipeline.Refusal when it isn't held, ErrNotFound.
func (db *DB) Resume(ctx context.Context, userUUID, taskID string) error {
	return db.command(ctx, userUUID, taskID, func(tx *Tx, task *Task, runs []Run) error {
		stage, step, err := pipeline.Resume(task.rules(runs))
		if err != nil {
			return err
		}
		tx.proceed(task, runs, stage, step)
		return nil
	})
}

// Retry tries a failed stage again from its first attempt, at the same revision: a paid call that was accepted before
// is found, not made again. A dead letter of the run counts as replayed. Errors: *pipeline.Refusal, ErrNotFound.
func (db *DB) Retry(ctx context.Context, userUUID, taskID string, stage events.Stage) error {
	return db.command(ctx, userUUID, taskID, func(tx *Tx, task *Task, runs []Run) error {
		return tx.retry(ctx, task, runs, stage)
	})
}

func (tx *Tx) retry(ctx context.Context, task *Task, runs []Run, stage events.Stage) error {
	if _, err := pipeline.Retry(task.rules(runs), stage); err != nil {
		return err
	}
	run, _ := find(runs, stage)
	if _, err := tx.resolveDead(ctx, run.DeadID.V, DeadReplayed); err != nil {
		return err
	}
	tx.want(task, run)
	tx.setTask(task, pipeline.TaskProcessing, "", "")
	return nil
}

// Rerun makes a stage's result again as a new revision, with an edit or without, and then what depends on it.
// It returns the stages that will be made again. Errors: *pipeline.Refusal, ErrNotFound.
func (db *DB) Rerun(ctx context.Context, userUUID, taskID string, stage events.Stage, edit *Edit) ([]events.Stage, error) {
	scope := pipeline.Everything
	if edit != nil && edit.PhotoOrder != nil {
		scope = pipeline.VideoOnly
	}
	var again []events.Stage
	err := db.command(ctx, userUUID, taskID, func(tx *Tx, task *Task, runs []Run) error {
		var err error
		again, err = pipeline.Rerun(task.rules(runs), stage, scope)
		if err != nil {
			return err
		}
		return tx.rerun(ctx, task, runs, again, edit)
	})
	return again, err
}

func (tx *Tx) rerun(ctx context.Context, task *Task, runs []Run, again []events.Stage, edit *Edit) error {
	fresh := make([]Run, 0, len(again))
	for i, stage := range again {
		old, _ := find(runs, stage)
		if err := tx.supersede(ctx, task, old); err != nil {
			return err
		}
		run := Run{TaskID: task.ID, Stage: stage, Revision: old.Revision + 1, Status: pipeline.Pending, CreatedAt: task.now}
		if i == 0 {
			run.Edit = JSON[*Edit]{edit}
			tx.due(task, &run)
		}
		fresh = append(fresh, run)
	}
	tx.made = append(tx.made, fresh...)
	task.Stage, task.dirty = again[0], true
	tx.emitRun(task, fresh[0])
	tx.setTask(task, pipeline.TaskProcessing, "", "")
	return nil
}

// supersede ends what an older revision may still be doing; a held one had its result, a failed one's dead letter is
// of no use any more.
func (tx *Tx) supersede(ctx context.Context, task *Task, old Run) error {
	if _, err := tx.resolveDead(ctx, old.DeadID.V, DeadSuperseded); err != nil {
		return err
	}
	switch {
	case old.Status == pipeline.Held:
		return tx.end(ctx, task, old, pipeline.Completed)
	case old.Status.Final():
		return nil
	}
	return tx.end(ctx, task, old, pipeline.Cancelled)
}

const (
	deleteProject = "UPDATE `project` SET `is_deleted`=1 WHERE `task_id`=?"
	deleteVideos  = "UPDATE `video` SET `is_deleted`=1 WHERE `task_id`=?"
)

// Delete hides a task from its owner for good, after cancelling it if it still runs. The rows stay.
// Errors: ErrNotFound.
func (db *DB) Delete(ctx context.Context, userUUID, taskID string) error {
	return db.command(ctx, userUUID, taskID, func(tx *Tx, task *Task, runs []Run) error {
		if !task.Status.Final() {
			if err := tx.cancel(ctx, task, runs); err != nil {
				return err
			}
		}
		for _, run := range runs {
			if _, err := tx.resolveDead(ctx, run.DeadID.V, DeadSuperseded); err != nil {
				return err
			}
		}
		for _, statement := range []string{deleteProject, deleteVideos} {
			if _, err := tx.sql.ExecContext(ctx, statement, taskID); err != nil {
				return fmt.Errorf("delete what belongs to task %s: %w", taskID, err)
			}
		}
		task.Deleted, task.dirty = true, true
		tx.emit(task, events.TaskScope, "deleted", Run{})
		return nil
	})
}
