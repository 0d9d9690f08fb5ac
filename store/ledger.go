package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"castad/internal/fault"
	"castad/internal/pipeline"
)

// Caps bound what is spent on providers, in millionths of a US dollar; 0 is no bound. A call that would go over one isn't
// made. What counts is the price that is held before a call, so it should be the most that the call can cost.
type Caps struct {
	Task    int64 // of one task, all its revisions together
	UserDay int64 // of one user's tasks, a day in UTC
	Day     int64 // of all tasks, a day in UTC
}

// The codes of calls that a cap has stopped. A task's cap fails the run, for a person to raise it and replay; a day's cap
// lets it wait for the next day.
const (
	CodeTaskCap    = "task_cap_reached"
	CodeUserDayCap = "user_day_cap_reached"
	CodeDayCap     = "day_cap_reached"
)

// hold sets a job's price aside in the transaction that says the call is sent, if no cap is in the way. The task is
// locked, and each day's sum by the statement that adds to it. Errors: faults with the codes above.
func (tx *Tx) hold(ctx context.Context, caps Caps, task *Task, job Job) error {
	price := job.PriceMicros
	if price == 0 {
		return nil
	}
	if caps.Task != 0 && task.Cost+price > caps.Task {
		return fault.Stop(CodeTaskCap, fmt.Errorf("a call of at most %s to %s would take the task over its cap of %s",
			dollars(price), job.Provider, dollars(caps.Task)))
	}
	if err := tx.holdDay(ctx, caps.UserDay, task.UserUUID, price, CodeUserDayCap); err != nil {
		return err
	}
	if err := tx.holdDay(ctx, caps.Day, everybody, price, CodeDayCap); err != nil {
		return err
	}
	task.costs, task.dirty = task.costs+price, true
	return nil
}

// everybody is the scope of all users together.
const everybody = ""

const (
	holdDay = "UPDATE `spending` SET `micros`=`micros`+? WHERE `scope`=? AND `day`=CURRENT_DATE AND `micros`+?<=?"
	openDay = "INSERT IGNORE INTO `spending` (`scope`,`day`,`micros`) SELECT ?, CURRENT_DATE, COALESCE(SUM(`micros`),0)" +
		" FROM `ledger_entry` WHERE `day`=CURRENT_DATE AND (?='' OR `user_uuid`=?)"
)

// holdDay adds a price to a day's spending. The row is the lock that makes many callers at once keep the cap; it begins
// with what the ledger has of the day, so that a cap may be set at any time.
func (tx *Tx) holdDay(ctx context.Context, limit int64, scope string, price int64, code string) error {
	if limit == 0 {
		return nil
	}
	for range 2 {
		held, err := tx.changed(ctx, holdDay, price, scope, price, limit)
		if err != nil {
			return fmt.Errorf("hold a price for the day: %w", err)
		}
		if held {
			return nil
		}
		if _, err := tx.sql.ExecContext(ctx, openDay, scope, scope, scope); err != nil {
			return fmt.Errorf("open the day's spending: %w", err)
		}
	}
	var tomorrow time.Time
	if err := tx.sql.GetContext(ctx, &tomorrow, "SELECT TIMESTAMP(CURRENT_DATE + INTERVAL 1 DAY)"); err != nil {
		return fmt.Errorf("read the clock: %w", err)
	}
	return fault.Wait(tomorrow, code, fmt.Errorf("a call of at most %s would go over the day's cap of %s; a new day begins at 00:00 UTC",
		dollars(price), dollars(limit)))
}

// changed reports whether a statement has changed any row.
func (tx *Tx) changed(ctx context.Context, statement string, values ...any) (bool, error) {
	res, err := tx.sql.ExecContext(ctx, statement, values...)
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n > 0, err
}

