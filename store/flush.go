package store

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"castad/events"
)

// batch is a text of several statements with their values, for one round trip.
type batch struct {
	statements []string
	values     []any
}

func (b *batch) add(statement string, values ...any) {
	b.statements = append(b.statements, statement)
	b.values = append(b.values, values...)
}

func (b *batch) text() string { return strings.Join(b.statements, ";") }

// insert adds a statement that inserts rows, if there are values for any.
func (b *batch) insert(into, row string, values []any) {
	if n := len(values) / strings.Count(row, "?"); n > 0 {
		b.add(into+placeholders(row, n), values...)
	}
}

// gathered returns the statements that write what the parts of a transaction have gathered, for one round trip: new tasks
// and runs, changed ones, events. What changes alike is one statement, and its rows are in the order of their keys, so that two transactions meet in the
// same order and one waits for the other.
func gathered(parts []*Tx) batch {
	var b batch
	b.lockSeen(parts)
	b.saveBirths(parts)
	b.saveTasks(parts)
	b.insertRuns(parts)
	b.updateRuns(parts)
	b.planJobs(parts)
	b.sendJobs(parts)
	b.settleJobs(parts)
	b.saveEvents(parts)
	for _, tx := range parts {
		b.statements, b.values = append(b.statements, tx.last.statements...), append(b.values, tx.last.values...)
	}
	return b
}

// placeholders repeats those of a row, with commas between.
func placeholders(row string, n int) string { return strings.Repeat(row+",", n-1) + row }

// set is an assignment of an UPDATE, with the value of its placeholder.
type set struct {
	assignment string // "`column`=?"
	value      any    // comparable
}

// alike are rows that the same assignments change.
type alike struct {
	sets  []set
	where []any // what all rows have in common in their keys
	keys  []any // what tells them apart
}

// byChange groups rows by what changes them, in the order in which they come. There are few groups: what a process does to
// many tasks at a time is the same for most of them.
type byChange struct{ groups []*alike }

// add adds a row by its key: where it has something in common with others, and what it has for itself.
func (g *byChange) add(sets []set, key any, where ...any) {
	i := slices.IndexFunc(g.groups, func(a *alike) bool { return slices.Equal(a.sets, sets) && slices.Equal(a.where, where) })
	if i < 0 {
		i = len(g.groups)
		g.groups = append(g.groups, &alike{sets: sets, where: where})
	}
	g.groups[i].keys = append(g.groups[i].keys, key)
}

// update adds a statement for each group. where has the placeholders for what its rows have in common, and %s for the keys.
func (b *batch) update(table, where string, g byChange) {
	for _, group := range g.groups {
		var assignments []string
		for _, s := range group.sets {
			assignments = append(assignments, s.assignment)
			b.values = append(b.values, s.value)
		}
		b.values = append(b.values, group.where...)
		b.add("UPDATE "+table+" SET "+strings.Join(assignments, ",")+fmt.Sprintf(where, placeholders("?", len(group.keys))), group.keys...)
	}
}

// runKey is the primary key of stage_run.
type runKey struct {
	taskID   string
	stage    events.Stage
	revision int
}

// change has a run's row changed at the end of the transaction.
func (tx *Tx) change(run Run, sets ...set) {
	key := runKey{run.TaskID, run.Stage, run.Revision}
	tx.runs[key] = append(tx.runs[key], sets...)
}

// whereRuns isn't (task_id, stage, revision) IN (…), because MariaDB 10.11 reads the whole table for that in an UPDATE.
const whereRuns = " WHERE `stage`=? AND `revision`=? AND `task_id` IN (%s)"

func (b *batch) updateRuns(parts []*Tx) {
	type change struct {
		runKey
		sets []set
	}
	var all []change
	for _, tx := range parts {
		for key, sets := range tx.runs {
			all = append(all, change{key, sets})
		}
	}
	slices.SortFunc(all, func(x, y change) int {
		return cmp.Or(cmp.Compare(x.taskID, y.taskID), cmp.Compare(x.stage, y.stage), cmp.Compare(x.revision, y.revision))
	})
	var groups byChange
	for _, c := range all {
		groups.add(c.sets, c.taskID, c.stage, c.revision)
	}
	b.update("`stage_run`", ",`version`=`version`+1"+whereRuns, groups)
}

const (
	insertRuns = "INSERT INTO `stage_run` (`task_id`,`stage`,`revision`,`status`,`due_at`,`filings`,`edit`,`created_at`) VALUES "
	insertRun  = "(?,?,?,?,?,?,?,?)"
)

func (b *batch) insertRuns(parts []*Tx) {
	var values []any
	for _, tx := range parts {
		for _, r := range tx.made {
			values = append(values, r.TaskID, r.Stage, r.Revision, r.Status, r.DueAt, r.Filings, r.Edit, r.CreatedAt)
		}
	}
	b.insert(insertRuns, insertRun, values)
}

const lockSeen = "SELECT 1 FROM `task` WHERE `task_id` IN (%s) FOR UPDATE NOWAIT"

// lockSeen locks the tasks that were seen and not locked. Where somebody else has one, the transaction ends at once: the
// others aren't to wait for that.
func (b *batch) lockSeen(parts []*Tx) {
	var ids []any
	for _, tx := range parts {
		if tx.unlocked {
			for id := range tx.tasks {
				ids = append(ids, id)
			}
		}
	}
	if len(ids) > 0 {
		b.add(fmt.Sprintf(lockSeen, placeholders("?", len(ids))), ids...)
	}
}

