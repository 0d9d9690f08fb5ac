package store

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"castad/events"
)

// JobStatus is how far a provider job has come.
type JobStatus string

// The statuses of a provider job. Sent is what a crash in the middle of the call leaves behind: its outcome is unknown.
const (
	JobPlanned  JobStatus = "planned"
	JobSent     JobStatus = "sent"
	JobAccepted JobStatus = "accepted"
	JobSettled  JobStatus = "settled"
	JobFailed   JobStatus = "failed" // accepted, and ended by the provider without a result
	JobRefused  JobStatus = "refused"
	JobUnknown  JobStatus = "unknown"
)

// Job is a call to a provider that costs money or can't be taken back: at most one accepted a run and purpose.
type Job struct {
	ID          int64               `db:"id"`
	TaskID      string              `db:"task_id"`
	Stage       events.Stage        `db:"stage"`
	Revision    int                 `db:"revision"`
	Purpose     string              `db:"purpose"` // tells calls of one run apart: "lyric", "repair"
	Try         int                 `db:"try"`     // 1, and one more after each refusal
	Provider    string              `db:"provider"`
	Request     string              `db:"request"` // JSON, as it was when the call was planned
	Token       string              `db:"token"`   // unguessable; the last part of the call's own callback URL
	Status      JobStatus           `db:"status"`
	ExternalID  string              `db:"external_id"`    // the provider's id; "" until it has accepted
	Handle      string              `db:"handle"`         // the provider's id of what Paid.Prepare made
	HintedID    string              `db:"hinted_id"`      // an id that a callback named; not believed before the provider confirms it
	PriceMicros int64               `db:"price_micros"`   // millionths of a US dollar; held while it isn't known what it costs
	Metered     bool                `db:"metered"`        // charged by what was used: the price is the most that it can cost
	Charged     sql.Null[int64]     `db:"charged_micros"` // what it has cost in the end
	Code        string              `db:"code"`
	Reason      string              `db:"reason"`
	PlannedAt   time.Time           `db:"planned_at"`
	SentAt      sql.Null[time.Time] `db:"sent_at"`
	AnsweredAt  sql.Null[time.Time] `db:"answered_at"`

	// Fresh says that the call was made just now, by the PayOnce that returned this job.
	Fresh bool `db:"-"`
}

// Age returns how long ago the provider has accepted the job, by this process's clock: good enough for pacing looks.
func (j Job) Age() time.Duration {
	if j.Fresh || !j.AnsweredAt.Valid {
		return 0
	}
	return time.Since(j.AnsweredAt.V)
}

// Decode reads the frozen request into v.
func (j Job) Decode(v any) error {
	if err := json.Unmarshal([]byte(j.Request), v); err != nil {
		return fmt.Errorf("read the request of job %d: %w", j.ID, err)
	}
	return nil
}

// Uncertain reports whether nobody knows if the provider has accepted the call.
func (j Job) Uncertain() bool { return j.Status == JobSent || j.Status == JobUnknown }

const jobColumns = "`id`,`task_id`,`stage`,`revision`,`purpose`,`try`,`provider`,`request`,`token`,`status`,`external_id`," +
	"`handle`,`hinted_id`,`price_micros`,`metered`,`charged_micros`,`code`,`reason`,`planned_at`,`sent_at`,`answered_at`"

const selectLastJob = "SELECT " + jobColumns + " FROM `provider_job` WHERE `task_id`=? AND `stage`=? AND `revision`=?" +
	" AND `purpose`=? ORDER BY `try` DESC LIMIT 1"

// FindJob returns the last try of a paid call, and ErrNotFound where none was planned.
func (db *DB) FindJob(ctx context.Context, run Run, purpose string) (Job, error) {
	var job Job
	err := db.sql.GetContext(ctx, &job, selectLastJob, run.TaskID, run.Stage, run.Revision, purpose)
	if err != nil {
		return Job{}, fmt.Errorf("find the %s job of %s of task %s: %w", purpose, run.Stage, run.TaskID, one(err))
	}
	return job, nil
}

