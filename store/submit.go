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

// Submit is Accept for who needs no more of the task than its id.
func (db *DB) Submit(ctx context.Context, s Submission) (taskID string, fresh bool, err error) {
	made, err := db.Accept(ctx, s)
	return made.TaskID, made.Task != nil, err
}

// Accepted is what became of a submission: a new task as it is now, or only the id of the one that was made before.
type Accepted struct {
	TaskID string
	Task   *Task // nil: it was made before
	Runs   []Run // in the order of their stages
}

// Accept makes a task: the same user's same key with the same request returns the task that the first one made. The key's
// row is written in the task's transaction, so of two at once one wins and the other finds it. Errors: ErrKeyReused.
func (db *DB) Accept(ctx context.Context, s Submission) (Accepted, error) {
	hash, err := s.hash()
	if err != nil {
		return Accepted{}, err
	}
	var made Accepted
	taskID := newID()
	err = db.together.do(ctx, ahead{}, func(tx *Tx) error {
		made = tx.submit(s, taskID, hash)
		return nil
	})
	switch {
	case duplicate(err):
		return db.made(ctx, s, taskID, hash)
	case err != nil: // made may still be written, where nobody waits any longer
		return Accepted{}, err
	}
	return made, nil
}

// made finds the task of a submission that was written before: by somebody else under its key, or by this very call, where
// the answer to a commit was lost and the transaction was made again.
func (db *DB) made(ctx context.Context, s Submission, taskID, hash string) (Accepted, error) {
	found, err := db.submitted(ctx, s, hash)
	if errors.Is(err, ErrNotFound) {
		found = taskID
		_, err = db.LoadTask(ctx, taskID)
	}
	return Accepted{TaskID: found}, err
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
	task *Task
	key  string // its idempotency key; "" for none
	hash string // of the submission that came with it
}

// submit makes a task, with its runs.
func (tx *Tx) submit(s Submission, taskID, hash string) Accepted {
	task := &Task{ID: taskID, UserUUID: s.UserUUID, Status: pipeline.TaskPending, Stage: events.Crawl, Language: s.Language,
		Source: JSON[Source]{s.Source}, Music: JSON[Music]{s.Music}, Publish: JSON[[]Target]{notNil(s.Publish)}, Holds: JSON[[]string]{notNil(s.Holds)},
		Orientation: s.Orientation, CallbackURL: s.CallbackURL, Estimate: s.EstimateMicros, Traceparent: s.Traceparent,
		CreatedAt: tx.now, UpdatedAt: tx.now, now: tx.now}
	tx.births = append(tx.births, birth{task: task, key: s.IdempotencyKey, hash: hash})
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
	return Accepted{TaskID: taskID, Task: task, Runs: tx.made}
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
			t := made.task
			if made.key != "" {
				keys = append(keys, t.UserUUID, made.key, made.hash, t.ID, t.now)
			}
			tasks = append(tasks, t.ID, t.UserUUID, t.Status, t.Stage, t.Language, t.Source, t.Music, t.Publish, t.Holds,
				t.Orientation, t.CallbackURL, t.EventSeq, t.Estimate, t.Traceparent, t.CreatedAt, t.UpdatedAt)
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
