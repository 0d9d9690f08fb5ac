package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"castad/events"
	"castad/internal/pipeline"
	"castad/providers"
)

// Task is one video being made.
type Task struct {
	ID          string              `db:"task_id"` // UUIDv7
	UserUUID    string              `db:"user_uuid"`
	Status      pipeline.TaskStatus `db:"status"`
	Stage       events.Stage        `db:"stage"` // the last one that was wanted
	Language    providers.Language  `db:"language"`
	Source      JSON[Source]        `db:"source"`
	Music       JSON[Music]         `db:"music"`
	Publish     JSON[[]Target]      `db:"publish"`
	Holds       JSON[[]string]      `db:"holds"`
	Orientation string              `db:"orientation"` // vertical | horizontal
	CallbackURL string              `db:"callback_url"`
	EventSeq    int64               `db:"event_seq"`       // the number of its newest event
	Estimate    int64               `db:"estimate_micros"` // what providers were expected to charge, at submission
	Cost        int64               `db:"cost_micros"`     // what they have charged, and what is held for calls under way
	Code        string              `db:"code"`            // why it failed
	Reason      string              `db:"reason"`
	Traceparent string              `db:"traceparent"`
	Deleted     bool                `db:"is_deleted"`
	CreatedAt   time.Time           `db:"created_at"`
	UpdatedAt   time.Time           `db:"updated_at"`
	FinishedAt  sql.Null[time.Time] `db:"finished_at"`
	StoreName   string              `db:"store_name"` // of its place, once it is crawled; filled in by ListTasks alone

	now   time.Time // the database's clock when it was locked
	was   was
	dirty bool
	costs int64 // what this transaction adds to Cost
}

// was is what a task was when it was locked, of all that may change.
type was struct {
	seq     int64
	status  pipeline.TaskStatus
	stage   events.Stage
	deleted bool
}

// locked notes how a task is before it is changed.
func (t *Task) locked(now time.Time) {
	t.now, t.was = now, was{seq: t.EventSeq, status: t.Status, stage: t.Stage, deleted: t.Deleted}
}

// Source is what was submitted: one of a URL, a search hit, or a place given by hand.
type Source struct {
	URL    string         `json:"url,omitempty"`
	Hit    *providers.Hit `json:"hit,omitempty"`
	Manual *Manual        `json:"manual,omitempty"`
}

// Manual is a place given by hand.
type Manual struct {
	Name             string   `json:"name"`
	Region           string   `json:"region"`
	DetailRegionInfo string   `json:"detail_region_info,omitempty"`
	Images           []string `json:"images"` // URLs
}

// Music is how the song shall sound.
type Music struct {
	Genre string `json:"genre,omitempty"`
	Vocal string `json:"vocal,omitempty"`
	Tempo string `json:"tempo,omitempty"`
	Mood  string `json:"mood,omitempty"`
}

// Target is where a video is published.
type Target struct {
	Platform  string     `json:"platform"`             // youtube | instagram
	Privacy   string     `json:"privacy,omitempty"`    // public | unlisted | private; "" is public
	PublishAt *time.Time `json:"publish_at,omitempty"` // not before this; nil is as soon as possible
}

const taskColumns = "`task_id`,`user_uuid`,`status`,`stage`,`language`,`source`,`music`,`publish`,`holds`,`orientation`," +
	"`callback_url`,`event_seq`,`estimate_micros`,`cost_micros`,`code`,`reason`,`traceparent`,`is_deleted`,`created_at`,`updated_at`,`finished_at`"

// columns are where a row of taskColumns goes.
func (t *Task) columns() []any {
	return []any{&t.ID, &t.UserUUID, &t.Status, &t.Stage, &t.Language, &t.Source, &t.Music, &t.Publish, &t.Holds, &t.Orientation,
		&t.CallbackURL, &t.EventSeq, &t.Estimate, &t.Cost, &t.Code, &t.Reason, &t.Traceparent, &t.Deleted, &t.CreatedAt, &t.UpdatedAt, &t.FinishedAt}
}

// core is where a row of coreColumns goes.
func (t *Task) core() []any {
	return []any{&t.ID, &t.UserUUID, &t.Status, &t.Stage, &t.Holds, &t.EventSeq, &t.Cost, &t.Code, &t.Reason, &t.Traceparent, &t.Deleted}
}

// coreColumns are what it takes to settle a run.
const coreColumns = "`task_id`,`user_uuid`,`status`,`stage`,`holds`,`event_seq`,`cost_micros`,`code`,`reason`,`traceparent`,`is_deleted`"

