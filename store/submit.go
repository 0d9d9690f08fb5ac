package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

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
	err = db.together.do(ctx, ahead{}, func(tx *Tx) error { tx.submit(s, taskID, hash); return nil })
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

// birth is a task that a transaction makes.
type birth struct {
	Submission
	task *Task
	hash string // of the submission, for its idempotency key
}

// submit makes a task, with its runs.
func (tx *Tx) submit(s Submission, taskID, hash string) {
	task := &Task{ID: taskID, UserUUID: s.UserUUID, Status: pipeline.TaskPending, Stage: events.Crawl, Language: s.Language,
		Traceparent: s.Traceparent, now: tx.now}
	tx.births = append(tx.births, birth{Submission: s, task: task, hash: hash})
	tx.tasks[taskID] = task
	tx.emit(task, events.TaskScope, "submitted", Run{})
	task.dirty = false // it is written as it is now
	for _, r := range pipeline.Begin(len(s.Publish) > 0) {
		run := Run{TaskID: task.ID, Stage: r.Stage, Revision: r.Revision, Status: r.Status, CreatedAt: task.now}
		if r.Stage == events.Crawl {
			tx.due(task, &run)
		}
		tx.made = append(tx.made, run)
	}
}

const (
	insertKeys = "INSERT INTO `idempotency_key` (`user_uuid`,`idempotency_key`,`request_hash`,`task_id`,`created_at`) VALUES "
	insertKey  = "(?,?,?,?,?)"

	insertTasks = "INSERT INTO `task` (`task_id`,`user_uuid`,`status`,`stage`,`language`,`source`,`music`,`publish`,`holds`," +
		"`orientation`,`callback_url`,`event_seq`,`estimate_micros`,`traceparent`,`created_at`,`updated_at`) VALUES "
	insertTask = "(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
)

// saveBirths writes new tasks, and before them their keys: one that is there already ends the transaction.
func (b *batch) saveBirths(parts []*Tx) {
	var keys, tasks []any
	for _, tx := range parts {
		for _, made := range tx.births {
			s, t := made.Submission, made.task
			if s.IdempotencyKey != "" {
				keys = append(keys, s.UserUUID, s.IdempotencyKey, made.hash, t.ID, t.now)
			}
			tasks = append(tasks, t.ID, t.UserUUID, t.Status, t.Stage, t.Language, JSON[Source]{s.Source}, JSON[Music]{s.Music},
				JSON[[]Target]{notNil(s.Publish)}, JSON[[]string]{notNil(s.Holds)}, s.Orientation, s.CallbackURL, t.EventSeq,
				s.EstimateMicros, t.Traceparent, t.now, t.now)
		}
	}
	b.insert(insertKeys, insertKey, keys)
	b.insert(insertTasks, insertTask, tasks)
}

func notNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
