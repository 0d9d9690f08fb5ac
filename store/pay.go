package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"castad/internal/crash"
	"castad/internal/fault"
)

// Paid is a call to a provider that must not be made twice by mistake.
type Paid struct {
	Purpose     string // tells the calls of one run apart
	Provider    string
	Request     any   // frozen as JSON with the intent; what is sent is read back from there
	PriceMicros int64 // what is held for it: its price, or where it is metered the most that it can cost; millionths of a US dollar
	Metered     bool  // the provider charges by what was used
	Timeout     time.Duration
	// Prepare makes at the provider, free of charge, what the call can be found by should its answer be lost, and returns
	// the provider's id of that; it is kept with the intent as Job.Handle. nil for providers that need nothing of the kind.
	Prepare func(ctx context.Context, job Job) (handle string, err error)
	// Call makes the call and returns the provider's id. Its errors must be classified by internal/fault: only an
	// error that says so is a refusal; a plain one counts as an unknown outcome.
	Call func(ctx context.Context, job Job) (externalID string, err error)
	// Find asks the provider for a call whose outcome is unknown: its id, or "" if the provider has no such call.
	// fault.Unsure says that it can't tell. nil means that the provider can't be asked.
	Find func(ctx context.Context, job Job) (externalID string, err error)
	// Longest is how long after its acceptance a call may still be missing from what Find sees: "" is believed after it.
	Longest time.Duration
	// Repeat says that a second call costs less than a wait, by policy: an unknown outcome is called again, once the first
	// call can't be on its way any more.
	Repeat bool
	// Harmless says that a second call, even at the same moment, costs nothing and changes nothing that anybody sees.
	Harmless bool
}

// CodeOutcomeUnknown is what a run waits for when a call may or may not have been accepted.
const CodeOutcomeUnknown = "outcome_unknown"

// PayOnce returns the accepted job of the run and purpose, making the call only if none was made before: intent first,
// then the call, then the provider's id. It is safe against crashes at every point, redeliveries and other workers by
// the unique key of provider_job and the claim's fence: whoever finds a job that was sent asks the provider instead of
// paying again. Errors: what Call was refused with; fault Uncertain with CodeOutcomeUnknown; ErrLeaseLost.
func (db *DB) PayOnce(ctx context.Context, c Claim, p Paid) (Job, error) {
	job, err := db.planned(ctx, c, p)
	if err != nil {
		return Job{}, err
	}
	if job.Uncertain() {
		if job, err = db.resolve(ctx, c, p, job); err != nil {
			return Job{}, err
		}
	}
	if job.Status == JobAccepted || job.Status == JobSettled {
		return job, nil
	}
	return db.call(ctx, c, p, job)
}

// planned returns the last try of a call, or plans the first one, or the one after a try that has come to nothing. Who is
// the first to claim a run plans at once: the unique key tells him where he isn't the first to plan.
func (db *DB) planned(ctx context.Context, c Claim, p Paid) (job Job, err error) {
	if c.First {
		job, err = db.plan(ctx, c, p, 1, "")
	} else {
		job, err = db.FindJob(ctx, c.Run, p.Purpose)
	}
	switch {
	case errors.Is(err, ErrNotFound):
		return db.plan(ctx, c, p, 1, "")
	case err == nil && (job.Status == JobRefused || job.Status == JobFailed):
		return db.plan(ctx, c, p, job.Try+1, "")
	}
	return job, err
}

const (
	callTimeout  = 2 * time.Minute // of Paid.Timeout when it is 0
	writeTimeout = 2 * time.Minute // for writing an answer down, over a restart of the database
)

func (p Paid) timeout() time.Duration {
	if p.Timeout > 0 {
		return p.Timeout
	}
	return callTimeout
}

// call makes a planned call. Once the intent says "sent", the call isn't cut short by the program's end: its time limit
// is its own, because an answer that nobody waits for is an unknown outcome. The limit runs from before the intent is
// written: a process that is paused in between finds it over and doesn't call, while others may have asked already.
func (db *DB) call(ctx context.Context, c Claim, p Paid, job Job) (Job, error) {
	crash.At(string(c.Stage), "after_plan", p.Purpose)
	job, err := db.prepare(ctx, p, job)
	if err != nil {
		return Job{}, err
	}
	crash.At(string(c.Stage), "after_prepare", p.Purpose)
	calling, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.timeout())
	defer cancel()
	if job, err = db.send(ctx, c, job); err != nil {
		return Job{}, err
	}
	job.Status, job.SentAt = JobSent, sql.Null[time.Time]{V: time.Now(), Valid: true}
	crash.At(string(c.Stage), "after_sent", p.Purpose)
	id, err := p.Call(calling, job)
	crash.At(string(c.Stage), "after_call", p.Purpose)
	writing, stop := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer stop()
	if err == nil {
		job.Fresh = true
		err := db.answer(writing, &job, JobAccepted, id, "", "")
		crash.At(string(c.Stage), "after_answer", p.Purpose)
		return job, err
	}
	return Job{}, db.refused(writing, p, &job, err)
}

