package main

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"castad/events"
	"castad/internal/fault"
	"castad/internal/testkit"
	"castad/prompts"
	"castad/store"
)

func TestUpload_PublishesEverywhere(t *testing.T) {
	t.Parallel()
	r := atUpload(t, onYouTube, onInstagram)
	out := r.published(t)
	if err := r.DB.Complete(t.Context(), r.claim, func(tx *store.Tx) error { return r.Save(t.Context(), tx, r.claim, out) }); err != nil {
		t.Fatal(err)
	}
	got, err := r.DB.ListUploads(t.Context(), r.claim.TaskID)
	if err != nil || len(got) != 2 {
		t.Fatalf("uploads: %+v, %v", got, err)
	}
	seo, err := prompts.DecodeSEO(written(t, "youtube"))
	if err != nil {
		t.Fatal(err)
	}
	row := store.SocialUpload{TaskID: r.claim.TaskID, Revision: 1, UserUUID: owner, Status: "published", Title: seo.Title, Description: seo.Description,
		Tags: store.JSON[[]string]{V: seo.Keywords}}
	video, reel := row, row
	video.Platform, video.Privacy, video.ExternalID, video.URL = "youtube", "unlisted", got[0].ExternalID, r.url+"/youtube/watch?v="+got[0].ExternalID
	reel.Platform, reel.Privacy, reel.ExternalID, reel.URL = "instagram", "public", got[1].ExternalID, r.url+"/instagram/reel/"+got[1].ExternalID
	if diff := cmp.Diff([]store.SocialUpload{video, reel}, got, cmpopts.IgnoreFields(store.SocialUpload{}, "ID", "CreatedAt")); diff != "" {
		t.Errorf("uploads (-want +got):\n%s", diff)
	}
	if string(r.get(t, "/files/videos/"+got[0].ExternalID+".mp4")) != string(movie) {
		t.Error("YouTube has another file")
	}
	r.wantPosts(t, 1, 1)
	r.wantMarks(t, r.claim.TaskID+"-1")
}

// wantMarks checks that the newest video and the newest reel can be found again.
func (r *rig) wantMarks(t *testing.T, mark string) {
	t.Helper()
	var list struct {
		Items []struct{ Snippet struct{ Description string } }
		Data  []struct{ Caption string }
	}
	for _, path := range []string{"/youtube/youtube/v3/playlistItems", strings.TrimPrefix(strings.TrimSuffix(reels, "?"), "GET ")} {
		if err := json.Unmarshal(r.get(t, path), &list); err != nil {
			t.Fatal(err)
		}
	}
	if len(list.Items) == 0 || !strings.HasSuffix(list.Items[0].Snippet.Description, "\n\nref "+mark) {
		t.Errorf("YouTube has no mark: %+v", list.Items)
	}
	if len(list.Data) == 0 || !strings.HasSuffix(list.Data[0].Caption, "\nref "+mark) {
		t.Errorf("Instagram has no mark: %+v", list.Data)
	}
}

func TestUpload_AgainBeforeTheSavePublishesNothingTwice(t *testing.T) {
	t.Parallel()
	r := atUpload(t, onYouTube, onInstagram)
	first := r.published(t)
	asked := [...]int{r.requests(sessions), r.requests(chunks), r.requests(containers), r.requests("POST /openai/")}
	if diff := cmp.Diff(first, r.published(t)); diff != "" {
		t.Errorf("the second time (-first +second):\n%s", diff)
	}
	if again := [...]int{r.requests(sessions), r.requests(chunks), r.requests(containers), r.requests("POST /openai/")}; again != asked {
		t.Errorf("sessions, chunks, containers and answers asked for: %v, and then %v", asked, again)
	}
	r.wantPosts(t, 1, 1)
}

func TestUpload_RerunPostsTheNewVideo(t *testing.T) {
	t.Parallel()
	r := atUpload(t, onYouTube, onInstagram)
	first := r.published(t)
	if err := r.DB.Complete(t.Context(), r.claim, func(tx *store.Tx) error { return r.Save(t.Context(), tx, r.claim, first) }); err != nil {
		t.Fatal(err)
	}
	if _, err := r.DB.Rerun(t.Context(), owner, r.claim.TaskID, events.Video, nil); err != nil {
		t.Fatal(err)
	}
	r.film(t, r.claim.TaskID)
	r.claim = r.claimed(t, r.claim.TaskID, events.Upload)
	second := r.published(t)
	for i := range second {
		if second[i].Revision != 2 || second[i].ExternalID == first[i].ExternalID {
			t.Errorf("after %+v came %+v", first[i], second[i])
		}
	}
	r.wantPosts(t, 2, 2)
	r.wantMarks(t, r.claim.TaskID+"-2")
}

