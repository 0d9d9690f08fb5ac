package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"castad/events"
	"castad/internal/pipeline"
	"castad/internal/testkit"
	"castad/store"
)

// crawling makes tasks whose crawl is claimed.
func crawling(t *testing.T, db *store.DB, n int) []store.Claim {
	t.Helper()
	return taken(t, db, n, db.Claim)
}

// take is store.DB's Claim or Begin.
type take func(ctx context.Context, taskID string, stage events.Stage, owner string, lease time.Duration, limit int) (store.Claim, store.Answer, error)

func taken(t *testing.T, db *store.DB, n int, by take) []store.Claim {
	t.Helper()
	claims := make([]store.Claim, n)
	var all sync.WaitGroup
	for i := range claims {
		all.Go(func() {
			id, _, err := db.Submit(context.Background(), submission())
			if err == nil {
				claims[i], _, err = by(context.Background(), id, events.Crawl, "test", lease, limit)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	return claims
}

func saved(*store.Tx) error { return nil }

// Somebody has locked one task, as a person at the database may: the others are done all the same, and that one when it
// is free.
func TestTogether_LockedTaskDelaysNobody(t *testing.T) {
	t.Parallel()
	for name, by := range map[string]func(db *store.DB) take{
		"claimed": func(db *store.DB) take { return db.Claim },
		"begun":   func(db *store.DB) take { return db.Begin },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lockedTaskDelaysNobody(t, by)
		})
	}
}

func lockedTaskDelaysNobody(t *testing.T, by func(db *store.DB) take) {
	dsn := testkit.Database(t)
	db, err := store.Open(store.Settings{DSN: dsn})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	claims := taken(t, db, 20, by(db))
	other, err := sql.Open("mysql", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	locked, err := other.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer locked.Rollback() //nolint:errcheck // a no-op after the commit
	var id string
	if err := locked.QueryRow("SELECT `task_id` FROM `task` WHERE `task_id`=? FOR UPDATE", claims[0].TaskID).Scan(&id); err != nil {
		t.Fatal(err)
	}
	late := make(chan error, 1)
	go func() { late <- db.Complete(context.Background(), claims[0], saved) }()
	var all sync.WaitGroup
	for _, c := range claims[1:] {
		all.Go(func() {
			if err := db.Complete(context.Background(), c, saved); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	select {
	case err := <-late:
		t.Errorf("a locked task was changed: %v", err)
	default:
	}
	if err := locked.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := <-late; err != nil {
		t.Error(err)
	}
}

// Whatever goes wrong with one task, before or after it has written something, is that task's alone.
func TestTogether_FailureIsOnesOwn(t *testing.T) {
	t.Parallel()
	db := open(t)
	claims := crawling(t, db, 60)
	refused := errors.New("it doesn't want to be saved")
	var all sync.WaitGroup
	for i, c := range claims {
		all.Go(func() {
			ctx := context.Background()
			err := db.Complete(ctx, c, func(tx *store.Tx) error {
				if i%3 == 0 {
					return nil
				}
				if err := tx.SaveProject(ctx, store.Project{TaskID: c.TaskID, UserUUID: owner, StoreName: fmt.Sprint("place ", i)}); err != nil {
					return err
				}
				if i%3 == 1 {
					return refused
				}
				return nil
			})
			if want := map[bool]error{true: refused, false: nil}[i%3 == 1]; !errors.Is(err, want) {
				t.Errorf("task %d: %v", i, err)
			}
			if err := db.Complete(ctx, store.Claim{Run: c.Run, Token: "another"}, saved); !errors.Is(err, store.ErrLeaseLost) {
				t.Errorf("task %d with another's token: %v", i, err)
			}
		})
	}
	all.Wait()
	for i, c := range claims {
		_, err := db.LoadProject(t.Context(), c.TaskID)
		if has := err == nil; has != (i%3 == 2) {
			t.Errorf("task %d has a place: %v, %v", i, has, err)
		}
		runs, err := db.LoadRuns(t.Context(), c.TaskID)
		want := map[bool]pipeline.Status{true: pipeline.Processing, false: pipeline.Completed}[i%3 == 1]
		if err != nil || runs[0].Status != want {
			t.Errorf("task %d: %s, %v", i, runs[0].Status, err)
		}
	}
}

// A caller who doesn't wait any longer is told so, and the others go on.
func TestTogether_CallerMayLeave(t *testing.T) {
	t.Parallel()
	db := open(t)
	claims := crawling(t, db, 10)
	gone, leave := context.WithCancel(t.Context())
	leave()
	var all sync.WaitGroup
	for i, c := range claims {
		all.Go(func() {
			if i%2 == 0 {
				if _, _, err := db.Claim(gone, c.TaskID, events.Crawl, "test", lease, limit); err != nil && !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			}
			if err := db.Complete(context.Background(), c, saved); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}