// prepare gives a job its handle. A job that follows one that was never found keeps that one's: a provider that works on
// the first after all then refuses the second.
func (db *DB) prepare(ctx context.Context, p Paid, job Job) (Job, error) {
	if p.Prepare == nil || job.Handle != "" {
		return job, nil
	}
	var err error
	if job.Handle, err = p.Prepare(ctx, job); err != nil {
		return Job{}, fmt.Errorf("prepare the %s call to %s: %w", p.Purpose, p.Provider, err)
	}
	return job, nil
}

// refused writes down a failed call: a classified error other than Uncertain is a refusal, all else an unknown outcome.
func (db *DB) refused(ctx context.Context, p Paid, job *Job, cause error) error {
	kind := fault.Of(cause)
	if fault.Classified(cause) && kind.Kind != fault.Uncertain {
		if err := db.refuse(ctx, job, kind.Code, cause.Error(), true); err != nil {
			return fault.Unsure(CodeOutcomeUnknown, errors.Join(cause, err))
		}
		return fmt.Errorf("%s call to %s: %w", p.Purpose, p.Provider, cause)
	}
	err := db.answer(ctx, job, JobUnknown, "", CodeOutcomeUnknown, cause.Error())
	return fault.Unsure(CodeOutcomeUnknown, fmt.Errorf("%s call to %s: %w", p.Purpose, p.Provider, errors.Join(cause, err)))
}

// resolve finds out what became of a call of which nobody knows. It returns the job accepted, or a planned one for a
// new call; and it never decides by itself where the provider can't be asked.
func (db *DB) resolve(ctx context.Context, c Claim, p Paid, job Job) (Job, error) {
	if crash.Without("intent") { // as a program without a record of intents would
		return db.replan(ctx, c, p, job, codeRepeated)
	}
	if p.Find == nil && !p.Repeat && !p.Harmless {
		return Job{}, fault.Unsure(CodeOutcomeUnknown, fmt.Errorf("%s may have accepted the %s call of %s, and can't be asked:"+
			" somebody has to decide (castad job)", p.Provider, p.Purpose, job.PlannedAt.Format(time.RFC3339)))
	}
	late := db.landed(ctx, p, job) // before asking: what is missing then can't come later
	code := codeRepeated
	if p.Find != nil {
		id, err := p.Find(ctx, job)
		if err != nil && (!p.Repeat || fault.Of(err).Kind != fault.Uncertain) {
			return Job{}, fmt.Errorf("ask %s about the %s call: %w", p.Provider, p.Purpose, err)
		}
		if id != "" {
			err := db.answer(ctx, &job, JobAccepted, id, "", "")
			return job, err
		}
		if err == nil {
			code = "not_found_at_provider"
		}
	}
	if late != nil {
		return Job{}, late
	}
	return db.replan(ctx, c, p, job, code)
}

// landed returns an Uncertain fault as long as the call may still be on its way, or accepted and not to be seen yet: the
// worker that sent it may only be slow, or paused, and its answer be still to come.
func (db *DB) landed(ctx context.Context, p Paid, job Job) error {
	if p.Harmless {
		return nil
	}
	now, err := db.Now(ctx)
	if err != nil {
		return err
	}
	if now.Sub(job.SentAt.V) < p.timeout()+db.flight+p.Longest {
		return fault.Unsure(CodeOutcomeUnknown, fmt.Errorf("%s doesn't show the %s call, but it may still be on its way", p.Provider, p.Purpose))
	}
	return nil
}

// replan closes a try that came to nothing and plans the next. What was held for one that is repeated by policy stays in
// the ledger: it may have been charged.
func (db *DB) replan(ctx context.Context, c Claim, p Paid, job Job, code string) (Job, error) {
	if err := db.refuse(ctx, &job, code, "", code != codeRepeated); err != nil {
		return Job{}, err
	}
	return db.plan(ctx, c, p, job.Try+1, job.Handle)
}

// codeRepeated is of calls that policy repeats without having found out what became of them.
const codeRepeated = "repeated_by_policy"

const selectUncertain = "SELECT " + jobColumns + " FROM `provider_job` WHERE `status` IN ('sent','unknown') ORDER BY `id` LIMIT 1000"

// UncertainJobs returns the calls of which nobody knows whether they were accepted, oldest first.
func (db *DB) UncertainJobs(ctx context.Context) ([]Job, error) {
	jobs := []Job{}
	if err := db.sql.SelectContext(ctx, &jobs, selectUncertain); err != nil {
		return nil, fmt.Errorf("list uncertain jobs: %w", err)
	}
	return jobs, nil
}

