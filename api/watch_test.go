package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"castad/events"
	"castad/internal/broker"
	"castad/internal/relay"
	"castad/internal/testkit"
)

// live connects the rig to a broker with a relay, as in the whole product.
func live(t *testing.T) *rig {
	t.Helper()
	names, err := events.Prefixed(testkit.Prefix(t))
	if err != nil {
		t.Fatal(err)
	}
	b, err := broker.Connect(broker.Settings{URL: testkit.NATS(t), Name: "api test", Names: names, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	if err := b.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := start(t, func(s *server) { s.Beat = time.Hour }) // what comes, comes from the broker
	if err := b.Facts(t.Context(), r.hub.tell); err != nil {
		t.Fatal(err)
	}
	r.DB.Nudge = b.Wake
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		(&relay.Relay{DB: r.DB, Broker: b, Lock: names.RelayLock(), Log: zerolog.Nop()}).Run(t.Context())
	}()
	t.Cleanup(func() { <-ended })
	return r
}

// churn makes events of a task: each failure and retry is several. It returns the number of the newest.
func (r *rig) churn(taskID, token string, times int) int64 {
	r.t.Helper()
	for range times {
		r.failed(taskID, events.Crawl, "place_not_found")
		if a := r.call("POST", "/tasks/"+taskID+"/stages/crawl/retry", token, ""); a.status != 202 {
			r.t.Fatalf("retry: %d %s", a.status, a.body)
		}
	}
	task, err := r.DB.LoadTask(r.t.Context(), taskID)
	if err != nil {
		r.t.Fatal(err)
	}
	return task.EventSeq
}

func TestWatch_LiveWithoutGapOrRepeat(t *testing.T) {
	t.Parallel()
	r := live(t)
	token := r.login("a", "user")
	taskID := r.submitted(token, goodTask)
	before := r.churn(taskID, token, 3)
	s := r.watching(token, taskID, "")
	newest := r.churn(taskID, token, 10)
	if diff := cmp.Diff(upTo(1, newest), s.ids(int(newest))); diff != "" {
		t.Error(diff)
	}
	if newest <= before {
		t.Errorf("got %d events, want more than %d", newest, before)
	}
}

func TestWatch_ResumesWhileEventsAreWritten(t *testing.T) {
	t.Parallel()
	r := live(t)
	token := r.login("a", "user")
	taskID := r.submitted(token, goodTask)
	first := r.watching(token, taskID, "")
	written := make(chan int64, 1)
	go func() {
		defer close(written) // also when churn ends the test
		written <- r.churn(taskID, token, 20)
	}()
	seen := first.ids(7)
	first.cancel()
	newest := int64(0)
	for newest == 0 || seen[len(seen)-1] < newest {
		s := r.watching(token, taskID, strconv.FormatInt(seen[len(seen)-1], 10))
		seen = append(seen, s.ids(5)...)
		s.cancel()
		if newest == 0 && len(seen) > 60 {
			newest = <-written - 5 // each stream below reads five
		}
	}
	if diff := cmp.Diff(upTo(1, seen[len(seen)-1]), seen); diff != "" {
		t.Error(diff)
	}
}

func TestWatch_ReadsRowsThatTheBrokerNeverTold(t *testing.T) {
	t.Parallel()
	r := start(t, func(s *server) { s.Beat = 20 * time.Millisecond })
	token := r.login("a", "user")
	taskID := r.submitted(token, goodTask)
	s := r.watching(token, taskID, "")
	s.ids(1)
	newest := r.churn(taskID, token, 2)
	if diff := cmp.Diff(upTo(2, newest), s.ids(int(newest)-1)); diff != "" {
		t.Error(diff)
	}
}

func TestWatch_FillsAGapAndDropsRepeats(t *testing.T) {
	t.Parallel()
	r := start(t, func(s *server) { s.Beat = time.Hour })
	token := r.login("a", "user")
	taskID := r.submitted(token, goodTask)
	s := r.watching(token, taskID, "")
	s.ids(1)
	newest := r.churn(taskID, token, 2)
	fact := events.Fact{TaskID: taskID, Seq: newest, Stage: events.Crawl, What: "pending"}
	r.hub.tell(fact) // all before it were lost
	if diff := cmp.Diff(upTo(2, newest), s.ids(int(newest)-1)); diff != "" {
		t.Error(diff)
	}
	r.hub.tell(fact)
	fact.Seq = 1
	r.hub.tell(fact)
	fact.Seq = newest + 1
	r.hub.tell(fact)
	if diff := cmp.Diff([]int64{newest + 1}, s.ids(1)); diff != "" {
		t.Error(diff)
	}
}

func TestWatch_SendsWholeFactsAndEndsWithTheTask(t *testing.T) {
	t.Parallel()
	r := live(t)
	token := r.login("a", "user")
	taskID := r.submitted(token, goodTask)
	s := r.watching(token, taskID, "")
	if a := r.call("DELETE", "/tasks/"+taskID, token, ""); a.status != 204 {
		t.Fatalf("delete: %d %s", a.status, a.body)
	}
	var whats []string
	for {
		id, data, ok := s.next()
		if !ok {
			break
		}
		var fact events.Fact
		if err := json.Unmarshal([]byte(data), &fact); err != nil || fact.Seq != id || fact.TaskID != taskID || fact.At.IsZero() {
			t.Errorf("event %d: %+v, %v", id, fact, err)
		}
		whats = append(whats, fmt.Sprintf("%s %s", fact.Stage, fact.What))
	}
	if len(whats) < 3 || whats[0] != "task submitted" || whats[len(whats)-1] != "task deleted" {
		t.Errorf("got %q", whats)
	}
}

func TestWatch_RefusesAnUnknownEventID(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	token := r.login("a", "user")
	path := "/tasks/" + r.submitted(token, goodTask) + "/events"
	for header, code := range map[string]string{"999": "event_id_unknown", "-1": "validation_failed", "x": "validation_failed"} {
		a := r.call("GET", path, token, "", "Last-Event-ID", header)
		if diff := cmp.Diff([]any{422, code}, []any{a.status, a.code(t)}); diff != "" {
			t.Error(diff)
		}
	}
}

func TestWatch_EndsWithTheToken(t *testing.T) {
	t.Parallel()
	r := start(t, func(s *server) { s.Beat = time.Hour })
	token := r.login("a", "user")
	taskID := r.submitted(token, goodTask)
	me := into[userView](t, r.call("GET", "/auth/me", token, ""))
	short, _, err := r.Keys.Issue(me.UserUUID, time.Now().Add(2*time.Second-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	s := r.watching(short, taskID, "")
	s.ids(1)
	if id, _, ok := s.next(); ok {
		t.Errorf("got event %d, want the end", id)
	}
}

func TestWatch_ForgetsWhoLeft(t *testing.T) {
	t.Parallel()
	r := start(t, func(s *server) { s.Beat = 10 * time.Millisecond })
	token := r.login("a", "user")
	taskID := r.submitted(token, goodTask)
	s := r.watching(token, taskID, "")
	s.ids(1)
	s.cancel()
	testkit.Eventually(t, "the watcher that left is forgotten", func() bool { return r.hub.watched(taskID) == 0 })
}

func TestHub_ClosesASlowWatcher(t *testing.T) {
	t.Parallel()
	var h hub
	slow, _ := h.join("t")
	other, _ := h.join("u")
	for seq := range int64(watcherBuffer + 1) {
		h.tell(events.Fact{TaskID: "t", Seq: seq})
	}
	got := 0
	for range slow.facts { // ends, because it was closed
		got++
	}
	if diff := cmp.Diff([]int{watcherBuffer, 0, 1}, []int{got, h.watched("t"), h.watched("u")}); diff != "" {
		t.Error(diff)
	}
	h.leave("t", slow)
	h.close()
	if _, open := <-other.facts; open {
		t.Error("a watcher was left open")
	}
	if _, ok := h.join("t"); ok {
		t.Error("somebody joined a closed hub")
	}
}