// A run that is taken away while Instagram works publishes nothing more.
func TestUpload_CancelledTaskPublishesNothing(t *testing.T) {
	t.Parallel()
	r := atUpload(t, onInstagram, onYouTube)
	r.claim.Task.Publish.V = r.claim.Task.Publish.V[:1]
	r.instead(1, firstContainer, status(http.StatusOK, `{"status_code":"IN_PROGRESS"}`))
	if out, err := r.Work(t.Context(), r.claim); err != nil || out.Rest == 0 {
		t.Fatalf("while Instagram works: %+v, %v", out, err)
	}
	if err := r.DB.Cancel(t.Context(), owner, r.claim.TaskID); err != nil {
		t.Fatal(err)
	}
	for _, target := range []store.Target{onInstagram, onYouTube} {
		r.claim.Task.Publish.V = []store.Target{target}
		testkit.Eventually(t, "the lease is found lost", func() bool {
			out, err := r.Work(t.Context(), r.claim)
			if err == nil && out.Rest == 0 {
				t.Fatalf("cancelled, and published %+v", out)
			}
			return errors.Is(err, store.ErrLeaseLost)
		})
	}
	r.wantPosts(t, 0, 0)
}

func at(target store.Target, in time.Duration) store.Target {
	when := time.Now().Add(in).UTC()
	target.PublishAt = &when
	return target
}

func TestUpload_WaitsForItsTime(t *testing.T) {
	t.Parallel()
	r := atUpload(t, at(onYouTube, time.Hour))
	for range 2 {
		out, err := r.Work(t.Context(), r.claim)
		if err != nil || out.Code != scheduled || out.Rest < 50*time.Minute || out.Rest > time.Hour {
			t.Fatalf("an hour before: %+v, %v", out, err)
		}
	}
	if r.requests(sessions) > 0 {
		t.Error("an upload was begun before its time")
	}
	r.claim.Task.Publish.V[0] = at(onYouTube, -time.Minute) // an hour later
	r.published(t)
	r.wantPosts(t, 1, 0)
}

// A platform that is slow doesn't hold up the other.
func TestUpload_PlatformAtWorkDoesntHoldUpTheOther(t *testing.T) {
	t.Parallel()
	r := atUpload(t, onInstagram, onYouTube)
	r.instead(2, firstContainer, status(http.StatusOK, `{"status_code":"IN_PROGRESS"}`))
	for range 2 {
		if out, err := r.Work(t.Context(), r.claim); err != nil || out.Code != publishing || out.Rest <= 0 {
			t.Fatalf("while Instagram works: %+v, %v", out, err)
		}
	}
	r.wantPosts(t, 1, 0)
	if out := r.published(t); out[0].Platform != "instagram" || out[1].Platform != "youtube" {
		t.Errorf("published %+v", out)
	}
	r.wantPosts(t, 1, 1)
}

// What has its time later doesn't hold up what is due.
func TestUpload_OneTargetDoesntHoldUpTheOther(t *testing.T) {
	t.Parallel()
	r := atUpload(t, at(onYouTube, 24*time.Hour), onInstagram)
	r.waiting(t)
	r.wantPosts(t, 0, 1)
	r.claim.Task.Publish.V[0] = onYouTube // a day later
	r.published(t)
	r.wantPosts(t, 1, 1)
}

// waiting looks until the run waits for nothing but a time.
func (r *rig) waiting(t *testing.T) {
	t.Helper()
	testkit.Eventually(t, "the run waits for its time", func() bool {
		outcome, err := r.Work(t.Context(), r.claim)
		if err != nil || outcome.Rest == 0 {
			t.Fatalf("before the last one's time: %+v, %v", outcome, err)
		}
		return outcome.Code == scheduled
	})
}

// A platform's trouble doesn't publish again what is out on the other.
func TestUpload_FirstTargetIsOutAlready(t *testing.T) {
	t.Parallel()
	r := atUpload(t, onYouTube, onInstagram)
	r.instead(1, releases, status(http.StatusBadRequest, `{"error":{"message":"x","code":4,"error_subcode":2207051}}`))
	r.wantFault(t, fault.Permanent, "instagram_action_blocked")
	r.wantPosts(t, 1, 0)
	out := r.published(t) // a person has set it right, and tries again
	if len(out) != 2 || r.requests(sessions) != 1 || r.requests(containers) != 1 || r.requests(releases) != 2 {
		t.Errorf("published %d posts with %d sessions, %d containers, %d releases", len(out), r.requests(sessions), r.requests(containers), r.requests(releases))
	}
	r.wantPosts(t, 1, 1)
}
