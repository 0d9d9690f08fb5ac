package dead_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"castad/events"
	"castad/internal/broker"
	"castad/internal/dead"
	"castad/internal/testkit"
	"castad/store"
)

// rig is an office with a database and a broker of its own.
type rig struct {
	*dead.Office
	t    *testing.T
	rows *sql.DB
}

func newRig(t *testing.T) *rig {
	t.Helper()
	dsn := testkit.Database(t)
	db, err := store.Open(store.Settings{DSN: dsn})
	if err != nil {
		t.Fatal(err)
	}
	rows, err := sql.Open("mysql", dsn)
	if err != nil {
		t.Fatal(err)
	}
	names, err := events.Prefixed(testkit.Prefix(t))
	if err != nil {
		t.Fatal(err)
	}
	b, err := broker.Connect(broker.Settings{URL: testkit.NATS(t), Name: t.Name(), Names: names, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close(); rows.Close(); db.Close() })
	if err := b.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	return &rig{&dead.Office{DB: db, Broker: b}, t, rows}
}

var at = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

func rowID(i int) string { return fmt.Sprintf("01a2067e-0000-7000-8000-%012d", i) }

// file writes n rows, a second apart.
func (r *rig) file(n int) {
	r.t.Helper()
	for first := 0; first < n; first += 1000 {
		var values []string
		for i := first; i < min(first+1000, n); i++ {
			last := at.Add(time.Duration(i) * time.Second).Format("2006-01-02 15:04:05")
			values = append(values, fmt.Sprintf("('%s','task-%d','%s',1,'%s','no',1,'%s','%s','filed')", rowID(i), i,
				events.Stages[i%2], []string{"suno_no_credits", "place_not_found", "song_failed"}[i%3], last, last))
		}
		_, err := r.rows.ExecContext(r.t.Context(), "INSERT INTO dead_letter (dead_id,task_id,stage,revision,cause,reason,attempts,first_at,last_at,state) VALUES "+
			strings.Join(values, ","))
		if err != nil {
			r.t.Fatal(err)
		}
	}
}

