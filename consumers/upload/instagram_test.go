package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"castad/internal/fault"
	"castad/providers"
	"castad/providers/instagram"
	"castad/providers/sandbox"
	"castad/store"
)

// refused is a problem as the Graph API answers it.
func refused(code, subcode int) http.HandlerFunc {
	return status(http.StatusBadRequest, fmt.Sprintf(`{"error":{"message":"거절","type":"OAuthException","code":%d,"error_subcode":%d}}`, code, subcode))
}

func TestInstagram_LostContainerIsMadeAgain(t *testing.T) {
	t.Parallel()
	r := atUpload(t, onInstagram)
	r.instead(1, containers, r.quietly(cut))
	r.wantFault(t, fault.Retryable, "instagram_unreachable")
	r.published(t)
	r.wantPosts(t, 0, 1)
}

// mortal is an account whose caller is killed as soon as Instagram has done what was asked.
type mortal struct {
	instagramClient
	killed string // the call after which
}

func (m mortal) CreateContainer(ctx context.Context, videoURL, caption, coverURL string) (string, error) {
	id, err := m.instagramClient.CreateContainer(ctx, videoURL, caption, coverURL)
	if m.killed == "container" {
		panic("kill -9")
	}
	return id, err
}

func (m mortal) Publish(ctx context.Context, containerID string) (string, error) {
	id, err := m.instagramClient.Publish(ctx, containerID)
	if m.killed == "publish" {
		panic("kill -9")
	}
	return id, err
}

func TestInstagram_Crashes(t *testing.T) {
	t.Parallel()
	r := atUpload(t, onInstagram)
	alive := r.instagram.Client
	for _, call := range []string{"container", "publish"} {
		r.instagram.Client = mortal{alive, call}
		died := make(chan struct{})
		go func() {
			defer close(died)
			defer func() { _ = recover() }()
			for {
				if out, err := r.Work(context.Background(), r.claim); err != nil || out.Rest == 0 {
					return
				}
			}
		}()
		<-died
	}
	r.instagram.Client = alive
	r.published(t)
	if n := r.requests(releases); n != 1 || r.requests(containers) != 2 {
		t.Errorf("published %d times, %d containers were made", n, r.requests(containers))
	}
	r.wantPosts(t, 0, 1)
}

// A reel that was asked for as private would be seen by all.
func TestInstagram_OnlyPublicReels(t *testing.T) {
	t.Parallel()
	r := atUpload(t, onInstagram)
	for _, privacy := range []string{"private", "unlisted"} {
		r.claim = r.filmed(t, store.Target{Platform: "instagram", Privacy: privacy})
		r.wantFault(t, fault.Permanent, "instagram_only_public")
	}
	if n := r.requests(containers); n != 0 {
		t.Errorf("%d containers were made", n)
	}
}

// The container says that it is out, and the account's posts which one it is.
func TestInstagram_LostPublicationIsFound(t *testing.T) {
	t.Parallel()
	r := atUpload(t, onInstagram)
	r.instead(1, releases, r.quietly(cut))
	r.wantFault(t, fault.Uncertain, store.CodeOutcomeUnknown)
	r.later(t)
	r.instead(1, reels, status(http.StatusOK, `{"data":[]}`)) // the list lags
	r.wantFault(t, fault.Uncertain, store.CodeOutcomeUnknown)
	out := r.published(t)
	if n := r.requests(releases); n != 1 || out[0].URL != r.URL+"/instagram/reel/"+out[0].ExternalID {
		t.Errorf("published %d times as %+v", n, out)
	}
	r.wantPosts(t, 0, 1)
}

// While the call may be on its way it isn't made again; after that a container that isn't published proves that it came
// to nothing.
func TestInstagram_PublicationThatCameToNothing(t *testing.T) {
	t.Parallel()
	r := atUpload(t, onInstagram)
	r.instead(1, releases, cut)
	for range 3 {
		r.wantFault(t, fault.Uncertain, store.CodeOutcomeUnknown)
	}
	if n := r.requests(releases); n != 1 {
		t.Errorf("published %d times while nobody knew", n)
	}
	r.later(t)
	r.published(t)
	r.wantPosts(t, 0, 1)
}

// The link may lag behind the publication.
func TestInstagram_LateLink(t *testing.T) {
	t.Parallel()
	r := atUpload(t, onInstagram)
	r.instead(1, "GET /instagram/v25.0/181", refused(100, 33))
	r.wantFault(t, fault.Retryable, "instagram_object_unreadable")
	r.published(t)
	if n := r.requests(releases); n != 1 {
		t.Errorf("published %d times", n)
	}
	r.wantPosts(t, 0, 1)
}

