package store

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jmoiron/sqlx"

	"castad/events"
	"castad/internal/crash"
	"castad/internal/group"
	"castad/internal/pipeline"
)

// Begin is Claim for a worker that starts at once. A run that nobody has touched, and that was filed only once, is looked
// at and no more: its claim is written by Claim.Stand, by the first paid call, or with the outcome, whichever comes first,
// so that work which takes no time is one transaction and not two (docs/adr/0006). All other runs are claimed as by Claim.
func (db *DB) Begin(ctx context.Context, taskID string, stage events.Stage, owner string, lease time.Duration, limit int) (Claim, Answer, error) {
	seen, err := db.looks.at(ctx, taskID)
	if err != nil {
		return Claim{}, Idle, err
	}
	run, ok := find(seen.runs, stage)
	if !ok || seen.task == nil || !run.untouched() || run.Filings > filedAtOnce || limit < 1 {
		return db.Claim(ctx, taskID, stage, owner, lease, limit)
	}
	run.Status, run.Attempt = pipeline.Processing, 1
	return Claim{Run: run, Task: *seen.task, Token: seen.token, First: true,
		early: &early{together: &db.together, seen: &seen, owner: owner, lease: lease}}, Claimed, nil
}

// untouched reports whether a run is wanted and nobody has begun it.
func (r Run) untouched() bool {
	return r.Status == pipeline.Pending && r.DueAt.Valid && r.Attempt == 0 && !r.StartedAt.Valid && !r.LeaseToken.Valid
}

// early is a claim that may not be written yet.
type early struct {
	together *together
	seen     *sight
	owner    string
	lease    time.Duration
	written  atomic.Bool
}

// unwritten returns what was seen when the claim was begun, unless it has been written since.
func (e *early) unwritten() *sight {
	if e == nil || e.written.Load() {
		return nil
	}
	return e.seen
}

// Stand writes a claim that isn't written yet; after it the run is the worker's until its lease ends. It may be called at
// any time, and more than once. Errors: ErrLeaseLost when somebody else has the run, or it isn't wanted any more.
func (c Claim) Stand(ctx context.Context) error {
	if c.early == nil || c.early.written.Load() {
		return nil
	}
	err := c.early.together.do(ctx, ahead{taskID: c.TaskID, stage: c.Stage}, func(tx *Tx) error {
		_, err := tx.stands(ctx, c)
		return err
	})
	if err == nil {
		c.stood()
	}
	return err
}

// stood notes that the claim is written.
func (c Claim) stood() {
	if c.early != nil && !c.early.written.Swap(true) {
		crash.At(string(c.Stage), "after_claim", "")
	}
}

// stands checks that a claim stands and its lease hasn't run out, and keeps it so for this transaction, which has locked
// the run; a claim that isn't written yet is written now. Errors: ErrLeaseLost.
func (tx *Tx) stands(ctx context.Context, c Claim) (*Task, error) {
	task, err := tx.lockTask(ctx, c.TaskID)
	if err != nil {
		return nil, err
	}
	run, ok := find(tx.read[c.TaskID], c.Stage)
	switch {
	case ok && c.fences(run) && run.Status.Active() && run.LeaseUntil.V.After(task.now):
		return task, nil
	case ok && c.early != nil && run.Revision == c.Revision && run.untouched():
		tx.take(task, c, c.early.owner, c.early.lease)
		return task, nil
	}
	return nil, fmt.Errorf("%s of task %s: %w", c.Stage, c.TaskID, ErrLeaseLost)
}

// fences reports whether a run is in the hands of this claim.
func (c Claim) fences(run Run) bool {
	return run.Revision == c.Revision && run.LeaseToken.Valid && run.LeaseToken.V == c.Token
}

// looks reads what several workers want to see at the same moment in one round trip, and locks nothing.
type looks struct {
	db    *DB
	group group.Group[*look]
}

// look is a task that is to be looked at.
type look struct {
	taskID string
	seen   chan sight
}

// sight is what was seen of a task: its row, and the newest runs of all stages.
type sight struct {
	task  *Task
	runs  []Run
	when  time.Time // by this process's clock; the database's is in the task
	token string    // for the claim; all who looked at the same moment have the same
	err   error
}

// clock returns what the database's clock says now, as far as this process can tell.
func (s *sight) clock() time.Time { return s.task.now.Add(time.Since(s.when)) }

// again returns the task and its runs as they were seen, for another try to change them.
func (s *sight) again() (*Task, []Run) {
	task := *s.task
	return &task, slices.Clone(s.runs)
}

func (l *looks) open(db *DB) {
	l.db = db
	l.group = group.Group[*look]{Lanes: mostLooks, Most: mostTasks, Fits: unlike, Do: l.read}
}

// mostLooks are as many as a small database reads beside one transaction.
const mostLooks = 1

// unlike keeps two looks at one task apart: they would get the same token for one run.
func unlike(looks []*look, l *look) bool {
	return !slices.ContainsFunc(looks, func(other *look) bool { return other.taskID == l.taskID })
}

// at looks at a task and its newest runs. Of a task that isn't there it sees nothing.
func (l *looks) at(ctx context.Context, taskID string) (sight, error) {
	wanted := &look{taskID: taskID, seen: make(chan sight, 1)}
	l.group.Add(wanted)
	select {
	case seen := <-wanted.seen:
		return seen, seen.err
	case <-ctx.Done():
		return sight{}, ctx.Err()
	}
}

const (
	lookAtTasks = "SELECT " + taskColumns + ", NOW(6) FROM `task` WHERE `task_id` IN (%s)"
	lookAtRuns  = "SELECT " + stateColumns + " FROM `stage_run` WHERE `task_id` IN (%s) ORDER BY `task_id`,`stage`,`revision`"
	lookTime    = 30 * time.Second // of a database that is away, or paused
)

func (l *looks) read(wanted []*look) {
	ctx, cancel := context.WithTimeout(context.Background(), lookTime)
	defer cancel()
	seen := make(map[string]*sight, len(wanted))
	token := newID()
	var keys []any
	for _, w := range wanted {
		seen[w.taskID] = &sight{token: token}
		keys = append(keys, w.taskID)
	}
	err := read(ctx, l.db.sql, []reading{
		{lookAtTasks, "?", keys, func(rows *sqlx.Rows) error {
			return scan(rows, func(t *Task) []any { return append(t.columns(), &t.now) }, func(t *Task) { seen[t.ID].task, seen[t.ID].when = t, time.Now() })
		}},
		{lookAtRuns, "?", keys, func(rows *sqlx.Rows) error {
			return scan(rows, (*Run).state, func(r *Run) { seen[r.TaskID].runs = append(seen[r.TaskID].runs, *r) })
		}},
	})
	for _, w := range wanted {
		s := *seen[w.taskID]
		s.runs = newest(s.runs)
		if err != nil {
			s.err = fmt.Errorf("look at task %s: %w", w.taskID, err)
		}
		w.seen <- s
	}
}
