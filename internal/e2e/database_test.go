package e2e_test

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"testing"
	"time"

	"castad/internal/e2e"
	"castad/internal/testkit"
)

// moment is how long a fault lasts that has no event to wait for: longer than the lease of these tests.
const moment = 4 * time.Second

// The database ends, stands still, refuses to write or to be connected to, and its rows are locked by others.
func TestDatabase_Faults(t *testing.T) {
	t.Parallel()
	p := e2e.Start(t, e2e.Options{Env: slow, Database: true})
	p.Login()
	root := p.Admin(t)
	again := func(n int, end func()) func(l *e2e.Load) {
		return func(l *e2e.Load) {
			for range n {
				end()
				p.StartDatabase()
				l.Completes(2)
			}
		}
	}
	underLoad(t, p, []fault{
		{"kill -9 three times", again(3, p.KillDatabase)},
		{"SIGTERM three times", again(3, p.StopDatabase)},
		{"stands still", func(*e2e.Load) {
			p.PauseDatabase()
			<-time.After(moment)
			p.ContinueDatabase()
		}},
		{"read only", func(*e2e.Load) { readOnly(t, root) }},
		{"all connections killed", func(l *e2e.Load) {
			for range 3 {
				killConnections(t, root)
				l.Completes(1)
			}
		}},
		{"no connection free", func(*e2e.Load) { usedUp(t, p, root) }},
		{"rows locked longer than anybody waits", func(*e2e.Load) { lockRows(t, root) }},
		{"deadlocks", func(*e2e.Load) { deadlocks(t, root) }},
	})
}

func run(t *testing.T, db *sql.DB, statement string, args ...any) {
	t.Helper()
	if _, err := db.Exec(statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// readOnly lets nobody but root write for a while, as after a failover to a replica.
func readOnly(t *testing.T, root *sql.DB) {
	t.Helper()
	run(t, root, "REVOKE SUPER, READ_ONLY ADMIN ON *.* FROM castad@'127.0.0.1'")
	forbidWriting(t, root)
	<-time.After(moment)
	run(t, root, "SET GLOBAL read_only=0")
}

// forbidWriting makes the server read only. That waits for all statements under way, which may wait for a lock whose
// owner can't go on because of it: so it doesn't wait for long, and ends them.
func forbidWriting(t *testing.T, root *sql.DB) {
	t.Helper()
	impatient, err := root.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer impatient.Close()
	if _, err := impatient.ExecContext(t.Context(), "SET SESSION lock_wait_timeout=1"); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "the server is read only", func() bool {
		killConnections(t, root) // also because rights are looked at when a connection is made
		_, err := impatient.ExecContext(t.Context(), "SET GLOBAL read_only=1")
		return err == nil
	})
}

func killConnections(t *testing.T, root *sql.DB) {
	t.Helper()
	for _, id := range e2e.Read[int64](t, root, "SELECT ID FROM information_schema.PROCESSLIST WHERE USER='castad'") {
		_, _ = root.Exec(fmt.Sprintf("KILL %d", id)) // it may have ended by itself
	}
}

// usedUp takes all connections that the server has, and then the programs' ones too.
func usedUp(t *testing.T, p *e2e.Product, root *sql.DB) {
	t.Helper()
	run(t, root, "SET GLOBAL max_connections=60")
	defer run(t, root, "SET GLOBAL max_connections=300")
	greedy := p.Rows(t)
	ctx, cancel := context.WithTimeout(t.Context(), moment)
	defer cancel()
	killConnections(t, root)
	taken := 0
	for ctx.Err() == nil {
		if _, err := greedy.Conn(ctx); err == nil {
			taken++
		}
	}
	greedy.Close()
	t.Logf("%d of 60 connections were taken", taken)
	if taken == 0 {
		t.Error("none was taken from the programs")
	}
}

// lockRows holds the rows of all tasks for longer than a statement waits for a lock.
func lockRows(t *testing.T, root *sql.DB) {
	t.Helper()
	run(t, root, "SET GLOBAL innodb_lock_wait_timeout=1")
	defer run(t, root, "SET GLOBAL innodb_lock_wait_timeout=50")
	killConnections(t, root) // the setting is for connections to come
	var tx *sql.Tx
	testkit.Eventually(t, "all rows are locked", func() bool { // the programs may have some of them
		var err error
		if tx, err = root.Begin(); err != nil {
			return false
		}
		if _, err = tx.Exec("SELECT `task_id` FROM `task` WHERE `status` NOT IN ('completed','failed') FOR UPDATE"); err != nil {
			_ = tx.Rollback()
		}
		return err == nil
	})
	<-time.After(moment)
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	killConnections(t, root)
}

// deadlocks locks rows in the opposite order to the programs', until the database has had to decide between them.
func deadlocks(t *testing.T, root *sql.DB) {
	t.Helper()
	before := decided(t, root)
	ctx, stop := context.WithCancel(t.Context())
	var crew sync.WaitGroup
	for range 4 {
		crew.Go(func() {
			for ctx.Err() == nil {
				lockBackwards(ctx, root)
			}
		})
	}
	testkit.Eventually(t, "the database decides ten deadlocks", func() bool { return decided(t, root) >= before+10 })
	stop()
	crew.Wait()
}

func lockBackwards(ctx context.Context, root *sql.DB) {
	tx, err := root.BeginTx(ctx, nil)
	if err != nil {
		return
	}
	defer tx.Rollback() //nolint:errcheck // it may be the deadlock's victim already
	var task string
	if tx.QueryRowContext(ctx, "SELECT `task_id` FROM `stage_run` WHERE `status` IN ('processing','waiting') ORDER BY RAND() LIMIT 1 FOR UPDATE SKIP LOCKED").Scan(&task) != nil {
		return
	}
	<-time.After(20 * time.Millisecond)
	_ = tx.QueryRowContext(ctx, "SELECT `task_id` FROM `task` WHERE `task_id`=? FOR UPDATE", task).Scan(&task)
}

// decided returns how many deadlocks the server has ended.
func decided(t *testing.T, root *sql.DB) int {
	t.Helper()
	var name string
	var n int
	if err := root.QueryRow("SHOW GLOBAL STATUS LIKE 'Innodb_deadlocks'").Scan(&name, &n); err != nil {
		t.Fatal(err)
	}
	return n
}