const lockOneTask = "SELECT " + taskColumns + ", NOW(6) AS `now` FROM `task` WHERE `task_id` = ? FOR UPDATE"

// lockTask reads a task and keeps all others from changing it until the transaction ends. Every change of a task or
// of its runs begins with it, which is what makes the order of a task's events the order of the commits.
func (tx *Tx) lockTask(ctx context.Context, taskID string) (*Task, error) {
	if task := tx.tasks[taskID]; task != nil {
		return task, nil
	}
	var row struct {
		Task
		Now time.Time `db:"now"`
	}
	if err := tx.sql.GetContext(ctx, &row, lockOneTask, taskID); err != nil {
		return nil, fmt.Errorf("lock task %s: %w", taskID, one(err))
	}
	task := row.Task
	task.locked(row.Now)
	tx.tasks[taskID] = &task
	return &task, nil
}

// rules returns the task as internal/pipeline sees it.
func (t *Task) rules(runs []Run) pipeline.Task {
	view := pipeline.Task{Status: t.Status}
	for _, hold := range t.Holds.V {
		view.Holds = append(view.Holds, events.Stage(hold))
	}
	for _, run := range runs {
		view.Runs = append(view.Runs, pipeline.Run{Stage: run.Stage, Revision: run.Revision, Status: run.Status})
	}
	return view
}

const selectTask = "SELECT " + taskColumns + " FROM `task` WHERE `task_id` = ?"

// LoadTask returns a task whoever owns it. Errors: ErrNotFound.
func (db *DB) LoadTask(ctx context.Context, taskID string) (*Task, error) {
	var task Task
	if err := db.sql.GetContext(ctx, &task, selectTask, taskID); err != nil {
		return nil, fmt.Errorf("load task %s: %w", taskID, one(err))
	}
	return &task, nil
}

// LoadOwnTask returns a task of that user. Errors: ErrNotFound, also for somebody else's and for deleted ones.
func (db *DB) LoadOwnTask(ctx context.Context, userUUID, taskID string) (*Task, error) {
	task, err := db.LoadTask(ctx, taskID)
	if err == nil && (task.UserUUID != userUUID || task.Deleted) {
		return nil, fmt.Errorf("load task %s: %w", taskID, ErrNotFound)
	}
	return task, err
}

// TaskFilter narrows a list of tasks. Zero values don't.
type TaskFilter struct {
	UserUUID string
	Status   pipeline.TaskStatus
	Limit    int // at most 100; 0 means 10
	Offset   int
}

const (
	countTasks = "SELECT COUNT(*) FROM `task` WHERE `user_uuid`=? AND `is_deleted`=0 AND (?='' OR `status`=?)"
	listTasks  = "SELECT " + taskColumns + ", COALESCE((SELECT p.`store_name` FROM `project` p WHERE p.`task_id`=`task`.`task_id`), '') AS `store_name`" +
		" FROM `task` WHERE `user_uuid`=? AND `is_deleted`=0 AND (?='' OR `status`=?)" +
		" ORDER BY `task_id` DESC LIMIT ? OFFSET ?"
)

// ListTasks returns a user's tasks, newest first, and how many there are in all. Two statements whatever the page.
func (db *DB) ListTasks(ctx context.Context, f TaskFilter) ([]Task, int, error) {
	var total int
	if err := db.sql.GetContext(ctx, &total, countTasks, f.UserUUID, f.Status, f.Status); err != nil {
		return nil, 0, fmt.Errorf("count tasks: %w", err)
	}
	tasks := []Task{}
	limit := min(f.Limit, 100)
	if limit <= 0 {
		limit = 10
	}
	if err := db.sql.SelectContext(ctx, &tasks, listTasks, f.UserUUID, f.Status, f.Status, limit, f.Offset); err != nil {
		return nil, 0, fmt.Errorf("list tasks: %w", err)
	}
	return tasks, total, nil
}

// JSON is a column that holds a JSON document.
type JSON[T any] struct{ V T }

// Scan reads the column; NULL leaves the zero value.
func (j *JSON[T]) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		return nil
	case []byte:
		if string(v) == "{}" { // the zero value too, as most columns have it
			return nil
		}
		return json.Unmarshal(v, &j.V)
	case string:
		return json.Unmarshal([]byte(v), &j.V)
	}
	return fmt.Errorf("a JSON column can't be read from %T", src)
}

// MarshalJSON writes the document itself.
func (j JSON[T]) MarshalJSON() ([]byte, error) { return json.Marshal(j.V) }
