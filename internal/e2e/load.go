package e2e

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"castad/internal/testkit"
)

// Load keeps tasks coming while something is done to the product, and remembers how long it stood still at most.
type Load struct {
	t      testing.TB
	p      *Product
	name   string
	order  func(n int) string
	flight int
	rows   *sql.DB
	client *http.Client
	watch  *Watch

	enough    context.CancelFunc // ends the submitting
	over      context.CancelFunc // ends the counting
	submitter sync.WaitGroup
	counter   sync.WaitGroup // and an operator

	mu        sync.Mutex
	ids       []string // accepted
	completed int      // of them
	last      time.Time
	accepting time.Duration // the longest that one submission took
	finishing time.Duration // the longest between two completions
}

const (
	submitTimeout = 10 * time.Second
	submitRest    = 50 * time.Millisecond
	countEvery    = 50 * time.Millisecond
	watched       = 6 // tasks of a load whose events are followed
	long          = time.Minute
)

// Load begins to submit tasks under idempotency keys that begin with name, and keeps flight of them in flight until
// Finish. order makes the nth submission's body.
func (p *Product) Load(t testing.TB, name string, flight int, order func(n int) string) *Load {
	t.Helper()
	l := &Load{t: t, p: p, name: name, order: order, flight: flight, rows: p.Rows(t), client: &http.Client{Timeout: submitTimeout}, watch: p.Watch()}
	submitting, enough := context.WithCancel(context.Background())
	counting, over := context.WithCancel(context.Background())
	l.enough, l.over = enough, over
	slots := make(chan struct{}, flight)
	l.submitter.Go(func() { l.submit(submitting, counting, slots) })
	l.counter.Go(func() { l.count(counting, slots) })
	l.counter.Go(func() { p.operate(counting) })
	t.Cleanup(l.end)
	return l
}

// Rows connects to the product's database, past all programs.
func (p *Product) Rows(t testing.TB) *sql.DB {
	t.Helper()
	return connect(t, p.env["CASTAD_MYSQL_DSN"], func(cfg *mysql.Config) { cfg.Timeout, cfg.ReadTimeout = 2*time.Second, 5*time.Second })
}

// submit takes a slot for each task; count frees it when a task is completed.
func (l *Load) submit(submitting, alive context.Context, slots chan struct{}) {
	for n := 0; ; n++ {
		select {
		case slots <- struct{}{}:
		case <-submitting.Done():
			return
		}
		begun := time.Now()
		id := l.accepted(alive, fmt.Sprintf("%s-%d", l.name, n), l.order(n))
		if id == "" {
			return
		}
		l.mu.Lock()
		l.ids = append(l.ids, id)
		l.accepting = max(l.accepting, time.Since(begun))
		l.mu.Unlock()
		if n < watched {
			l.watch.Task(id)
		}
	}
}

func (l *Load) end() {
	l.enough()
	l.over()
	l.submitter.Wait()
	l.counter.Wait()
	l.watch.Close()
}

// accepted posts one task until it is accepted, also when no more are wanted: one whose answer was lost is known by its
// key alone. It returns "" when the test has ended.
func (l *Load) accepted(alive context.Context, key, body string) string {
	for alive.Err() == nil {
		var task struct {
			TaskID string `json:"task_id"`
		}
		req, err := http.NewRequestWithContext(alive, http.MethodPost, l.p.api()+"/tasks", strings.NewReader(body))
		if err != nil {
			l.t.Errorf("submission %s: %v", key, err)
			return ""
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+l.p.token)
		req.Header.Set("Idempotency-Key", key)
		resp, err := l.client.Do(req)
		if err == nil {
			decoded := json.NewDecoder(resp.Body).Decode(&task)
			resp.Body.Close()
			if resp.StatusCode < 300 && decoded == nil {
				return task.TaskID
			}
		}
		<-time.After(submitRest)
	}
	return ""
}

// A task that fails ends its load at Finish, and only Settle tolerates it.
const countEnded = "SELECT COUNT(*) FROM `task` WHERE `status` IN ('completed','failed') AND `task_id` IN (SELECT `task_id` FROM `idempotency_key` WHERE `idempotency_key` LIKE ?)"

func (l *Load) count(counting context.Context, slots chan struct{}) {
	tick := time.NewTicker(countEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-counting.Done():
			return
		}
		var n int
		if l.rows.QueryRowContext(counting, countEnded, l.name+"-%").Scan(&n) != nil {
			continue
		}
		l.mu.Lock()
		for ; l.completed < n; l.completed++ {
			if now := time.Now(); l.last.IsZero() {
				l.last = now
			} else {
				l.finishing, l.last = max(l.finishing, now.Sub(l.last)), now
			}
			<-slots
		}
		l.mu.Unlock()
	}
}

// Completes waits until n more tasks than now are completed.
func (l *Load) Completes(n int) {
	l.t.Helper()
	goal := l.done() + n
	testkit.Within(l.t, patience, fmt.Sprintf("%d tasks of %s are completed", goal, l.name), func() bool { return l.done() >= goal })
}

func (l *Load) done() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.completed
}

// Flight returns how many tasks are in flight at most.
func (l *Load) Flight() uint64 { return uint64(l.flight) }

// Settle ends the submitting, waits until all tasks are completed or failed, and returns how many there are and how many
// of them failed. It checks nothing: it is for programs that lack a guard.
func (l *Load) Settle() (tasks, failed int) {
	l.t.Helper()
	l.enough()
	l.submitter.Wait()
	testkit.Within(l.t, patience, "all tasks have ended", func() bool { return l.done() == len(l.ids) })
	l.over()
	l.counter.Wait()
	for _, row := range Read[struct{ Failed int }](l.t, l.rows, "SELECT COUNT(*) AS `failed` FROM `task` WHERE `status`='failed'") {
		failed = row.Failed
	}
	return len(l.ids), failed
}

// Finish ends the submitting, waits until all tasks are completed, and checks what must be true of them whatever has
// happened.
func (l *Load) Finish() {
	l.t.Helper()
	l.enough()
	l.submitter.Wait()
	ids := slices.Clone(l.ids)
	l.p.Completed(ids...)
	testkit.Eventually(l.t, "all are counted", func() bool { return l.done() == len(ids) })
	l.over()
	l.counter.Wait()
	l.t.Logf("%d tasks; a submission took %s at most, a task %s, and %s passed at most without one completed", len(ids),
		l.accepting.Round(time.Millisecond), l.slowest().Round(time.Millisecond), l.finishing.Round(time.Millisecond))
	l.p.Invariants(l.t, ids, l.watch)
	l.watch.Close()
}

const slowestTask = "SELECT `task_id`, TIMESTAMPDIFF(MICROSECOND, `created_at`, `finished_at`) AS `took` FROM `task` WHERE `task_id` IN" +
	" (SELECT `task_id` FROM `idempotency_key` WHERE `idempotency_key` LIKE ?) ORDER BY `took` DESC LIMIT 1"

// slowest returns how long the slowest task took, and tells its story where that was long.
func (l *Load) slowest() time.Duration {
	l.t.Helper()
	var id string
	var micros int64
	if err := l.rows.QueryRow(slowestTask, l.name+"-%").Scan(&id, &micros); err != nil {
		l.t.Errorf("ask for the slowest task: %v", err)
	}
	took := time.Duration(micros) * time.Microsecond
	if took > long {
		l.t.Logf("the slowest task, %s:%s", id, story(l.t, l.rows, id))
	}
	return took
}
