package store_test

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"castad/events"
	"castad/internal/testkit"
	"castad/store"
)

// at opens a database for which it is that time; this process's clock shows another one.
func at(t *testing.T, dsn string, now time.Time) *store.DB {
	t.Helper()
	cfg, err := mysql.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Params = map[string]string{"timestamp": strconv.FormatInt(now.Unix(), 10)}
	db, err := store.Open(store.Settings{DSN: cfg.FormatDSN()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// A worker's clock may be wrong by minutes, both ways: leases and due times go by the database's clock alone. Here it is
// the database's that is moved.
func TestLease_GoesByTheDatabasesClock(t *testing.T) {
	t.Parallel()
	for name, wrong := range map[string]time.Duration{"behind": -10 * time.Minute, "ahead": 10 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn, begin := testkit.Database(t), time.Now().Add(wrong)
			after := func(d time.Duration) *store.DB { return at(t, dsn, begin.Add(d)) }
			id := submit(t, after(0), submission())
			if due, err := after(-time.Second).DueRuns(t.Context(), 10); err != nil || len(due) != 0 {
				t.Errorf("before its time there is due: %v, %v", due, err)
			}
			if due, err := after(0).DueRuns(t.Context(), 10); err != nil || len(due) != 1 {
				t.Errorf("at its time there is due: %v, %v", due, err)
			}
			first := claim(t, after(0), id, events.Crawl)
			busy := func(d time.Duration) {
				t.Helper()
				if _, answer, err := after(d).Claim(t.Context(), id, events.Crawl, "other", lease, limit); err != nil || answer != store.Busy {
					t.Errorf("a second claim after %s: answer %d, %v", d, answer, err)
				}
			}
			busy(lease - time.Second)
			if err := after(lease/2).Extend(t.Context(), first, lease); err != nil {
				t.Fatal(err)
			}
			busy(lease + lease/2 - time.Second)
			second := claim(t, after(lease+lease/2), id, events.Crawl)
			if err := after(0).Complete(t.Context(), first, nothing); !errors.Is(err, store.ErrLeaseLost) {
				t.Errorf("who has lost the lease saves: %v", err)
			}
			if err := after(0).Complete(t.Context(), second, nothing); err != nil {
				t.Errorf("who has the lease doesn't save: %v", err)
			}
		})
	}
}

// A worker that was paused may not pay when its lease has run out, though nobody has taken the run yet: somebody may at any
// moment.
func TestPayOnce_WithALeaseThatRanOutNothingIsPaid(t *testing.T) {
	t.Parallel()
	dsn, begin, p := testkit.Database(t), time.Now(), &till{}
	first := at(t, dsn, begin)
	c := claim(t, first, submit(t, first, submission()), events.Crawl)
	if _, err := at(t, dsn, begin.Add(lease+time.Second)).PayOnce(t.Context(), c, paid(p.accept)); !errors.Is(err, store.ErrLeaseLost) || p.paid.Load() != 0 {
		t.Errorf("after the lease: %v, paid %d", err, p.paid.Load())
	}
	if _, err := at(t, dsn, begin.Add(lease-time.Second)).PayOnce(t.Context(), c, paid(p.accept)); err != nil || p.paid.Load() != 1 {
		t.Errorf("within the lease: %v, paid %d", err, p.paid.Load())
	}
}