func (b *batch) saveTasks(parts []*Tx) {
	var tasks []*Task
	for _, tx := range parts {
		for _, task := range tx.tasks {
			if task.dirty {
				tasks = append(tasks, task)
			}
		}
	}
	slices.SortFunc(tasks, func(x, y *Task) int { return cmp.Compare(x.ID, y.ID) })
	var groups byChange
	for _, t := range tasks {
		groups.add(t.changes(), t.ID)
	}
	b.update("`task`", " WHERE `task_id` IN (%s)", groups)
}

// changes are the assignments that bring a task's row from what it was when it was locked to what it is now.
func (t *Task) changes() []set {
	sets := []set{{"`updated_at`=?", t.now}}
	if n := t.EventSeq - t.was.seq; n > 0 {
		sets = append(sets, set{"`event_seq`=`event_seq`+?", n})
	}
	if t.Stage != t.was.stage {
		sets = append(sets, set{"`stage`=?", t.Stage})
	}
	if t.Status != t.was.status {
		sets = append(sets, set{"`status`=?", t.Status}, set{"`finished_at`=?", t.FinishedAt}, set{"`code`=?", t.Code}, set{"`reason`=?", cut(t.Reason, 1000)})
	}
	if t.Deleted != t.was.deleted {
		sets = append(sets, set{"`is_deleted`=?", t.Deleted})
	}
	if t.costs != 0 {
		sets = append(sets, set{"`cost_micros`=`cost_micros`+?", t.costs})
	}
	return sets
}

const (
	insertEvents = "INSERT INTO `task_event` (`event_id`,`task_id`,`seq`,`stage`,`what`,`revision`,`attempt`,`task_status`,`traceparent`,`at`,`unsent`"
	insertEvent  = "(?,?,?,?,?,?,?,?,?,?,1)"
	insertCause  = "(?,?,?,?,?,?,?,?,?,?,1,?,?)"
)

func (b *batch) saveEvents(parts []*Tx) {
	var plain, caused []any
	for _, tx := range parts {
		for _, e := range tx.events {
			// The status that the task has after the whole transaction: no watcher sees a state that never was committed.
			status := tx.tasks[e.TaskID].Status
			row := []any{e.EventID, e.TaskID, e.Seq, e.Stage, e.What, e.Revision, e.Attempt, status, e.Traceparent, e.At}
			if len(tx.events) == 1 && e.Code == "" && e.Reason == "" { // else their rows have to keep the order
				plain = append(plain, row...)
			} else {
				caused = append(append(caused, row...), e.Code, cut(e.Reason, 1000))
			}
		}
	}
	b.insert(insertEvents+") VALUES ", insertEvent, plain)
	b.insert(insertEvents+",`code`,`reason`) VALUES ", insertCause, caused)
}

const (
	insertJobs = "INSERT INTO `provider_job` (`task_id`,`stage`,`revision`,`purpose`,`try`,`provider`,`request`,`request_hash`," +
		"`token`,`status`,`handle`,`price_micros`,`metered`,`planned_at`) VALUES "
	insertJob = "(?,?,?,?,?,?,?,?,?,'planned',?,?,?,NOW(6))"
)

func (b *batch) planJobs(parts []*Tx) {
	var values []any
	for _, tx := range parts {
		for _, j := range tx.plans {
			sum := sha256.Sum256([]byte(j.Request))
			values = append(values, j.TaskID, j.Stage, j.Revision, j.Purpose, j.Try, j.Provider, j.Request, hex.EncodeToString(sum[:]),
				j.Token, j.Handle, j.PriceMicros, j.Metered)
		}
	}
	b.insert(insertJobs, insertJob, values)
}

const (
	insertHolds = "INSERT INTO `ledger_entry` (`job_id`,`closing`,`kind`,`task_id`,`user_uuid`,`provider`,`micros`,`day`,`at`) VALUES "
	insertHold  = "(?,0,'hold',?,?,?,?,CURRENT_DATE,NOW(6))"
	whereJobs   = " WHERE `id` IN (%s)"
)

// sendJobs writes jobs as sent, and what is held for them into the ledger.
func (b *batch) sendJobs(parts []*Tx) {
	var sent byChange
	var holds []any
	for _, tx := range parts {
		for _, j := range tx.sends {
			sent.add([]set{{"`status`=?", JobSent}, {"`handle`=?", j.Handle}, {"`sent_at`=?", tx.now}}, j.ID)
			if j.PriceMicros != 0 {
				holds = append(holds, j.ID, j.TaskID, tx.tasks[j.TaskID].UserUUID, j.Provider, j.PriceMicros)
			}
		}
	}
	b.update("`provider_job`", whereJobs, sent)
	b.insert(insertHolds, insertHold, holds)
}

// settleJobs writes what jobs have cost, and the second entries of those that have cost what was held.
func (b *batch) settleJobs(parts []*Tx) {
	var settled byChange
	closed := map[settlement][]any{} // the jobs of equal ones
	for _, tx := range parts {
		for _, s := range tx.settled {
			settled.add([]set{{"`status`=?", JobSettled}, {"`charged_micros`=?", s.cost}}, s.jobID)
			if s.close {
				alike := settlement{cost: s.cost, kind: s.kind}
				closed[alike] = append(closed[alike], s.jobID)
			}
		}
	}
	b.update("`provider_job`", whereJobs, settled)
	for s, ids := range closed {
		b.add(fmt.Sprintf(closeEntries+" IN (%s) AND `kind`='hold'", placeholders("?", len(ids))), append([]any{s.kind, s.cost}, ids...)...)
	}
}
