package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"castad/events"
	"castad/internal/fault"
	"castad/internal/testkit"
	"castad/store"
)

// till is a provider that counts what it was paid for.
type till struct{ paid atomic.Int64 }

func (p *till) accept(context.Context, store.Job) (string, error) {
	p.paid.Add(1)
	return "job-1", nil
}

// lose accepts, and its answer never arrives.
func (p *till) lose(context.Context, store.Job) (string, error) {
	p.paid.Add(1)
	return "", fault.Unsure("answer_lost", errors.New("connection reset"))
}

func paid(call func(context.Context, store.Job) (string, error)) store.Paid {
	return store.Paid{Purpose: "song", Provider: "suno", Request: map[string]string{"style": "ballad"}, PriceMicros: 60_000,
		Timeout: time.Second, Call: call}
}

func TestPayOnce_SecondTimeFindsTheJob(t *testing.T) {
	t.Parallel()
	db, p := open(t), &till{}
	c := claim(t, db, submit(t, db, submission()), events.Crawl)
	for range 3 {
		job, err := db.PayOnce(t.Context(), c, paid(p.accept))
		if err != nil || job.ExternalID != "job-1" || job.Status != store.JobAccepted {
			t.Fatalf("job: %+v, %v", job, err)
		}
	}
	if got := p.paid.Load(); got != 1 {
		t.Errorf("paid %d times", got)
	}
}

// Many workers hold one planned call: one of them makes it. Calls without a price, such as posts, have no entry in the
// ledger that would stop a second.
func TestPayOnce_ManyWorkersPayOnce(t *testing.T) {
	t.Parallel()
	for _, price := range []int64{0, 60_000} {
		db, p := open(t), &till{}
		c := claim(t, db, submit(t, db, submission()), events.Crawl)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				call := paid(p.accept)
				call.PriceMicros = price
				_, _ = db.PayOnce(context.Background(), c, call)
			})
		}
		all.Wait()
		if got := p.paid.Load(); got != 1 {
			t.Errorf("8 workers with one claim paid %d times at a price of %d", got, price)
		}
	}
}

func TestPayOnce_RefusedMayBeSentAgain(t *testing.T) {
	t.Parallel()
	db, p := open(t), &till{}
	c := claim(t, db, submit(t, db, submission()), events.Crawl)
	_, err := db.PayOnce(t.Context(), c, paid(func(context.Context, store.Job) (string, error) {
		return "", fault.Retry("suno_busy", errors.New("455"))
	}))
	if fault.Of(err).Code != "suno_busy" {
		t.Errorf("refusal: %v", err)
	}
	if job, err := db.PayOnce(t.Context(), c, paid(p.accept)); err != nil || job.Try != 2 {
		t.Errorf("second try: %+v, %v", job, err)
	}
}

// Nothing that isn't surely a refusal is called again: lost answers, plain errors, and a crash in the middle of the call.
func TestPayOnce_UnknownOutcomeIsNotPaidAgain(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]func(p *till) func(context.Context, store.Job) (string, error){
		"lost answer": func(p *till) func(context.Context, store.Job) (string, error) { return p.lose },
		"plain error": func(p *till) func(context.Context, store.Job) (string, error) {
			return func(context.Context, store.Job) (string, error) { p.paid.Add(1); return "", errors.New("EOF") }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, p := open(t), &till{}
			c := claim(t, db, submit(t, db, submission()), events.Crawl)
			_, err := db.PayOnce(t.Context(), c, paid(first(p)))
			if fault.Of(err).Kind != fault.Uncertain {
				t.Errorf("first call: %v", err)
			}
			_, err = db.PayOnce(t.Context(), c, paid(p.accept))
			if f := fault.Of(err); f.Kind != fault.Uncertain || f.Code != store.CodeOutcomeUnknown {
				t.Errorf("second call: %v", err)
			}
			if got := p.paid.Load(); got != 1 {
				t.Errorf("paid %d times", got)
			}
		})
	}
}

