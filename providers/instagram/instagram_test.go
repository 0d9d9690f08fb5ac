package instagram_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"castad/internal/fault"
	"castad/providers/instagram"
)

func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.String(), "secret") || r.Header.Get("Authorization") != "Bearer secret" {
			status = http.StatusTeapot
		}
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

func client(t *testing.T, h http.HandlerFunc) *instagram.Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return instagram.New(instagram.Config{BaseURL: s.URL, UserID: "17", Token: "secret"})
}

func TestPublish_ClassifiesEachAnswer(t *testing.T) {
	t.Parallel()
	e := func(code, sub int) http.HandlerFunc {
		return says(400, fmt.Sprintf(`{"error":{"message":"m","type":"OAuthException","code":%d,"error_subcode":%d,"fbtrace_id":"A"}}`, code, sub))
	}
	for name, row := range map[string]struct {
		h    http.HandlerFunc
		kind fault.Kind
		code string
	}{
		"token":      {e(190, 463), fault.Permanent, "instagram_reconnect_needed"},
		"permission": {e(10, 0), fault.Permanent, "instagram_permission_missing"},
		"not ready":  {e(9007, 2207027), fault.RateLimited, "instagram_not_ready"},
		"daily":      {e(9, 2207042), fault.RateLimited, "instagram_daily_limit"},
		"rate":       {e(4, 0), fault.RateLimited, "instagram_rate_limited"},
		"blocked":    {e(4, 2207051), fault.Permanent, "instagram_action_blocked"},
		"restricted": {e(25, 2207050), fault.Permanent, "instagram_account_restricted"},
		"expired":    {e(24, 2207008), fault.Retryable, "instagram_container_lost"},
		"format":     {e(352, 2207026), fault.Permanent, "instagram_post_refused"},
		"vague":      {e(2, 0), fault.Uncertain, "instagram_outcome_unknown"},
		"server":     {e(-1, 2207001), fault.Uncertain, "instagram_outcome_unknown"},
		"gateway":    {says(502, "<html>"), fault.Uncertain, "instagram_outcome_unknown"},
		"no id":      {says(200, "{}"), fault.Uncertain, "instagram_outcome_unknown"},
		"cut": {func(w http.ResponseWriter, _ *http.Request) {
			conn, _, _ := w.(http.Hijacker).Hijack()
			conn.Close()
		}, fault.Uncertain, "instagram_outcome_unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := client(t, row.h).Publish(t.Context(), "c1")
			if f := fault.Of(err); f == nil || f.Kind != row.kind || f.Code != row.code {
				t.Errorf("got %+v, want %s %s", f, row.kind, row.code)
			}
		})
	}
	s := httptest.NewServer(nil)
	s.Close()
	if _, err := instagram.New(instagram.Config{BaseURL: s.URL}).Publish(t.Context(), "c1"); fault.Of(err).Code != "instagram_unreachable" {
		t.Errorf("refused connection: %v", err)
	}
}

func TestReads(t *testing.T) {
	t.Parallel()
	if id, err := client(t, says(200, `{"id":"c1"}`)).CreateContainer(t.Context(), "https://x/v.mp4", "c", ""); id != "c1" || err != nil {
		t.Errorf("container %q, %v", id, err)
	}
	if id, err := client(t, says(200, `{"id":"m1"}`)).Publish(t.Context(), "c1"); id != "m1" || err != nil {
		t.Errorf("publish %q, %v", id, err)
	}
	if st, _, err := client(t, says(200, `{"status_code":"PUBLISHED","status":"s","id":"c1"}`)).ContainerStatus(t.Context(), "c1"); st != instagram.Published || err != nil {
		t.Errorf("status %q, %v", st, err)
	}
	list := client(t, says(200, `{"data":[{"id":"1","caption":"x"},{"id":"2","caption":"hello\nref 0199"}]}`))
	if id, found, err := list.FindByMark(t.Context(), "ref 0199", time.Now()); id != "2" || !found || err != nil {
		t.Errorf("find %q, %v", id, err)
	}
	late := client(t, says(400, `{"error":{"message":"m","code":100,"error_subcode":33}}`))
	if _, err := late.Permalink(t.Context(), "m1"); fault.Of(err).Code != "instagram_object_unreadable" {
		t.Errorf("late link: %v", err)
	}
}

// A post is looked for back to the time from which it can be, page by page, and no further.
func TestFindByMark_GoesBackAsFarAsNeeded(t *testing.T) {
	t.Parallel()
	now := time.Now()
	pages := 0
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		pages++
		n, _ := strconv.Atoi(r.URL.Query().Get("after")) // "" is the first
		caption := "another"
		if n == 3 {
			caption = "our own\nref 0199"
		}
		at := now.Add(-time.Duration(n) * 24 * time.Hour).Format("2006-01-02T15:04:05-0700")
		fmt.Fprintf(w, `{"data":[{"id":"m%d","caption":%q,"timestamp":%q}],"paging":{"cursors":{"after":"%d"},"next":"https://x"}}`, n, caption, at, n+1)
	})
	for name, tc := range map[string]struct {
		since time.Time
		want  string
		pages int
	}{
		"far enough":     {now.Add(-30 * 24 * time.Hour), "m3", 4},
		"not far enough": {now.Add(-36 * time.Hour), "", 3},
	} {
		pages = 0
		id, found, err := c.FindByMark(t.Context(), "ref 0199", tc.since)
		if id != tc.want || found != (tc.want != "") || err != nil || pages != tc.pages {
			t.Errorf("%s: got %q, %t, %v after %d pages, want %q after %d", name, id, found, err, pages, tc.want, tc.pages)
		}
	}
	pages = 0
	if _, found, err := c.FindByMark(t.Context(), "ref 0200", time.Time{}); found || err != nil || pages > 100 {
		t.Errorf("a list without an end: %t, %v, %d pages", found, err, pages)
	}
}