const selectJobs = "SELECT " + jobColumns + " FROM `provider_job` WHERE `task_id`=? ORDER BY `id`"

// ListJobs returns all provider jobs of a task, in the order in which they were planned.
func (db *DB) ListJobs(ctx context.Context, taskID string) ([]Job, error) {
	jobs := []Job{}
	if err := db.sql.SelectContext(ctx, &jobs, selectJobs, taskID); err != nil {
		return nil, fmt.Errorf("list the jobs of task %s: %w", taskID, err)
	}
	return jobs, nil
}

const insertJob = "INSERT INTO `provider_job` (`task_id`,`stage`,`revision`,`purpose`,`try`,`provider`,`request`,`request_hash`," +
	"`token`,`status`,`handle`,`price_micros`,`metered`,`planned_at`) VALUES (?,?,?,?,?,?,?,?,?,'planned',?,?,?,NOW(6))"

// plan writes the intent of a call, for as long as the claim stands. The unique key of run, purpose and try lets one
// of many planners win; the others find its row.
func (db *DB) plan(ctx context.Context, c Claim, p Paid, try int, handle string) (Job, error) {
	request, err := json.Marshal(p.Request)
	if err != nil {
		return Job{}, fmt.Errorf("encode the %s request: %w", p.Purpose, err)
	}
	job := Job{TaskID: c.TaskID, Stage: c.Stage, Revision: c.Revision, Purpose: p.Purpose, Try: try, Provider: p.Provider, Request: string(request),
		Token: newToken(), Status: JobPlanned, Handle: handle, PriceMicros: p.PriceMicros, Metered: p.Metered, PlannedAt: time.Now().UTC()}
	sum := sha256.Sum256(request)
	err = db.InTx(ctx, func(tx *Tx) error {
		if err := tx.fenced(ctx, c); err != nil {
			return err
		}
		res, err := tx.sql.ExecContext(ctx, insertJob, job.TaskID, job.Stage, job.Revision, job.Purpose, job.Try, job.Provider, job.Request,
			hex.EncodeToString(sum[:]), job.Token, job.Handle, job.PriceMicros, job.Metered)
		if err != nil {
			return err
		}
		job.ID, err = res.LastInsertId()
		return err
	})
	switch {
	case duplicate(err):
		return db.FindJob(ctx, c.Run, p.Purpose)
	case err != nil:
		return Job{}, fmt.Errorf("plan the %s call: %w", p.Purpose, err)
	}
	return job, nil
}

const checkFence = "SELECT COUNT(*) FROM `stage_run` WHERE `task_id`=? AND `stage`=? AND `revision`=? AND `lease_token`=?" +
	" AND `status` IN ('processing','waiting') AND `lease_until` > NOW(6) FOR UPDATE"

// fenced checks that the claim still stands and its lease hasn't run out, and keeps it so for this transaction.
func (tx *Tx) fenced(ctx context.Context, c Claim) error {
	var n int
	if err := tx.sql.GetContext(ctx, &n, checkFence, c.TaskID, c.Stage, c.Revision, c.Token); err != nil {
		return fmt.Errorf("check the lease of %s of task %s: %w", c.Stage, c.TaskID, err)
	}
	if n == 0 {
		return ErrLeaseLost
	}
	return nil
}

const markJobSent = "UPDATE `provider_job` SET `status`='sent', `handle`=?, `sent_at`=NOW(6) WHERE `id`=? AND `status`='planned'"

