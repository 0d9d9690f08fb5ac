package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"castad/internal/fault"
	"castad/providers"
	"castad/providers/sandbox"
	"castad/store"
)

// A session is free and invisible: after a lost answer another is begun.
func TestYouTube_LostSessionIsBegunAgain(t *testing.T) {
	t.Parallel()
	r := atUpload(t, onYouTube)
	r.instead(1, sessions, r.quietly(cut))
	r.wantFault(t, fault.Uncertain, store.CodeOutcomeUnknown)
	r.published(t)
	if n := r.requests(sessions); n != 2 {
		t.Errorf("%d sessions were begun", n)
	}
	r.wantPosts(t, 1, 0)
}

// dying is a channel whose caller is killed as soon as the last byte has arrived.
type dying struct{ youtubeClient }

func (d dying) Send(ctx context.Context, session string, size int64, open func(offset int64) (io.ReadCloser, error)) (providers.Published, error) {
	video, err := d.youtubeClient.Send(ctx, session, size, open)
	panic(fmt.Sprint("kill -9 ", video, err))
}

// The session of a finished upload still tells its video.
func TestYouTube_CrashAfterTheLastByte(t *testing.T) {
	t.Parallel()
	r := atUpload(t, onYouTube)
	alive := r.youtube.Client
	r.youtube.Client = dying{alive}
	died := make(chan struct{})
	go func() {
		defer close(died)
		defer func() { _ = recover() }()
		_, _ = r.Work(context.Background(), r.claim)
	}()
	<-died
	r.wantPosts(t, 1, 0)
	r.youtube.Client = alive
	sent := r.requests(chunks)
	r.published(t)
	if again := r.requests(chunks) - sent; again != 1 || r.requests(sessions) != 1 {
		t.Errorf("the session was asked %d times, and %d sessions were begun", again, r.requests(sessions))
	}
	r.wantPosts(t, 1, 0)
}

