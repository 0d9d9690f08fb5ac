package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"castad/events"
	"castad/internal/fault"
	"castad/internal/testkit"
	"castad/providers"
	"castad/providers/azblob"
	"castad/providers/creatomate"
	"castad/providers/fetch"
	"castad/providers/sandbox"
	"castad/store"
)

const owner = "0199d4a0-0000-7000-8000-000000000001"

// paidOnly stands in orders that are paid; the free check of a script before them has no metadata.
const paidOnly = "metadata"

// rig is the stage with the real clients on a sandbox, and a task that has everything but its video.
type rig struct {
	*box
	*Stage
	claim store.Claim
	blobs *azblob.Client
	calls chan callback
}

// callback is one that the render service has made.
type callback struct {
	token string
	body  []byte
}

func atVideo(t *testing.T, d sandbox.Durations) *rig {
	t.Helper()
	db, err := store.Open(store.Settings{DSN: testkit.Database(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	r := &rig{box: openBox(t, d), calls: make(chan callback, 16)}
	r.blobs = r.box.blobs(t)
	hooks := httptest.NewServer(http.HandlerFunc(r.called))
	t.Cleanup(hooks.Close)
	r.Stage = &Stage{DB: db, Renderer: creatomate.New(creatomate.Config{BaseURL: r.URL + "/creatomate", Key: "key"}),
		Fetch: fetch.New(fetch.Config{Allow: []string{r.host()}}), Blobs: r.blobs, Callbacks: hooks.URL + "/hooks/creatomate/",
		Interval: time.Second, Credit: 20_000}
	r.claim = sung(t, db, "vertical", 3)
	return r
}

func (r *rig) called(_ http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	r.calls <- callback{strings.TrimPrefix(req.URL.Path, "/hooks/creatomate/"), body}
}

const (
	placeName = `숲속 "하루" <펜션> & 카페`
	region    = "경기 가평군"
)

var lines = []providers.Line{
	{Text: "가평 숲길 따라", Start: 1, End: 3, Words: []providers.Word{{Text: "가평", Start: 1, End: 2}, {Text: "숲길 따라", Start: 2, End: 3}}},
	{Text: "다시 <찾아온> 하루 {{name}}", Start: 4, End: 7.5},
}

// sung returns the claim of the video run of a task that has its place, so many photos, and its song.
func sung(t *testing.T, db *store.DB, orientation string, photos int) store.Claim {
	t.Helper()
	id, _, err := db.Submit(t.Context(), store.Submission{UserUUID: owner, Language: providers.Korean, Orientation: orientation,
		Music: store.Music{Mood: "잔잔한"}})
	if err != nil {
		t.Fatal(err)
	}
	completed(t, db, id, events.Crawl, func(tx *store.Tx) error {
		if photos > 0 {
			if err := tx.SaveImages(t.Context(), album(id, photos)); err != nil {
				return err
			}
		}
		return tx.SaveProject(t.Context(), store.Project{TaskID: id, UserUUID: owner, StoreName: placeName, Region: region, Language: providers.Korean})
	})
	nothing := func(*store.Tx) error { return nil }
	completed(t, db, id, events.Intel, nothing)
	completed(t, db, id, events.Lyric, nothing)
	completed(t, db, id, events.Song, func(tx *store.Tx) error {
		return tx.SaveSong(t.Context(), store.Song{TaskID: id, Revision: 1, JobID: "job", ClipID: "clip", URL: "https://blobs/song-1.mp3",
			Seconds: 61.4, Lines: lines})
	})
	return claimed(t, db, id, events.Video)
}

func album(taskID string, photos int) []store.Image {
	var images []store.Image
	for i := range photos {
		images = append(images, store.Image{TaskID: taskID, Revision: 1, Position: i, URL: fmt.Sprintf("https://blobs/photo-%02d.jpeg", i)})
	}
	return images
}

func completed(t *testing.T, db *store.DB, id string, s events.Stage, save func(tx *store.Tx) error) {
	t.Helper()
	if err := db.Complete(t.Context(), claimed(t, db, id, s), save); err != nil {
		t.Fatalf("complete %s: %v", s, err)
	}
}

func claimed(t *testing.T, db *store.DB, id string, s events.Stage) store.Claim {
	t.Helper()
	c, answer, err := db.Claim(t.Context(), id, s, "test", 10*time.Minute, 5)
	if err != nil || answer != store.Claimed {
		t.Fatalf("claim %s: %d, %v", s, answer, err)
	}
	return c
}

// work is one attempt that has to bring the video.
func (r *rig) work(t *testing.T) store.Video {
	t.Helper()
	out, err := r.Work(t.Context(), r.claim)
	if err != nil || out.Rest > 0 {
		t.Fatalf("no video: %+v, %v", out, err)
	}
	return out.Result
}

// wantFault is one attempt that has to fail as said.
func (r *rig) wantFault(t *testing.T, kind fault.Kind, code string) {
	t.Helper()
	out, err := r.Work(t.Context(), r.claim)
	if f := fault.Of(err); f == nil || f.Kind != kind || f.Code != code {
		t.Fatalf("wanted %s (%s), got %+v, %v", code, kind, out, err)
	}
}

// wantBilled counts the orders that were accepted for the task, by their metadata.
func (r *rig) wantBilled(t *testing.T, calls int) {
	t.Helper()
	got := 0
	for mark, n := range r.Bill(t).Marks {
		if strings.HasPrefix(mark, "creatomate:"+r.claim.TaskID) {
			got += n
		}
	}
	if got != calls {
		t.Errorf("%d renders were paid, wanted %d", got, calls)
	}
}

// job is the run's newest order.
func (r *rig) job(t *testing.T) store.Job {
	t.Helper()
	job, err := r.DB.FindJob(t.Context(), r.claim.Run, "render")
	if err != nil {
		t.Fatal(err)
	}
	return job
}