const (
	// closeEntry writes the second row of a job: micros is the difference to its hold.
	closeEntry   = closeEntries + "=? AND `kind`='hold'"
	closeEntries = "INSERT IGNORE INTO `ledger_entry` (`job_id`,`closing`,`kind`,`task_id`,`user_uuid`,`provider`,`micros`,`day`,`at`)" +
		" SELECT `job_id`,1,?,`task_id`,`user_uuid`,`provider`,?-`micros`,`day`,NOW(6) FROM `ledger_entry` WHERE `job_id`"
	correctTask = "UPDATE `task` SET `cost_micros`=`cost_micros`+? WHERE `task_id`=?"
	correctDays = "UPDATE `spending` s JOIN `ledger_entry` e ON e.`day`=s.`day` AND s.`scope` IN (e.`user_uuid`, '')" +
		" SET s.`micros`=s.`micros`+? WHERE e.`job_id`=? AND e.`kind`='hold'"
)

// conclude replaces a job's hold by what it has cost, once. kind is settle, estimate or release.
func (tx *Tx) conclude(ctx context.Context, job Job, kind string, cost int64) error {
	if job.PriceMicros == 0 {
		return nil
	}
	closed, err := tx.changed(ctx, closeEntry, kind, cost, job.ID)
	if err != nil {
		return fmt.Errorf("%s job %d in the ledger: %w", kind, job.ID, err)
	}
	difference := cost - job.PriceMicros
	if !closed || difference == 0 {
		return nil
	}
	if task := tx.tasks[job.TaskID]; task != nil {
		task.costs, task.dirty = task.costs+difference, true
	} else if _, err := tx.sql.ExecContext(ctx, correctTask, difference, job.TaskID); err != nil {
		return fmt.Errorf("correct the cost of task %s: %w", job.TaskID, err)
	}
	if _, err := tx.sql.ExecContext(ctx, correctDays, difference, job.ID); err != nil {
		return fmt.Errorf("correct the day's spending: %w", err)
	}
	return nil
}

// Charge is what a provider has told that an accepted call costs.
type Charge struct {
	JobID  int64
	Micros int64
}

const selectAccepted = "SELECT " + jobColumns + " FROM `provider_job` WHERE `task_id`=? AND `stage`=? AND `revision`=? AND `status`='accepted'"

// settlement is what a job has cost in the end. close says that it is what was held, so that the ledger's second entry may
// be written with those of others.
type settlement struct {
	jobID int64
	cost  int64
	kind  string
	close bool
}

// SettleJobs notes, with a run's end, what its accepted calls have cost: as charged, and otherwise as was expected.
func (tx *Tx) SettleJobs(ctx context.Context, run Run, charges []Charge) error {
	jobs, err := tx.acceptedJobs(ctx, run)
	if err != nil {
		return err
	}
	for _, job := range jobs {
		for _, charge := range charges {
			if charge.JobID == job.ID {
				job.Charged = sql.Null[int64]{V: charge.Micros, Valid: true}
			}
		}
		cost, kind := job.cost()
		exact := cost == job.PriceMicros
		tx.settled = append(tx.settled, settlement{job.ID, cost, kind, exact && cost != 0})
		if exact {
			continue
		}
		if err := tx.conclude(ctx, job, kind, cost); err != nil {
			return err
		}
	}
	return nil
}

// acceptedJobs returns the jobs of a run that a provider has accepted and that aren't settled.
func (tx *Tx) acceptedJobs(ctx context.Context, run Run) ([]Job, error) {
	if _, ok := tx.read[run.TaskID]; ok {
		return slices.DeleteFunc(slices.Clone(tx.accepted), func(j Job) bool { return j.Stage != run.Stage || j.Revision != run.Revision }), nil
	}
	var jobs []Job
	if err := tx.sql.SelectContext(ctx, &jobs, selectAccepted, run.TaskID, run.Stage, run.Revision); err != nil {
		return nil, fmt.Errorf("list the accepted jobs of %s of task %s: %w", run.Stage, run.TaskID, err)
	}
	return jobs, nil
}

const selectStatus = "SELECT `status` FROM `stage_run` WHERE `task_id`=? AND `stage`=? AND `revision`=?"