// send notes, just before the first byte, that from here on the outcome may be unknown, and holds the price. Of two
// workers that hold the same planned row one may call. Errors: ErrLeaseLost, and the faults of caps.
func (db *DB) send(ctx context.Context, c Claim, job Job) error {
	return db.InTx(ctx, func(tx *Tx) error {
		if err := tx.hold(ctx, db.caps, c, job); err != nil {
			return err
		}
		if err := tx.fenced(ctx, c); err != nil {
			return err
		}
		res, err := tx.sql.ExecContext(ctx, markJobSent, job.Handle, job.ID)
		if err != nil {
			return fmt.Errorf("mark job %d as sent: %w", job.ID, err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(ErrLeaseLost, err)
		}
		return tx.enter(ctx, c, job)
	})
}

const answerJob = "UPDATE `provider_job` SET `status`=?, `external_id`=?, `code`=?, `reason`=?, `answered_at`=NOW(6)" +
	" WHERE `id`=? AND `status` IN ('planned','sent','unknown')"

// answer writes what became of a call. It needs no lease: what a provider has accepted is true whoever learns it. It
// holds out until the context ends, because an answer that isn't written becomes an unknown outcome.
func (db *DB) answer(ctx context.Context, job *Job, status JobStatus, externalID, code, reason string) error {
	job.Status, job.ExternalID, job.Code, job.Reason = status, externalID, code, cut(reason, 1000)
	for {
		_, err := db.sql.ExecContext(ctx, answerJob, status, externalID, code, job.Reason, job.ID)
		if err == nil {
			return nil
		}
		if pause(ctx, transactionTries) != nil {
			return fmt.Errorf("write the answer of job %d: %w", job.ID, err)
		}
	}
}

// refuse writes that a call came to nothing, and gives back what was held for it unless it may have been charged all the
// same. Like answer it needs no lease and holds out; a job whose outcome is known by now is left alone.
func (db *DB) refuse(ctx context.Context, job *Job, code, reason string, release bool) error {
	job.Status, job.Code, job.Reason = JobRefused, code, cut(reason, 1000)
	for {
		err := db.InTx(ctx, func(tx *Tx) error {
			if _, err := tx.lockTask(ctx, job.TaskID); err != nil {
				return err
			}
			changed, err := tx.changed(ctx, answerJob, JobRefused, "", code, job.Reason, job.ID)
			if err != nil || !changed || !release || !job.SentAt.Valid {
				return err
			}
			return tx.conclude(ctx, *job, "release", 0)
		})
		if err == nil {
			return nil
		}
		if pause(ctx, transactionTries) != nil {
			return fmt.Errorf("write the refusal of job %d: %w", job.ID, err)
		}
	}
}

const (
	hintJob = "UPDATE `provider_job` SET `hinted_id`=IF(?='', `hinted_id`, ?) WHERE `token`=? AND `provider`=?"
	wakeRun = "UPDATE `stage_run` r JOIN `provider_job` j ON j.`task_id`=r.`task_id` AND j.`stage`=r.`stage` AND j.`revision`=r.`revision`" +
		" SET r.`due_at`=NOW(6), r.`filings`=0, r.`version`=r.`version`+1" +
		" WHERE j.`token`=? AND j.`provider`=? AND r.`status`='waiting' AND r.`lease_token` IS NULL"
	selectToken = "SELECT COUNT(*) FROM `provider_job` WHERE `token`=? AND `provider`=?"
)

// Hint takes a callback on a job's own URL: look now, and maybe under this id ("" for none). It says nothing that is
// believed. Doing it twice is harmless. Errors: ErrNotFound for a token that we never gave to this provider.
func (db *DB) Hint(ctx context.Context, provider, token, externalID string) error {
	var known int
	if err := db.sql.GetContext(ctx, &known, selectToken, token, provider); err != nil {
		return fmt.Errorf("look up a callback: %w", err)
	}
	if known == 0 {
		return ErrNotFound
	}
	if externalID != cut(externalID, 255) {
		externalID = ""
	}
	err := db.retried(ctx, func() error {
		_, err := db.sql.ExecContext(ctx, hintJob, externalID, externalID, token, provider)
		return err
	})
	if err == nil {
		err = db.retried(ctx, func() error { _, err := db.sql.ExecContext(ctx, wakeRun, token, provider); return err })
	}
	if err != nil {
		return fmt.Errorf("take a callback: %w", err)
	}
	if db.Nudge != nil {
		db.Nudge(events.OwedRuns)
	}
	return nil
}

// newToken returns 256 random bits for a callback URL.
func newToken() string {
	var raw [32]byte
	rand.Read(raw[:])
	return base64.RawURLEncoding.EncodeToString(raw[:])
}
