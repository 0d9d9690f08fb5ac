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
	Filings    int                 `db:"filings"` // since it became due, and nobody has claimed it
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
	"`dead_id`,`created_at`,`started_at`,`finished_at`,`filings`"

// stateColumns are what it takes to go on with a task.
const stateColumns = "`task_id`,`stage`,`revision`,`status`,`attempt`,`due_at`,`filings`,`lease_token`,`lease_until`,`edit`,`code`,`reason`,`started_at`"

// state is where a row of stateColumns goes.
func (r *Run) state() []any {
	return []any{&r.TaskID, &r.Stage, &r.Revision, &r.Status, &r.Attempt, &r.DueAt, &r.Filings, &r.LeaseToken, &r.LeaseUntil, &r.Edit, &r.Code, &r.Reason, &r.StartedAt}
}

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

// newestRuns returns the newest run of each stage of a task that is locked.
func (tx *Tx) newestRuns(ctx context.Context, task *Task) ([]Run, error) {
	if runs, ok := tx.read[task.ID]; ok {
		return runs, nil
	}
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

// want makes a run due now, from its first attempt. One that was pending before is so still, which is no news:
// that the stage before it is completed says it all.
func (tx *Tx) want(task *Task, run Run) {
	news := run.Status != pipeline.Pending
	run.Status, run.Attempt, run.Code, run.Reason = pipeline.Pending, 0, "", ""
	tx.due(task, &run)
	tx.change(run, append(freed(run), set{"`attempt`=?", 0}, set{"`dead_id`=?", nil}, set{"`finished_at`=?", nil})...)
	task.Stage, task.dirty = run.Stage, true
	if news {
		tx.emitRun(task, run)
	}
}

// due makes a run one that is to be claimed as soon as it can. Either the relay files it, or this process does after the
// commit; then the row says that it was filed already, and the relay files it once more only if nobody claims it soon.
func (tx *Tx) due(task *Task, run *Run) {
	run.DueAt, run.Filings = at(task.now), 0
	if tx.files {
		tx.wanted = append(tx.wanted, Due{TaskID: run.TaskID, Stage: run.Stage, Revision: run.Revision, Status: string(run.Status),
			Attempt: run.Attempt, DueAt: task.now, Traceparent: task.Traceparent})
		run.DueAt, run.Filings = at(task.now.Add(time.Second<<filedAtOnce)), filedAtOnce
	}
	tx.filed = tx.filed || !tx.files
}

// filedAtOnce are the filings of a run that was filed at once: after 2^filings seconds without a claim the relay looks after it.
const filedAtOnce = 2

// freed are the assignments that take a run out of a worker's hands: its status with what is said of it, and when it is due.
func freed(run Run) []set {
	return []set{{"`status`=?", run.Status}, {"`due_at`=?", run.DueAt}, {"`filings`=?", run.Filings}, {"`lease_token`=?", nil},
		{"`code`=?", run.Code}, {"`reason`=?", cut(run.Reason, 1000)}}
}

// never is the time of what hasn't happened.
var never sql.Null[time.Time]

func at(when time.Time) sql.Null[time.Time] { return sql.Null[time.Time]{V: when, Valid: true} }

// end takes a run out of everyone's hands: whoever works on it finds its lease gone and can't save.
func (tx *Tx) end(ctx context.Context, task *Task, run Run, status pipeline.Status) error {
	if run.StartedAt.Valid { // what it has ordered is charged, whether anybody takes it or not
		if err := tx.SettleJobs(ctx, run, nil); err != nil {
			return err
		}
	}
	run.Status, run.DueAt, run.Filings = status, never, 0
	tx.change(run, append(freed(run), set{"`finished_at`=?", task.now})...)
	tx.emitRun(task, run)
	return tx.endUploads(ctx, run, UploadCancelled)
}
