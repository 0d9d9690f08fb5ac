package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"castad/events"
	"castad/internal/fault"
	"castad/internal/pipeline"
	"castad/internal/testkit"
	"castad/providers"
	"castad/store"
)

const (
	owner = "0199d4a0-0000-7000-8000-000000000001"
	lease = time.Minute
	limit = 5
)

func open(t *testing.T) *store.DB {
	t.Helper()
	db, err := store.Open(store.Settings{DSN: testkit.Database(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func submission() store.Submission {
	return store.Submission{UserUUID: owner, Source: store.Source{URL: "https://naver.me/x"}, Language: providers.Korean,
		Orientation: "vertical", Publish: []store.Target{{Platform: "youtube"}}}
}

func submit(t *testing.T, db *store.DB, s store.Submission) string {
	t.Helper()
	id, _, err := db.Submit(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func claim(t *testing.T, db *store.DB, taskID string, stage events.Stage) store.Claim {
	t.Helper()
	c, answer, err := db.Claim(t.Context(), taskID, stage, "test", lease, limit)
	if err != nil || answer != store.Claimed {
		t.Fatalf("claim %s: answer %d, %v", stage, answer, err)
	}
	return c
}

func nothing(*store.Tx) error { return nil }

func complete(t *testing.T, db *store.DB, taskID string, stages ...events.Stage) {
	t.Helper()
	for _, stage := range stages {
		if err := db.Complete(t.Context(), claim(t, db, taskID, stage), nothing); err != nil {
			t.Fatal(err)
		}
	}
}

func statuses(t *testing.T, db *store.DB, taskID string) (pipeline.TaskStatus, string) {
	t.Helper()
	task, err := db.LoadTask(t.Context(), taskID)
	if err != nil {
		t.Fatal(err)
	}
	runs, err := db.LoadRuns(t.Context(), taskID)
	if err != nil {
		t.Fatal(err)
	}
	text := ""
	for _, run := range runs {
		text += string(run.Stage) + ":" + string(run.Status) + " "
	}
	return task.Status, text
}

// ordered checks that a task's events are numbered from 1 without a gap, and returns "stage.what" of each.
func ordered(t *testing.T, db *store.DB, taskID string) []string {
	t.Helper()
	facts, err := db.EventsAfter(t.Context(), taskID, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for i, f := range facts {
		if f.Seq != int64(i+1) {
			t.Errorf("event %d has number %d", i+1, f.Seq)
		}
		names = append(names, string(f.Stage)+"."+f.What)
	}
	return names
}

func TestTask_RunsToItsEnd(t *testing.T) {
	t.Parallel()
	db := open(t)
	id := submit(t, db, submission())
	complete(t, db, id, events.Stages...)
	task, runs := statuses(t, db, id)
	if task != pipeline.TaskCompleted {
		t.Errorf("task is %s: %s", task, runs)
	}
	want := []string{"task.submitted", "task.processing", "crawl.processing", "crawl.completed", "intel.processing",
		"intel.completed", "lyric.processing", "lyric.completed", "song.processing", "song.completed",
		"video.processing", "video.completed", "upload.processing", "upload.completed", "task.completed"}
	if diff := cmp.Diff(want, ordered(t, db, id)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if due, err := db.DueRuns(t.Context(), 10); err != nil || len(due) > 0 {
		t.Errorf("a completed task still has due runs: %v, %v", due, err)
	}
}

func TestSubmit_SameKeyOnce(t *testing.T) {
	t.Parallel()
	db := open(t)
	s := submission()
	s.IdempotencyKey = "order-1"
	var made atomic.Int64
	var ids sync.Map
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			id, fresh, err := db.Submit(context.Background(), s)
			if err != nil {
				t.Error(err)
			}
			if fresh {
				made.Add(1)
			}
			ids.Store(id, true)
		})
	}
	all.Wait()
	n := 0
	ids.Range(func(_, _ any) bool { n++; return true })
	if made.Load() != 1 || n != 1 {
		t.Errorf("16 submissions with one key made %d tasks, ids %d", made.Load(), n)
	}
	s.Language = providers.English
	if _, _, err := db.Submit(t.Context(), s); !errors.Is(err, store.ErrKeyReused) {
		t.Errorf("another request with the key: %v", err)
	}
}

func TestClaim_OneOfManyWins(t *testing.T) {
	t.Parallel()
	db := open(t)
	id := submit(t, db, submission())
	var won, busy atomic.Int64
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			_, answer, err := db.Claim(context.Background(), id, events.Crawl, "racer", lease, limit)
			switch {
			case err != nil:
				t.Error(err)
			case answer == store.Claimed:
				won.Add(1)
			case answer == store.Busy:
				busy.Add(1)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 || busy.Load() != 15 {
		t.Errorf("%d won, %d found it busy; want 1 and 15", won.Load(), busy.Load())
	}
}

func TestClaim_NotBeforeItIsReached(t *testing.T) {
	t.Parallel()
	db := open(t)
	id := submit(t, db, submission())
	if _, answer, err := db.Claim(t.Context(), id, events.Song, "test", lease, limit); err != nil || answer != store.Idle {
		t.Errorf("a stage that isn't reached: answer %d, %v; want idle", answer, err)
	}
	if _, _, err := db.Claim(t.Context(), "0199d4a0-0000-7000-8000-00000000dead", events.Song, "test", lease, limit); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("no such task: %v", err)
	}
}

// A worker that was paused past its lease must find its fence gone, and save nothing.
func TestFence_LateWorkerCannotSave(t *testing.T) {
	t.Parallel()
	db := open(t)
	id := submit(t, db, submission())
	late, _, err := db.Claim(t.Context(), id, events.Crawl, "late", time.Microsecond, limit)
	if err != nil {
		t.Fatal(err)
	}
	var second store.Claim
	testkit.Eventually(t, "the lease has run out and another claims", func() bool {
		c, answer, err := db.Claim(t.Context(), id, events.Crawl, "second", lease, limit)
		second = c
		return err == nil && answer == store.Claimed
	})
	if second.Attempt != 2 {
		t.Errorf("attempt is %d, want 2: a claim that never came to an end counts", second.Attempt)
	}
	saved := false
	if err := db.Complete(t.Context(), late, func(*store.Tx) error { saved = true; return nil }); !errors.Is(err, store.ErrLeaseLost) || saved {
		t.Errorf("the late worker: %v, saved %v", err, saved)
	}
	if err := db.Extend(t.Context(), late, lease); !errors.Is(err, store.ErrLeaseLost) {
		t.Errorf("the late worker extends: %v", err)
	}
	if err := db.Fail(t.Context(), late, pipeline.Verdict{Status: pipeline.Failed}, fault.Of(errors.New("x")), store.Origin{}); !errors.Is(err, store.ErrLeaseLost) {
		t.Errorf("the late worker fails: %v", err)
	}
	if err := db.Complete(t.Context(), second, nothing); err != nil {
		t.Errorf("the holder: %v", err)
	}
}

// A filing of a run whose worker has died must not lengthen the dead worker's lease.
func TestClaim_FilingDoesNotExtendALease(t *testing.T) {
	t.Parallel()
	db := open(t)
	id := submit(t, db, submission())
	if _, _, err := db.Claim(t.Context(), id, events.Crawl, "dead", time.Microsecond, limit); err != nil {
		t.Fatal(err)
	}
	var due []store.Due
	testkit.Eventually(t, "the dead worker's run is due", func() bool { due, _ = db.DueRuns(t.Context(), 1); return len(due) == 1 })
	if err := db.MarkRefused(t.Context(), due); err != nil {
		t.Fatal(err)
	}
	if c := claim(t, db, id, events.Crawl); c.Attempt != 2 {
		t.Errorf("attempt %d, want 2", c.Attempt)
	}
}

func TestClaim_GivesUpAfterTheLastAttempt(t *testing.T) {
	t.Parallel()
	db := open(t)
	id := submit(t, db, submission())
	var last store.Claim
	testkit.Eventually(t, "the attempts are used up", func() bool {
		c, answer, err := db.Claim(t.Context(), id, events.Crawl, "crashing", time.Microsecond, 2)
		if err != nil {
			t.Fatal(err)
		}
		last = c
		return answer == store.Exhausted
	})
	if last.Attempt != 3 {
		t.Errorf("given up at attempt %d, want the one after 2", last.Attempt)
	}
}

func TestWait_TellsOnceAndGivesTheAttemptBack(t *testing.T) {
	t.Parallel()
	db := open(t)
	id := submit(t, db, submission())
	c := claim(t, db, id, events.Crawl)
	for range 3 {
		if err := db.Wait(t.Context(), c, time.Microsecond, "song_working", "…"); err != nil {
			t.Fatal(err)
		}
		testkit.Eventually(t, "the run is due", func() bool { due, _ := db.DueRuns(t.Context(), 1); return len(due) == 1 })
		c = claim(t, db, id, events.Crawl)
		if !c.Resumed || c.Attempt != 0 {
			t.Errorf("a look: resumed %v, attempt %d", c.Resumed, c.Attempt)
		}
	}
	want := []string{"task.submitted", "task.processing", "crawl.processing", "crawl.waiting"}
	if diff := cmp.Diff(want, ordered(t, db, id)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestFail_DeadLetterAndReplay(t *testing.T) {
	t.Parallel()
	db := open(t)
	id := submit(t, db, submission())
	f := fault.Of(fault.Stop("place_not_found", errors.New("no such place")))
	c := claim(t, db, id, events.Crawl)
	from := store.Origin{Stream: "CASTAD_WORK", Subject: "castad.work.crawl." + id, Seq: 7, Consumer: "crawl", Program: "crawl@x/1"}
	if err := db.Fail(t.Context(), c, pipeline.DefaultAttempts.Judge(f, c.Attempt, 0), f, from); err != nil {
		t.Fatal(err)
	}
	letters, err := db.ListDead(t.Context(), store.DeadFilter{TaskID: id})
	if err != nil || len(letters) != 1 || letters[0].Cause != "place_not_found" || letters[0].StreamSeq != 7 || letters[0].Attempts != 1 {
		t.Fatalf("dead letters: %+v, %v", letters, err)
	}
	if status, runs := statuses(t, db, id); status != pipeline.TaskFailed {
		t.Errorf("task is %s: %s", status, runs)
	}
	var replayed atomic.Int64
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() {
			done, err := db.Replay(context.Background(), letters[0].ID)
			if err != nil {
				t.Error(err)
			}
			if done {
				replayed.Add(1)
			}
		})
	}
	all.Wait()
	if replayed.Load() != 1 {
		t.Errorf("six operators replayed it %d times", replayed.Load())
	}
	complete(t, db, id, events.Crawl)
	if again, err := db.Replay(t.Context(), letters[0].ID); err != nil || again {
		t.Errorf("a replay after completion: %v, %v", again, err)
	}
}

func TestCancel_TakesTheRunAway(t *testing.T) {
	t.Parallel()
	db := open(t)
	id := submit(t, db, submission())
	c := claim(t, db, id, events.Crawl)
	if err := db.Cancel(t.Context(), owner, id); err != nil {
		t.Fatal(err)
	}
	if err := db.Complete(t.Context(), c, nothing); !errors.Is(err, store.ErrLeaseLost) {
		t.Errorf("saving a cancelled run: %v", err)
	}
	if status, runs := statuses(t, db, id); status != pipeline.TaskCancelled {
		t.Errorf("task is %s: %s", status, runs)
	}
	if _, ok := errors.AsType[*pipeline.Refusal](db.Cancel(t.Context(), owner, id)); !ok {
		t.Error("a second cancel isn't refused")
	}
	if err := db.Cancel(t.Context(), "somebody-else", id); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("somebody else's task: %v", err)
	}
}

func TestHold_ResumeAndRerun(t *testing.T) {
	t.Parallel()
	db := open(t)
	s := submission()
	s.Holds = []string{"lyric"}
	id := submit(t, db, s)
	complete(t, db, id, events.Crawl, events.Intel, events.Lyric)
	if status, runs := statuses(t, db, id); status != pipeline.TaskHeld {
		t.Fatalf("task is %s: %s", status, runs)
	}
	if _, err := db.Rerun(t.Context(), owner, id, events.Lyric, &store.Edit{Text: "other words"}); err != nil {
		t.Fatal(err)
	}
	c := claim(t, db, id, events.Lyric)
	if c.Revision != 2 || c.Edit.V == nil || c.Edit.V.Text != "other words" {
		t.Errorf("the rerun is revision %d with edit %+v", c.Revision, c.Edit.V)
	}
	if err := db.Complete(t.Context(), c, nothing); err != nil {
		t.Fatal(err)
	}
	if err := db.Resume(t.Context(), owner, id); err != nil {
		t.Fatal(err)
	}
	complete(t, db, id, events.Song, events.Video, events.Upload)
	again, err := db.Rerun(t.Context(), owner, id, events.Crawl, &store.Edit{PhotoOrder: []int{1, 0}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]events.Stage{events.Crawl, events.Video, events.Upload}, again); diff != "" {
		t.Errorf("made again (-want +got):\n%s", diff)
	}
	complete(t, db, id, events.Crawl, events.Video, events.Upload)
	if status, runs := statuses(t, db, id); status != pipeline.TaskCompleted {
		t.Errorf("task is %s: %s", status, runs)
	}
	ordered(t, db, id)
}

func TestMarkTaken_LeavesClaimedRunsAlone(t *testing.T) {
	t.Parallel()
	db := open(t)
	first, second := submit(t, db, submission()), submit(t, db, submission())
	due, err := db.DueRuns(t.Context(), 10)
	if err != nil || len(due) != 2 {
		t.Fatalf("due: %v, %v", due, err)
	}
	c := claim(t, db, first, events.Crawl)
	if err := db.MarkTaken(t.Context(), due); err != nil {
		t.Fatal(err)
	}
	runs, err := db.LoadRuns(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	if got := runs[0].DueAt.V.Sub(c.Task.CreatedAt); got < 50*time.Second {
		t.Errorf("the claimed run's lease was cut to %s", got)
	}
	if due, err := db.DueRuns(t.Context(), 10); err != nil || len(due) != 0 {
		t.Errorf("still due after the broker took them: %v, %v", due, err)
	}
	if n, err := db.MakeAllDue(t.Context()); err != nil || n != 1 {
		t.Errorf("a lost broker makes %d due, %v; want the one that nobody has claimed", n, err)
	}
	if due, _ := db.DueRuns(t.Context(), 10); len(due) != 1 || due[0].TaskID != second {
		t.Errorf("due: %+v", due)
	}
}

func TestResults_RoundTrip(t *testing.T) {
	t.Parallel()
	db := open(t)
	id := submit(t, db, submission())
	lines := []providers.Line{{Text: "가평 숲길", Start: 1, End: 3, Words: []providers.Word{{Text: "가평", Start: 1, End: 2}, {Text: "숲길", Start: 2, End: 3}}}, {Text: "둘", Start: 4, End: 5}}
	project := store.Project{TaskID: id, UserUUID: owner, PlaceID: "nv1", StoreName: "숲속하루펜션", Region: "경기 가평군", Language: providers.Korean,
		Facilities: store.JSON[[]string]{V: []string{"바비큐"}}}
	err := db.InTx(t.Context(), func(tx *store.Tx) error {
		return errors.Join(
			tx.SaveProject(t.Context(), project),
			tx.SaveProject(t.Context(), project), // a rerun of crawl
			tx.SaveImages(t.Context(), []store.Image{{TaskID: id, Revision: 1, Position: 0, URL: "u0"}, {TaskID: id, Revision: 1, Position: 1, URL: "u1"}}),
			tx.SaveMarketing(t.Context(), store.Marketing{TaskID: id, Revision: 1, PlaceID: "nv1", Language: providers.Korean, Result: json.RawMessage(`{"a":1}`)}),
			tx.SaveLyric(t.Context(), store.Lyric{TaskID: id, Revision: 1, Language: providers.Korean, Title: "하루", Lines: json.RawMessage(`[]`), Origin: "model"}),
			tx.SaveSong(t.Context(), store.Song{TaskID: id, Revision: 1, JobID: "j", ClipID: "c", URL: "s", Seconds: 60, Lines: lines}),
			tx.SaveVideo(t.Context(), store.Video{TaskID: id, Revision: 1, UserUUID: owner, MovieURL: "m", Seconds: 60}),
			tx.SaveUploads(t.Context(), []store.SocialUpload{{TaskID: id, Revision: 1, UserUUID: owner, Platform: "youtube", Status: "published", Privacy: "public", URL: "y"}}),
		)
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := db.LoadProject(t.Context(), id)
	if err != nil || got.StoreName != project.StoreName || got.MarketingID == nil {
		t.Errorf("project: %+v, %v", got, err)
	}
	song, err := db.LoadSong(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(lines, song.Lines); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	if fresh, err := db.FindFreshMarketing(t.Context(), "nv1", providers.Korean, time.Hour); err != nil || fresh.TaskID != id {
		t.Errorf("fresh report: %+v, %v", fresh, err)
	}
	if fresh, err := db.FindFreshProject(t.Context(), "nv1", time.Hour); err != nil || fresh.TaskID != id {
		t.Errorf("fresh crawl: %+v, %v", fresh, err)
	}
	images, err := db.LoadImages(t.Context(), id)
	if err != nil || len(images) != 2 || images[1].URL != "u1" {
		t.Errorf("images: %+v, %v", images, err)
	}
}