// Containers that failed are followed by others, each after a longer rest, until there have been enough.
func TestInstagram_FailedContainersAreFollowedByOthers(t *testing.T) {
	t.Parallel()
	for what, row := range map[string]struct {
		code string
		most int
		last time.Duration // the rest before the last one
	}{
		"failed":    {instagram.CodeContainerFailed, mostContainers, 2 * time.Minute},
		"unfetched": {instagram.CodeUnfetched, mostFetches, time.Hour},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			r := atUpload(t, onInstagram)
			r.Fail(t, sandbox.Fault{Provider: "instagram", What: what})
			var last *fault.Error
			for range row.most - 1 {
				f := r.wantFault(t, fault.RateLimited, row.code)
				if last != nil && f.Until.Before(last.Until) {
					t.Errorf("another is made at %v, and the one before at %v", f.Until, last.Until)
				}
				last = f
			}
			if rest := time.Until(last.Until); rest > row.last || rest < row.last-time.Minute {
				t.Errorf("the last one is made after %v", rest)
			}
			r.wantFault(t, fault.Permanent, row.code)
			if n := r.requests(containers); n != row.most {
				t.Errorf("%d containers were made", n)
			}
			r.wantPosts(t, 0, 0)
		})
	}
}

func TestInstagram_SecondContainerIsPublished(t *testing.T) {
	t.Parallel()
	r := atUpload(t, onInstagram)
	r.Fail(t, sandbox.Fault{Provider: "instagram", What: "failed", Count: 1})
	r.wantFault(t, fault.RateLimited, instagram.CodeContainerFailed)
	r.published(t)
	r.wantPosts(t, 0, 1)
}

// No other container is made of a video that Instagram can't take.
func TestInstagram_UnfitVideoIsGivenUpAtOnce(t *testing.T) {
	t.Parallel()
	r := atUpload(t, onInstagram)
	r.Fail(t, sandbox.Fault{Provider: "instagram", What: "format"})
	r.wantFault(t, fault.Permanent, "instagram_video_refused")
	if n := r.requests(containers); n != 1 {
		t.Errorf("%d containers were made", n)
	}
}

// An account that has no room for today isn't asked to publish, and the same container is published when there is.
func TestInstagram_FullDayIsWaitedFor(t *testing.T) {
	t.Parallel()
	r := atUpload(t, onInstagram)
	r.Fail(t, sandbox.Fault{Provider: "instagram", Call: "limit", What: "quota", Count: 1})
	f := r.wantFault(t, fault.RateLimited, "instagram_daily_limit")
	if rest := time.Until(f.Until); rest < 50*time.Minute || r.requests(releases) != 0 {
		t.Errorf("again after %v; published %d times", rest, r.requests(releases))
	}
	r.published(t)
	if n := r.requests(containers); n != 1 {
		t.Errorf("%d containers were made", n)
	}
	r.wantPosts(t, 0, 1)
}

// A container that Instagram has lost is replaced, whether that shows at its publication or at a look.
func TestInstagram_LostContainerIsReplaced(t *testing.T) {
	t.Parallel()
	r := atUpload(t, onInstagram)
	for i, request := range []string{releases, firstContainer} {
		r.claim = r.filmed(t, onInstagram)
		r.instead(1, request, refused(24, 2207006))
		r.wantFault(t, fault.RateLimited, codeContainerLost)
		r.published(t)
		if n := r.requests(containers); n != 2*(i+1) {
			t.Errorf("%d containers were made", n)
		}
		r.wantPosts(t, 0, i+1)
	}
}

// One that is lost again and again isn't made for ever.
func TestInstagram_VanishingContainersAreGivenUp(t *testing.T) {
	t.Parallel()
	r := atUpload(t, onInstagram)
	r.instead(100, releases, refused(24, 2207008))
	for range mostContainers - 1 {
		r.wantFault(t, fault.RateLimited, codeContainerLost)
	}
	r.wantFault(t, fault.Permanent, codeContainerLost)
	if n := r.requests(containers); n != mostContainers {
		t.Errorf("%d containers were made", n)
	}
	r.wantPosts(t, 0, 0)
}

// A container lives for a day; one of a run that comes back later is unknown to Instagram.
func TestInstagram_OldContainerIsReplaced(t *testing.T) {
	t.Parallel()
	r := atUpload(t, onInstagram)
	r.instead(2, firstContainer, refused(100, 33))
	r.wantFault(t, fault.Retryable, "instagram_object_unreadable") // a fresh one may be unreadable for a moment
	r.later(t)
	r.wantFault(t, fault.RateLimited, codeContainerLost)
	r.published(t)
	if n := r.requests(containers); n != 2 {
		t.Errorf("%d containers were made", n)
	}
	r.wantPosts(t, 0, 1)
}

