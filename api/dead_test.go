package main

import (
	"fmt"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"castad/events"
	"castad/internal/broker"
	"castad/internal/pipeline"
	"castad/internal/testkit"
	"castad/store"
)

// connected gives the server a broker of its own.
func connected(t *testing.T) *broker.Broker {
	t.Helper()
	names, err := events.Prefixed(testkit.Prefix(t))
	if err != nil {
		t.Fatal(err)
	}
	b, err := broker.Connect(broker.Settings{URL: testkit.NATS(t), Name: t.Name(), Names: names, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	if err := b.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b
}

func bury(t *testing.T, b *broker.Broker, id string) {
	t.Helper()
	pending, err := b.Bury(broker.Letter{Dead: events.Dead{Version: 1, DeadID: id, TaskID: "none", Stage: events.Song, Cause: "unreadable",
		Reason: "not JSON", LastAt: time.Now().UTC(), Body: "Bearer sk-secret"}})
	if err == nil {
		_, err = pending.Kept(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// letters gives n tasks up, every third with another cause, and returns the dead letters in order.
func (r *rig) letters(token string, n int) []store.Dead {
	r.t.Helper()
	for i := range n {
		r.failed(r.submitted(token, goodTask), events.Crawl, []string{"place_not_found", "place_not_found", "naver_schema_changed"}[i%3])
	}
	letters, err := r.DB.ListDead(r.t.Context(), store.DeadFilter{Limit: n + 1})
	if err != nil || len(letters) != n {
		r.t.Fatalf("%d letters, %v; want %d", len(letters), err, n)
	}
	return letters
}

type deadPage struct {
	Items      []deadView `json:"items"`
	NextCursor string     `json:"next_cursor"`
	Unseen     bool       `json:"unseen"`
}

// listed goes through all pages of a list.
func (r *rig) listed(token, query string) []string {
	r.t.Helper()
	ids := []string{}
	for cursor := ""; ; {
		got := into[deadPage](r.t, r.call("GET", "/admin/dead?"+query+"&cursor="+url.QueryEscape(cursor), token, ""))
		for _, item := range got.Items {
			ids = append(ids, item.DeadID)
		}
		if cursor = got.NextCursor; cursor == "" || r.t.Failed() {
			return ids
		}
	}
}

func deadIDs(letters ...store.Dead) []string {
	ids := []string{}
	for _, l := range letters {
		ids = append(ids, l.ID)
	}
	return ids
}

func TestDead_PagesAndFilters(t *testing.T) {
	t.Parallel()
	r := start(t, func(s *server) { s.Broker = connected(t) })
	token, boss := r.login("a", "user"), r.login("boss", "admin")
	letters := r.letters(token, 7)
	bury(t, r.Broker, "T_WORK-1")
	bury(t, r.Broker, "T_WORK-2")
	all := append(deadIDs(letters...), "T_WORK-1", "T_WORK-2")
	instant := url.QueryEscape(letters[4].LastAt.Format(time.RFC3339Nano))
	for query, want := range map[string][]string{
		"": all, "limit=1": all, "limit=2": all, "limit=3": all, "limit=500": all, "stage=crawl": all[:7], "stage=song&limit=1": all[7:],
		"cause=naver_schema_changed": {all[2], all[5]}, "task_id=" + letters[3].TaskID: {all[3]}, "since=" + instant: all[4:],
		"before=" + instant: all[:4], "since=1h": all, "since=1h&before=1h": {}, "before=2d": {},
	} {
		if diff := cmp.Diff(want, r.listed(boss, query)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", query, diff)
		}
	}
	for query, want := range map[string]string{"since=yesterday": "time_unreadable", "before=-2h": "time_unreadable", "limit=501": "validation_failed", "stage=sing": "validation_failed"} {
		if a := r.call("GET", "/admin/dead?"+query, boss, ""); a.status != 422 || a.code(t) != want {
			t.Errorf("%s: %d %s, want %s", query, a.status, a.body, want)
		}
	}
}

func TestDead_LoadsOne(t *testing.T) {
	t.Parallel()
	r := start(t, func(s *server) { s.Broker = connected(t) })
	token, boss := r.login("a", "user"), r.login("boss", "admin")
	letter := r.letters(token, 1)[0]
	bury(t, r.Broker, "T_WORK-1")
	got := into[deadView](t, r.call("GET", "/admin/dead/"+letter.ID, boss, ""))
	if got.TaskID != letter.TaskID || got.Cause != "place_not_found" || got.State != "filed" || got.OnStream || got.Program != "test" {
		t.Errorf("got %+v", got)
	}
	got = into[deadView](t, r.call("GET", "/admin/dead/T_WORK-1", boss, ""))
	if !got.OnStream || got.Body == "" || got.Stage != "song" {
		t.Errorf("got %+v", got)
	}
	if a := r.call("POST", "/admin/dead/T_WORK-1/replay", boss, ""); a.status != 409 || a.code(t) != "no_run" {
		t.Errorf("a replay of a message: %d %s", a.status, a.body)
	}
	if a := r.call("DELETE", "/admin/dead/T_WORK-1", boss, ""); a.status != 204 {
		t.Errorf("a drop of a message: %d %s", a.status, a.body)
	}
	for _, id := range []string{"T_WORK-1", "0197f000-0000-7000-8000-000000000000", "%2A", "a.b", "%3E"} {
		for method, path := range map[string]string{"GET": id, "DELETE": id, "POST": id + "/replay"} {
			if a := r.call(method, "/admin/dead/"+path, boss, ""); a.status != 404 || a.code(t) != "not_found" {
				t.Errorf("%s %s: %d %s", method, path, a.status, a.body)
			}
		}
	}
	if got := r.listed(boss, ""); len(got) != 1 || got[0] != letter.ID {
		t.Errorf("left are %v", got)
	}
}

// manyAnswer is what a replay of many answers.
type manyAnswer struct {
	DryRun    bool            `json:"dry_run"`
	Matched   int             `json:"matched"`
	Replayed  int             `json:"replayed"`
	DealtWith int             `json:"dealt_with"`
	Left      int             `json:"left"`
	By        []deadCountView `json:"by"`
}

func TestDead_ReplaysMany(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	token, boss := r.login("a", "user"), r.login("boss", "admin")
	letters := r.letters(token, 9)
	many := func(body string) manyAnswer {
		t.Helper()
		a := r.call("POST", "/admin/dead/replay", boss, body)
		if a.status != 200 {
			t.Fatalf("%s: %d %s", body, a.status, a.body)
		}
		return into[manyAnswer](t, a)
	}
	dry := many(`{"stage":"crawl","since":"1h","dry_run":true}`)
	if dry.Matched != 9 || dry.Replayed != 0 || dry.Left != 9 || !dry.DryRun || len(dry.By) != 2 || dry.By[0].Cause != "naver_schema_changed" || dry.By[0].Letters != 3 ||
		!dry.By[1].Last.Equal(letters[7].LastAt) {
		t.Errorf("a dry run: %+v", dry)
	}
	if got := many(`{"cause":"place_not_found","limit":4}`); got.Matched != 6 || got.Replayed != 4 || got.Left != 2 {
		t.Errorf("four of six: %+v", got)
	}
	if got := many(`{"cause":"place_not_found"}`); got.Matched != 2 || got.Replayed != 2 || got.Left != 0 {
		t.Errorf("the other two: %+v", got)
	}
	if got := many(`{"cause":"place_not_found"}`); got.Matched != 0 || got.Replayed != 0 || len(got.By) != 0 {
		t.Errorf("once more: %+v", got)
	}
	if got := many(`{"task_id":"` + letters[2].TaskID + `"}`); got.Replayed != 1 {
		t.Errorf("one task: %+v", got)
	}
	if got := many(`{"before":"` + letters[8].LastAt.Format(time.RFC3339Nano) + `"}`); got.Replayed != 1 {
		t.Errorf("all but the last: %+v", got)
	}
	if diff := cmp.Diff(deadIDs(letters[8]), r.listed(boss, "")); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
	for body, want := range map[string]string{`{}`: "selection_required", `{"dry_run":true,"limit":5}`: "selection_required", `{"since":"soon"}`: "time_unreadable",
		`{"stage":"crawl","limit":1001}`: "validation_failed", `{"stage":"crawl","limit":0}`: "validation_failed", `{"stage":"sing"}`: "validation_failed", `{"phase":"crawl"}`: "validation_failed"} {
		if a := r.call("POST", "/admin/dead/replay", boss, body); a.status != 422 || a.code(t) != want {
			t.Errorf("%s: %d %s, want %s", body, a.status, a.body, want)
		}
	}
}

// Several administrators replay the same letters at once, one by one and many together: each is replayed once.
func TestDead_ManyAdministrators(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	token, boss := r.login("a", "user"), r.login("boss", "admin")
	letters := r.letters(token, 12)
	var replayed atomic.Int64
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			a := r.call("POST", "/admin/dead/replay", boss, `{"stage":"crawl"}`)
			replayed.Add(int64(into[manyAnswer](t, a).Replayed))
		})
		all.Go(func() {
			for _, l := range letters {
				switch a := r.call("POST", "/admin/dead/"+l.ID+"/replay", boss, ""); a.status {
				case 200:
					replayed.Add(1)
				case 409:
				default:
					t.Errorf("replay: %d %s", a.status, a.body)
				}
			}
		})
	}
	all.Wait()
	if replayed.Load() != 12 {
		t.Errorf("%d replays were done, want 12", replayed.Load())
	}
	for _, l := range letters {
		facts, err := r.DB.EventsAfter(t.Context(), l.TaskID, 0, 100)
		if err != nil {
			t.Fatal(err)
		}
		wanted := 0
		for _, f := range facts {
			if f.Stage == events.Crawl && f.What == string(pipeline.Pending) {
				wanted++
			}
		}
		if wanted != 1 {
			t.Errorf("task %s was wanted again %d times", l.TaskID, wanted)
		}
	}
}

func TestDead_AdministratorsOnly(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	token := r.login("a", "user")
	id := r.letters(token, 1)[0].ID
	for call, body := range map[string]string{"GET /admin/dead": "", "GET /admin/dead/" + id: "", "POST /admin/dead/" + id + "/replay": "",
		"POST /admin/dead/replay": `{"stage":"crawl"}`, "DELETE /admin/dead/" + id: ""} {
		method, path, _ := strings.Cut(call, " ")
		if a := r.call(method, path, token, body); a.status != 403 || a.code(t) != "ADMIN_REQUIRED" {
			t.Errorf("%s as an owner: %d %s", call, a.status, a.body)
		}
		if a := r.call(method, path, "", body); a.status != 401 || a.code(t) != "MISSING_TOKEN" {
			t.Errorf("%s as nobody: %d %s", call, a.status, a.body)
		}
	}
	if letter, err := r.DB.LoadDead(t.Context(), id); err != nil || letter.State != store.DeadFiled {
		t.Errorf("the letter is %q, %v", letter.State, err)
	}
}

// Who replayed and dropped what is in the log; what came from outside isn't.
func TestDead_IsAudited(t *testing.T) {
	t.Parallel()
	r := start(t, func(s *server) { s.Broker = connected(t) })
	token, boss := r.login("a", "user"), r.login("boss", "admin")
	letters := r.letters(token, 3)
	bury(t, r.Broker, "T_WORK-1")
	r.call("POST", "/admin/dead/"+letters[0].ID+"/replay", boss, "")
	r.call("POST", "/admin/dead/replay", boss, `{"task_id":"`+letters[1].TaskID+`"}`)
	r.call("DELETE", "/admin/dead/"+letters[2].ID, boss, "")
	r.call("DELETE", "/admin/dead/T_WORK-1", boss, "")
	admin := into[userView](t, r.call("GET", "/auth/me", boss, ""))
	logs := r.logs.String()
	for id, want := range map[string]string{letters[0].ID: "replayed", letters[1].ID: "replayed", letters[2].ID: "dropped", "T_WORK-1": "dropped"} {
		found := 0
		for line := range strings.Lines(logs) {
			if strings.Contains(line, fmt.Sprintf(`"dead_id":%q`, id)) && strings.Contains(line, admin.UserUUID) && strings.Contains(line, fmt.Sprintf(`"result":%q`, want)) {
				found++
			}
		}
		if found != 1 {
			t.Errorf("%d lines say that %s was %s:\n%s", found, id, want, logs)
		}
	}
	for _, secret := range []string{"sk-secret", "it can't be done", boss} {
		if strings.Contains(logs, secret) {
			t.Errorf("%q is in the log:\n%s", secret, logs)
		}
	}
}

// The broker is away: rows are listed, and the answer says what is missing; what can't be told is a 503.
func TestDead_BrokerAway(t *testing.T) {
	t.Parallel()
	r := start(t, func(s *server) { s.Broker = connected(t) })
	token, boss := r.login("a", "user"), r.login("boss", "admin")
	letter := r.letters(token, 1)[0]
	r.Broker.Close()
	if got := into[deadPage](t, r.call("GET", "/admin/dead", boss, "")); len(got.Items) != 1 || !got.Unseen {
		t.Errorf("got %+v", got)
	}
	if a := r.call("GET", "/admin/dead/T_WORK-1", boss, ""); a.status != 503 || a.code(t) != "unavailable" {
		t.Errorf("a message: %d %s", a.status, a.body)
	}
	if a := r.call("POST", "/admin/dead/"+letter.ID+"/replay", boss, ""); a.status != 200 {
		t.Errorf("a replay: %d %s", a.status, a.body)
	}
}
