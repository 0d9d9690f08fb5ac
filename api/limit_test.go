package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"castad/internal/limit"
	"castad/internal/testkit"
)

// limited gives a server limits that are counted at a Redis, patiently: a busy machine must not look like a slow Redis.
func limited(t *testing.T, redis string, rates map[budget]limit.Rate, proxies ...string) func(*server) {
	t.Helper()
	return func(s *server) {
		counter, err := limit.Open(limit.Settings{URL: redis, Prefix: "test", Patience: 30 * time.Second, Log: s.Log})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { counter.Close() })
		s.Limits = limits{Counter: counter, Rates: rates}
		for _, proxy := range proxies {
			s.Limits.Proxies = append(s.Limits.Proxies, netip.MustParsePrefix(proxy))
		}
	}
}

// few is a rate of which nothing comes back while a test runs.
func few(burst int) limit.Rate { return limit.Rate{Count: 1, Per: time.Hour, Burst: burst} }

// limitHeaders returns the headers about limits that an answer has.
func limitHeaders(a answer) map[string]string {
	found := map[string]string{}
	for _, name := range []string{"RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "Retry-After"} {
		if values := a.header.Values(name); len(values) > 0 {
			found[name] = strings.Join(values, ";")
		}
	}
	return found
}

func TestLimit_TellsWhatIsLeftAndWhenToComeBack(t *testing.T) {
	t.Parallel()
	addr, redis := testkit.Redis(t)
	at := time.Date(2026, 11, 23, 5, 0, 0, 0, time.UTC)
	r := start(t, limited(t, "redis://"+addr, map[budget]limit.Rate{readBudget: {Count: 6, Per: time.Minute, Burst: 2}}))
	token := r.login("a", "user")
	for i, step := range []struct {
		after  time.Duration
		status int
		want   map[string]string
	}{
		{0, 200, map[string]string{"RateLimit-Limit": "2", "RateLimit-Remaining": "1", "RateLimit-Reset": "10"}},
		{0, 200, map[string]string{"RateLimit-Limit": "2", "RateLimit-Remaining": "0", "RateLimit-Reset": "20"}},
		{0, 429, map[string]string{"RateLimit-Limit": "2", "RateLimit-Remaining": "0", "RateLimit-Reset": "10", "Retry-After": "10"}},
		{9500 * time.Millisecond, 429, map[string]string{"RateLimit-Limit": "2", "RateLimit-Remaining": "0", "RateLimit-Reset": "1", "Retry-After": "1"}},
		{time.Second, 200, map[string]string{"RateLimit-Limit": "2", "RateLimit-Remaining": "0", "RateLimit-Reset": "20"}},
		{time.Minute, 200, map[string]string{"RateLimit-Limit": "2", "RateLimit-Remaining": "1", "RateLimit-Reset": "10"}},
	} {
		at = at.Add(step.after)
		redis.SetTime(at)
		a := r.call("GET", "/auth/me", token, "", "Origin", "http://localhost:3000")
		if diff := cmp.Diff([]any{step.status, step.want}, []any{a.status, limitHeaders(a)}); diff != "" {
			t.Errorf("step %d: %s", i, diff)
		}
		if !strings.Contains(a.header.Get("Access-Control-Expose-Headers"), "RateLimit-Remaining, RateLimit-Reset") {
			t.Errorf("pages can't read the headers: %v", a.header)
		}
		if step.status != http.StatusTooManyRequests {
			continue
		}
		want := Problem{Type: "/docs#RATE_LIMITED", Title: "Too Many Requests", Status: 429, Code: "RATE_LIMITED",
			Detail: "Too many reads: come back in " + step.want["Retry-After"] + " s. At most 2 may come at once, and 6 in 1m0s."}
		if diff := cmp.Diff(want, into[Problem](t, a)); diff != "" || a.code(t) != "RATE_LIMITED" {
			t.Errorf("step %d: %s", i, diff)
		}
	}
	if a := r.call("DELETE", "/tasks/00000000-0000-7000-8000-000000000000", token, ""); a.status != http.StatusNotFound || len(limitHeaders(a)) > 0 {
		t.Errorf("what has no limit: got %d %v", a.status, limitHeaders(a))
	}
}

