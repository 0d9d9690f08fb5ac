package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"encoding/json"
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

// plan writes the intent of a call, for as long as the claim stands, which is written with it where it wasn't before. The
// unique key of run, purpose and try lets one of many planners win; the others find its row. The job that it returns
// has no ID yet.
func (db *DB) plan(ctx context.Context, c Claim, p Paid, try int, handle string) (Job, error) {
	request, err := json.Marshal(p.Request)
	if err != nil {
		return Job{}, fmt.Errorf("encode the %s request: %w", p.Purpose, err)
	}
	job := Job{TaskID: c.TaskID, Stage: c.Stage, Revision: c.Revision, Purpose: p.Purpose, Try: try, Provider: p.Provider, Request: string(request),
		Token: newToken(), Status: JobPlanned, Handle: handle, PriceMicros: p.PriceMicros, Metered: p.Metered, PlannedAt: time.Now().UTC()}
	err = db.together.do(ctx, ahead{taskID: c.TaskID, stage: c.Stage}, func(tx *Tx) error {
		_, err := tx.stands(ctx, c)
		tx.plans = append(tx.plans, job)
		return err
	})
	switch {
	case duplicate(err):
		return db.FindJob(ctx, c.Run, p.Purpose)
	case err != nil:
		return Job{}, fmt.Errorf("plan the %s call: %w", p.Purpose, err)
	}
	c.stood()
	return job, nil
}

// send notes, just before the first byte, that from here on the outcome may be unknown, and holds the price. Of two
// workers that hold the same planned row one may call. It returns the job as it was planned, with its ID. Errors:
// ErrLeaseLost, and the faults of caps.
func (db *DB) send(ctx context.Context, c Claim, job Job) (Job, error) {
	err := db.together.do(ctx, ahead{taskID: c.TaskID, stage: c.Stage, token: job.Token}, func(tx *Tx) error {
		task, err := tx.stands(ctx, c)
		if err != nil {
			return err
		}
		if tx.planned == nil {
			return fmt.Errorf("job %s isn't planned any more: %w", job.Purpose, ErrLeaseLost)
		}
		job.ID = tx.planned.ID
		tx.sends = append(tx.sends, job)
		return tx.hold(ctx, db.caps, task, job)
	})
	return job, err
}

const answerJob = "UPDATE `provider_job` SET `status`=?, `external_id`=?, `code`=?, `reason`=?, `answered_at`=NOW(6)" +
	" WHERE `id`=? AND `status` IN ('planned','sent','unknown')"

// answer writes what became of a call. It needs no lease: what a provider has accepted is true whoever learns it. It
// holds out until the context ends, because an answer that isn't written becomes an unknown outcome.
func (db *DB) answer(ctx context.Context, job *Job, status JobStatus, externalID, code, reason string) error {
	job.Status, job.ExternalID, job.Code, job.Reason = status, externalID, code, cut(reason, 1000)
	for {
		err := db.together.do(ctx, ahead{}, func(tx *Tx) error {
			tx.last.add(answerJob, status, externalID, code, job.Reason, job.ID)
			return nil
		})
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
