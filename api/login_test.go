package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"castad/internal/auth"
)

func TestAuthenticate(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	token := r.login("a", "user")
	strange, _, err := r.Keys.Issue("00000000-0000-0000-0000-000000000000", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	me := into[userView](t, r.call("GET", "/auth/me", token, ""))
	expired, _, err := r.Keys.Issue(me.UserUUID, time.Now().Add(-2*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	others, err := auth.NewKeys(auth.Key{ID: "test", Secret: []byte(strings.Repeat("z", 32))})
	if err != nil {
		t.Fatal(err)
	}
	forged, _, err := others.Issue(me.UserUUID, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	sleeper := r.login("sleeper", "user")
	r.exec("UPDATE `user` SET `is_active`=0 WHERE `nickname`='sleeper'")
	rows := map[string]struct {
		header string
		status int
		code   string
	}{
		"none":         {"", 401, "MISSING_TOKEN"},
		"basic":        {"Basic YTpi", 401, "MISSING_TOKEN"},
		"empty bearer": {"Bearer ", 401, "MISSING_TOKEN"},
		"garbage":      {"Bearer garbage", 401, "INVALID_TOKEN"},
		"other key":    {"Bearer " + forged, 401, "INVALID_TOKEN"},
		"alg none":     {"Bearer eyJhbGciOiJub25lIiwia2lkIjoidGVzdCJ9.eyJzdWIiOiJ1IiwidHlwZSI6ImFjY2VzcyJ9.", 401, "INVALID_TOKEN"},
		"expired":      {"Bearer " + expired, 401, "TOKEN_EXPIRED"},
		"unknown user": {"Bearer " + strange, 401, "USER_NOT_FOUND"},
		"inactive":     {"Bearer " + sleeper, 403, "USER_INACTIVE"},
	}
	for name, row := range rows {
		for _, call := range [][2]string{{"GET", "/tasks"}, {"POST", "/tasks"}, {"GET", "/auth/me"}, {"GET", "/admin/dead"}, {"GET", "/tasks/" + me.UserUUID + "/events"}} {
			a := r.call(call[0], call[1], "", "", "Authorization", row.header)
			if diff := cmp.Diff([]any{row.status, row.code}, []any{a.status, a.code(t)}); diff != "" {
				t.Errorf("%s, %v: %s", name, call, diff)
			}
		}
	}
	if a := r.call("GET", "/admin/dead", token, ""); a.status != http.StatusForbidden || a.code(t) != "ADMIN_REQUIRED" {
		t.Errorf("got %d %s", a.status, a.body)
	}
	if a := r.call("POST", "/auth/dev/login", "", `{"nickname":"sleeper"}`); a.status != http.StatusForbidden {
		t.Errorf("an inactive user logged in: %d", a.status)
	}
}

func TestDevLogin_IsForDevelopmentOnly(t *testing.T) {
	t.Parallel()
	r := start(t, func(s *server) { s.Dev = false })
	a := r.call("POST", "/auth/dev/login", "", `{"nickname":"a"}`)
	if diff := cmp.Diff([]any{404, "not_found"}, []any{a.status, a.code(t)}); diff != "" {
		t.Error(diff)
	}
}

func TestDevLogin_GivesTheSameNicknameTheSameUser(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	first := into[userView](t, r.call("GET", "/auth/me", r.login("나그네", "user"), ""))
	again := into[userView](t, r.call("GET", "/auth/me", r.login("나그네", "admin"), ""))
	want := userView{UserUUID: first.UserUUID, Nickname: "나그네", Role: "admin"}
	if diff := cmp.Diff(want, again); diff != "" {
		t.Error(diff)
	}
}
