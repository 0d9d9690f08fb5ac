package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"castad/events"
	"castad/internal/pipeline"
)

// Run is one stage of one task at one revision: the key of all paid work.
type Run struct {
	TaskID     string              `db:"task_id"`
	Stage      events.Stage        `db:"stage"`
	Revision   int                 `db:"revision"` // from 1
	Status     pipeline.Status     `db:"status"`
	Attempt    int                 `db:"attempt"` // claims that count, in this revision
	DueAt      sql.Null[time.Time] `db:"due_at"`  // when the relay files it (again) unless something happens before
	LeaseToken sql.Null[string]    `db:"lease_token"`
	LeaseUntil sql.Null[time.Time] `db:"lease_until"`
	Owner      string              `db:"owner"` // the program that holds or held the lease
	Edit       JSON[*Edit]         `db:"edit"`
	Code       string              `db:"code"` // of the last failure, or what it waits for
	Reason     string              `db:"reason"`
	DeadID     sql.Null[string]    `db:"dead_id"`
	CreatedAt  time.Time           `db:"created_at"`
	StartedAt  sql.Null[time.Time] `db:"started_at"`
	FinishedAt sql.Null[time.Time] `db:"finished_at"`
}

// Edit is what a person changed when asking for a rerun; one field is set, by the stage.
type Edit struct {
	PhotoOrder []int           `json:"photo_order,omitempty"` // crawl: positions (from 0) of the present photos, in the wished order
	Report     json.RawMessage `json:"report,omitempty"`      // intel
	Title      string          `json:"title,omitempty"`       // lyric
	Text       string          `json:"text,omitempty"`        // lyric
	ClipID     string          `json:"clip_id,omitempty"`     // song: another clip of the same job
}

const runColumns = "`task_id`,`stage`,`revision`,`status`,`attempt`,`due_at`,`lease_token`,`lease_until`,`owner`,`edit`,`code`,`reason`," +
	"`dead_id`,`created_at`,`started_at`,`finished_at`"

const selectRuns = "SELECT " + runColumns + " FROM `stage_run` WHERE `task_id` = ? ORDER BY `revision`"

// newest keeps the newest revision of each stage, in the order of the stages.
func newest(all []Run) []Run {
	byStage := map[events.Stage]Run{}
	for _, run := range all {
		byStage[run.Stage] = run
	}
	runs := make([]Run, 0, len(byStage))
	for _, stage := range events.Stages {
		if run, ok := byStage[stage]; ok {
			runs = append(runs, run)
		}
	}
	return runs
}

// runs returns the newest run of each stage of a task that is locked.
func (tx *Tx) runs(ctx context.Context, task *Task) ([]Run, error) {
	var all []Run
	if err := tx.sql.SelectContext(ctx, &all, selectRuns, task.ID); err != nil {
		return nil, fmt.Errorf("load runs of task %s: %w", task.ID, err)
	}
	return newest(all), nil
}

// LoadRuns returns the newest run of each stage, in order.
func (db *DB) LoadRuns(ctx context.Context, taskID string) ([]Run, error) {
	var all []Run
	if err := db.sql.SelectContext(ctx, &all, selectRuns, taskID); err != nil {
		return nil, fmt.Errorf("load runs of task %s: %w", taskID, err)
	}
	return newest(all), nil
}

func find(runs []Run, stage events.Stage) (Run, bool) {
	for _, run := range runs {
		if run.Stage == stage {
			return run, true
		}
	}
	return Run{}, false
}

const insertRuns = "INSERT INTO `stage_run` (`task_id`,`stage`,`revision`,`status`,`due_at`,`edit`,`created_at`) VALUES " +
	"(:task_id,:stage,:revision,:status,:due_at,:edit,:created_at)"

func (tx *Tx) insertRuns(ctx context.Context, runs []Run) error {
	if _, err := tx.sql.NamedExecContext(ctx, insertRuns, runs); err != nil {
		return fmt.Errorf("write runs: %w", err)
	}
	return nil
}

const wantRun = "UPDATE `stage_run` SET `status`='pending', `due_at`=?, `filings`=0, `attempt`=0, `lease_token`=NULL," +
	" `code`='', `reason`='', `dead_id`=NULL, `finished_at`=NULL, `version`=`version`+1" +
	" WHERE `task_id`=? AND `stage`=? AND `revision`=?"

// want makes a run due now, from its first attempt: the relay files it after the commit.
func (tx *Tx) want(ctx context.Context, task *Task, run Run) error {
	if _, err := tx.sql.ExecContext(ctx, wantRun, task.now, run.TaskID, run.Stage, run.Revision); err != nil {
		return fmt.Errorf("want %s of task %s: %w", run.Stage, run.TaskID, err)
	}
	run.Status, run.Attempt, run.Code, run.Reason = pipeline.Pending, 0, "", ""
	task.Stage, task.dirty, tx.filed = run.Stage, true, true
	tx.emitRun(task, run)
	return nil
}

const endRun = "UPDATE `stage_run` SET `status`=?, `due_at`=NULL, `lease_token`=NULL, `finished_at`=?, `version`=`version`+1" +
	" WHERE `task_id`=? AND `stage`=? AND `revision`=?"

// end takes a run out of everyone's hands: whoever works on it finds its lease gone and can't save.
func (tx *Tx) end(ctx context.Context, task *Task, run Run, status pipeline.Status) error {
	if _, err := tx.sql.ExecContext(ctx, endRun, status, task.now, run.TaskID, run.Stage, run.Revision); err != nil {
		return fmt.Errorf("end %s of task %s: %w", run.Stage, run.TaskID, err)
	}
	if run.StartedAt.Valid { // what it has ordered is charged, whether anybody takes it or not
		if err := tx.SettleJobs(ctx, run, nil); err != nil {
			return err
		}
	}
	run.Status = status
	tx.emitRun(task, run)
	return nil
}
