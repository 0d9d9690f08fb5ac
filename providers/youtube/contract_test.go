package youtube_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"castad/internal/fault"
	"castad/internal/testkit/sandboxed"
	"castad/providers"
	"castad/providers/sandbox"
	"castad/providers/youtube"
)

// noon is in the middle of a Pacific day: midnight there comes at 8:00 UTC of the next.
var noon = time.Date(2026, 11, 24, 20, 0, 0, 0, time.UTC)

// site is the sandbox's YouTube and a client of its channel.
type site struct {
	*youtube.Client
	*sandboxed.Server
}

func openSite(t *testing.T, durations sandbox.Durations) *site {
	t.Helper()
	s := &site{Server: sandboxed.Open(t, sandbox.Config{Durations: durations}, nil)}
	s.Client = s.as("refresh", "secret")
	return s
}

func (s *site) as(refresh, secret string) *youtube.Client {
	return youtube.New(youtube.Config{APIURL: s.URL + "/youtube", TokenURL: s.URL + "/google/token", WatchURL: s.URL + "/youtube",
		ClientID: "id", ClientSecret: secret, RefreshToken: refresh, ChunkBytes: 256 << 10, Tries: 3, Pause: time.Microsecond,
		Now: func() time.Time { return noon }})
}

func (s *site) fail(t *testing.T, count int, f sandbox.Fault) {
	t.Helper()
	f.Provider, f.Count = "youtube", count
	s.Fail(t, f)
}

var (
	film = bytes.Repeat([]byte("숲속펜션 "), 50_000) // more than two chunks
	post = providers.Post{Title: "“숲속펜션” 가평", Description: "소개", Tags: []string{"가평 펜션"}, Language: providers.Korean, Privacy: "public", Mark: "0199-1"}
)

func opened(offset int64) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(film[offset:])), nil
}

func (s *site) begun(t *testing.T, p providers.Post) string {
	t.Helper()
	session, err := s.StartSession(t.Context(), p, int64(len(film)), "video/mp4")
	if err != nil {
		t.Fatal(err)
	}
	return session
}

// sent uploads the film and checks that all of it arrived.
func (s *site) sent(t *testing.T, session string) providers.Published {
	t.Helper()
	video, err := s.Send(t.Context(), session, int64(len(film)), opened)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Get(t, s.URL+"/files/videos/"+video.ID+".mp4"); !bytes.Equal(got, film) {
		t.Errorf("YouTube has %d bytes of %d", len(got), len(film))
	}
	return video
}

func wantFault(t *testing.T, err error, kind fault.Kind, code string) {
	t.Helper()
	if f := fault.Of(err); f == nil || f.Kind != kind || f.Code != code {
		t.Errorf("got %v, wanted %s (%s)", err, code, kind)
	}
}

// Section 3: start, send, ask; a finished session still answers with its video, also to another process.
func TestContract_VideoIsUploadedOnce(t *testing.T) {
	t.Parallel()
	s := openSite(t, sandbox.Durations{})
	session := s.begun(t, post)
	first := s.sent(t, session)
	s.Client = s.as("refresh", "secret") // another process
	if again := s.sent(t, session); again != first {
		t.Errorf("first %+v, then %+v", first, again)
	}
	if found, ok, err := s.Find(t.Context(), post.Mark); found != first || !ok || err != nil {
		t.Errorf("found %+v, %t, %v", found, ok, err)
	}
	if video, err := s.LookAt(t.Context(), first.ID); video != (youtube.Video{Progress: providers.Done, Privacy: "public"}) || err != nil {
		t.Errorf("looked at %+v, %v", video, err)
	}
}

// Section 3b and d: whatever happens between two chunks, the file becomes whole, in one session.
func TestContract_TroubleWhileSending(t *testing.T) {
	t.Parallel()
	s := openSite(t, sandbox.Durations{})
	for name, f := range map[string]sandbox.Fault{
		"a part is stored":        {Call: "send", What: "partial"},
		"503":                     {Call: "send", What: "status", Status: 503},
		"500 as HTML":             {Call: "send", What: "status", Status: 500, Body: "<html>Error</html>"},
		"502":                     {Call: "send", What: "status", Status: 502},
		"504":                     {Call: "send", What: "status", Status: 504},
		"429":                     {Call: "send", What: "status", Status: 429, Body: refusal(429, "rateLimitExceeded", "slow down")},
		"401":                     {Call: "send", What: "status", Status: 401, Body: refusal(401, "authError", "Invalid Credentials")},
		"connection cut":          {Call: "send", What: "cut"},
		"stored, the answer lost": {Call: "send", What: "lost"},
		"no answer at all":        {Call: "send", What: "garbage"},
	} {
		session := s.begun(t, post)
		s.fail(t, 2, f)
		s.sent(t, session)
		if t.Failed() {
			t.Fatal(name)
		}
	}
}

