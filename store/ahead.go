package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"

	"castad/events"
)

const (
	lockWhole    = "SELECT " + taskColumns + " FROM `task` WHERE `task_id` IN (%s) FOR UPDATE" // for a claim, whose worker needs all of it
	lockCore     = "SELECT " + coreColumns + " FROM `task` WHERE `task_id` IN (%s) FOR UPDATE"
	skipLocked   = " SKIP LOCKED"           // who may share a transaction waits for nobody
	readClock    = "SELECT NOW(6) AS `now`" // after the locks: a lease begins when its claim could be made
	readRuns     = "SELECT " + stateColumns + " FROM `stage_run` WHERE `task_id` IN (%s) ORDER BY `task_id`,`stage`,`revision`"
	lockStages   = "SELECT " + stateColumns + " FROM `stage_run` WHERE (`task_id`,`stage`) IN (%s) ORDER BY `task_id`,`stage`,`revision` FOR UPDATE"
	lockPlanned  = "SELECT " + jobColumns + " FROM `provider_job` WHERE `token` IN (%s) AND `status`='planned' FOR UPDATE"
	readAccepted = "SELECT " + jobColumns + " FROM `provider_job` WHERE `task_id` IN (%s) AND `status`='accepted' ORDER BY `id`"
)

// ahead is what a share has read before it is done: its task, which is locked, with the newest runs of all stages and the
// accepted jobs; or where a stage is named, that stage's newest run alone, locked too. Who makes a task has nothing to
// read. Nor has who has seen it: the number of the next event, which can't be given twice, says whether anything has
// changed since. Of such a run no call may have been made.
type ahead struct {
	taskID string
	stage  events.Stage
	whole  bool   // all columns of the task, for a worker
	token  string // of a planned job, which is locked
	seen   *sight
}

// reading is a statement of readAhead: it reads rows by their keys, and take puts them where they belong.
type reading struct {
	statement string // with %s for the keys
	key       string // placeholders of one
	keys      []any
	take      func(rows *sqlx.Rows) error
}

// readAhead locks the tasks of all shares and reads what they need, in one round trip, and returns a part of the
// transaction for each share. Tasks that somebody else has locked are left out like those that aren't there, unless a
// share is alone: then they are waited for.
func (db *DB) readAhead(ctx context.Context, on *line, shares []*share, alone bool) ([]*Tx, error) {
	parts := make([]*Tx, len(shares))
	byTask := make(partOf, len(shares))
	var keys struct{ whole, core, stages, settles, tokens []any }
	for i, s := range shares {
		parts[i] = db.newTx(on)
		byTask[s.taskID] = parts[i]
		switch {
		case s.taskID == "":
			continue
		case s.seen != nil:
			task, runs := s.seen.again()
			parts[i].tasks[s.taskID], parts[i].read[s.taskID], parts[i].unlocked = task, runs, true
			continue
		case s.whole:
			keys.whole = append(keys.whole, s.taskID)
		default:
			keys.core = append(keys.core, s.taskID)
		}
		if s.stage == "" {
			keys.settles = append(keys.settles, s.taskID)
		} else {
			keys.stages = append(keys.stages, s.taskID, s.stage)
		}
		if s.token != "" {
			keys.tokens = append(keys.tokens, s.token)
		}
	}
	var now time.Time
	wait := skipLocked
	if alone {
		wait = ""
	}
	readings := []reading{
		{lockWhole + wait, "?", keys.whole, byTask.tasks((*Task).columns)},
		{lockCore + wait, "?", keys.core, byTask.tasks((*Task).core)},
		{readClock, "", nil, func(rows *sqlx.Rows) error { rows.Next(); return rows.Scan(&now) }},
		{lockStages, "(?,?)", keys.stages, byTask.runs},
		{readRuns, "?", keys.settles, byTask.runs},
		{lockPlanned, "?", keys.tokens, byTask.planned},
		{readAccepted, "?", keys.settles, byTask.accepted},
	}
	if slices.ContainsFunc(shares, func(s *share) bool { return s.seen == nil }) {
		if err := read(ctx, on, readings); err != nil {
			return nil, fmt.Errorf("lock %d tasks: %w", len(keys.whole)+len(keys.core), err)
		}
	} else {
		now = shares[0].seen.clock()
	}
	for _, tx := range parts {
		tx.now, tx.token = now, parts[0].token
		for _, task := range tx.tasks {
			task.locked(now)
		}
	}
	return parts, nil
}

// reader is a connection, or a pool of them.
type reader interface {
	QueryxContext(ctx context.Context, statement string, values ...any) (*sqlx.Rows, error)
}

// read runs all statements that have something to read in one round trip.
func read(ctx context.Context, on reader, readings []reading) error {
	var b batch
	var takes []func(*sqlx.Rows) error
	for _, r := range readings {
		statement := r.statement
		if r.key != "" {
			n := len(r.keys) / strings.Count(r.key, "?")
			if n == 0 {
				continue
			}
			statement = fmt.Sprintf(statement, placeholders(r.key, n))
		}
		b.add(statement, r.keys...)
		takes = append(takes, r.take)
	}
	found, err := on.QueryxContext(ctx, b.text(), b.values...)
	if err != nil {
		return err
	}
	defer func() { _ = found.Close() }() // what went wrong, found.Err says
	for i, take := range takes {
		if i > 0 && !found.NextResultSet() {
			return cmp.Or(found.Err(), errors.New("a statement has no result"))
		}
		if err := take(found); err != nil {
			return err
		}
	}
	return found.Err()
}

// partOf is a transaction's part by its task.
type partOf map[string]*Tx

// tasks takes rows that go where columns says.
func (p partOf) tasks(columns func(*Task) []any) func(*sqlx.Rows) error {
	return func(rows *sqlx.Rows) error {
		return scan(rows, columns, func(task *Task) { p[task.ID].tasks[task.ID] = task })
	}
}

func (p partOf) accepted(rows *sqlx.Rows) error {
	return each(rows, func(job *Job) { tx := p[job.TaskID]; tx.accepted = append(tx.accepted, *job) })
}

func (p partOf) planned(rows *sqlx.Rows) error {
	return each(rows, func(job *Job) { p[job.TaskID].planned = job })
}

// runs keeps the newest of each stage.
func (p partOf) runs(rows *sqlx.Rows) error {
	all := map[string][]Run{}
	err := scan(rows, (*Run).state, func(run *Run) { all[run.TaskID] = append(all[run.TaskID], *run) })
	for taskID, runs := range all {
		p[taskID].read[taskID] = newest(runs)
	}
	return err
}

// each reads all rows of one result. sqlx remembers the columns of the first one, so each gets a scanner of its own.
func each[T any](found *sqlx.Rows, take func(row *T)) error {
	rows := sqlx.Rows{Rows: found.Rows, Mapper: found.Mapper}
	for rows.Next() {
		row := new(T)
		if err := rows.StructScan(row); err != nil {
			return err
		}
		take(row)
	}
	return rows.Err()
}

// scan is each for rows that are read often: columns says where theirs go, which sqlx would look up anew for every row.
func scan[T any](found *sqlx.Rows, columns func(row *T) []any, take func(row *T)) error {
	for found.Next() {
		row := new(T)
		if err := found.Scan(columns(row)...); err != nil {
			return err
		}
		take(row)
	}
	return found.Err()
}
