package main

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"castad/events"
	"castad/internal/fault"
	"castad/providers"
	"castad/providers/sandbox"
	"castad/store"
)

func TestVideo_IsKeptWithItsCover(t *testing.T) {
	t.Parallel()
	r := atVideo(t, sandbox.Durations{})
	video := r.work(t)
	if err := r.DB.Complete(t.Context(), r.claim, func(tx *store.Tx) error { return r.Save(t.Context(), tx, r.claim, video) }); err != nil {
		t.Fatal(err)
	}
	got, err := r.DB.LoadVideo(t.Context(), r.claim.TaskID)
	if err != nil {
		t.Fatal(err)
	}
	job := r.job(t)
	files := r.URL + "/devstoreaccount1/media/" + r.claim.TaskID
	want := store.Video{TaskID: r.claim.TaskID, Revision: 1, UserUUID: owner, Status: "completed", RenderID: job.ExternalID,
		MovieURL: files + "%2Fvideo-1.mp4", CoverURL: files + "%2Fcover-1.jpg", Seconds: 61.4, Width: 1080, Height: 1920}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(store.Video{}, "ID", "CreatedAt")); diff != "" {
		t.Errorf("video (-want +got):\n%s", diff)
	}
	for kept, made := range map[string]string{got.MovieURL: ".mp4", got.CoverURL: ".jpg"} {
		if string(r.Get(t, kept)) != string(r.Get(t, r.URL+"/files/renders/"+job.ExternalID+made)) {
			t.Errorf("%s isn't the render's file", kept)
		}
	}
	if paid := r.Bill(t).Providers["creatomate"]; paid.Calls != 1 || paid.Micros != job.PriceMicros {
		t.Errorf("billed %+v, expected was a price of %d", paid, job.PriceMicros)
	}
}

// What people and models wrote goes into the order as it is.
func TestVideo_OrdersAllThatTheTaskHas(t *testing.T) {
	t.Parallel()
	r := atVideo(t, sandbox.Durations{})
	for orientation, size := range map[string][2]int{"vertical": {1080, 1920}, "horizontal": {1920, 1080}} {
		t.Run(orientation, func(t *testing.T) {
			r.claim = sung(t, r.DB, orientation, 3)
			video := r.work(t)
			if video.Width != size[0] || video.Height != size[1] {
				t.Errorf("the video is %dx%d", video.Width, video.Height)
			}
			var order providers.RenderOrder
			if err := r.job(t).Decode(&order); err != nil {
				t.Fatal(err)
			}
			want := providers.Composition{Name: placeName, Region: region, Language: providers.Korean, Mood: "잔잔한", Width: size[0], Height: size[1],
				Seconds: 61.4, SongURL: "https://blobs/song-1.mp3", Lines: lines,
				Photos: []string{"https://blobs/photo-00.jpeg", "https://blobs/photo-01.jpeg", "https://blobs/photo-02.jpeg"}}
			if diff := cmp.Diff(want, order.Composition); diff != "" {
				t.Errorf("ordered (-want +got):\n%s", diff)
			}
			var at struct {
				Width, Height int
				Duration      float64
				Metadata      string
				Webhook       string `json:"webhook_url"`
			}
			if err := json.Unmarshal(r.Get(t, r.URL+"/creatomate/v2/renders/"+video.RenderID), &at); err != nil {
				t.Fatal(err)
			}
			job := r.job(t)
			if at.Width != size[0] || at.Height != size[1] || at.Duration != 61.4 || at.Metadata != metadata(job) || at.Webhook != r.Callbacks+job.Token {
				t.Errorf("the render service got %+v", at)
			}
		})
	}
}

// The first look comes later; the run is taken up again by anybody.
func TestVideo_ResumesThePaidJob(t *testing.T) {
	t.Parallel()
	r := atVideo(t, sandbox.Durations{})
	r.FirstLook = time.Hour
	out, err := r.Work(t.Context(), r.claim)
	if err != nil || out.Rest != time.Hour || out.Code != jobWorking {
		t.Fatalf("after the order: %+v, %v", out, err)
	}
	first := r.work(t)
	second := r.work(t) // a redelivery after a crash before the save
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("the second time (-first +second):\n%s", diff)
	}
	r.wantBilled(t, 1)
}

func TestVideo_WaitsWhileItIsRendered(t *testing.T) {
	t.Parallel()
	r := atVideo(t, sandbox.Durations{Render: time.Hour})
	for range 3 {
		out, err := r.Work(t.Context(), r.claim)
		if err != nil || out.Rest <= 0 || out.Code != jobWorking {
			t.Fatalf("while it is rendered: %+v, %v", out, err)
		}
	}
	r.wantBilled(t, 1)
	if kept, err := r.blobs.Exists(t.Context(), r.claim.TaskID+"/video-1.mp4"); err != nil || kept {
		t.Errorf("a file was kept: %v, %v", kept, err)
	}
}