// The answer to the last byte is lost: the session has it.
func TestContract_LastAnswerLost(t *testing.T) {
	t.Parallel()
	s := openSite(t, sandbox.Durations{})
	session := s.begun(t, post)
	s.fail(t, 0, sandbox.Fault{Call: "send", What: "lost"})
	if _, err := s.Send(t.Context(), session, int64(len(film)), opened); err == nil || fault.Classified(err) {
		t.Fatalf("without any answer: %v", err)
	}
	s.Mend(t)
	video := s.sent(t, session)
	if found, ok, err := s.Find(t.Context(), post.Mark); found != video || !ok || err != nil {
		t.Errorf("found %+v, %t, %v", found, ok, err)
	}
}

func TestContract_SessionExpires(t *testing.T) {
	t.Parallel()
	s := openSite(t, sandbox.Durations{Session: -time.Hour})
	_, err := s.Send(t.Context(), s.begun(t, post), int64(len(film)), opened)
	wantFault(t, err, fault.Retryable, "youtube_session_gone")
}

// Section 4: what a post has too much of is cut, so none is refused for its metadata.
func TestContract_PostsAreCutToTheLimits(t *testing.T) {
	t.Parallel()
	s := openSite(t, sandbox.Durations{})
	for name, p := range map[string]providers.Post{
		"title too long":            {Title: strings.Repeat("가", 300)},
		"title with brackets":       {Title: "<b>숲</b>"},
		"no title":                  {},
		"description too long":      {Title: "t", Description: strings.Repeat("가", 4000), Mark: "0199"},
		"description with brackets": {Title: "t", Description: "a < b > c"},
		"tags too long":             {Title: "t", Tags: strings.Split(strings.Repeat("가평 펜션,", 200), ",")},
		"unknown privacy":           {Title: "t", Privacy: "friends"},
		"Thai":                      {Title: "ที่พัก", Language: providers.Thai, Privacy: "unlisted"},
	} {
		if _, err := s.StartSession(t.Context(), p, 10, "video/mp4"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func refusal(status int, reason, message string) string {
	return fmt.Sprintf(`{"error":{"code":%d,"message":%q,"errors":[{"message":%q,"domain":"youtube.video","reason":%q}]}}`, status, message, message, reason)
}

// Section 6, row by row, at the start of a session.
func TestContract_EachErrorOfTheTable(t *testing.T) {
	t.Parallel()
	s := openSite(t, sandbox.Durations{})
	day := "Quota exceeded for quota metric 'Video Uploads' and limit 'Video Uploads per day' of service 'youtube.googleapis.com' for consumer 'project_number:1'."
	midnight := time.Date(2026, 11, 25, 8, 0, 0, 0, time.UTC)
	type row struct {
		status          int
		reason, message string
		kind            fault.Kind
		code            string
		until           time.Time
	}
	rows := []row{
		{400, "uploadLimitExceeded", "The user has exceeded the number of videos they may upload.", fault.RateLimited, "youtube_channel_limit", noon.Add(24 * time.Hour)},
		{403, "quotaExceeded", "m", fault.RateLimited, "youtube_quota_used_up", midnight},
		{403, "rateLimitExceeded", "m", fault.RateLimited, "youtube_too_fast", noon.Add(30 * time.Second)},
		{403, "userRateLimitExceeded", "m", fault.RateLimited, "youtube_too_fast", noon.Add(30 * time.Second)},
		{404, "channelNotFound", "m", fault.Permanent, "youtube_not_found", time.Time{}},
		{409, "conflict", "m", fault.Retryable, "youtube_unavailable", time.Time{}},
		{409, "aborted", "m", fault.Retryable, "youtube_unavailable", time.Time{}},
		{429, "rateLimitExceeded", day, fault.RateLimited, "youtube_quota_used_up", midnight},
		{429, "rateLimitExceeded", "slow down", fault.RateLimited, "youtube_too_fast", noon.Add(30 * time.Second)},
		{500, "internalError", "m", fault.Retryable, "youtube_unavailable", time.Time{}},
		{502, "backendError", "m", fault.Retryable, "youtube_unavailable", time.Time{}},
		{503, "backendError", "m", fault.Retryable, "youtube_unavailable", time.Time{}},
		{504, "backendError", "m", fault.Retryable, "youtube_unavailable", time.Time{}},
	}
	for _, reason := range []string{"invalidTitle", "invalidDescription", "invalidTags", "invalidCategoryId", "invalidPublishAt", "invalidVideoMetadata",
		"invalidFilename", "invalidRecordingDetails", "mediaBodyRequired", "defaultLanguageNotSet", "badRequest"} {
		rows = append(rows, row{400, reason, "m", fault.Permanent, "youtube_post_refused", time.Time{}})
	}
	for _, reason := range []string{"forbidden", "forbiddenPrivacySetting", "forbiddenLicenseSetting", "insufficientPermissions", "accessNotConfigured",
		"authenticatedUserAccountClosed", "authenticatedUserAccountSuspended", "channelClosed", "channelSuspended"} {
		rows = append(rows, row{403, reason, "m", fault.Permanent, "youtube_forbidden", time.Time{}})
	}
	for _, x := range rows {
		s.fail(t, 1, sandbox.Fault{What: "status", Status: x.status, Body: refusal(x.status, x.reason, x.message)})
		_, err := s.StartSession(t.Context(), post, 10, "video/mp4")
		f := fault.Of(err)
		if f == nil {
			f = &fault.Error{}
		}
		if f.Kind != x.kind || f.Code != x.code || !f.Until.Equal(x.until) {
			t.Errorf("%d %s: got %v until %v", x.status, x.reason, err, f.Until)
		}
	}
}

// 401 is answered by a fresh token once; the second one is the owner's business.
func TestContract_AccessTokenEnds(t *testing.T) {
	t.Parallel()
	s := openSite(t, sandbox.Durations{})
	for reason, code := range map[string]string{"authError": "youtube_reconnect_needed", "required": "youtube_reconnect_needed", "youtubeSignupRequired": "youtube_no_channel"} {
		s.fail(t, 1, sandbox.Fault{What: "status", Status: 401, Body: refusal(401, reason, "Invalid Credentials")})
		s.begun(t, post)
		s.fail(t, 2, sandbox.Fault{What: "status", Status: 401, Body: refusal(401, reason, "Invalid Credentials")})
		_, err := s.StartSession(t.Context(), post, 10, "video/mp4")
		wantFault(t, err, fault.Permanent, code)
	}
}

// Section 1: a revoked token is never tried again, and neither is a wrong application.
func TestContract_RevokedToken(t *testing.T) {
	t.Parallel()
	s := openSite(t, sandbox.Durations{})
	_, err := s.as("revoked", "secret").StartSession(t.Context(), post, 10, "video/mp4")
	wantFault(t, err, fault.Permanent, "youtube_reconnect_needed")
	_, err = s.as("refresh", "wrong").StartSession(t.Context(), post, 10, "video/mp4")
	wantFault(t, err, fault.Permanent, "youtube_client_refused")
}

// Section 2: an account without a channel has no items at all.
func TestContract_AccountWithoutAChannel(t *testing.T) {
	t.Parallel()
	s := openSite(t, sandbox.Durations{})
	s.fail(t, 1, sandbox.Fault{Call: "channels", What: "none"})
	_, _, err := s.Find(t.Context(), "0199")
	wantFault(t, err, fault.Permanent, "youtube_no_channel")
}

// Section 4, afterwards: what becomes of a video is read, and not believed before.
func TestContract_WhatBecomesOfAVideo(t *testing.T) {
	t.Parallel()
	s := openSite(t, sandbox.Durations{})
	for what, want := range map[string]youtube.Video{
		"rejected": {Progress: providers.Broken, Privacy: "public", Reason: "rejected: copyright"},
		"failed":   {Progress: providers.Broken, Privacy: "public", Reason: "failed: conversion"},
		"locked":   {Progress: providers.Done, Privacy: "private"},
	} {
		s.fail(t, 1, sandbox.Fault{What: what})
		if got, err := s.LookAt(t.Context(), s.sent(t, s.begun(t, post)).ID); got != want || err != nil {
			t.Errorf("%s: got %+v, %v", what, got, err)
		}
	}
	slow := openSite(t, sandbox.Durations{Process: time.Hour})
	if got, err := slow.LookAt(t.Context(), slow.sent(t, slow.begun(t, post)).ID); got.Progress != providers.Working || err != nil {
		t.Errorf("while it is processed: %+v, %v", got, err)
	}
	_, err := s.LookAt(t.Context(), "unknownunkn")
	wantFault(t, err, fault.Retryable, "youtube_video_missing")
}

// Each reason for which YouTube gives a video up is told in its words.
func TestContract_EachReasonOfAnEnd(t *testing.T) {
	t.Parallel()
	s := openSite(t, sandbox.Durations{})
	look := func(status string) (youtube.Video, error) {
		s.fail(t, 1, sandbox.Fault{Call: "read", What: "status", Status: 200, Body: `{"items":[{"status":{"privacyStatus":"public",` + status + `}]}`})
		return s.LookAt(t.Context(), "x")
	}
	for field, reasons := range map[string][]string{
		"failed": {"conversion", "invalidFile", "emptyFile", "tooSmall", "codec", "uploadAborted"},
		"rejected": {"copyright", "inappropriate", "duplicate", "termsOfUse", "uploaderAccountSuspended", "length", "claim",
			"uploaderAccountClosed", "trademark", "legal"},
		"deleted": {""},
	} {
		for _, reason := range reasons {
			name := map[string]string{"failed": "failureReason", "rejected": "rejectionReason", "deleted": "x"}[field]
			got, err := look(fmt.Sprintf(`"uploadStatus":%q,%q:%q}`, field, name, reason))
			if want := strings.TrimSuffix(field+": "+reason, ": "); got.Progress != providers.Broken || got.Reason != want || err != nil {
				t.Errorf("%s %s: %+v, %v", field, reason, got, err)
			}
		}
	}
	for _, end := range []string{"failed", "terminated"} {
		got, err := look(`"uploadStatus":"uploaded"},"processingDetails":{"processingStatus":"` + end + `"}`)
		if got.Progress != providers.Broken || got.Reason != "processing "+end || err != nil {
			t.Errorf("processing %s: %+v, %v", end, got, err)
		}
	}
}