// SettleEnded settles what a run has ordered that was cancelled or superseded while its order was on its way: nobody
// else comes by it again. A run that goes on is left alone.
func (db *DB) SettleEnded(ctx context.Context, run Run) error {
	return db.InTx(ctx, func(tx *Tx) error {
		if _, err := tx.lockTask(ctx, run.TaskID); err != nil {
			return err
		}
		var status pipeline.Status
		if err := tx.sql.GetContext(ctx, &status, selectStatus, run.TaskID, run.Stage, run.Revision); err != nil {
			return fmt.Errorf("look at %s of task %s: %w", run.Stage, run.TaskID, one(err))
		}
		if !status.Final() {
			return nil
		}
		return tx.SettleJobs(ctx, run, nil)
	})
}

const chargeJob = "UPDATE `provider_job` SET `charged_micros`=? WHERE `id`=? AND `status`='accepted'"

// Charge notes what an accepted call costs whose result isn't the run's: nothing else would tell when the run is settled.
func (db *DB) Charge(ctx context.Context, charge Charge) error {
	if _, err := db.sql.ExecContext(ctx, chargeJob, charge.Micros, charge.JobID); err != nil {
		return fmt.Errorf("note the charge of job %d: %w", charge.JobID, err)
	}
	return nil
}

// cost returns what an accepted job has cost, and how sure that is.
func (j Job) cost() (micros int64, kind string) {
	if j.Charged.Valid {
		return j.Charged.V, "settle"
	}
	if j.Metered {
		return j.PriceMicros, "estimate"
	}
	return j.PriceMicros, "settle"
}

// Spent is a line of the ledger's sums.
type Spent struct {
	Key       string `db:"key"` // a day, provider, user or task
	Calls     int    `db:"calls"`
	Micros    int64  `db:"micros"`    // settled or still held
	Held      int64  `db:"held"`      // of it: not settled yet
	Estimated int64  `db:"estimated"` // of it: settled without the provider's word
}

// LedgerFilter narrows and groups the ledger.
type LedgerFilter struct {
	By       string // day | provider | user | task
	From, To time.Time
	UserUUID string
	TaskID   string
	Limit    int // 0 means 100
}

var ledgerKeys = map[string]string{"day": "`day`", "provider": "`provider`", "user": "`user_uuid`", "task": "`task_id`"}

// sumLedger adds up jobs first, since a hold counts as held only while nothing has closed it.
const sumLedger = "SELECT CAST(j.`key` AS CHAR) AS `key`, COUNT(*) AS `calls`, CAST(SUM(j.`micros`) AS SIGNED) AS `micros`," +
	" CAST(SUM(IF(j.`closed`=0, j.`micros`, 0)) AS SIGNED) AS `held`, CAST(SUM(IF(j.`estimated`>0, j.`micros`, 0)) AS SIGNED) AS `estimated`" +
	" FROM (SELECT KEY AS `key`, `job_id`, SUM(`micros`) AS `micros`, SUM(`kind`<>'hold') AS `closed`, SUM(`kind`='estimate') AS `estimated`," +
	" SUM(`kind`='release') AS `released` FROM `ledger_entry` WHERE `day` BETWEEN ? AND ? AND (?='' OR `user_uuid`=?) AND (?='' OR `task_id`=?)" +
	" GROUP BY KEY, `job_id`) j WHERE j.`released`=0 GROUP BY j.`key` ORDER BY j.`key` DESC LIMIT ?"

// SumLedger returns what was spent from a day to a day, both included, by day, provider, user or task; the newest keys
// first. Released holds don't count.
func (db *DB) SumLedger(ctx context.Context, f LedgerFilter) ([]Spent, error) {
	key, ok := ledgerKeys[f.By]
	if !ok {
		return nil, errors.New("the ledger is summed by day, provider, user or task")
	}
	limit := f.Limit
	if limit <= 0 {
		limit = 100
	}
	sums := []Spent{}
	err := db.sql.SelectContext(ctx, &sums, strings.ReplaceAll(sumLedger, "KEY", key), f.From.UTC().Format(time.DateOnly),
		f.To.UTC().Format(time.DateOnly), f.UserUUID, f.UserUUID, f.TaskID, f.TaskID, limit)
	if err != nil {
		return nil, fmt.Errorf("sum the ledger by %s: %w", f.By, err)
	}
	return sums, nil
}

func dollars(micros int64) string { return fmt.Sprintf("$%.4f", float64(micros)/1e6) }