// bury puts a message on the dead stream.
func (r *rig) bury(stage events.Stage, task, id, cause string, last time.Time) {
	r.t.Helper()
	pending, err := r.Broker.Bury(broker.Letter{Dead: events.Dead{Version: 1, DeadID: id, TaskID: task, Stage: stage, Cause: cause, LastAt: last, Body: "{"}})
	if err == nil {
		_, err = pending.Kept(r.t.Context())
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// each returns the ids that Each goes through.
func (r *rig) each(f store.DeadFilter) []string {
	r.t.Helper()
	ids := []string{}
	err := r.Each(r.t.Context(), f, func(l dead.Letter) error { ids = append(ids, l.ID); return nil })
	if err != nil {
		r.t.Fatal(err)
	}
	return ids
}

func TestList_RowsThenMessagesWithoutARow(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.file(5)
	for i := range 4 { // the relay has filed these, so they are on both sides
		r.bury(events.Stages[i%2], fmt.Sprint("task-", i), rowID(i), "suno_no_credits", at)
	}
	for i, cause := range []string{"unreadable", "unknown_task", "unreadable"} {
		r.bury(events.Song, "none", fmt.Sprint("T_WORK-", i), cause, at.Add(time.Duration(i)*time.Hour))
	}
	want := []string{rowID(0), rowID(1), rowID(2), rowID(3), rowID(4), "T_WORK-0", "T_WORK-1", "T_WORK-2"}
	for limit := 1; limit <= 9; limit++ {
		var got []string
		f := store.DeadFilter{Limit: limit}
		for {
			page, err := r.List(t.Context(), f)
			if err != nil || page.Unseen != nil || len(page.Letters) > limit {
				t.Fatalf("page after %q: %d letters, %v, %v", f.After, len(page.Letters), err, page.Unseen)
			}
			for _, l := range page.Letters {
				got = append(got, l.ID)
				if l.OnStream != strings.HasPrefix(l.ID, "T_") || l.State != store.DeadFiled {
					t.Errorf("letter %+v", l)
				}
			}
			if f.After = page.Next; f.After == "" {
				break
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("in pages of %d (-want +got):\n%s", limit, diff)
		}
	}
	for name, tc := range map[string]struct {
		filter store.DeadFilter
		want   []string
	}{
		"stage":     {store.DeadFilter{Stage: events.Song}, want[5:]},
		"cause":     {store.DeadFilter{Cause: "unreadable"}, []string{"T_WORK-0", "T_WORK-2"}},
		"task":      {store.DeadFilter{TaskID: "none"}, want[5:]},
		"its task":  {store.DeadFilter{TaskID: "task-3"}, want[3:4]},
		"since":     {store.DeadFilter{Since: at.Add(time.Hour)}, want[6:]},
		"before":    {store.DeadFilter{Before: at.Add(2 * time.Second)}, []string{rowID(0), rowID(1), "T_WORK-0"}},
		"a pattern": {store.DeadFilter{TaskID: "*"}, []string{}},
		"limit":     {store.DeadFilter{Limit: 6}, want[:6]},
	} {
		if diff := cmp.Diff(tc.want, r.each(tc.filter)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// Ten thousand letters are gone through in pages, each once, also while they are dealt with and others come.
func TestEach_TenThousand(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const n = 10_050
	r.file(n)
	seen := map[string]int{}
	err := r.Each(t.Context(), store.DeadFilter{}, func(l dead.Letter) error {
		seen[l.ID]++
		if len(seen)%100 != 0 {
			return nil
		}
		result, err := r.Drop(context.Background(), l)
		if result != dead.Dropped {
			t.Errorf("letter %s: %q", l.ID, result)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(seen) != n {
		t.Errorf("%d letters were seen, want %d", len(seen), n)
	}
	for id, times := range seen {
		if times != 1 {
			t.Errorf("letter %s was seen %d times", id, times)
		}
	}
	if got := len(r.each(store.DeadFilter{})); got != n-n/100 {
		t.Errorf("%d are left, want %d", got, n-n/100)
	}
}

func TestFindReplayDrop_WithoutARow(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.bury(events.Song, "none", "T_WORK-1", "unreadable", at)
	l, err := r.Find(t.Context(), "T_WORK-1")
	if err != nil || !l.OnStream || l.Body != "{" || l.Stage != events.Song || l.Cause != "unreadable" {
		t.Fatalf("found %+v, %v", l, err)
	}
	if result, err := r.Replay(t.Context(), l); result != dead.NoRun || err != nil {
		t.Errorf("replay: %q, %v", result, err)
	}
	for range 2 {
		if result, err := r.Drop(t.Context(), l); result != dead.Dropped || err != nil {
			t.Errorf("drop: %q, %v", result, err)
		}
	}
	for _, id := range []string{"T_WORK-1", "*", ">", "", "a.b", "\x00"} {
		if _, err := r.Find(t.Context(), id); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%q: %v", id, err)
		}
	}
}

func TestCount_ByStageAndCause(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.file(6)
	r.bury(events.Song, "none", "T_WORK-1", "unreadable", at)
	r.bury(events.Song, "none", "T_WORK-2", "unreadable", at.Add(time.Hour))
	counts, err := r.Count(t.Context(), store.DeadFilter{})
	if err != nil {
		t.Fatal(err)
	}
	want := []dead.Count{
		{DeadCount: store.DeadCount{Stage: "crawl", Cause: "place_not_found", Letters: 1, First: at.Add(4 * time.Second), Last: at.Add(4 * time.Second)}},
		{DeadCount: store.DeadCount{Stage: "crawl", Cause: "song_failed", Letters: 1, First: at.Add(2 * time.Second), Last: at.Add(2 * time.Second)}},
		{DeadCount: store.DeadCount{Stage: "crawl", Cause: "suno_no_credits", Letters: 1, First: at, Last: at}},
		{DeadCount: store.DeadCount{Stage: "intel", Cause: "place_not_found", Letters: 1, First: at.Add(time.Second), Last: at.Add(time.Second)}},
		{DeadCount: store.DeadCount{Stage: "intel", Cause: "song_failed", Letters: 1, First: at.Add(5 * time.Second), Last: at.Add(5 * time.Second)}},
		{DeadCount: store.DeadCount{Stage: "intel", Cause: "suno_no_credits", Letters: 1, First: at.Add(3 * time.Second), Last: at.Add(3 * time.Second)}},
		{DeadCount: store.DeadCount{Stage: "song", Cause: "unreadable", Letters: 2, First: at, Last: at.Add(time.Hour)}, OnStream: true},
	}
	if diff := cmp.Diff(want, counts); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
}

// The broker is away: all rows are dealt with, and the error says what wasn't seen.
func TestOffice_WithoutTheBroker(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.file(3)
	r.Broker.Close()
	for name, office := range map[string]*dead.Office{"away": r.Office, "unknown": {DB: r.DB}} {
		var seen int
		err := office.Each(t.Context(), store.DeadFilter{}, func(dead.Letter) error { seen++; return nil })
		if seen != 3 || !errors.Is(err, dead.ErrUnseen) {
			t.Errorf("%s: %d letters, %v; want 3 and what wasn't seen", name, seen, err)
		}
		counts, err := office.Count(t.Context(), store.DeadFilter{})
		if len(counts) != 3 || !errors.Is(err, dead.ErrUnseen) {
			t.Errorf("%s: %d counts, %v", name, len(counts), err)
		}
		if l, err := office.Find(t.Context(), rowID(1)); err != nil || l.TaskID != "task-1" {
			t.Errorf("%s: %+v, %v", name, l, err)
		}
	}
	if _, err := r.Find(t.Context(), "T_WORK-1"); !errors.Is(err, dead.ErrUnseen) {
		t.Errorf("what may be on the stream: %v", err)
	}
}

func TestParseTime(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"": {}, "2h": now.Add(-2 * time.Hour), "1h30m": now.Add(-90 * time.Minute), "0s": now, "3d": now.AddDate(0, 0, -3),
		"2026-11-23T08:00:00Z": at, "2026-11-23T17:00:00+09:00": at, "2026-11-23T08:00:00.5Z": at.Add(time.Second / 2),
	} {
		if got, err := dead.ParseTime(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%q: got %s, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"yesterday", "-2h", "2", "d", "-1d", "1.5d", "99999d", "2026-11-23", "2026-13-23T08:00:00Z", "2h;"} {
		if got, err := dead.ParseTime(text, now); err == nil {
			t.Errorf("%q was read as %s", text, got)
		}
	}
}
