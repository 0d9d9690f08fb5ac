package main

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"castad/internal/testkit"
)

// served runs the program until the test ends, and returns a client for it and its log.
func served(t *testing.T, env map[string]string) *rig {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	logs, ended := &lockedBuffer{}, make(chan error, 1)
	go func() { ended <- serve(ctx, func(name string) string { return env[name] }, logs) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the program ended: %v", err)
		}
	})
	testkit.Eventually(t, "the program listens", func() bool { return addressIn(logs.String()) != "" })
	return &rig{t: t, url: "http://" + addressIn(logs.String()), logs: logs}
}

func TestServe_LimitsByItsSettings(t *testing.T) {
	t.Parallel()
	env := environment(t, testkit.Database(t), testkit.NATS(t))
	addr, redis := testkit.Redis(t)
	env["CASTAD_REDIS_URL"], env["CASTAD_LIMIT_LOGINS"], env["CASTAD_TRUSTED_PROXIES"] = "redis://"+addr, "1/1h", "127.0.0.1"
	r := served(t, env)
	login := func(from string) int {
		return r.call("POST", "/auth/dev/login", "", `{"nickname":"a"}`, "X-Forwarded-For", from).status
	}
	got := []int{login("203.0.113.1"), login("203.0.113.1"), login("203.0.113.2")}
	if diff := cmp.Diff([]int{200, 429, 200}, got); diff != "" {
		t.Error(diff)
	}
	for _, key := range redis.Keys() {
		if !strings.Contains(key, env["CASTAD_PREFIX"]+":logins:") {
			t.Errorf("the key %s isn't this installation's", key)
		}
	}
	for _, want := range []string{`"rate limits are on"`, `"logins":"1/1h0m0s/1"`, `"submits":"60/1h0m0s/20"`} {
		if !strings.Contains(r.logs.String(), want) {
			t.Errorf("the log has no %s: %s", want, r.logs)
		}
	}
}

func TestServe_WithoutRedisLimitsNothingAndSaysSo(t *testing.T) {
	t.Parallel()
	env := environment(t, testkit.Database(t), testkit.NATS(t))
	env["CASTAD_LIMIT_LOGINS"] = "1/1h"
	r := served(t, env)
	for range 3 {
		if a := r.call("POST", "/auth/dev/login", "", `{"nickname":"a"}`); a.status != http.StatusOK || len(limitHeaders(a)) > 0 {
			t.Errorf("got %d %v", a.status, limitHeaders(a))
		}
	}
	if !strings.Contains(r.logs.String(), `"rate limits are off: CASTAD_REDIS_URL isn't set"`) {
		t.Errorf("the log doesn't say so: %s", r.logs)
	}
}

func TestServe_StartsWhileRedisIsAway(t *testing.T) {
	t.Parallel()
	env := environment(t, testkit.Database(t), testkit.NATS(t))
	env["CASTAD_REDIS_URL"] = "redis://127.0.0.1:1"
	r := served(t, env)
	testkit.Eventually(t, "the program is ready", func() bool { return r.call("GET", "/readyz", "", "").status == http.StatusOK })
	if a := r.call("POST", "/auth/dev/login", "", `{"nickname":"a"}`); a.status != http.StatusServiceUnavailable || a.code(t) != "login_unavailable" {
		t.Errorf("got %d %s", a.status, a.body)
	}
}

func TestServe_RefusesARedisURLWithoutShowingIt(t *testing.T) {
	t.Parallel()
	env := environment(t, "u:p@tcp(127.0.0.1:1)/x", "nats://127.0.0.1:1")
	env["CASTAD_REDIS_URL"] = "http://u:hidden@127.0.0.1:1"
	err := serve(t.Context(), func(name string) string { return env[name] }, &lockedBuffer{})
	if err == nil || strings.Contains(err.Error(), "hidden") || !strings.Contains(err.Error(), "CASTAD_REDIS_URL") {
		t.Errorf("got %v, want an error that names the variable and no secret", err)
	}
}
