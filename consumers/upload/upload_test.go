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
	"castad/internal/author"
	"castad/internal/fault"
	"castad/internal/testkit"
	"castad/prompts"
	"castad/providers/sandbox"
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
	video.Platform, video.Privacy, video.ExternalID, video.URL = "youtube", "unlisted", got[0].ExternalID, r.URL+"/youtube/watch?v="+got[0].ExternalID
	reel.Platform, reel.Privacy, reel.ExternalID, reel.URL = "instagram", "public", got[1].ExternalID, r.URL+"/instagram/reel/"+got[1].ExternalID
	if diff := cmp.Diff([]store.SocialUpload{video, reel}, got, cmpopts.IgnoreFields(store.SocialUpload{}, "ID", "CreatedAt", "PublishedAt")); diff != "" {
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

// A run that is taken away while Instagram works publishes nothing more, and its post is cancelled.
func TestUpload_CancelledTaskPublishesNothing(t *testing.T) {
	t.Parallel()
	r := atUpload(t, onInstagram)
	r.instead(1, firstContainer, status(http.StatusOK, `{"status_code":"IN_PROGRESS"}`))
	if out, err := r.Work(t.Context(), r.claim); err != nil || out.Rest == 0 {
		t.Fatalf("while Instagram works: %+v, %v", out, err)
	}
	if err := r.DB.Cancel(t.Context(), owner, r.claim.TaskID); err != nil {
		t.Fatal(err)
	}
	out, err := r.Work(t.Context(), r.claim)
	if err == nil {
		err = r.DB.Complete(t.Context(), r.claim, func(tx *store.Tx) error { return r.Save(t.Context(), tx, r.claim, out.Result) })
	}
	if !errors.Is(err, store.ErrLeaseLost) {
		t.Errorf("cancelled: %+v, %v", out, err)
	}
	if rows, err := r.DB.ListUploads(t.Context(), r.claim.TaskID); err != nil || len(rows) != 1 || rows[0].Status != store.UploadCancelled {
		t.Errorf("posts %+v, %v", rows, err)
	}
	r.wantPosts(t, 0, 0)
}

// A run that is taken away before anything is published publishes nothing at all.
func TestUpload_LostClaimPublishesNothing(t *testing.T) {
	t.Parallel()
	r := atUpload(t, onInstagram, onYouTube)
	r.Fail(t, sandbox.Fault{Provider: "openai", Call: "read", What: "status", Status: 500, Count: 1})
	r.wantFault(t, fault.Retryable, "internal")
	if err := r.DB.Cancel(t.Context(), owner, r.claim.TaskID); err != nil {
		t.Fatal(err)
	}
	if out, err := r.Work(t.Context(), r.claim); !errors.Is(err, store.ErrLeaseLost) {
		t.Errorf("cancelled: %+v, %v", out, err)
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
	r.planned(t, time.Now().Add(-time.Minute)) // an hour later
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
	r.planned(t, time.Now()) // a day later
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

// wantRow checks how far a platform's post is, as its owner sees it.
func (r *rig) wantRow(t *testing.T, platform string, status store.UploadStatus, code string) store.SocialUpload {
	t.Helper()
	rows, err := r.DB.ListUploads(t.Context(), r.claim.TaskID)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		if row.Platform != platform {
			continue
		}
		if row.Status != status || row.Code != code || (status == store.UploadFailed && row.Reason == "") {
			t.Errorf("%s is %s (%s: %s), wanted %s (%s)", platform, row.Status, row.Code, row.Reason, status, code)
		}
		return row
	}
	t.Errorf("%s has no row", platform)
	return store.SocialUpload{}
}

// A target that is refused for good ends nobody else's: the run fails when all have ended, and only what failed is tried
// again after that.
func TestUpload_RefusedTargetDoesntEndTheOther(t *testing.T) {
	t.Parallel()
	r := atUpload(t, onInstagram, at(onYouTube, time.Hour))
	r.instead(1, releases, status(http.StatusBadRequest, `{"error":{"message":"x","code":4,"error_subcode":2207051}}`))
	r.waiting(t)
	r.wantRow(t, "instagram", store.UploadFailed, "instagram_action_blocked")
	r.wantRow(t, "youtube", store.UploadPending, scheduled)
	r.claim.Resumed = true
	r.waiting(t)
	if n := r.requests(releases); n != 1 {
		t.Errorf("asked %d times for what was refused for good", n)
	}
	r.planned(t, time.Now())
	r.wantFault(t, fault.Permanent, "instagram_action_blocked")
	r.wantPosts(t, 1, 0)
	r.wantRow(t, "youtube", store.UploadPublished, "")
	r.claim.Resumed = false // a person has set it right, and tries again
	r.published(t)
	r.wantPosts(t, 1, 1)
}

// Passing trouble of one target is put off without an attempt of the run, and has its own end.
func TestUpload_TroubleOfOneTargetIsItsOwn(t *testing.T) {
	t.Parallel()
	r := atUpload(t, onInstagram, at(onYouTube, 24*time.Hour))
	r.Fail(t, sandbox.Fault{Provider: "instagram", What: "status", Status: 503})
	r.claim.Resumed = true
	rest := time.Duration(0)
	for try := 1; try < mostTries; try++ {
		r.due(t)
		out, err := r.Work(t.Context(), r.claim)
		for err == nil && out.Code == author.Writing {
			out, err = r.Work(t.Context(), r.claim)
		}
		if err != nil || out.Code != "instagram_unavailable" || out.Rest <= rest {
			t.Fatalf("try %d: rests %v after %v for %q, %v", try, out.Rest, rest, out.Code, err)
		}
		rest = out.Rest
		if row := r.wantRow(t, "instagram", store.UploadPending, "instagram_unavailable"); row.Tries != try {
			t.Errorf("%d tries are counted, not %d", row.Tries, try)
		}
		made := r.requests(containers)
		if out, err := r.Work(t.Context(), r.claim); err != nil || out.Rest == 0 || r.requests(containers) != made {
			t.Errorf("before its time: %+v, %v, after %d calls %d", out, err, made, r.requests(containers))
		}
	}
	r.due(t)
	r.waiting(t)
	r.wantRow(t, "instagram", store.UploadFailed, "instagram_unavailable")
	r.planned(t, time.Now())
	r.wantFault(t, fault.Permanent, "instagram_unavailable")
	r.wantPosts(t, 1, 0)
}

// A quota that is used up on one platform is waited for, and told, while the other goes on.
func TestUpload_UsedUpQuotaHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	r := atUpload(t, onYouTube, onInstagram)
	r.Fail(t, sandbox.Fault{Provider: "youtube", What: "quota"})
	f := r.wantFault(t, fault.RateLimited, "youtube_quota_used_up")
	row := r.wantRow(t, "youtube", store.UploadPending, "youtube_quota_used_up")
	if !row.DueAt.Valid || row.DueAt.V.Sub(f.Until).Abs() > time.Second || !f.Until.After(time.Now()) {
		t.Errorf("tried again at %v, due at %v", f.Until, row.DueAt)
	}
	r.wantPosts(t, 0, 1)
	r.Mend(t)
	r.published(t)
	r.wantPosts(t, 1, 1)
}

// What a post says is written once: a day later nobody asks the language model again.
func TestUpload_TextIsKept(t *testing.T) {
	t.Parallel()
	r := atUpload(t, at(onYouTube, time.Hour))
	r.waiting(t)
	asked := r.requests("GET /openai/")
	r.waiting(t)
	r.planned(t, time.Now())
	r.published(t)
	if again := r.requests("GET /openai/"); again != asked {
		t.Errorf("the model was asked %d times, then %d", asked, again)
	}
}
