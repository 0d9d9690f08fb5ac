package e2e_test

import (
	"maps"
	"net/http"
	"strings"
	"testing"

	"castad/internal/e2e"
	"castad/internal/testkit"
)

// fewChanges is the limit that this test runs into; all others are out of the way.
const fewChanges = 5

var wideLimits = map[string]string{"CASTAD_LIMIT_CHANGES": "5/1h", "CASTAD_LIMIT_SUBMITS": "1000/1s", "CASTAD_LIMIT_READS": "1000/1s",
	"CASTAD_LIMIT_STREAMS": "1000/1s", "CASTAD_LIMIT_OPEN": "1000/1s", "CASTAD_LIMIT_LOGINS": "1000/1s"}

// Redis isn't there when the API starts, is lost under load, comes back empty, and stands still. Tasks are accepted and
// completed all the time; calls pass uncounted, but for logins; and the limits come back by themselves.
func TestRedis_Away(t *testing.T) {
	t.Parallel()
	addr, redis := testkit.Redis(t)
	way := testkit.NewLink(t, addr)
	env := maps.Clone(slow)
	maps.Copy(env, wideLimits)
	env["CASTAD_REDIS_URL"] = "redis://" + way.Addr()
	p := e2e.Start(t, e2e.Options{Env: env})
	p.Login()
	without := func(lose, regain func()) func(l *e2e.Load) {
		return func(l *e2e.Load) {
			limited(t, p)
			lose()
			unlimited(t, p)
			l.Completes(4)
			unlimited(t, p)
			regain()
			limited(t, p)
		}
	}
	underLoad(t, p, []fault{
		{"away at the start", without(func() { way.Cut(); p.Roll("api") }, way.Mend)},
		{"lost, and back empty", without(way.Cut, func() { redis.FlushAll(); way.Mend() })},
		{"stands still", without(way.Hold, way.Release)},
	})
}

// change is a call that counts and does nothing, and returns its status.
func change(p *e2e.Product) int {
	status, _ := p.Call(http.MethodPost, "/tasks/01a2067e-0000-7000-8000-000000000000/cancel", nil, nil, nil)
	return status
}

func login(p *e2e.Product) int {
	status, _ := p.Call(http.MethodPost, "/auth/dev/login", nil, strings.NewReader(`{"nickname":"guest"}`), nil)
	return status
}

// limited waits until calls are counted, one too many is refused, and whoever has no token gets one again.
func limited(t *testing.T, p *e2e.Product) {
	t.Helper()
	testkit.Eventually(t, "changes are limited", func() bool { return change(p) == http.StatusTooManyRequests })
	testkit.Eventually(t, "logins pass", func() bool { return login(p) == http.StatusOK })
}

// unlimited sees more changes pass than are allowed, and logins refused, because nobody can count them.
func unlimited(t *testing.T, p *e2e.Product) {
	t.Helper()
	for range 2 * fewChanges {
		if got := change(p); got != http.StatusNotFound {
			t.Errorf("a change of a task that isn't there, without Redis: status %d", got)
		}
	}
	if got := login(p); got != http.StatusServiceUnavailable {
		t.Errorf("a login without Redis: status %d", got)
	}
}
