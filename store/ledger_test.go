package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"castad/events"
	"castad/internal/fault"
	"castad/internal/testkit"
	"castad/store"
)

func today(by string) store.LedgerFilter {
	now := time.Now()
	return store.LedgerFilter{By: by, From: now.AddDate(0, 0, -1), To: now.AddDate(0, 0, 1)}
}

// spent returns the ledger's one line.
func spent(t *testing.T, db *store.DB) store.Spent {
	t.Helper()
	sums, err := db.SumLedger(t.Context(), today("provider"))
	if err != nil || len(sums) > 1 {
		t.Fatalf("ledger: %+v, %v", sums, err)
	}
	if len(sums) == 0 {
		return store.Spent{}
	}
	return sums[0]
}

func cost(t *testing.T, db *store.DB, taskID string) int64 {
	t.Helper()
	task, err := db.LoadTask(t.Context(), taskID)
	if err != nil {
		t.Fatal(err)
	}
	return task.Cost
}

func settle(t *testing.T, db *store.DB, c store.Claim, charges ...store.Charge) {
	t.Helper()
	err := db.Complete(t.Context(), c, func(tx *store.Tx) error { return tx.SettleJobs(t.Context(), c.Run, charges) })
	if err != nil {
		t.Fatal(err)
	}
}

func TestLedger_HoldsThenSettles(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		metered bool
		charge  int64 // -1: not told
		want    store.Spent
	}{
		"fixed price":       {false, -1, store.Spent{Key: "suno", Calls: 1, Micros: 60_000}},
		"metered, told":     {true, 1_234, store.Spent{Key: "suno", Calls: 1, Micros: 1_234}},
		"metered, not told": {true, -1, store.Spent{Key: "suno", Calls: 1, Micros: 60_000, Estimated: 60_000}},
		"charged nothing":   {true, 0, store.Spent{Key: "suno", Calls: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, p := open(t), &till{}
			id := submit(t, db, submission())
			c := claim(t, db, id, events.Crawl)
			call := paid(p.accept)
			call.Metered = row.metered
			job, err := db.PayOnce(t.Context(), c, call)
			if err != nil {
				t.Fatal(err)
			}
			held := store.Spent{Key: "suno", Calls: 1, Micros: 60_000, Held: 60_000}
			if diff := cmp.Diff(held, spent(t, db)); diff != "" || cost(t, db, id) != 60_000 {
				t.Errorf("while it is made: cost %d (-want +got):\n%s", cost(t, db, id), diff)
			}
			var charges []store.Charge
			if row.charge >= 0 {
				charges = []store.Charge{{JobID: job.ID, Micros: row.charge}}
			}
			settle(t, db, c, charges...)
			if diff := cmp.Diff(row.want, spent(t, db)); diff != "" || cost(t, db, id) != row.want.Micros {
				t.Errorf("settled: cost %d (-want +got):\n%s", cost(t, db, id), diff)
			}
		})
	}
}

// A refused call costs nothing; one that the provider accepted and failed costs its price, and the next one too.
func TestLedger_RefusedAndBroken(t *testing.T) {
	t.Parallel()
	db, p := open(t), &till{}
	id := submit(t, db, submission())
	c := claim(t, db, id, events.Crawl)
	_, err := db.PayOnce(t.Context(), c, paid(func(context.Context, store.Job) (string, error) {
		return "", fault.Retry("suno_busy", errors.New("455"))
	}))
	if err == nil || cost(t, db, id) != 0 || spent(t, db) != (store.Spent{}) {
		t.Errorf("refused: cost %d, %+v, %v", cost(t, db, id), spent(t, db), err)
	}
	job, err := db.PayOnce(t.Context(), c, paid(p.accept))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second is a redelivery
		if err := db.Broken(t.Context(), job, "song_failed", errors.New("500")); err == nil {
			t.Error("a broken job is no fault")
		}
	}
	if _, err := db.PayOnce(t.Context(), c, paid(p.accept)); err != nil {
		t.Fatal(err)
	}
	want := store.Spent{Key: "suno", Calls: 2, Micros: 120_000, Held: 60_000}
	if diff := cmp.Diff(want, spent(t, db)); diff != "" || cost(t, db, id) != 120_000 {
		t.Errorf("cost %d (-want +got):\n%s", cost(t, db, id), diff)
	}
}

// A call of unknown outcome stays held until somebody knows; a run that is cancelled has to pay for what it ordered.
func TestLedger_UnknownAndCancelled(t *testing.T) {
	t.Parallel()
	db, p := open(t), &till{}
	id := submit(t, db, submission())
	c := claim(t, db, id, events.Crawl)
	_, _ = db.PayOnce(t.Context(), c, paid(p.lose))
	other := paid(p.accept)
	other.Purpose = "other"
	if _, err := db.PayOnce(t.Context(), c, other); err != nil {
		t.Fatal(err)
	}
	if err := db.Cancel(t.Context(), owner, id); err != nil {
		t.Fatal(err)
	}
	want := store.Spent{Key: "suno", Calls: 2, Micros: 120_000, Held: 60_000}
	if diff := cmp.Diff(want, spent(t, db)); diff != "" {
		t.Errorf("cancelled (-want +got):\n%s", diff)
	}
	jobs, err := db.UncertainJobs(t.Context())
	if err != nil || len(jobs) != 1 {
		t.Fatalf("uncertain: %v, %v", jobs, err)
	}
	if err := db.Decide(t.Context(), jobs[0].ID, ""); err != nil {
		t.Fatal(err)
	}
	want = store.Spent{Key: "suno", Calls: 1, Micros: 60_000}
	if diff := cmp.Diff(want, spent(t, db)); diff != "" || cost(t, db, id) != 60_000 {
		t.Errorf("decided: cost %d (-want +got):\n%s", cost(t, db, id), diff)
	}
}