func TestPayOnce_CrashInTheCall(t *testing.T) {
	t.Parallel()
	db, p := open(t), &till{}
	id := submit(t, db, submission())
	c := claim(t, db, id, events.Crawl)
	died := make(chan struct{})
	go func() { // the process dies while the provider takes the call: nobody writes what came of it
		defer close(died)
		defer func() { _ = recover() }()
		_, _ = db.PayOnce(context.Background(), c, paid(func(context.Context, store.Job) (string, error) { p.paid.Add(1); panic("kill -9") }))
	}()
	<-died
	ask := paid(p.accept)
	ask.Find = func(_ context.Context, job store.Job) (string, error) {
		if job.Status != store.JobSent {
			t.Errorf("asked about a job that is %s", job.Status)
		}
		return "job-found", nil
	}
	job, err := db.PayOnce(t.Context(), c, ask)
	if err != nil || job.ExternalID != "job-found" || p.paid.Load() != 1 {
		t.Errorf("job %+v, %v, paid %d", job, err, p.paid.Load())
	}
}

// A provider that doesn't know the call may only be believed once the call can't be on its way any more.
func TestPayOnce_NotFoundTooEarly(t *testing.T) {
	t.Parallel()
	db, p := open(t), &till{}
	c := claim(t, db, submit(t, db, submission()), events.Crawl)
	_, _ = db.PayOnce(t.Context(), c, paid(p.lose))
	ask := paid(p.accept)
	ask.Find = func(context.Context, store.Job) (string, error) { return "", nil }
	if _, err := db.PayOnce(t.Context(), c, ask); fault.Of(err).Kind != fault.Uncertain || p.paid.Load() != 1 {
		t.Errorf("not found while it may be on its way: %v, paid %d", err, p.paid.Load())
	}
}

func TestPayOnce_WithoutALeaseNothingIsPaid(t *testing.T) {
	t.Parallel()
	db, p := open(t), &till{}
	id := submit(t, db, submission())
	c := claim(t, db, id, events.Crawl)
	if err := db.Cancel(t.Context(), owner, id); err != nil {
		t.Fatal(err)
	}
	if _, err := db.PayOnce(t.Context(), c, paid(p.accept)); !errors.Is(err, store.ErrLeaseLost) || p.paid.Load() != 0 {
		t.Errorf("%v, paid %d", err, p.paid.Load())
	}
}

func TestHint_WakesTheWaitingRunAndNamesTheJob(t *testing.T) {
	t.Parallel()
	db, p := open(t), &till{}
	id := submit(t, db, submission())
	c := claim(t, db, id, events.Crawl)
	_, _ = db.PayOnce(t.Context(), c, paid(p.lose))
	if err := db.Wait(t.Context(), c, time.Hour, store.CodeOutcomeUnknown, ""); err != nil {
		t.Fatal(err)
	}
	job, err := db.FindJob(t.Context(), c.Run, "song")
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Hint(t.Context(), "suno", "forged", "x"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a forged callback: %v", err)
	}
	for range 2 {
		if err := db.Hint(t.Context(), "suno", job.Token, "suno-77"); err != nil {
			t.Fatal(err)
		}
	}
	due, err := db.DueRuns(t.Context(), 10)
	if err != nil || len(due) != 1 {
		t.Errorf("due after the callback: %v, %v", due, err)
	}
	if job, _ = db.FindJob(t.Context(), c.Run, "song"); job.HintedID != "suno-77" || job.ExternalID != "" {
		t.Errorf("a callback is a hint, and not the truth: %+v", job)
	}
}

func TestDecide_PersonsWord(t *testing.T) {
	t.Parallel()
	db, p := open(t), &till{}
	c := claim(t, db, submit(t, db, submission()), events.Crawl)
	_, _ = db.PayOnce(t.Context(), c, paid(p.lose))
	jobs, err := db.UncertainJobs(t.Context())
	if err != nil || len(jobs) != 1 {
		t.Fatalf("uncertain: %v, %v", jobs, err)
	}
	if err := db.Decide(t.Context(), jobs[0].ID, "adopted"); err != nil {
		t.Fatal(err)
	}
	if job, err := db.PayOnce(t.Context(), c, paid(p.accept)); err != nil || job.ExternalID != "adopted" || p.paid.Load() != 1 {
		t.Errorf("%+v, %v, paid %d", job, err, p.paid.Load())
	}
	if err := db.Decide(t.Context(), jobs[0].ID, "other"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a second decision: %v", err)
	}
}