func TestLimit_EachKindHasItsOwn(t *testing.T) {
	t.Parallel()
	testkit.EachRedis(t, func(t *testing.T, redis *testkit.RedisServer) {
		r := start(t, limited(t, redis.URL(), map[budget]limit.Rate{submitBudget: few(2), changeBudget: few(2), readBudget: few(2),
			streamBudget: few(2), openBudget: few(2), loginBudget: few(2)}))
		token, other := r.login("a", "user"), r.login("b", "admin")
		if a := r.call("POST", "/auth/dev/login", "", `{"nickname":"c"}`); a.status != http.StatusTooManyRequests || a.code(t) != "RATE_LIMITED" {
			t.Errorf("a third login: got %d %s", a.status, a.body)
		}
		taskID := r.submitted(token, goodTask)
		at := "/tasks/" + taskID
		refused := func(who, method, path, body string, want bool) {
			t.Helper()
			a := r.call(method, path, who, body)
			if got := a.status == http.StatusTooManyRequests; got != want {
				t.Errorf("%s %s: got %d %s", method, path, a.status, a.body)
			}
		}
		refused(token, "POST", "/tasks", goodTask, false)
		refused(token, "POST", "/tasks", goodTask, true)
		refused(token, "POST", at+"/resume", "", false)
		refused(token, "PUT", at+"/lyric", `{"text":"la"}`, false)
		for _, change := range [][2]string{{"POST", "/resume"}, {"POST", "/stages/song/rerun"}, {"PUT", "/lyric"}, {"DELETE", ""}} {
			refused(token, change[0], at+change[1], "", true)
		}
		refused(token, "GET", at, "", false)
		refused(token, "GET", "/auth/me", "", false)
		for _, read := range []string{at, "/tasks", "/auth/me", at + "/stages/song/result"} {
			refused(token, "GET", read, "", true)
		}
		for range 2 { // a stream is opened whatever else is used up
			s := r.watching(token, taskID, "")
			s.ids(1)
			s.cancel()
		}
		refused(token, "GET", at+"/events", "", true)
		refused(other, "GET", "/admin/dead", "", false)
		refused(other, "POST", "/tasks", goodTask, false)
		refused("", "GET", "/", "", false)
		refused("", "GET", "/tasks", "", false)
		for _, open := range []string{"/", "/docs", "/page/app.js", "/openapi.json", "/openapi-3.0.yaml", "/nothing", "/tasks", at, at + "/events", "/admin/dead"} {
			refused("", "GET", open, "", true)
			refused(token+"x", "GET", open, "", true)
		}
		for range 5 {
			for _, call := range []struct {
				method, path, body string
				status             int
			}{{"POST", "/hooks/suno/unknown", "{}", 404}, {"GET", "/healthz", "", 200}, {"GET", "/readyz", "", 200}} {
				a := r.call(call.method, call.path, "", call.body)
				if diff := cmp.Diff([]any{call.status, map[string]string{}}, []any{a.status, limitHeaders(a)}); diff != "" {
					t.Errorf("%s: %s", call.path, diff)
				}
			}
		}
	})
}

// Nothing is done for a refused request: its user isn't even loaded.
func TestLimit_RefusesBeforeTheDatabaseIsAsked(t *testing.T) {
	t.Parallel()
	addr, _ := testkit.Redis(t)
	r := start(t, limited(t, "redis://"+addr, map[budget]limit.Rate{readBudget: few(1)}))
	token := r.login("a", "user")
	if a := r.call("GET", "/tasks", token, ""); a.status != http.StatusOK {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	r.DB.Close()
	if a := r.call("GET", "/tasks", token, ""); a.status != http.StatusTooManyRequests {
		t.Errorf("got %d %s", a.status, a.body)
	}
	if logs := r.logs.String(); !strings.Contains(logs, `"code":"RATE_LIMITED"`) || !strings.Contains(logs, `"status":429`) {
		t.Errorf("the log doesn't tell of it: %s", logs)
	}
}

// alone calls on a connection of its own and returns the status. Clients that share connections open spare ones when many
// call at once, and the server's end would wait for these.
func (r *rig) alone(method, path, token, body string) int {
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.url+path, strings.NewReader(body))
	if err != nil {
		r.t.Error(err)
		return 0
	}
	req.Close = true
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		r.t.Error(err)
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

func TestLimit_ManyAtOnceOnTwoServersGetTheBurst(t *testing.T) {
	t.Parallel()
	testkit.EachRedis(t, func(t *testing.T, redis *testkit.RedisServer) {
		rates := map[budget]limit.Rate{submitBudget: few(5)}
		rigs := []*rig{start(t, limited(t, redis.URL(), rates)), start(t, limited(t, redis.URL(), rates))}
		var tokens []string
		for _, r := range rigs {
			tokens = append(tokens, r.login("a", "user")) // the same user everywhere
		}
		var all sync.WaitGroup
		var mu sync.Mutex
		got := map[int]int{}
		for i := range 64 {
			all.Go(func() {
				status := rigs[i%2].alone("POST", "/tasks", tokens[i%2], goodTask)
				mu.Lock()
				defer mu.Unlock()
				got[status]++
			})
		}
		all.Wait()
		if diff := cmp.Diff(map[int]int{202: 5, 429: 59}, got); diff != "" {
			t.Error(diff)
		}
	})
}

// endless asks the same again and again until the test stops it, and returns how often each status was the answer.
func (r *rig) endless(path, token string, workers int) (stop func() map[int]int) {
	var all sync.WaitGroup
	var mu sync.Mutex
	got, done := map[int]int{}, make(chan struct{})
	for range workers {
		all.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				status := r.alone("GET", path, token, "")
				mu.Lock()
				got[status]++
				mu.Unlock()
			}
		})
	}
	return sync.OnceValue(func() map[int]int { close(done); all.Wait(); return got })
}

