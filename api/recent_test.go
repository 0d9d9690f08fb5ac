package main

import (
	"context"
	"testing"
	"time"

	"castad/events"
	"castad/internal/testkit"
)

// remembering is a server that keeps what it has answered for so long.
func remembering(t *testing.T, fresh time.Duration) *rig {
	t.Helper()
	return start(t, func(s *server) { s.recent = remember(fresh) })
}

func (r *rig) status(token, taskID string) string {
	r.t.Helper()
	return into[taskView](r.t, r.call("GET", "/tasks/"+taskID, token, "")).Status
}

// elsewhere cancels a task as another server would.
func (r *rig) elsewhere(token, taskID string) {
	r.t.Helper()
	me := into[userView](r.t, r.call("GET", "/auth/me", token, ""))
	if err := r.DB.Cancel(context.Background(), me.UserUUID, taskID); err != nil {
		r.t.Fatal(err)
	}
}

// What another server has changed is seen when the broker tells of it, and after the time that is said otherwise.
func TestRecent_ForgetsWhatHasChangedElsewhere(t *testing.T) {
	t.Parallel()
	r := remembering(t, time.Hour)
	token := r.login("a", "user")
	taskID := r.submitted(token, goodTask)
	before := r.status(token, taskID)
	r.elsewhere(token, taskID)
	if got := r.status(token, taskID); got != before {
		t.Errorf("the task was read again within the hour: it is %s", got)
	}
	r.hear(events.Fact{TaskID: taskID, Seq: 3, Stage: events.TaskScope, What: "cancelled"})
	if got := r.status(token, taskID); got != "cancelled" {
		t.Errorf("after the fact was heard the task is %s", got)
	}
	soon := remembering(t, 20*time.Millisecond)
	token = soon.login("a", "user")
	taskID = soon.submitted(token, goodTask)
	soon.status(token, taskID)
	soon.elsewhere(token, taskID)
	testkit.Eventually(t, "the task is seen to be cancelled", func() bool { return soon.status(token, taskID) == "cancelled" })
}

// Whoever changes a task sees it changed at once.
func TestRecent_OwnChangesAreSeen(t *testing.T) {
	t.Parallel()
	r := remembering(t, time.Hour)
	token := r.login("a", "user")
	taskID := r.submitted(token, goodTask)
	first := r.call("GET", "/tasks/"+taskID, token, "")
	if again := r.call("GET", "/tasks/"+taskID, token, "", "If-None-Match", first.header.Get("ETag")); again.status != 304 {
		t.Errorf("asked again with its ETag: %d", again.status)
	}
	if a := r.call("POST", "/tasks/"+taskID+"/cancel", token, ""); a.status != 202 {
		t.Fatalf("cancel: %d %s", a.status, a.body)
	}
	if got := r.status(token, taskID); got != "cancelled" {
		t.Errorf("after it was cancelled it is %s", got)
	}
	if a := r.call("DELETE", "/tasks/"+taskID, token, ""); a.status != 204 {
		t.Fatalf("delete: %d %s", a.status, a.body)
	}
	if a := r.call("GET", "/tasks/"+taskID, token, ""); a.status != 404 {
		t.Errorf("after it was deleted: %d %s", a.status, a.body)
	}
}

// What is kept for one user is nobody else's, and a token is no good after its time although it was looked at before.
func TestRecent_KeepsUsersApart(t *testing.T) {
	t.Parallel()
	r := remembering(t, time.Hour)
	token := r.login("a", "user")
	taskID := r.submitted(token, goodTask)
	r.status(token, taskID)
	if a := r.call("GET", "/tasks/"+taskID, r.login("b", "user"), ""); a.status != 404 {
		t.Errorf("somebody else's task: %d %s", a.status, a.body)
	}
	now := time.Now()
	if _, err := r.check(token); err != nil {
		t.Fatal(err)
	}
	r.Now = func() time.Time { return now.Add(48 * time.Hour) }
	if _, err := r.check(token); err == nil {
		t.Error("an expired token was taken")
	}
}
