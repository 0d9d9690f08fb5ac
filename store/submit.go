package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"castad/events"
	"castad/internal/pipeline"
	"castad/providers"
)

// Submission is what somebody asks for. It is checked already.
type Submission struct {
	UserUUID       string             `json:"-"`
	IdempotencyKey string             `json:"-"` // "" for none
	Traceparent    string             `json:"-"`
	Source         Source             `json:"source"`
	Language       providers.Language `json:"language"`
	Music          Music              `json:"music"`
	Publish        []Target           `json:"publish"`
	Holds          []string           `json:"holds"`
	Orientation    string             `json:"orientation"`
	CallbackURL    string             `json:"callback_url"`
	EstimateMicros int64              `json:"-"` // what providers are expected to charge
}

// ErrKeyReused is returned for an Idempotency-Key that came with another request before.
var ErrKeyReused = errors.New("idempotency key was used for another request")

// FindSubmitted returns the task that an earlier submission with the same key has made. Errors: ErrNotFound when there
// is none, or no key; ErrKeyReused.
func (db *DB) FindSubmitted(ctx context.Context, s Submission) (taskID string, err error) {
	hash, err := s.hash()
	if err != nil {
		return "", err
	}
	return db.submitted(ctx, s, hash)
}

// Submit makes a task, and tells whether it is new: the same user's same key with the same request returns the task
// that the first one made. The key's row is written in the task's transaction, so of two at once one wins and the other
// finds it. Errors: ErrKeyReused.
func (db *DB) Submit(ctx context.Context, s Submission) (taskID string, fresh bool, err error) {
	hash, err := s.hash()
	if err != nil {
		return "", false, err
	}
	taskID = newID()
	err = db.InTx(ctx, func(tx *Tx) error { return tx.submit(ctx, s, taskID, hash) })
	if duplicate(err) && s.IdempotencyKey != "" {
		taskID, err = db.submitted(ctx, s, hash)
		return taskID, false, err
	}
	return taskID, err == nil, err
}

func (s Submission) hash() (string, error) {
	raw, err := json.Marshal(s)
	if err != nil {
		return "", fmt.Errorf("encode submission: %w", err)
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:]), nil
}

const selectKey = "SELECT `task_id`,`request_hash` FROM `idempotency_key` WHERE `user_uuid`=? AND `idempotency_key`=?"

func (db *DB) submitted(ctx context.Context, s Submission, hash string) (string, error) {
	if s.IdempotencyKey == "" {
		return "", ErrNotFound
	}
	var row struct {
		TaskID string `db:"task_id"`
		Hash   string `db:"request_hash"`
	}
	if err := db.sql.GetContext(ctx, &row, selectKey, s.UserUUID, s.IdempotencyKey); err != nil {
		return "", one(err)
	}
	if row.Hash != hash {
		return "", ErrKeyReused
	}
	return row.TaskID, nil
}

const (
	insertKey = "INSERT INTO `idempotency_key` (`user_uuid`,`idempotency_key`,`request_hash`,`task_id`,`created_at`)" +
		" VALUES (?,?,?,?,NOW(6))"
	insertTask = "INSERT INTO `task` (`task_id`,`user_uuid`,`status`,`stage`,`language`,`source`,`music`,`publish`,`holds`," +
		"`orientation`,`callback_url`,`estimate_micros`,`traceparent`,`created_at`,`updated_at`) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
)

func (tx *Tx) submit(ctx context.Context, s Submission, taskID, hash string) error {
	if s.IdempotencyKey != "" {
		if _, err := tx.sql.ExecContext(ctx, insertKey, s.UserUUID, s.IdempotencyKey, hash, taskID); err != nil {
			return fmt.Errorf("keep idempotency key: %w", err)
		}
	}
	var now time.Time
	if err := tx.sql.GetContext(ctx, &now, "SELECT NOW(6)"); err != nil {
		return fmt.Errorf("read the clock: %w", err)
	}
	task := &Task{ID: taskID, UserUUID: s.UserUUID, Status: pipeline.TaskPending, Stage: events.Crawl, Language: s.Language,
		Traceparent: s.Traceparent, now: now}
	_, err := tx.sql.ExecContext(ctx, insertTask, taskID, s.UserUUID, task.Status, task.Stage, s.Language, JSON[Source]{s.Source},
		JSON[Music]{s.Music}, JSON[[]Target]{notNil(s.Publish)}, JSON[[]string]{notNil(s.Holds)}, s.Orientation,
		s.CallbackURL, s.EstimateMicros, s.Traceparent, now, now)
	if err != nil {
		return fmt.Errorf("write task: %w", err)
	}
	tx.tasks[taskID] = task
	tx.emit(task, events.TaskScope, "submitted", Run{})
	tx.filed = true
	return tx.insertRuns(ctx, firstRuns(task, len(s.Publish) > 0))
}

func firstRuns(task *Task, publish bool) []Run {
	var runs []Run
	for _, r := range pipeline.Begin(publish) {
		run := Run{TaskID: task.ID, Stage: r.Stage, Revision: r.Revision, Status: r.Status, CreatedAt: task.now}
		if r.Stage == events.Crawl {
			run.DueAt = sql.Null[time.Time]{V: task.now, Valid: true}
		}
		runs = append(runs, run)
	}
	return runs
}

func notNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