const adoptJob = "UPDATE `provider_job` SET `status`='accepted', `external_id`=?, `code`='decided', `answered_at`=NOW(6)" +
	" WHERE `id`=? AND `status` IN ('sent','unknown')"

// Decide is a person's word about an uncertain job: with the provider's id it was accepted under it; with "" it came to
// nothing, and the call is made again, and paid again. The run is woken. Errors: ErrNotFound when the job isn't
// uncertain (any more).
func (db *DB) Decide(ctx context.Context, jobID int64, externalID string) error {
	job, err := db.uncertain(ctx, jobID)
	if err != nil {
		return err
	}
	if externalID == "" {
		err = db.refuse(ctx, &job, "decided", "", true)
	} else {
		if _, err = db.sql.ExecContext(ctx, adoptJob, externalID, jobID); err == nil {
			err = db.SettleEnded(ctx, Run{TaskID: job.TaskID, Stage: job.Stage, Revision: job.Revision})
		}
	}
	if err != nil {
		return fmt.Errorf("decide job %d: %w", jobID, err)
	}
	return db.Hint(ctx, job.Provider, job.Token, "")
}

const selectUncertainJob = "SELECT " + jobColumns + " FROM `provider_job` WHERE `id`=? AND `status` IN ('sent','unknown')"

func (db *DB) uncertain(ctx context.Context, jobID int64) (Job, error) {
	var job Job
	if err := db.sql.GetContext(ctx, &job, selectUncertainJob, jobID); err != nil {
		return Job{}, fmt.Errorf("load uncertain job %d: %w", jobID, one(err))
	}
	return job, nil
}

// CodeCallGivenUp is why a run has failed whose uncertain call a person didn't want to make again.
const CodeCallGivenUp = "call_given_up"

// DecideToFail is a person's word that an uncertain job isn't worth another payment: its run is given up, with a dead
// letter. The job counts as charged, since nobody knows. Errors: ErrNotFound when the job isn't uncertain (any more).
func (db *DB) DecideToFail(ctx context.Context, jobID int64) error {
	job, err := db.uncertain(ctx, jobID)
	if err != nil {
		return err
	}
	return db.InTx(ctx, func(tx *Tx) error {
		task, err := tx.lockTask(ctx, job.TaskID)
		if err != nil {
			return err
		}
		changed, err := tx.changed(ctx, answerJob, JobRefused, "", CodeCallGivenUp, "", job.ID)
		if err != nil || !changed {
			return errors.Join(fmt.Errorf("job %d: %w", jobID, ErrNotFound), err)
		}
		if err := tx.conclude(ctx, job, "estimate", job.PriceMicros); err != nil {
			return err
		}
		runs, err := tx.newestRuns(ctx, task)
		if err != nil {
			return err
		}
		run, ok := find(runs, job.Stage)
		if !ok || run.Revision != job.Revision || run.Status.Final() {
			return nil
		}
		run.Code, run.Reason = CodeCallGivenUp, fmt.Sprintf("Nobody knows whether %s has accepted the %s call, and it isn't made again.", job.Provider, job.Purpose)
		return tx.giveUp(ctx, task, run, Origin{Program: "castad"})
	})
}

const failJob = "UPDATE `provider_job` SET `status`='failed', `charged_micros`=?, `code`=?, `reason`=?, `answered_at`=NOW(6)" +
	" WHERE `id`=? AND `status` IN ('accepted','settled')"

// triesOfBrokenJobs is how many jobs that a provider accepts and then fails are bought for one run.
const triesOfBrokenJobs = 2

// Broken notes that a provider has accepted a job and failed it, so that the next attempt may order a new one, and
// returns the failure for the worker: worth another attempt at first, permanent once the second job has failed too. The
// job counts as charged, by job.Charged or its whole price: that a provider gives the money back isn't documented anywhere.
func (db *DB) Broken(ctx context.Context, job Job, code string, cause error) error {
	if err := db.NoteFailed(ctx, job, code, cause); err != nil {
		return err
	}
	if job.Try >= triesOfBrokenJobs {
		return fault.Stop(code, cause)
	}
	return fault.Retry(code, cause)
}

// NoteFailed notes that a provider has accepted a job and failed it, so that the next attempt may order a new one: whether
// there is one is the caller's to say, and Broken's for what costs money.
func (db *DB) NoteFailed(ctx context.Context, job Job, code string, cause error) error {
	cost, kind := job.cost()
	err := db.InTx(ctx, func(tx *Tx) error {
		if _, err := tx.lockTask(ctx, job.TaskID); err != nil {
			return err
		}
		changed, err := tx.changed(ctx, failJob, cost, cut(code, 64), cut(cause.Error(), 1000), job.ID)
		if err != nil || !changed {
			return err
		}
		return tx.conclude(ctx, job, kind, cost)
	})
	if err != nil {
		return fmt.Errorf("mark job %d as failed: %w", job.ID, err)
	}
	return nil
}