// An upload that broke off goes on where it stopped, and the file is whole.
func TestYouTube_BrokenUploadGoesOn(t *testing.T) {
	t.Parallel()
	r := atUpload(t, onYouTube)
	passed := 0
	r.instead(5, chunks, func(w http.ResponseWriter, req *http.Request) { // a question, a chunk, and then nothing for a while
		if passed++; passed <= 2 {
			r.sandbox.ServeHTTP(w, req)
			return
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	r.wantFault(t, fault.Uncertain, store.CodeOutcomeUnknown)
	out := r.published(t)
	if string(r.get(t, "/files/videos/"+out[0].ExternalID+".mp4")) != string(movie) {
		t.Error("the file isn't whole")
	}
	if n := r.requests(sessions); n != 1 {
		t.Errorf("%d sessions were begun", n)
	}
	r.wantPosts(t, 1, 0)
}

var gone = status(http.StatusNotFound, `{"error":{"code":404,"message":"gone"}}`)

// The session is gone, but its last byte has arrived: the video is found by its mark.
func TestYouTube_VanishedSessionWithItsVideo(t *testing.T) {
	t.Parallel()
	r := atUpload(t, onYouTube)
	r.youtube.Client = dying{r.channel("refresh")}
	died := make(chan struct{})
	go func() {
		defer close(died)
		defer func() { _ = recover() }()
		_, _ = r.Work(context.Background(), r.claim)
	}()
	<-died
	r.youtube.Client = r.channel("refresh")
	r.instead(100, chunks, gone)
	first := r.published(t)
	if second := r.published(t); second[0].ExternalID != first[0].ExternalID || r.requests(sessions) != 1 {
		t.Errorf("found %s, then %s; %d sessions were begun", first[0].ExternalID, second[0].ExternalID, r.requests(sessions))
	}
	r.wantPosts(t, 1, 0)
}

// The session is gone before its last byte: another is begun, once the channel was looked through.
func TestYouTube_VanishedSessionWithoutAVideo(t *testing.T) {
	t.Parallel()
	r := atUpload(t, onYouTube)
	r.instead(1, chunks, gone)
	r.instead(1, uploads, status(http.StatusBadGateway, ""))
	r.wantFault(t, fault.Retryable, "youtube_unavailable") // nobody knows whether it is there
	if n := r.requests(sessions); n != 1 {
		t.Errorf("%d sessions were begun before the channel was looked through", n)
	}
	r.instead(1, chunks, gone)
	r.published(t)
	if n := r.requests(sessions); n != 2 {
		t.Errorf("%d sessions were begun", n)
	}
	r.wantPosts(t, 1, 0)
}

func TestYouTube_VanishingSessionsAreGivenUp(t *testing.T) {
	t.Parallel()
	r := atUpload(t, onYouTube)
	r.instead(100, chunks, gone)
	r.wantFault(t, fault.Permanent, codeSessionGone)
	if n := r.requests(sessions); n != mostSessions {
		t.Errorf("%d sessions were begun", n)
	}
	r.wantPosts(t, 0, 0)
}

func TestYouTube_RefusalsAreClassified(t *testing.T) {
	t.Parallel()
	r := atUpload(t, onYouTube)
	problem := func(code int, reason, message string) http.HandlerFunc {
		return status(code, fmt.Sprintf(`{"error":{"code":%d,"message":%q,"errors":[{"reason":%q}]}}`, code, message, reason))
	}
	for name, row := range map[string]struct {
		request string
		answer  http.HandlerFunc
		kind    fault.Kind
		code    string
	}{
		"quota of the day":    {sessions, problem(403, "quotaExceeded", "quota"), fault.RateLimited, "youtube_quota_used_up"},
		"uploads of the day":  {sessions, problem(400, "uploadLimitExceeded", "limit"), fault.RateLimited, "youtube_channel_limit"},
		"too fast":            {sessions, problem(429, "rateLimitExceeded", "slow down"), fault.RateLimited, "youtube_too_fast"},
		"not allowed":         {sessions, problem(403, "forbidden", "no"), fault.Permanent, "youtube_forbidden"},
		"bad title":           {sessions, problem(400, "invalidTitle", "no"), fault.Permanent, "youtube_post_refused"},
		"down at the start":   {sessions, problem(503, "backendError", "later"), fault.Retryable, "youtube_unavailable"},
		"refused at the file": {chunks, problem(403, "forbidden", "no"), fault.Permanent, "youtube_forbidden"},
	} {
		t.Run(name, func(t *testing.T) {
			r.claim = r.filmed(t, onYouTube)
			before := r.posts(t, "youtube")
			r.instead(1, row.request, row.answer)
			if f := r.wantFault(t, row.kind, row.code); row.kind == fault.RateLimited && !f.Until.After(time.Now()) {
				t.Errorf("again at %v", f.Until)
			}
			r.wantPosts(t, before, 0)
			r.published(t)
			r.wantPosts(t, before+1, 0)
		})
	}
}

func TestYouTube_DisconnectedChannel(t *testing.T) {
	t.Parallel()
	r := atUpload(t, onYouTube)
	r.youtube.Client = r.channel("revoked")
	r.wantFault(t, fault.Permanent, "youtube_reconnect_needed")
	r.youtube.Client = r.channel("connected again")
	r.published(t)
	r.wantPosts(t, 1, 0)
}

func TestYouTube_WithoutItsFileNothingIsBegun(t *testing.T) {
	t.Parallel()
	r := atUpload(t, onYouTube)
	if err := r.movies.Delete(t.Context(), r.claim.TaskID+"/video-1.mp4"); err != nil {
		t.Fatal(err)
	}
	r.wantFault(t, fault.Permanent, "blob_not_found")
	if n := r.requests(sessions); n != 0 {
		t.Errorf("%d sessions were begun", n)
	}
}

// The state of a video is read back: what isn't as it was asked for is told, and what nobody can see isn't published.
func TestYouTube_TellsWhatBecameOfTheVideo(t *testing.T) {
	t.Parallel()
	r := atUpload(t, onYouTube)
	r.Fail(t, sandbox.Fault{Provider: "youtube", What: "locked", Count: 1})
	out := r.published(t)
	if u := out[0]; u.Privacy != "private" || u.Code != "youtube_privacy_differs" || !strings.Contains(u.Reason, "not unlisted") {
		t.Errorf("a locked video: %+v", u)
	}
	for _, end := range []string{"rejected", "failed"} {
		r.claim = r.filmed(t, onYouTube)
		r.Fail(t, sandbox.Fault{Provider: "youtube", What: end, Count: 1})
		if f := r.wantFault(t, fault.Permanent, "youtube_video_ended"); !strings.Contains(f.Error(), end) {
			t.Errorf("%s: %v", end, f)
		}
		r.wantRow(t, "youtube", store.UploadFailed, "youtube_video_ended")
	}
	if n := r.requests(sessions); n != 3 {
		t.Errorf("%d sessions were begun", n)
	}
}

const state = "GET /youtube/youtube/v3/videos?"

// While YouTube works on a video it is looked at again, and after long enough it counts as published.
func TestYouTube_WaitsForProcessing(t *testing.T) {
	t.Parallel()
	r := atUpload(t, onYouTube)
	r.instead(2, state, status(http.StatusOK, `{"items":[{"status":{"uploadStatus":"uploaded","privacyStatus":"unlisted"}}]}`))
	for range 2 {
		if out, err := r.Work(t.Context(), r.claim); err != nil || out.Code != publishing || out.Rest > 10*time.Second {
			t.Fatalf("while YouTube works: %+v, %v", out, err)
		}
	}
	if out := r.published(t); out[0].Code != "" {
		t.Errorf("published as %+v", out[0])
	}
	r.claim = r.filmed(t, onYouTube)
	r.instead(2, state, status(http.StatusOK, `{"items":[{"status":{"uploadStatus":"uploaded","privacyStatus":"unlisted"}}]}`))
	if out, err := r.Work(t.Context(), r.claim); err != nil || out.Rest == 0 {
		t.Fatalf("while YouTube works: %+v, %v", out, err)
	}
	r.later(t)
	if out := r.published(t); out[0].Code != "youtube_still_processing" {
		t.Errorf("published as %+v", out[0])
	}
	r.wantPosts(t, 2, 0)
}

// A video that is out isn't failed by a look that doesn't come through.
func TestYouTube_StateThatCantBeRead(t *testing.T) {
	t.Parallel()
	r := atUpload(t, onYouTube)
	r.instead(100, state, status(http.StatusServiceUnavailable, ""))
	r.wantFault(t, fault.Retryable, "youtube_unavailable")
	r.later(t)
	if out := r.published(t); out[0].Code != "youtube_state_unknown" || out[0].URL == "" {
		t.Errorf("published as %+v", out[0])
	}
	r.wantPosts(t, 1, 0)
}