func TestDecideToFail_GivesTheRunUp(t *testing.T) {
	t.Parallel()
	db, p := open(t), &till{}
	id := submit(t, db, submission())
	c := claim(t, db, id, events.Crawl)
	_, _ = db.PayOnce(t.Context(), c, paid(p.lose))
	jobs, err := db.UncertainJobs(t.Context())
	if err != nil || len(jobs) != 1 {
		t.Fatalf("uncertain: %v, %v", jobs, err)
	}
	if err := db.DecideToFail(t.Context(), jobs[0].ID); err != nil {
		t.Fatal(err)
	}
	letters, err := db.ListDead(t.Context(), store.DeadFilter{})
	if err != nil || len(letters) != 1 || letters[0].Cause != store.CodeCallGivenUp {
		t.Errorf("letters %+v, %v", letters, err)
	}
	want := store.Spent{Key: "suno", Calls: 1, Micros: 60_000, Estimated: 60_000}
	if diff := cmp.Diff(want, spent(t, db)); diff != "" {
		t.Errorf("ledger (-want +got):\n%s", diff)
	}
	if err := db.DecideToFail(t.Context(), jobs[0].ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("twice: %v", err)
	}
}

// 64 calls at once never go over a cap by a micro-dollar, whichever it is.
func TestCaps_HoldUnderConcurrentCalls(t *testing.T) {
	t.Parallel()
	const calls, price, room = 64, 60_000, 7
	limit := int64(room*price + price - 1)
	for name, row := range map[string]struct {
		caps store.Caps
		code string
		kind fault.Kind
	}{
		"task":     {store.Caps{Task: limit}, store.CodeTaskCap, fault.Permanent},
		"user day": {store.Caps{UserDay: limit}, store.CodeUserDayCap, fault.RateLimited},
		"day":      {store.Caps{Day: limit}, store.CodeDayCap, fault.RateLimited},
		"all":      {store.Caps{Task: 2 * limit, UserDay: 2 * limit, Day: limit}, store.CodeDayCap, fault.RateLimited},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, err := store.Open(store.Settings{DSN: testkit.Database(t), Caps: row.caps})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { db.Close() })
			p := &till{}
			claims := make([]store.Claim, calls)
			for i := range claims {
				if i == 0 || name != "task" {
					claims[i] = claim(t, db, submit(t, db, submission()), events.Crawl)
				} else {
					claims[i] = claims[0]
				}
			}
			var all sync.WaitGroup
			for i, c := range claims {
				all.Go(func() {
					call := paid(p.accept)
					call.Purpose = fmt.Sprintf("song-%d", i)
					_, err := db.PayOnce(context.Background(), c, call)
					if f := fault.Of(err); err != nil && (f.Code != row.code || f.Kind != row.kind) {
						t.Errorf("stopped by %v", err)
					}
				})
			}
			all.Wait()
			if got := p.paid.Load(); got != room {
				t.Errorf("%d calls of %d were made under a cap for %d", got, calls, room)
			}
			if got := spent(t, db); got.Micros != room*price {
				t.Errorf("the ledger has %d", got.Micros)
			}
		})
	}
}

// A cap that is set in the middle of a day counts what was spent before it, and what is given back makes room again.
func TestCaps_CountWhatWasSpentBefore(t *testing.T) {
	t.Parallel()
	dsn := testkit.Database(t)
	free, err := store.Open(store.Settings{DSN: dsn})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { free.Close() })
	p := &till{}
	first := claim(t, free, submit(t, free, submission()), events.Crawl)
	if _, err := free.PayOnce(t.Context(), first, paid(p.accept)); err != nil {
		t.Fatal(err)
	}
	capped, err := store.Open(store.Settings{DSN: dsn, Caps: store.Caps{Day: 100_000}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { capped.Close() })
	second := claim(t, capped, submit(t, capped, submission()), events.Crawl)
	if _, err := capped.PayOnce(t.Context(), second, paid(p.accept)); fault.Of(err).Code != store.CodeDayCap {
		t.Errorf("before anything is given back: %v", err)
	}
	job, err := free.FindJob(t.Context(), first.Run, "song")
	if err != nil {
		t.Fatal(err)
	}
	settle(t, free, first, store.Charge{JobID: job.ID, Micros: 10_000})
	if _, err := capped.PayOnce(t.Context(), second, paid(p.accept)); err != nil {
		t.Errorf("after %d was given back: %v", 50_000, err)
	}
}

// A run is cancelled while its call is on its way: the worker finds its lease gone, and settles what it has ordered.
func TestSettleEnded_AfterACancelInTheMiddleOfACall(t *testing.T) {
	t.Parallel()
	db, p := open(t), &till{}
	id := submit(t, db, submission())
	c := claim(t, db, id, events.Crawl)
	_, err := db.PayOnce(t.Context(), c, paid(func(ctx context.Context, job store.Job) (string, error) {
		if err := db.SettleEnded(ctx, c.Run); err != nil { // too early: nothing happens
			t.Error(err)
		}
		if err := db.Cancel(ctx, owner, id); err != nil {
			t.Error(err)
		}
		return p.accept(ctx, job)
	}))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := db.SettleEnded(t.Context(), c.Run); err != nil {
			t.Fatal(err)
		}
	}
	want := store.Spent{Key: "suno", Calls: 1, Micros: 60_000}
	if diff := cmp.Diff(want, spent(t, db)); diff != "" || cost(t, db, id) != 60_000 {
		t.Errorf("cost %d (-want +got):\n%s", cost(t, db, id), diff)
	}
}