// openQuick opens a database whose paid calls can't be held back for long.
func openQuick(t *testing.T) *store.DB {
	t.Helper()
	db, err := store.Open(store.Settings{DSN: testkit.Database(t), Flight: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// What Prepare made is kept with the intent; a call that was never found is made again under the same handle.
func TestPayOnce_HandleFindsTheCall(t *testing.T) {
	t.Parallel()
	db, p := openQuick(t), &till{}
	c := claim(t, db, submit(t, db, submission()), events.Crawl)
	prepared := 0
	call := paid(p.lose)
	call.Timeout, call.Longest = time.Millisecond, time.Hour
	call.Prepare = func(context.Context, store.Job) (string, error) {
		prepared++
		return fmt.Sprintf("conv_%d", prepared), nil
	}
	call.Find = func(_ context.Context, job store.Job) (string, error) {
		if job.Handle != "conv_1" {
			t.Errorf("asked about handle %q", job.Handle)
		}
		return "", nil
	}
	for range 3 {
		if _, err := db.PayOnce(t.Context(), c, call); fault.Of(err).Kind != fault.Uncertain || p.paid.Load() != 1 {
			t.Fatalf("before the longest time is over: %v, paid %d", err, p.paid.Load())
		}
	}
	call.Longest, call.Call = 0, func(_ context.Context, job store.Job) (string, error) {
		if job.Handle != "conv_1" || job.Try != 2 {
			t.Errorf("try %d under handle %q", job.Try, job.Handle)
		}
		return "job-2", nil
	}
	testkit.Eventually(t, "the call surely came to nothing", func() bool {
		job, err := db.PayOnce(t.Context(), c, call)
		return err == nil && job.ExternalID == "job-2"
	})
	if prepared != 1 {
		t.Errorf("prepared %d times", prepared)
	}
}

// A preparation that fails leaves a planned job, which is free, and no call.
func TestPayOnce_PreparationFails(t *testing.T) {
	t.Parallel()
	db, p := openQuick(t), &till{}
	c := claim(t, db, submit(t, db, submission()), events.Crawl)
	call := paid(p.accept)
	call.Prepare = func(context.Context, store.Job) (string, error) {
		return "", fault.Retry("openai_busy", errors.New("503"))
	}
	if _, err := db.PayOnce(t.Context(), c, call); fault.Of(err).Code != "openai_busy" || p.paid.Load() != 0 {
		t.Errorf("%v, paid %d", err, p.paid.Load())
	}
	call.Prepare = func(context.Context, store.Job) (string, error) { return "conv_1", nil }
	if job, err := db.PayOnce(t.Context(), c, call); err != nil || job.Handle != "conv_1" || job.Try != 1 {
		t.Errorf("%+v, %v", job, err)
	}
}

// A process that is paused between the intent and the call finds the call's time over, and doesn't call: others may have
// asked the provider and begun again meanwhile.
func TestPayOnce_TimeLimitRunsFromTheIntent(t *testing.T) {
	t.Parallel()
	db, p := openQuick(t), &till{}
	c := claim(t, db, submit(t, db, submission()), events.Crawl)
	call := paid(func(ctx context.Context, _ store.Job) (string, error) {
		if ctx.Err() == nil {
			p.paid.Add(1)
		}
		return "", fault.Retry("not_sent", errors.Join(ctx.Err(), errors.New("no connection")))
	})
	call.Timeout = time.Nanosecond
	if _, err := db.PayOnce(t.Context(), c, call); fault.Of(err).Code != "not_sent" || p.paid.Load() != 0 {
		t.Errorf("%v, paid %d", err, p.paid.Load())
	}
}
