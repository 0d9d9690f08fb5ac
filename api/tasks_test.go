package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"castad/events"
	"castad/internal/fault"
	"castad/internal/pipeline"
	"castad/providers"
	"castad/store"
)

// done completes a stage of a task as a worker would, with the result that save writes.
func (r *rig) done(taskID string, stage events.Stage, save func(context.Context, *store.Tx, store.Claim) error) {
	r.t.Helper()
	claim := r.claim(taskID, stage)
	err := r.DB.Complete(r.t.Context(), claim, func(tx *store.Tx) error {
		if save == nil {
			return nil
		}
		return save(r.t.Context(), tx, claim)
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) claim(taskID string, stage events.Stage) store.Claim {
	r.t.Helper()
	claim, answer, err := r.DB.Claim(r.t.Context(), taskID, stage, "test", time.Minute, 8)
	if err != nil || answer != store.Claimed {
		r.t.Fatalf("claim %s: %v, %v", stage, answer, err)
	}
	return claim
}

// failed gives a stage up.
func (r *rig) failed(taskID string, stage events.Stage, code string) {
	r.t.Helper()
	err := r.DB.Fail(r.t.Context(), r.claim(taskID, stage), pipeline.Verdict{Status: pipeline.Failed, Code: code},
		&fault.Error{Kind: fault.Permanent, Code: code, Err: errors.New("it can't be done")}, store.Origin{Program: "test"})
	if err != nil {
		r.t.Fatal(err)
	}
}

func crawled(ctx context.Context, tx *store.Tx, c store.Claim) error {
	p := store.Project{TaskID: c.TaskID, UserUUID: c.Task.UserUUID, PlaceID: "nv1", StoreName: "숲속의 아침", Region: "경기 가평군", Language: providers.Korean}
	if err := tx.SaveProject(ctx, p); err != nil {
		return err
	}
	var images []store.Image
	for i := range 3 {
		images = append(images, store.Image{TaskID: c.TaskID, Revision: c.Revision, Position: i, URL: fmt.Sprintf("https://example.com/%d.jpg", i)})
	}
	return tx.SaveImages(ctx, images)
}

func sung(ctx context.Context, tx *store.Tx, c store.Claim) error {
	return tx.SaveSong(ctx, store.Song{TaskID: c.TaskID, Revision: c.Revision, JobID: "j", ClipID: "c1", URL: "https://example.com/s.mp3", Seconds: 60,
		Clips: store.JSON[[]providers.Clip]{V: []providers.Clip{{ID: "c1"}, {ID: "c2"}}},
		Lines: []providers.Line{{Text: "가", Start: 1, End: 2, Words: []providers.Word{{Text: "가", Start: 1, End: 2}}}}})
}

func TestTasks_OthersAndUnknownOnesAreNotFound(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	taskID := r.submitted(r.login("a", "user"), goodTask)
	before := r.count()
	b := r.login("b", "user")
	for _, id := range []string{taskID, "0197f000-0000-7000-8000-000000000000"} {
		for _, call := range [][3]string{
			{"GET", "", ""}, {"GET", "/events", ""}, {"POST", "/cancel", ""}, {"POST", "/resume", ""}, {"POST", "/stages/song/retry", ""},
			{"POST", "/stages/song/rerun", `{}`}, {"POST", "/stages/song/rerun", ``}, {"PUT", "/lyric", `{"text":"x"}`}, {"DELETE", "", ""},
			{"GET", "/stages/crawl/result", ""},
		} {
			a := r.call(call[0], "/tasks/"+id+call[1], b, call[2])
			if diff := cmp.Diff([]any{404, "not_found"}, []any{a.status, a.code(t)}); diff != "" {
				t.Errorf("%v: %s", call, diff)
			}
		}
	}
	if diff := cmp.Diff(before, r.count()); diff != "" {
		t.Error(diff)
	}
	if a := r.call("GET", "/tasks/nonsense", b, ""); a.status != 422 {
		t.Errorf("got %d for an id that isn't one", a.status)
	}
}

func TestTasks_ListPages(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	token := r.login("a", "user")
	var want []string
	for range 5 {
		want = append([]string{r.submitted(token, goodTask)}, want...)
	}
	r.submitted(r.login("b", "user"), goodTask)
	second := into[page[TaskSummary]](t, r.call("GET", "/tasks?page=2&page_size=2", token, ""))
	var got []string
	for _, item := range second.Items {
		got = append(got, item.TaskID)
	}
	if diff := cmp.Diff(want[2:4], got); diff != "" {
		t.Error(diff)
	}
	second.Items = nil
	if diff := cmp.Diff(page[TaskSummary]{Total: 5, Page: 2, PageSize: 2, TotalPages: 3, HasNext: true, HasPrev: true}, second); diff != "" {
		t.Error(diff)
	}
	if a := r.call("POST", "/tasks/"+want[0]+"/cancel", token, ""); a.status != http.StatusAccepted {
		t.Fatalf("cancel: %d %s", a.status, a.body)
	}
	if got := into[page[TaskSummary]](t, r.call("GET", "/tasks?status=cancelled", token, "")); got.Total != 1 || got.PageSize != 10 || got.TotalPages != 1 {
		t.Errorf("got %+v, want the one cancelled task", got)
	}
	for _, query := range []string{"page=0", "page_size=101", "page_size=x", "status=lost"} {
		if a := r.call("GET", "/tasks?"+query, token, ""); a.status != 422 {
			t.Errorf("%s: got %d", query, a.status)
		}
	}
}

func TestTask_NotModifiedUntilItChanges(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	token := r.login("a", "user")
	path := "/tasks/" + r.submitted(token, goodTask)
	first := r.call("GET", path, token, "")
	tag := first.header.Get("ETag")
	for _, header := range []string{tag, "W/" + tag, `"x", ` + tag} {
		a := r.call("GET", path, token, "", "If-None-Match", header)
		if diff := cmp.Diff([]any{304, tag, ""}, []any{a.status, a.header.Get("ETag"), string(a.body)}); diff != "" {
			t.Errorf("%s: %s", header, diff)
		}
	}
	r.call("POST", path+"/cancel", token, "")
	changed := r.call("GET", path, token, "", "If-None-Match", tag)
	if changed.status != http.StatusOK || changed.header.Get("ETag") == tag || into[taskView](t, changed).Status != "cancelled" {
		t.Errorf("got %d %s", changed.status, changed.body)
	}
}

func TestTask_ShowsResultsAndFailure(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	token := r.login("a", "user")
	taskID := r.submitted(token, goodTask)
	if a := r.call("GET", "/tasks/"+taskID+"/stages/crawl/result", token, ""); a.status != 404 || a.code(t) != "result_not_ready" {
		t.Errorf("got %d %s", a.status, a.body)
	}
	r.done(taskID, events.Crawl, crawled)
	r.failed(taskID, events.Intel, "model_refused")
	view := into[taskView](t, r.call("GET", "/tasks/"+taskID, token, ""))
	if diff := cmp.Diff([]string{"failed", "model_refused", "숲속의 아침", "completed", "failed", "model_refused: it can't be done"},
		[]string{view.Status, view.Code, view.Name, view.Stages[0].Status, view.Stages[1].Status, view.Stages[1].Reason}); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(stageLinks{Retry: "/tasks/" + taskID + "/stages/intel/retry", Rerun: "/tasks/" + taskID + "/stages/intel/rerun"}, view.Stages[1].Links); diff != "" {
		t.Error(diff)
	}
	crawl := into[stageResult](t, r.call("GET", view.Stages[0].Links.Result, token, "")).Crawl
	if crawl == nil || crawl.Name != "숲속의 아침" || len(crawl.Images) != 3 {
		t.Errorf("got %+v", crawl)
	}
	retried := r.call("POST", view.Stages[1].Links.Retry, token, "")
	if got := into[taskView](t, retried); retried.status != 202 || got.Status != "processing" || got.Stages[1].Status != "pending" {
		t.Errorf("got %d %s", retried.status, retried.body)
	}
	if a := r.call("POST", view.Stages[1].Links.Retry, token, ""); a.status != 409 || a.code(t) != "stage_not_failed" {
		t.Errorf("a second retry: %d %s", a.status, a.body)
	}
}

const newWords = `숲속의 아침 창을 열면\n가평의 바람이 불어오네\n햇살이 마루에 내려앉고\n우리의 하루가 시작돼\n[Chorus]\n숲속의 아침 노래하자\n가평의 별빛 아래에서\n천천히 쉬어 가는 밤\n웃음이 번져 가는 밤\n[Outro]\n다시 만나 숲속의 아침`

func TestRerun_ChecksEdits(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	token := r.login("a", "user")
	taskID := r.submitted(token, goodTask)
	path := "/tasks/" + taskID
	early := r.call("PUT", path+"/lyric", token, `{"title":"새 노래","text":"`+newWords+`"}`)
	if early.status != 409 || early.code(t) != "stage_not_reached" {
		t.Errorf("got %d %s", early.status, early.body)
	}
	r.done(taskID, events.Crawl, crawled)
	r.done(taskID, events.Intel, nil)
	r.done(taskID, events.Lyric, nil)
	r.done(taskID, events.Song, sung)
	before := r.count()
	rows := map[string]struct{ method, path, body, code string }{
		"photos twice":      {"POST", "/stages/crawl/rerun", `{"edit":{"photo_order":[0,0]}}`, "edit_invalid"},
		"photo unknown":     {"POST", "/stages/crawl/rerun", `{"edit":{"photo_order":[3]}}`, "edit_invalid"},
		"no photos":         {"POST", "/stages/crawl/rerun", `{"edit":{"photo_order":[]}}`, "validation_failed"},
		"another stage's":   {"POST", "/stages/song/rerun", `{"edit":{"photo_order":[0]}}`, "edit_not_for_stage"},
		"two edits":         {"POST", "/stages/song/rerun", `{"edit":{"clip_id":"c2","title":"t"}}`, "edit_not_for_stage"},
		"the same clip":     {"POST", "/stages/song/rerun", `{"edit":{"clip_id":"c1"}}`, "edit_invalid"},
		"an unknown clip":   {"POST", "/stages/song/rerun", `{"edit":{"clip_id":"c9"}}`, "edit_invalid"},
		"a report":          {"POST", "/stages/intel/rerun", `{"edit":{"report":{"x":1}}}`, "edit_invalid"},
		"no words":          {"PUT", "/lyric", `{"text":"[Verse]"}`, "lyric_unreadable"},
		"foreign words":     {"PUT", "/lyric", `{"title":"t","text":"hello\nworld"}`, "lyric_refused"},
		"an unknown stage":  {"POST", "/stages/dance/rerun", `{}`, "validation_failed"},
		"an unknown member": {"POST", "/stages/song/rerun", `{"edits":{}}`, "validation_failed"},
	}
	for name, row := range rows {
		a := r.call(row.method, path+row.path, token, row.body)
		if diff := cmp.Diff([]any{422, row.code}, []any{a.status, a.code(t)}); diff != "" {
			t.Errorf("%s: %s\n%s", name, diff, a.body)
		}
	}
	if diff := cmp.Diff(before, r.count()); diff != "" {
		t.Errorf("rows were left behind: %s", diff)
	}
	a := r.call("POST", path+"/stages/song/rerun", token, `{"edit":{"clip_id":"c2"}}`)
	if view := into[taskView](t, a); a.status != 202 || view.Stages[3].Revision != 2 || view.Stages[2].Revision != 1 {
		t.Errorf("another clip: %d %s", a.status, a.body)
	}
	a = r.call("PUT", path+"/lyric", token, `{"title":"새 노래","text":"`+newWords+`"}`)
	if view := into[taskView](t, a); a.status != 202 || view.Stages[2].Revision != 2 || view.Stages[1].Revision != 1 {
		t.Errorf("new lyrics: %d %s", a.status, a.body)
	}
	song := into[stageResult](t, r.call("GET", path+"/stages/song/result", token, "")).Song
	if diff := cmp.Diff([]providers.Line{{Text: "가", Start: 1, End: 2, Words: []providers.Word{{Text: "가", Start: 1, End: 2}}}}, song.Lines); diff != "" {
		t.Error(diff)
	}
}

func TestHold_ResumesOnce(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	token := r.login("a", "user")
	taskID := r.submitted(token, `{"url":"https://map.naver.com/p/entry/place/1133638931","hold_after":["crawl"]}`)
	r.done(taskID, events.Crawl, crawled)
	view := into[taskView](t, r.call("GET", "/tasks/"+taskID, token, ""))
	if view.Status != "held" || view.Links.Resume == "" {
		t.Fatalf("got %+v, want a held task", view)
	}
	if a := r.call("POST", view.Links.Resume, token, ""); a.status != 202 || into[taskView](t, a).Status != "processing" {
		t.Errorf("got %d %s", a.status, a.body)
	}
	if a := r.call("POST", view.Links.Resume, token, ""); a.status != 409 || a.code(t) != "not_held" {
		t.Errorf("got %d %s", a.status, a.body)
	}
}

func TestDelete_HidesTheTask(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	token := r.login("a", "user")
	path := "/tasks/" + r.submitted(token, goodTask)
	if a := r.call("DELETE", path, token, ""); a.status != 204 || len(a.body) != 0 {
		t.Errorf("got %d %s", a.status, a.body)
	}
	for _, method := range []string{"GET", "DELETE"} {
		if a := r.call(method, path, token, ""); a.status != 404 {
			t.Errorf("%s: got %d", method, a.status)
		}
	}
	if got := into[page[TaskSummary]](t, r.call("GET", "/tasks", token, "")); got.Total != 0 {
		t.Errorf("got %+v, want an empty list", got)
	}
}

func TestDead_ListReplayDrop(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	token, boss := r.login("a", "user"), r.login("boss", "admin")
	taskID := r.submitted(token, goodTask)
	r.failed(taskID, events.Crawl, "place_not_found")
	type list struct{ Items []deadView }
	letters := into[list](t, r.call("GET", "/admin/dead?stage=crawl&cause=place_not_found&task_id="+taskID, boss, "")).Items
	if len(letters) != 1 || letters[0].TaskID != taskID || letters[0].Cause != "place_not_found" {
		t.Fatalf("got %+v, want the letter", letters)
	}
	path := "/admin/dead/" + letters[0].DeadID
	if a := r.call("POST", path+"/replay", token, ""); a.status != 403 {
		t.Errorf("an owner replayed: %d", a.status)
	}
	if a := r.call("POST", path+"/replay", boss, ""); a.status != 200 || into[deadView](t, a).State != "replayed" {
		t.Errorf("got %d %s", a.status, a.body)
	}
	if a := r.call("POST", path+"/replay", boss, ""); a.status != 409 || a.code(t) != "not_replayed" {
		t.Errorf("a second replay: %d %s", a.status, a.body)
	}
	r.failed(taskID, events.Crawl, "place_not_found")
	letters = into[list](t, r.call("GET", "/admin/dead", boss, "")).Items
	if len(letters) != 1 {
		t.Fatalf("got %+v, want one letter", letters)
	}
	if a := r.call("DELETE", "/admin/dead/"+letters[0].DeadID, boss, ""); a.status != 204 {
		t.Errorf("got %d %s", a.status, a.body)
	}
	if got := into[list](t, r.call("GET", "/admin/dead", boss, "")).Items; len(got) != 0 {
		t.Errorf("got %+v, want none", got)
	}
	if a := r.call("DELETE", "/admin/dead/0197f000-0000-7000-8000-000000000000", boss, ""); a.status != 404 {
		t.Errorf("got %d for an unknown letter", a.status)
	}
}

func TestHooks_WakeAWaitingStage(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	taskID := r.submitted(r.login("a", "user"), goodTask)
	claim := r.claim(taskID, events.Crawl)
	job, err := r.DB.PayOnce(t.Context(), claim, store.Paid{Purpose: "song", Provider: "suno", Request: struct{}{},
		Call: func(context.Context, store.Job) (string, error) { return "job-1234567", nil }})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.DB.Wait(t.Context(), claim, time.Hour, "working", "the provider works"); err != nil {
		t.Fatal(err)
	}
	due := func() bool {
		runs, err := r.DB.LoadRuns(t.Context(), taskID)
		if err != nil {
			t.Fatal(err)
		}
		return runs[0].DueAt.V.Before(time.Now().Add(time.Minute))
	}
	for path, want := range map[string]int{"/hooks/suno/unknown": 404, "/hooks/creatomate/" + job.Token: 404, "/hooks/other/" + job.Token: 404, "/hooks/suno/" + job.Token + "x": 404} {
		if a := r.call("POST", path, "", `{"data":{"task_id":"evil-1234567"}}`); a.status != want {
			t.Errorf("%s: got %d, want %d", path, a.status, want)
		}
	}
	if due() {
		t.Error("a callback to a wrong address woke the stage")
	}
	if a := r.call("POST", "/hooks/suno/"+job.Token, "", `not even JSON`); a.status != 204 {
		t.Errorf("got %d %s", a.status, a.body)
	}
	if !due() {
		t.Error("the callback didn't wake the stage")
	}
	if a := r.call("POST", "/hooks/suno/"+job.Token, "", string(make([]byte, 2<<20))); a.status != 413 {
		t.Errorf("got %d for 2 MiB", a.status)
	}
}