// A rerun after an edit is an order of its own, with files of its own.
func TestVideo_RerunIsANewOrder(t *testing.T) {
	t.Parallel()
	r := atVideo(t, sandbox.Durations{})
	first := r.work(t)
	if err := r.DB.Complete(t.Context(), r.claim, func(tx *store.Tx) error { return r.Save(t.Context(), tx, r.claim, first) }); err != nil {
		t.Fatal(err)
	}
	if _, err := r.DB.Rerun(t.Context(), owner, r.claim.TaskID, events.Video, nil); err != nil {
		t.Fatal(err)
	}
	r.claim = claimed(t, r.DB, r.claim.TaskID, events.Video)
	second := r.work(t)
	if second.Revision != 2 || second.RenderID == first.RenderID || second.MovieURL == first.MovieURL || second.CoverURL == first.CoverURL {
		t.Errorf("after %+v the rerun made %+v", first, second)
	}
	r.wantBilled(t, 2)
}

// Nothing is ordered for a task that can't have a video.
func TestVideo_WithoutPhotosNothingIsOrdered(t *testing.T) {
	t.Parallel()
	r := atVideo(t, sandbox.Durations{})
	r.claim = sung(t, r.DB, "vertical", 0)
	r.wantFault(t, fault.Permanent, "creatomate_order_incomplete")
	r.wantBilled(t, 0)
}

// A run that was taken away orders nothing more.
func TestVideo_CancelledTaskOrdersNothing(t *testing.T) {
	t.Parallel()
	r := atVideo(t, sandbox.Durations{})
	if err := r.DB.Cancel(t.Context(), owner, r.claim.TaskID); err != nil {
		t.Fatal(err)
	}
	if out, err := r.Work(t.Context(), r.claim); !errors.Is(err, store.ErrLeaseLost) {
		t.Errorf("cancelled: %+v, %v", out, err)
	}
	r.wantBilled(t, 0)
}

// A file that breaks off isn't kept, and costs no second render.
func TestVideo_BrokenDownloadIsTakenAgain(t *testing.T) {
	t.Parallel()
	r := atVideo(t, sandbox.Durations{})
	r.instead(1, "/files/renders/", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	r.wantFault(t, fault.Retryable, "url_unreachable")
	r.instead(1, "/files/renders/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000000")
		_, _ = w.Write(make([]byte, 10_000))
		panic(http.ErrAbortHandler)
	})
	r.wantFault(t, fault.Retryable, "url_unreachable")
	if kept, err := r.blobs.Exists(t.Context(), r.claim.TaskID+"/video-1.mp4"); err != nil || kept {
		t.Errorf("half a movie was kept: %v, %v", kept, err)
	}
	r.instead(1, "/devstoreaccount1/", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	r.wantFault(t, fault.Retryable, "blob_unavailable")
	r.work(t)
	r.wantBilled(t, 1)
}

// The render service is believed where its files are only as far as others are: not on our own network.
func TestVideo_FilesElsewhere(t *testing.T) {
	t.Parallel()
	r := atVideo(t, sandbox.Durations{})
	r.FirstLook = time.Hour
	for _, row := range []struct{ movie, code string }{
		{"http://169.254.169.254/latest/meta-data/", "url_not_public"},
		{"http://127.0.0.1:1/movie.mp4", "url_not_public"},
		{"file:///etc/passwd", "url_malformed"},
	} {
		r.claim = sung(t, r.DB, "vertical", 3)
		if out, err := r.Work(t.Context(), r.claim); err != nil || out.Rest != time.Hour {
			t.Fatalf("after the order: %+v, %v", out, err)
		}
		r.instead(1, "/creatomate/v2/renders/", func(w http.ResponseWriter, _ *http.Request) {
			_ = json.NewEncoder(w).Encode(map[string]any{"id": "any", "status": "succeeded", "url": row.movie, "duration": 61.4})
		})
		r.wantFault(t, fault.Permanent, row.code)
	}
	r.instead(1, "/creatomate/v2/renders/", func(w http.ResponseWriter, _ *http.Request) { // a cover isn't promised
		_ = json.NewEncoder(w).Encode(map[string]any{"id": "any", "status": "succeeded", "duration": 61.4, "url": r.URL + "/files/renders/" + r.job(t).ExternalID + ".mp4"})
	})
	if video := r.work(t); video.CoverURL != "" || video.MovieURL == "" {
		t.Errorf("without a cover: %+v", video)
	}
	r.wantBilled(t, 1)
}
