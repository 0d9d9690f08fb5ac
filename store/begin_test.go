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
	"castad/internal/pipeline"
	"castad/store"
)

func begin(t *testing.T, db *store.DB, taskID string, stage events.Stage) store.Claim {
	t.Helper()
	c, answer, err := db.Begin(t.Context(), taskID, stage, "test", lease, limit)
	if err != nil || answer != store.Claimed {
		t.Fatalf("begin %s: answer %d, %v", stage, answer, err)
	}
	return c
}

func run(t *testing.T, db *store.DB, taskID string, stage events.Stage) store.Run {
	t.Helper()
	runs, err := db.LoadRuns(t.Context(), taskID)
	if err != nil {
		t.Fatal(err)
	}
	return runs[stage.Index()]
}

func TestBegin_IsWrittenWithTheResult(t *testing.T) {
	t.Parallel()
	db := open(t)
	id := submit(t, db, submission())
	for _, stage := range events.Stages {
		c := begin(t, db, id, stage)
		if r := run(t, db, id, stage); r.Status != pipeline.Pending || r.Attempt != 0 {
			t.Fatalf("%s is %s at attempt %d, with nothing done yet", stage, r.Status, r.Attempt)
		}
		if err := db.Complete(t.Context(), c, nothing); err != nil {
			t.Fatal(err)
		}
		r := run(t, db, id, stage)
		if r.Status != pipeline.Completed || r.Attempt != 1 || !r.StartedAt.Valid || r.Owner != "test" || r.DueAt.Valid {
			t.Errorf("%s: %+v", stage, r)
		}
	}
	want := []string{"task.submitted", "crawl.completed", "task.processing", "intel.completed", "lyric.completed",
		"song.completed", "video.completed", "upload.completed", "task.completed"}
	if diff := cmp.Diff(want, ordered(t, db, id)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// Work of many tasks is begun, and then some of them are changed by others: those alone can't be settled, and the
// others don't notice.
func TestBegin_OthersChangesAreSeen(t *testing.T) {
	t.Parallel()
	db := open(t)
	spoil := map[string]func(id string) error{
		"cancelled":  func(id string) error { return db.Cancel(t.Context(), owner, id) },
		"claimed":    func(id string) error { claim(t, db, id, events.Crawl); return nil },
		"completed":  func(id string) error { complete(t, db, id, events.Crawl); return nil },
		"superseded": func(id string) error { _, err := db.Rerun(t.Context(), owner, id, events.Crawl, nil); return err },
		"deleted":    func(id string) error { return db.Delete(t.Context(), owner, id) },
	}
	var claims []store.Claim
	want := map[string]bool{} // by task: whether it may still be settled
	for range 8 {
		id := submit(t, db, submission())
		claims, want[id] = append(claims, begin(t, db, id, events.Crawl)), true
	}
	for name, do := range spoil {
		id := submit(t, db, submission())
		claims, want[id] = append(claims, begin(t, db, id, events.Crawl)), false
		if err := do(id); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	var all sync.WaitGroup
	for _, c := range claims {
		all.Go(func() {
			err := db.Complete(context.Background(), c, nothing)
			if ok := want[c.TaskID]; ok && err != nil || !ok && !errors.Is(err, store.ErrLeaseLost) {
				t.Errorf("complete a run that may be settled: %v: %v", ok, err)
			}
		})
	}
	all.Wait()
	for id := range want {
		ordered(t, db, id)
	}
}

// Two programs have begun the same run: one of them settles it, whatever the two do.
func TestBegin_OneOfTwoWins(t *testing.T) {
	t.Parallel()
	db := open(t)
	for i := range 20 {
		id := submit(t, db, submission())
		c, d := begin(t, db, id, events.Crawl), begin(t, db, id, events.Crawl)
		if c.Token == d.Token {
			t.Fatal("two claims of a run have the same token")
		}
		results := make([]error, 2)
		var both sync.WaitGroup
		both.Go(func() { results[0] = db.Complete(context.Background(), c, nothing) })
		both.Go(func() {
			if results[1] = d.Stand(context.Background()); results[1] == nil && i%2 == 0 {
				results[1] = db.Fail(context.Background(), d, pipeline.Verdict{Status: pipeline.Pending}, fault.Of(errors.New("…")), store.Origin{})
			}
		})
		both.Wait()
		if won := count(results, nil); won != 1 || count(results, store.ErrLeaseLost) != 1 {
			t.Errorf("both have %v", results)
		}
		ordered(t, db, id)
	}
}

func count(errs []error, target error) int {
	n := 0
	for _, err := range errs {
		if errors.Is(err, target) {
			n++
		}
	}
	return n
}

func TestStand_IsWrittenOnce(t *testing.T) {
	t.Parallel()
	db := open(t)
	id := submit(t, db, submission())
	c := begin(t, db, id, events.Crawl)
	for range 2 {
		if err := c.Stand(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	r := run(t, db, id, events.Crawl)
	if r.Status != pipeline.Processing || r.Attempt != 1 || r.LeaseToken.V != c.Token || !r.LeaseUntil.Valid {
		t.Errorf("%+v", r)
	}
	if _, answer, err := db.Begin(t.Context(), id, events.Crawl, "other", lease, limit); err != nil || answer != store.Busy {
		t.Errorf("another's look says %d, %v", answer, err)
	}
	if err := db.Extend(t.Context(), c, lease); err != nil {
		t.Error(err)
	}
	if err := db.Complete(t.Context(), c, nothing); err != nil {
		t.Error(err)
	}
	want := []string{"task.submitted", "task.processing", "crawl.processing", "crawl.completed"}
	if diff := cmp.Diff(want, ordered(t, db, id)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// Whoever has begun a run that another has claimed meanwhile doesn't pay.
func TestBegin_PaysOnlyWithItsClaim(t *testing.T) {
	t.Parallel()
	db := open(t)
	id := submit(t, db, submission())
	first, second := begin(t, db, id, events.Crawl), begin(t, db, id, events.Crawl)
	calls := &till{}
	pay := paid(func(ctx context.Context, job store.Job) (string, error) {
		if r := run(t, db, id, events.Crawl); r.LeaseToken.V != first.Token {
			t.Errorf("at the call the run is %+v", r)
		}
		return calls.accept(ctx, job)
	})
	if _, err := db.PayOnce(t.Context(), first, pay); err != nil {
		t.Fatal(err)
	}
	if _, err := db.PayOnce(t.Context(), second, pay); !errors.Is(err, store.ErrLeaseLost) {
		t.Errorf("the second pays: %v", err)
	}
	if n := calls.paid.Load(); n != 1 {
		t.Errorf("%d calls", n)
	}
	if err := db.Complete(t.Context(), first, func(tx *store.Tx) error { return tx.SettleJobs(t.Context(), first.Run, nil) }); err != nil {
		t.Error(err)
	}
	if jobs, err := db.ListJobs(t.Context(), id); err != nil || len(jobs) != 1 || jobs[0].Status != store.JobSettled {
		t.Errorf("jobs are %+v, %v", jobs, err)
	}
}

// A run that was tried, or filed again because nobody has claimed it, may be what ends programs: its attempt is counted
// before it is begun.
func TestBegin_CountsFirstWhatWasTriedBefore(t *testing.T) {
	t.Parallel()
	db := open(t)
	tried, filed := submit(t, db, submission()), submit(t, db, submission())
	c := begin(t, db, tried, events.Crawl)
	if err := db.Fail(t.Context(), c, pipeline.Verdict{Status: pipeline.Pending}, fault.Of(errors.New("…")), store.Origin{}); err != nil {
		t.Fatal(err)
	}
	due, err := db.DueRuns(t.Context(), 10)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.MarkTaken(t.Context(), due); err != nil {
		t.Fatal(err)
	}
	for id, attempt := range map[string]int{tried: 2, filed: 1} {
		begin(t, db, id, events.Crawl)
		if r := run(t, db, id, events.Crawl); r.Status != pipeline.Processing || r.Attempt != attempt {
			t.Errorf("the run is %s at attempt %d, want %d", r.Status, r.Attempt, attempt)
		}
	}
}

// A run may end in any way without its claim having been written.
func TestBegin_AnyOutcome(t *testing.T) {
	t.Parallel()
	db := open(t)
	for name, o := range map[string]struct {
		settle  func(c store.Claim) error
		status  pipeline.Status
		attempt int
	}{
		"waits": {func(c store.Claim) error { return db.Wait(t.Context(), c, time.Minute, "working", "…") }, pipeline.Waiting, 0},
		"fails": {func(c store.Claim) error {
			return db.Fail(t.Context(), c, pipeline.Verdict{Status: pipeline.Failed, Code: "bad"}, fault.Of(errors.New("…")), store.Origin{})
		}, pipeline.Failed, 1},
		"is given back": {func(c store.Claim) error { return db.Release(t.Context(), c) }, pipeline.Pending, 0},
	} {
		id := submit(t, db, submission())
		if err := o.settle(begin(t, db, id, events.Crawl)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if r := run(t, db, id, events.Crawl); r.Status != o.status || r.Attempt != o.attempt {
			t.Errorf("a run that %s is %s at attempt %d", name, r.Status, r.Attempt)
		}
		ordered(t, db, id)
	}
	if _, _, err := db.Begin(t.Context(), "0199d4a0-0000-7000-8000-00000000dead", events.Crawl, "test", lease, limit); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a task that isn't there: %v", err)
	}
}

// Looks of one moment are read together, and each sees its own.
func TestBegin_ManyAtOnce(t *testing.T) {
	t.Parallel()
	db := open(t)
	var all sync.WaitGroup
	for i := range 50 {
		s := submission()
		s.Source.URL = fmt.Sprintf("https://naver.me/%d", i)
		id := submit(t, db, s)
		for range 2 { // of one task too
			all.Go(func() {
				c, answer, err := db.Begin(context.Background(), id, events.Crawl, "test", lease, limit)
				if err != nil || answer != store.Claimed || c.TaskID != id || c.Task.ID != id || c.Task.Source.V.URL != s.Source.URL {
					t.Errorf("begun is %+v, %d, %v", c.Task, answer, err)
				}
			})
		}
	}
	all.Wait()
}