// A container that is gone because it was published isn't made again.
func TestInstagram_VanishedContainerWithItsReel(t *testing.T) {
	t.Parallel()
	r := atUpload(t, onInstagram)
	r.instead(1, releases, r.quietly(refused(24, 2207006)))
	for range 2 {
		r.published(t)
		r.instead(1, firstContainer, refused(24, 2207006))
	}
	if n := r.requests(containers); n != 1 {
		t.Errorf("%d containers were made", n)
	}
	r.wantPosts(t, 0, 1)
}

// As long as nobody knows whether a container was published, there is no other one.
func TestInstagram_VanishedContainerOfUnknownOutcome(t *testing.T) {
	t.Parallel()
	r := atUpload(t, onInstagram)
	r.instead(1, releases, r.quietly(cut))
	r.wantFault(t, fault.Uncertain, store.CodeOutcomeUnknown)
	r.later(t)
	r.instead(4, firstContainer, refused(24, 2207006))
	r.instead(2, reels, status(http.StatusOK, `{"data":[]}`))
	for range 2 {
		r.wantFault(t, fault.Uncertain, store.CodeOutcomeUnknown)
	}
	r.published(t) // the list has it now
	if n := r.requests(containers); n != 1 {
		t.Errorf("%d containers were made", n)
	}
	r.wantPosts(t, 0, 1)
}

func TestInstagram_RefusalsAreClassified(t *testing.T) {
	t.Parallel()
	r := atUpload(t, onInstagram)
	for name, row := range map[string]struct {
		request       string
		code, subcode int
		kind          fault.Kind
		want          string
	}{
		"token expired":       {containers, 190, 463, fault.Permanent, "instagram_reconnect_needed"},
		"permission missing":  {containers, 10, 0, fault.Permanent, "instagram_permission_missing"},
		"rate":                {containers, 4, 0, fault.RateLimited, "instagram_rate_limited"},
		"down":                {containers, 2, 0, fault.Retryable, "instagram_unavailable"},
		"daily number":        {releases, 9, 2207042, fault.RateLimited, "instagram_daily_limit"},
		"not ready":           {releases, 9007, 2207027, fault.RateLimited, "instagram_not_ready"},
		"account restricted":  {releases, 25, 2207050, fault.Permanent, "instagram_account_restricted"},
		"down at publication": {releases, 2, 0, fault.Uncertain, store.CodeOutcomeUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			r.claim = r.filmed(t, onInstagram)
			before := r.posts(t, "instagram")
			r.instead(1, row.request, refused(row.code, row.subcode))
			r.wantFault(t, row.kind, row.want)
			r.wantPosts(t, 0, before)
			r.later(t)
			r.published(t)
			r.wantPosts(t, 0, before+1)
		})
	}
}

// A caption always has room for the mark.
func TestInstagram_LongestCaption(t *testing.T) {
	t.Parallel()
	post := providers.Post{Title: strings.Repeat("제목", 200), Description: strings.Repeat("숲 🌲", 2000), Mark: "0199d4a0-0000-7000-8000-000000000001-12"}
	for i := range 60 {
		post.Tags = append(post.Tags, fmt.Sprintf("#가평 펜션 %d", i))
	}
	text := caption(post)
	if n := utf8.RuneCountInString(text); n > captionRunes || !strings.HasSuffix(text, "\nref "+post.Mark) {
		t.Errorf("%d characters, ending in %q", n, text[len(text)-80:])
	}
	if !strings.Contains(text, " #가평펜션19 ") || strings.Contains(text, "#가평펜션20") || strings.Contains(text, "##") {
		t.Errorf("hashtags: %q", text)
	}
}

func TestInstagram_CaptionHasTitleAndHashtags(t *testing.T) {
	t.Parallel()
	r := atUpload(t, onInstagram)
	r.published(t)
	var list struct{ Data []struct{ Caption string } }
	if err := json.Unmarshal(r.get(t, strings.TrimPrefix(strings.TrimSuffix(reels, "?"), "GET ")), &list); err != nil || len(list.Data) != 1 {
		t.Fatalf("reels: %+v, %v", list, err)
	}
	if got := list.Data[0].Caption; !strings.Contains(got, "“숲속하루펜션”") || !strings.Contains(got, "#가평펜션 ") {
		t.Errorf("caption %q", got)
	}
}
