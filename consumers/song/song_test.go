package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"castad/events"
	"castad/internal/fault"
	"castad/internal/testkit"
	"castad/providers"
	"castad/store"
)

// maker is a song service that counts its orders. Its clips are ready at once.
type maker struct {
	orders   atomic.Int64
	lose     bool // accept, and lose the answer
	callback string
	song     providers.Song
}

func (m *maker) Submit(_ context.Context, o providers.SongOrder) (string, error) {
	m.orders.Add(1)
	m.callback = o.CallbackURL
	if m.lose {
		return "", fault.Unsure("suno_outcome_unknown", errors.New("connection reset"))
	}
	return "job-1", nil
}

func (m *maker) Look(context.Context, string) (providers.Song, error) { return m.song, nil }

func (m *maker) Words(context.Context, string, string) ([]providers.Word, error) {
	return []providers.Word{{Text: "[Verse]\n가평 ", Start: 1, End: 2}, {Text: "숲길\n", Start: 2, End: 3}}, nil
}

func (m *maker) Confirm(_ context.Context, id, url string) (bool, error) {
	return id == "job-hinted" && url == m.callback, nil
}

// shelf is a blob store, and what files are fetched from.
type shelf struct{ kept []string }

func (s *shelf) Keep(_ context.Context, name, _ string, r io.Reader) (string, error) {
	_, err := io.Copy(io.Discard, r)
	s.kept = append(s.kept, name)
	return "https://blobs/" + name, err
}

func (s *shelf) Stream(_ context.Context, url string, _ int64) (io.ReadCloser, string, int64, error) {
	return io.NopCloser(strings.NewReader(url)), "audio/mpeg", int64(len(url)), nil
}

func ready() providers.Song {
	return providers.Song{ID: "job-1", Progress: providers.Done, Clips: []providers.Clip{{ID: "long", AudioURL: "https://x/long.mp3", Seconds: 140}, {ID: "right", AudioURL: "https://x/right.mp3", Seconds: 61}}}
}

// stageWith returns the stage on a database in which a task has its lyrics, and the claim of its song run.
func stageWith(t *testing.T, m *maker) (*Stage, store.Claim, *shelf) {
	t.Helper()
	db, err := store.Open(store.Settings{DSN: testkit.Database(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	id, _, err := db.Submit(t.Context(), store.Submission{UserUUID: "u", Language: providers.Korean, Orientation: "vertical"})
	if err != nil {
		t.Fatal(err)
	}
	lines, _ := json.Marshal([]map[string]string{{"section": "verse", "text": "가평 숲길"}})
	for _, s := range []events.Stage{events.Crawl, events.Intel, events.Lyric} {
		c := claimed(t, db, id, s)
		err := db.Complete(t.Context(), c, func(tx *store.Tx) error {
			if s != events.Lyric {
				return nil
			}
			return tx.SaveLyric(t.Context(), store.Lyric{TaskID: id, Revision: 1, Language: providers.Korean, Title: "하루", Lines: lines, Origin: "model"})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	s := &shelf{}
	return &Stage{DB: db, Maker: m, Fetch: s, Blobs: s, Callbacks: "https://castad/hooks/suno/", Interval: time.Second}, claimed(t, db, id, events.Song), s
}

func claimed(t *testing.T, db *store.DB, id string, s events.Stage) store.Claim {
	t.Helper()
	c, answer, err := db.Claim(t.Context(), id, s, "test", time.Minute, 5)
	if err != nil || answer != store.Claimed {
		t.Fatalf("claim %s: %d, %v", s, answer, err)
	}
	return c
}

func TestSong_ResumesThePaidJob(t *testing.T) {
	t.Parallel()
	m := &maker{song: providers.Song{Progress: providers.Working}}
	stage, c, shelf := stageWith(t, m)
	if out, err := stage.Work(t.Context(), c); err != nil || out.Rest <= 0 || out.Code != jobWorking {
		t.Fatalf("while it is made: %+v, %v", out, err)
	}
	m.song = ready()
	for range 2 { // the second is a redelivery after a crash before the save
		out, err := stage.Work(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		want := []providers.Line{{Text: "가평 숲길", Start: 1, End: 3, Words: []providers.Word{{Text: "가평", Start: 1, End: 2}, {Text: "숲길", Start: 2, End: 3}}}}
		if diff := cmp.Diff(want, out.Result.Lines); diff != "" || out.Result.ClipID != "right" {
			t.Errorf("clip %s, lines (-want +got):\n%s", out.Result.ClipID, diff)
		}
	}
	if got := m.orders.Load(); got != 1 {
		t.Errorf("%d songs were ordered", got)
	}
	name := c.TaskID + "/song-1.mp3"
	if diff := cmp.Diff([]string{name, name}, shelf.kept); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
}

func TestSong_LostAnswerIsFoundByTheCallback(t *testing.T) {
	t.Parallel()
	m := &maker{lose: true, song: ready()}
	stage, c, _ := stageWith(t, m)
	for range 2 {
		if _, err := stage.Work(t.Context(), c); fault.Of(err).Kind != fault.Uncertain {
			t.Fatalf("nobody knows yet: %v", err)
		}
	}
	token := strings.TrimPrefix(m.callback, stage.Callbacks)
	if err := stage.DB.Hint(t.Context(), "suno", token, "somebody-elses"); err != nil {
		t.Fatal(err)
	}
	if _, err := stage.Work(t.Context(), c); fault.Of(err).Kind != fault.Uncertain {
		t.Errorf("a forged id was believed: %v", err)
	}
	if err := stage.DB.Hint(t.Context(), "suno", token, "job-hinted"); err != nil {
		t.Fatal(err)
	}
	out, err := stage.Work(t.Context(), c)
	if err != nil || out.Result.JobID != "job-hinted" || m.orders.Load() != 1 {
		t.Errorf("job %q, %v, %d orders", out.Result.JobID, err, m.orders.Load())
	}
}

func TestSong_OtherClipCostsNothing(t *testing.T) {
	t.Parallel()
	m := &maker{song: ready()}
	stage, c, _ := stageWith(t, m)
	out, err := stage.Work(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if err := stage.DB.Complete(t.Context(), c, func(tx *store.Tx) error { return stage.Save(t.Context(), tx, c, out.Result) }); err != nil {
		t.Fatal(err)
	}
	if _, err := stage.DB.Rerun(t.Context(), "u", c.TaskID, events.Song, &store.Edit{ClipID: "long"}); err != nil {
		t.Fatal(err)
	}
	out, err = stage.Work(t.Context(), claimed(t, stage.DB, c.TaskID, events.Song))
	if err != nil || out.Result.ClipID != "long" || m.orders.Load() != 1 {
		t.Errorf("clip %q, %v, %d orders", out.Result.ClipID, err, m.orders.Load())
	}
}

func TestSong_FailedJobsAreBoughtTwiceAtMost(t *testing.T) {
	t.Parallel()
	m := &maker{song: providers.Song{Progress: providers.Broken, Code: "GENERATE_AUDIO_FAILED", Reason: "Internal Error"}}
	stage, c, _ := stageWith(t, m)
	if _, err := stage.Work(t.Context(), c); fault.Of(err).Kind != fault.Retryable {
		t.Errorf("the first failure: %v", err)
	}
	if _, err := stage.Work(t.Context(), c); fault.Of(err).Kind != fault.Permanent || m.orders.Load() != 2 {
		t.Errorf("the second failure: %v, %d orders", err, m.orders.Load())
	}
}
