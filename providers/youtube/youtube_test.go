package youtube_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"castad/internal/fault"
	"castad/providers"
	"castad/providers/wire"
	"castad/providers/youtube"
)

// channel speaks the resumable protocol and stores at most half a chunk more when asked to be stingy.
type channel struct {
	mu                    sync.Mutex
	stored                []byte
	stingy, down, lostEnd int // how often to store less, answer 503, hang up after the last byte
	refreshes, expired    int
	start                 func(http.ResponseWriter, *http.Request)
	body                  []byte
	gone                  bool
	url                   string
}

func (c *channel) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	raw, _ := io.ReadAll(r.Body)
	switch {
	case r.URL.Path == "/token":
		c.refreshes++
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"access_token":"ya29","expires_in":3599,"token_type":"Bearer"}`)
	case c.expired > 0:
		c.expired--
		w.WriteHeader(401)
	case r.Method == http.MethodPost && c.start != nil:
		c.start(w, r)
	case r.Method == http.MethodPost:
		c.body = raw
		w.Header().Set("Location", c.url+"/session")
	case r.URL.Path == "/session":
		c.put(w, r, raw)
	case r.URL.Path == "/youtube/v3/channels":
		fmt.Fprint(w, `{"items":[{"contentDetails":{"relatedPlaylists":{"uploads":"UU1"}}}]}`)
	case r.URL.Path == "/youtube/v3/playlistItems" && r.URL.Query().Get("pageToken") == "":
		fmt.Fprint(w, `{"nextPageToken":"p2","items":[{"snippet":{"description":"ref 01"},"contentDetails":{"videoId":"no"}}]}`)
	default:
		fmt.Fprint(w, `{"items":[{"snippet":{"description":"text\n\nref 0199"},"contentDetails":{"videoId":"v1"}}]}`)
	}
}

func (c *channel) put(w http.ResponseWriter, r *http.Request, raw []byte) {
	var from, to, size int
	asked, _ := fmt.Sscanf(r.Header.Get("Content-Range"), "bytes */%d", &size)
	if asked == 0 {
		_, _ = fmt.Sscanf(r.Header.Get("Content-Range"), "bytes %d-%d/%d", &from, &to, &size)
	}
	switch {
	case c.gone:
		w.WriteHeader(404)
		return
	case asked == 0 && c.down > 0:
		c.down--
		w.WriteHeader(503)
		return
	case asked == 0 && from == len(c.stored):
		if c.stingy > 0 {
			c.stingy--
			raw = raw[:len(raw)/2]
		}
		c.stored = append(c.stored, raw...)
	}
	if len(c.stored) == size && asked == 0 && c.lostEnd > 0 {
		c.lostEnd--
		conn, _, _ := w.(http.Hijacker).Hijack()
		conn.Close()
		return
	}
	if len(c.stored) == size {
		fmt.Fprint(w, `{"id":"v1"}`)
		return
	}
	if len(c.stored) > 0 {
		w.Header().Set("Range", fmt.Sprintf("bytes=0-%d", len(c.stored)-1))
	}
	w.WriteHeader(308)
}

func client(t *testing.T, c *channel) *youtube.Client {
	t.Helper()
	s := httptest.NewServer(c)
	t.Cleanup(s.Close)
	c.url = s.URL
	return youtube.New(youtube.Config{APIURL: s.URL, TokenURL: s.URL + "/token", WatchURL: "https://watch.example", RefreshToken: "1//", ChunkBytes: 256 << 10, Pause: time.Microsecond,
		Now: func() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) }})
}

func TestSend_SurvivesEachTrouble(t *testing.T) {
	t.Parallel()
	file := bytes.Repeat([]byte("0123456789"), 70_000)
	for name, c := range map[string]*channel{
		"plain": {}, "partly stored": {stingy: 2}, "503": {down: 3}, "lost end": {lostEnd: 1}, "begun elsewhere": {stored: bytes.Clone(file[:300_000])},
		"finished elsewhere": {stored: bytes.Clone(file)}, "token expired": {expired: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			yt := client(t, c)
			got, err := yt.Send(t.Context(), c.url+"/session", int64(len(file)), func(offset int64) (io.ReadCloser, error) {
				return io.NopCloser(bytes.NewReader(file[offset:])), nil
			})
			if want := (providers.Published{ID: "v1", URL: "https://watch.example/watch?v=v1"}); got != want || err != nil || !bytes.Equal(c.stored, file) {
				t.Errorf("got %+v, %v with %d bytes stored", got, err, len(c.stored))
			}
		})
	}
}

func TestSend_EndsWhenNothingHelps(t *testing.T) {
	t.Parallel()
	open := func(int64) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("xx")), nil }
	gone := &channel{gone: true}
	yt := client(t, gone)
	if _, err := yt.Send(t.Context(), gone.url+"/session", 2, open); fault.Of(err).Code != "youtube_session_gone" {
		t.Errorf("gone: %v", err)
	}
	down := &channel{down: 1000}
	yt = client(t, down)
	if _, err := yt.Send(t.Context(), down.url+"/session", 2, open); err == nil || fault.Classified(err) {
		t.Errorf("down: %v", err)
	}
	if _, err := yt.Send(t.Context(), "https://evil.example/session", 2, open); fault.Of(err).Code != "youtube_session_foreign" {
		t.Errorf("foreign: %v", err)
	}
}

func TestStartSession_KeepsTheLimits(t *testing.T) {
	t.Parallel()
	c := &channel{}
	post := providers.Post{Title: "<" + strings.Repeat("숲", 120), Description: strings.Repeat("가", 3000), Tags: []string{"가평 펜션", strings.Repeat("x", 491), "다"}, Language: providers.Korean, Privacy: "public", Mark: "0199"}
	if session, err := client(t, c).StartSession(t.Context(), post, 10, "video/mp4"); session != c.url+"/session" || err != nil {
		t.Fatalf("got %q, %v", session, err)
	}
	var sent struct {
		Snippet struct {
			Title, Description string
			Tags               []string
		}
		Status map[string]any
	}
	if err := json.Unmarshal(c.body, &sent); err != nil {
		t.Fatal(err)
	}
	if sent.Snippet.Title != strings.Repeat("숲", 100) || len(sent.Snippet.Description) > 5000 || !strings.HasSuffix(sent.Snippet.Description, "가\n\nref 0199") || strings.Join(sent.Snippet.Tags, "|") != "가평 펜션|"+strings.Repeat("x", 491) {
		t.Errorf("sent %s", c.body)
	}
	if v, ok := sent.Status["selfDeclaredMadeForKids"]; v != false || !ok || sent.Status["containsSyntheticMedia"] != true {
		t.Errorf("status %v", sent.Status)
	}
}

func TestStartSession_ClassifiesEachRefusal(t *testing.T) {
	t.Parallel()
	midnight := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	for _, row := range []struct {
		status                int
		reason, message, want string
	}{
		{403, "quotaExceeded", "m", "youtube_quota_used_up"}, {429, "rateLimitExceeded", "limit 'Video Uploads per day'", "youtube_quota_used_up"},
		{429, "rateLimitExceeded", "m", "youtube_too_fast"}, {400, "invalidTitle", "m", "youtube_post_refused"}, {400, "uploadLimitExceeded", "m", "youtube_channel_limit"},
		{403, "forbidden", "m", "youtube_forbidden"}, {401, "youtubeSignupRequired", "m", "youtube_no_channel"}, {401, "authError", "m", "youtube_reconnect_needed"}, {503, "backendError", "m", "youtube_unavailable"},
	} {
		c := &channel{start: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(row.status)
			fmt.Fprintf(w, `{"error":{"code":1,"message":%q,"errors":[{"reason":%q}]}}`, row.message, row.reason)
		}}
		_, err := client(t, c).StartSession(t.Context(), providers.Post{Title: "t"}, 1, "video/mp4")
		f := fault.Of(err)
		if f == nil || f.Code != row.want || row.want == "youtube_quota_used_up" && !f.Until.Equal(midnight) {
			t.Errorf("%d %s: got %+v", row.status, row.reason, f)
		}
	}
}

func TestTokens_SendsSecretsNowhereElse(t *testing.T) {
	t.Parallel()
	c := &channel{}
	client(t, c) // its server would give a token
	s := httptest.NewServer(http.RedirectHandler(c.url+"/token", http.StatusTemporaryRedirect))
	t.Cleanup(s.Close)
	_, _, err := youtube.New(youtube.Config{APIURL: c.url, TokenURL: s.URL, RefreshToken: "1//hidden"}).Find(t.Context(), "0199")
	if err == nil || c.refreshes != 0 || strings.Contains(err.Error(), "hidden") {
		t.Errorf("%d refreshes elsewhere, %v", c.refreshes, err)
	}
}

func TestSend_ChunksHaveATimeOfTheirOwn(t *testing.T) {
	t.Parallel()
	c := &channel{}
	client(t, c)
	yt := youtube.New(youtube.Config{APIURL: c.url, TokenURL: c.url + "/token", RefreshToken: "1//", ChunkTimeout: time.Nanosecond, Tries: 2, Pause: time.Microsecond})
	_, err := yt.Send(t.Context(), c.url+"/session", 2, func(int64) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("xx")), nil })
	if !errors.Is(err, context.DeadlineExceeded) || len(c.stored) != 0 {
		t.Errorf("%d bytes stored, %v", len(c.stored), err)
	}
}

func TestSend_DoesNotTellTheSession(t *testing.T) {
	t.Parallel()
	c := &channel{}
	s := httptest.NewServer(c)
	t.Cleanup(s.Close)
	api := httptest.NewServer(nil)
	api.Close()
	yt := youtube.New(youtube.Config{APIURL: api.URL, TokenURL: s.URL + "/token", RefreshToken: "1//", Tries: 2, Pause: time.Microsecond})
	_, err := yt.Send(t.Context(), api.URL+"/session?upload_id=hidden", 2, func(int64) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("xx")), nil })
	if !errors.Is(err, wire.ErrNotSent) || strings.Contains(err.Error(), "hidden") {
		t.Errorf("got %v", err)
	}
}

func TestFind_ReadsTheMarkOnLaterPages(t *testing.T) {
	t.Parallel()
	yt := client(t, &channel{})
	if got, found, err := yt.Find(t.Context(), "0199"); got.ID != "v1" || !found || err != nil {
		t.Errorf("got %+v %v %v", got, found, err)
	}
	if _, found, err := yt.Find(t.Context(), "019"); found || err != nil {
		t.Errorf("prefix found: %v", err)
	}
}