func TestLimit_RedisKilledAndStartedAgainUnderRequests(t *testing.T) {
	t.Parallel()
	testkit.EachRedis(t, func(t *testing.T, redis *testkit.RedisServer) {
		r := start(t, limited(t, redis.URL(), map[budget]limit.Rate{readBudget: few(3), loginBudget: few(2), openBudget: few(1)}))
		token := r.login("a", "user")
		stop := r.endless("/auth/me", token, 4)
		defer stop()
		status := func() int { return r.call("GET", "/auth/me", token, "").status }
		testkit.Eventually(t, "reads are limited", func() bool { return status() == http.StatusTooManyRequests })

		redis.Stop()
		testkit.Eventually(t, "reads pass", func() bool { return status() == http.StatusOK })
		for range 20 {
			if a := r.call("GET", "/auth/me", token, ""); a.status != http.StatusOK || len(limitHeaders(a)) > 0 {
				t.Errorf("without Redis: got %d %v", a.status, limitHeaders(a))
			}
			if a := r.call("GET", "/", "", ""); a.status != http.StatusOK {
				t.Errorf("without Redis and a token: got %d", a.status)
			}
		}
		a := r.call("POST", "/auth/dev/login", "", `{"nickname":"a"}`)
		if diff := cmp.Diff([]any{503, "login_unavailable", map[string]string{"Retry-After": "3"}}, []any{a.status, a.code(t), limitHeaders(a)}); diff != "" {
			t.Error(diff)
		}
		if a := r.call("GET", "/readyz", "", ""); a.status != http.StatusOK {
			t.Errorf("ready without Redis: got %d %s", a.status, a.body)
		}

		redis.Start()
		testkit.Eventually(t, "reads are limited again", func() bool { return status() == http.StatusTooManyRequests })
		testkit.Eventually(t, "logins are answered again", func() bool {
			return r.call("POST", "/auth/dev/login", "", `{"nickname":"a"}`).status == http.StatusOK
		})
		for got := range stop() {
			if got != http.StatusOK && got != http.StatusTooManyRequests {
				t.Errorf("some reads were answered with %d", got)
			}
		}
		// One for the whole outage, whatever number of requests met it.
		if diff := cmp.Diff(1, strings.Count(r.logs.String(), `"limits weren't counted"`)); diff != "" {
			t.Errorf("warnings: %s", diff)
		}
	})
}

func TestLimit_AnswersInSpiteOfASilentRedis(t *testing.T) {
	t.Parallel()
	silent := newSilence(t)
	r := start(t, func(s *server) {
		now := time.Now()
		counter, err := limit.Open(limit.Settings{URL: "redis://" + silent.Addr().String(), Log: s.Log, Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { counter.Close() })
		s.Limits = limits{Counter: counter, Rates: map[budget]limit.Rate{readBudget: few(1), openBudget: few(1)}}
	})
	token := r.login("a", "user") // logins have no limit here
	for range 30 {
		if a := r.call("GET", "/auth/me", token, ""); a.status != http.StatusOK {
			t.Fatalf("got %d %s", a.status, a.body)
		}
	}
	if got := silent.called.Load(); got > 5 { // the clock stands still, so the first pause isn't over
		t.Errorf("Redis was called %d times", got)
	}
}

func TestDocument_ShowsTheLimits(t *testing.T) {
	t.Parallel()
	r := start(t, func(s *server) { s.Blobs = &shelf{} })
	var doc struct {
		Paths map[string]map[string]struct {
			Responses map[string]struct {
				Headers map[string]any
				Content map[string]any
			}
		}
	}
	if err := json.Unmarshal(r.call("GET", "/openapi.json", "", "").body, &doc); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for path, methods := range doc.Paths {
		for method, op := range methods {
			seen++
			refusal, ok := op.Responses["429"]
			if !ok || refusal.Headers["Retry-After"] == nil || refusal.Headers["RateLimit-Reset"] == nil || refusal.Content[problemType] == nil {
				t.Errorf("%s %s: got the refusal %+v, %v", method, path, refusal, ok)
			}
			if len(op.Responses) < 3 {
				t.Errorf("%s %s: got only %v", method, path, op.Responses)
			}
		}
	}
	if seen < 10 {
		t.Errorf("the document has %d operations", seen)
	}
	if _, ok := doc.Paths["/auth/dev/login"]["post"].Responses["503"]; !ok {
		t.Error("it doesn't say that logins may be unavailable")
	}
	if got := fmt.Sprint(doc.Paths["/tasks/{task_id}/events"]["get"].Responses["200"].Content); !strings.Contains(got, "text/event-stream") {
		t.Errorf("the event stream lost its answer: %s", got)
	}
}
