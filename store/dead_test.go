package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"castad/events"
	"castad/internal/fault"
	"castad/internal/pipeline"
	"castad/store"
)

// failed submits a task, gives its crawl up with that cause, and returns the task's and the dead letter's id.
func failed(t *testing.T, db *store.DB, cause string) (taskID, deadID string) {
	t.Helper()
	taskID = submit(t, db, submission())
	return taskID, failAgain(t, db, taskID, events.Crawl, cause)
}

func failAgain(t *testing.T, db *store.DB, taskID string, stage events.Stage, cause string) (deadID string) {
	t.Helper()
	f := fault.Of(fault.Stop(cause, errors.New("because")))
	c := claim(t, db, taskID, stage)
	if err := db.Fail(t.Context(), c, pipeline.DefaultAttempts.Judge(f, c.Attempt, 0), f, store.Origin{Stream: "S", Seq: 1}); err != nil {
		t.Fatal(err)
	}
	letters, err := db.ListDead(t.Context(), store.DeadFilter{TaskID: taskID})
	if err != nil || len(letters) != 1 {
		t.Fatalf("dead letters of task %s: %+v, %v", taskID, letters, err)
	}
	return letters[0].ID
}

func deadState(t *testing.T, db *store.DB, id string) string {
	t.Helper()
	letter, err := db.LoadDead(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return letter.State
}

// owed returns what the dead stream hasn't been told, as "id gone" or "id filed".
func owed(t *testing.T, db *store.DB) []string {
	t.Helper()
	rows, err := db.OwedDead(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}
	lines := []string{}
	for _, row := range rows {
		lines = append(lines, row.ID+map[bool]string{true: " gone", false: " filed"}[row.Gone])
	}
	return lines
}

func TestListDead_FiltersAndPages(t *testing.T) {
	t.Parallel()
	db := open(t)
	var ids, tasks []string
	for i := range 11 {
		task, id := failed(t, db, []string{"naver_blocked", "place_not_found"}[i%2])
		ids, tasks = append(ids, id), append(tasks, task)
	}
	complete(t, db, submit(t, db, submission()), events.Crawl) // a neighbour without a letter
	middle, err := db.LoadDead(t.Context(), ids[5])
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		filter store.DeadFilter
		want   []string
	}{
		"all":            {store.DeadFilter{}, ids},
		"a page":         {store.DeadFilter{After: ids[2], Limit: 4}, ids[3:7]},
		"the last page":  {store.DeadFilter{After: ids[8], Limit: 4}, ids[9:]},
		"stage":          {store.DeadFilter{Stage: events.Crawl}, ids},
		"another stage":  {store.DeadFilter{Stage: events.Song}, nil},
		"cause":          {store.DeadFilter{Cause: "place_not_found"}, []string{ids[1], ids[3], ids[5], ids[7], ids[9]}},
		"cause and page": {store.DeadFilter{Cause: "naver_blocked", After: ids[2], Limit: 2}, []string{ids[4], ids[6]}},
		"task":           {store.DeadFilter{TaskID: tasks[7]}, ids[7:8]},
		"since":          {store.DeadFilter{Since: middle.LastAt}, ids[5:]},
		"before":         {store.DeadFilter{Before: middle.LastAt}, ids[:5]},
		"in between":     {store.DeadFilter{Since: middle.LastAt, Before: middle.LastAt.Add(time.Microsecond)}, ids[5:6]},
	} {
		letters, err := db.ListDead(t.Context(), tc.filter)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, letter := range letters {
			got = append(got, letter.ID)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	counts, err := db.CountDead(t.Context(), store.DeadFilter{Since: middle.LastAt, Limit: 1, After: ids[10]})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, c := range counts {
		got[string(c.Stage)+" "+c.Cause] = c.Letters
	}
	if diff := cmp.Diff(map[string]int{"crawl naver_blocked": 3, "crawl place_not_found": 3}, got); diff != "" {
		t.Errorf("counts since the middle (-want +got):\n%s", diff)
	}
}

// Replays, drops and an owner's retries of one run at the same moment: the run is wanted once at most, and whoever says
// that it was him is right.
func TestReplay_RacesWithDropAndRetry(t *testing.T) {
	t.Parallel()
	db := open(t)
	for round := range 40 {
		task, id := failed(t, db, "place_not_found")
		var replayed, dropped, retried atomic.Int64
		var all sync.WaitGroup
		start := make(chan struct{})
		race := func(wins *atomic.Int64, do func() (bool, error)) {
			all.Go(func() {
				<-start
				won, err := do()
				if err != nil {
					t.Error(err)
				}
				if won {
					wins.Add(1)
				}
			})
		}
		for range 3 {
			race(&replayed, func() (bool, error) { return db.Replay(context.Background(), id) })
			race(&dropped, func() (bool, error) { return db.Drop(context.Background(), id) })
		}
		race(&retried, func() (bool, error) {
			err := db.Retry(context.Background(), owner, task, events.Crawl)
			if _, refused := errors.AsType[*pipeline.Refusal](err); refused {
				return false, nil
			}
			return err == nil, err
		})
		close(start)
		all.Wait()
		wanted := 0
		for _, name := range ordered(t, db, task) {
			if name == "crawl.pending" {
				wanted++
			}
		}
		state := deadState(t, db, id)
		outcome := fmt.Sprintf("round %d: %d replayed, %d dropped, %d retried, wanted %d times, letter %s",
			round, replayed.Load(), dropped.Load(), retried.Load(), wanted, state)
		switch {
		case wanted > 1 || int64(wanted) != replayed.Load()+retried.Load():
			t.Error(outcome)
		case dropped.Load() > 0 && (dropped.Load() != 1 || replayed.Load() != 0 || state != store.DeadDropped):
			t.Error(outcome)
		case dropped.Load() == 0 && (wanted != 1 || state != store.DeadReplayed):
			t.Error(outcome)
		}
		if diff := cmp.Diff([]string{id + " gone"}, owed(t, db)); diff != "" {
			t.Errorf("%s: owed (-want +got):\n%s", outcome, diff)
		}
		if err := db.MarkDeadGone(t.Context(), []string{id}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestReplay_OfWhatWasDealtWith(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		deal func(db *store.DB, task, id string) error
		want string
	}{
		"dropped":  {func(db *store.DB, _, id string) error { _, err := db.Drop(context.Background(), id); return err }, store.DeadDropped},
		"replayed": {func(db *store.DB, _, id string) error { _, err := db.Replay(context.Background(), id); return err }, store.DeadReplayed},
		"retried": {func(db *store.DB, task, _ string) error {
			return db.Retry(context.Background(), owner, task, events.Crawl)
		}, store.DeadReplayed},
		"made again": {func(db *store.DB, task, _ string) error {
			_, err := db.Rerun(context.Background(), owner, task, events.Crawl, nil)
			return err
		}, store.DeadSuperseded},
		"task deleted":  {func(db *store.DB, task, _ string) error { return db.Delete(context.Background(), owner, task) }, store.DeadSuperseded},
		"dropped twice": {func(db *store.DB, _, id string) error { return errors.Join(drop(db, id), drop(db, id)) }, store.DeadDropped},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := open(t)
			task, id := failed(t, db, "place_not_found")
			if err := tc.deal(db, task, id); err != nil {
				t.Fatal(err)
			}
			before := ordered(t, db, task)
			if done, err := db.Replay(t.Context(), id); err != nil || done {
				t.Errorf("a replay after it: %v, %v", done, err)
			}
			if done, err := db.Drop(t.Context(), id); err != nil || done {
				t.Errorf("a drop after it: %v, %v", done, err)
			}
			if diff := cmp.Diff(before, ordered(t, db, task)); diff != "" {
				t.Errorf("the task's events changed:\n%s", diff)
			}
			if got := deadState(t, db, id); got != tc.want {
				t.Errorf("the letter is %q, want %q", got, tc.want)
			}
			if diff := cmp.Diff([]string{id + " gone"}, owed(t, db)); diff != "" {
				t.Errorf("owed (-want +got):\n%s", diff)
			}
		})
	}
}

func drop(db *store.DB, id string) error {
	_, err := db.Drop(context.Background(), id)
	return err
}

func TestReplay_OfNothing(t *testing.T) {
	t.Parallel()
	db := open(t)
	if done, err := db.Replay(t.Context(), "0199d4a0-0000-7000-8000-00000000dead"); done || !errors.Is(err, store.ErrNotFound) {
		t.Errorf("got %v, %v; want not found", done, err)
	}
	if done, err := db.Drop(t.Context(), "0199d4a0-0000-7000-8000-00000000dead"); done || err != nil {
		t.Errorf("got %v, %v; want nothing done", done, err)
	}
}

// What the dead stream is owed survives: a letter that is dealt with while its filing is under way has to go all the same,
// and what has to go comes first.
func TestOwedDead_FilingAndRemoving(t *testing.T) {
	t.Parallel()
	db := open(t)
	_, first := failed(t, db, "a")
	_, second := failed(t, db, "b")
	if diff := cmp.Diff([]string{first + " filed", second + " filed"}, owed(t, db)); diff != "" {
		t.Errorf("fresh letters (-want +got):\n%s", diff)
	}
	if _, err := db.Replay(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	if err := db.MarkDeadSent(t.Context(), []string{first, second}); err != nil { // the relay had read both before
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{second + " gone"}, owed(t, db)); diff != "" {
		t.Errorf("one was replayed meanwhile (-want +got):\n%s", diff)
	}
	if n, err := db.RefileDead(t.Context()); err != nil || n != 1 {
		t.Errorf("%d letters are filed again, %v; want the one that is left", n, err)
	}
	if diff := cmp.Diff([]string{second + " gone", first + " filed"}, owed(t, db)); diff != "" {
		t.Errorf("after filing again (-want +got):\n%s", diff)
	}
	if err := errors.Join(db.MarkDeadGone(t.Context(), []string{second, first}), db.MarkDeadSent(t.Context(), nil)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{first + " filed"}, owed(t, db)); diff != "" {
		t.Errorf("after the removal (-want +got):\n%s", diff)
	}
	states, err := db.DeadStates(t.Context(), []string{first, second, "S-1"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{first: store.DeadFiled, second: store.DeadReplayed}, states); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
}

// A rerun of an earlier stage takes the letter of a later one off the list.
func TestRerun_SupersedesLaterLetters(t *testing.T) {
	t.Parallel()
	db := open(t)
	task := submit(t, db, submission())
	complete(t, db, task, events.Crawl, events.Intel)
	id := failAgain(t, db, task, events.Lyric, "openai_prompt_refused")
	again, err := db.Rerun(t.Context(), owner, task, events.Intel, nil)
	if err != nil || !slices.Contains(again, events.Lyric) {
		t.Fatalf("made again: %v, %v", again, err)
	}
	if got := deadState(t, db, id); got != store.DeadSuperseded {
		t.Errorf("the letter is %q", got)
	}
}
