package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"castad/events"
)

// UploadStatus is how far a post has come.
type UploadStatus string

// The statuses of a post. A failed one is tried again when its run is.
const (
	UploadPending   UploadStatus = "pending"
	UploadPublished UploadStatus = "published"
	UploadFailed    UploadStatus = "failed"
	UploadCancelled UploadStatus = "cancelled"
)

// SocialUpload is one post of a video: a row for each target of a run, from the moment that its text is written.
type SocialUpload struct {
	ID          int64               `db:"id"`
	TaskID      string              `db:"task_id"`
	Revision    int                 `db:"revision"`
	UserUUID    string              `db:"user_uuid"`
	Platform    string              `db:"platform"`
	Status      UploadStatus        `db:"status"`
	Title       string              `db:"title"`
	Description string              `db:"description"`
	Tags        JSON[[]string]      `db:"tags"`
	Privacy     string              `db:"privacy"`    // as asked for, and once it is published, as the platform has it
	PublishAt   sql.Null[time.Time] `db:"publish_at"` // not before this
	DueAt       sql.Null[time.Time] `db:"due_at"`     // not tried again before this
	Tries       int                 `db:"tries"`      // that failed while other posts were still to come
	Code        string              `db:"code"`       // what it waits for, why it failed, or what is to be said of it
	Reason      string              `db:"reason"`
	ExternalID  string              `db:"external_id"`
	URL         string              `db:"url"`
	CreatedAt   time.Time           `db:"created_at"`
	PublishedAt sql.Null[time.Time] `db:"published_at"`
}

const (
	uploadColumns = "`id`,`task_id`,`revision`,`user_uuid`,`platform`,`status`,`title`,`description`,`tags`,`privacy`,`publish_at`,`due_at`," +
		"`tries`,`code`,`reason`,`external_id`,`url`,`created_at`,`published_at`"
	upsertUploads = "INSERT INTO `social_upload` (`task_id`,`revision`,`user_uuid`,`platform`,`status`,`title`,`description`,`tags`,`privacy`," +
		"`publish_at`,`due_at`,`tries`,`code`,`reason`,`external_id`,`url`,`created_at`,`published_at`) VALUES (:task_id,:revision,:user_uuid,:platform,:status," +
		":title,:description,:tags,:privacy,:publish_at,:due_at,:tries,:code,:reason,:external_id,:url,NOW(6),IF(:status='published',NOW(6),NULL))" +
		" ON DUPLICATE KEY UPDATE `published_at`=IFNULL(`published_at`,VALUES(`published_at`)),`status`=VALUES(`status`),`privacy`=VALUES(`privacy`)," +
		"`due_at`=VALUES(`due_at`),`tries`=VALUES(`tries`),`code`=VALUES(`code`),`reason`=VALUES(`reason`),`external_id`=VALUES(`external_id`),`url`=VALUES(`url`)"
	selectUploads    = "SELECT " + uploadColumns + " FROM `social_upload` WHERE `task_id`=? ORDER BY `id`"
	selectRunUploads = "SELECT " + uploadColumns + " FROM `social_upload` WHERE `task_id`=? AND `revision`=? ORDER BY `id`"
	endUploads       = "UPDATE `social_upload` SET `status`=?, `code`=?, `reason`=?, `due_at`=NULL WHERE `task_id`=? AND `revision`=? AND `status`='pending'"
)

// SaveUploads writes the posts of a run, of which there must be at least one; the key is task, revision and platform. What
// a post says isn't changed any more once it is written.
func (tx *Tx) SaveUploads(ctx context.Context, uploads []SocialUpload) error {
	for i := range uploads {
		uploads[i].Code, uploads[i].Reason = cut(uploads[i].Code, 64), cut(uploads[i].Reason, 1000)
	}
	if _, err := tx.sql.NamedExecContext(ctx, upsertUploads, uploads); err != nil {
		return fmt.Errorf("save %d uploads: %w", len(uploads), err)
	}
	return nil
}

// NoteUploads is SaveUploads for as long as the claim stands: how far posts are whose run isn't done yet. Errors: ErrLeaseLost.
func (db *DB) NoteUploads(ctx context.Context, c Claim, uploads []SocialUpload) error {
	err := db.together.do(ctx, ahead{taskID: c.TaskID, stage: c.Stage}, func(tx *Tx) error {
		if _, err := tx.stands(ctx, c); err != nil {
			return err
		}
		return tx.SaveUploads(ctx, uploads)
	})
	if err == nil {
		c.stood()
	}
	return err
}

// endUploads ends posts that are still to come with their run.
func (tx *Tx) endUploads(ctx context.Context, run Run, status UploadStatus) error {
	if run.Stage != events.Upload {
		return nil
	}
	code, reason := cut(run.Code, 64), cut(run.Reason, 1000)
	if status == UploadCancelled { // the run's code says what it was waiting for
		code, reason = "", ""
	}
	_, err := tx.sql.ExecContext(ctx, endUploads, status, code, reason, run.TaskID, run.Revision)
	if err != nil {
		return fmt.Errorf("end the uploads of task %s: %w", run.TaskID, err)
	}
	return nil
}

// ListUploads returns all posts of a task, oldest first.
func (db *DB) ListUploads(ctx context.Context, taskID string) ([]SocialUpload, error) {
	uploads := []SocialUpload{}
	if err := db.sql.SelectContext(ctx, &uploads, selectUploads, taskID); err != nil {
		return nil, fmt.Errorf("list uploads of task %s: %w", taskID, err)
	}
	return uploads, nil
}

// RunUploads returns the posts of a run as they were written last, none before their text is.
func (db *DB) RunUploads(ctx context.Context, run Run) ([]SocialUpload, error) {
	var uploads []SocialUpload
	if err := db.sql.SelectContext(ctx, &uploads, selectRunUploads, run.TaskID, run.Revision); err != nil {
		return nil, fmt.Errorf("load uploads of task %s: %w", run.TaskID, err)
	}
	return uploads, nil
}
