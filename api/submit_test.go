package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"castad/internal/fault"
	"castad/providers"
	"castad/scraper"
)

func TestSubmit_AnswersTheTaskAndItsLinks(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	token := r.login("a", "user")
	a := r.call("POST", "/tasks", token, `{"place":{"name":"숲속의 아침","region":"경기 가평군","images":["https://example.com/1.jpg"]},
		"language":"English","music":{"genre":"pop"},"publish":[{"platform":"youtube"}],"hold_after":["lyric"]}`,
		"traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	if a.status != http.StatusAccepted {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	view := into[taskView](t, a)
	if diff := cmp.Diff([]string{"/tasks/" + view.TaskID, "2", ""}, []string{a.header.Get("Location"), a.header.Get("Retry-After"), a.header.Get("Idempotent-Replayed")}); diff != "" {
		t.Error(diff)
	}
	want := taskLinks{Self: "/tasks/" + view.TaskID, Events: "/tasks/" + view.TaskID + "/events", Cancel: "/tasks/" + view.TaskID + "/cancel"}
	if diff := cmp.Diff(want, view.Links); diff != "" {
		t.Error(diff)
	}
	var stages []string
	for _, stage := range view.Stages {
		stages = append(stages, stage.Stage+" "+stage.Status)
	}
	if diff := cmp.Diff([]string{"crawl pending", "intel pending", "lyric pending", "song pending", "video pending", "upload pending"}, stages); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]any{"숲속의 아침", "English", "vertical", []string{"lyric"}, []targetView{{Platform: "youtube", Privacy: "public"}}},
		[]any{view.Name, view.Language, view.Orientation, view.HoldAfter, view.Publish}); diff != "" {
		t.Error(diff)
	}
	task, err := r.DB.LoadTask(t.Context(), view.TaskID)
	if err != nil || !strings.HasPrefix(task.Traceparent, "00-0af7651916cd43dd8448eb211c80319c-") || strings.Contains(task.Traceparent, "b7ad6b7169203331") {
		t.Errorf("got trace %q, %v, want the caller's trace with a span of our own", task.Traceparent, err)
	}
}

func TestSubmit_RefusesBadInputAndLeavesNothing(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	token := r.login("a", "user")
	place := func(images string) string { return `{"place":{"name":"n","region":"r","images":[` + images + `]}}` }
	rows := map[string]struct {
		body   string
		status int
		code   string
	}{
		"not JSON":              {`{"url":`, 400, "malformed_request"},
		"no body":               {``, 400, "malformed_request"},
		"an array":              {`[]`, 422, "validation_failed"},
		"null":                  {`null`, 422, "validation_failed"},
		"wrong type":            {`{"url":5}`, 422, "validation_failed"},
		"unknown field":         {`{"url":"https://naver.me/x","speed":"fast"}`, 422, "validation_failed"},
		"nothing":               {`{}`, 422, "source_required"},
		"two sources":           {`{"url":"https://naver.me/x","hit":{"title":"t"}}`, 422, "source_required"},
		"not Naver":             {`{"url":"https://example.com/place/1"}`, 422, "url_not_naver"},
		"a private address":     {`{"url":"http://169.254.169.254/latest/meta-data"}`, 422, "url_not_naver"},
		"no place":              {`{"url":"https://map.naver.com/p/search/pension"}`, 422, "place_id_missing"},
		"no address":            {`{"url":"hello"}`, 422, "not_a_place_url"},
		"a long URL":            {`{"url":"https://naver.me/` + strings.Repeat("x", 3000) + `"}`, 422, "validation_failed"},
		"a language":            {`{"url":"https://naver.me/x","language":"Klingon"}`, 422, "validation_failed"},
		"a stage":               {`{"url":"https://naver.me/x","hold_after":["dance"]}`, 422, "validation_failed"},
		"a hold twice":          {`{"url":"https://naver.me/x","hold_after":["song","song"]}`, 422, "validation_failed"},
		"a platform":            {`{"url":"https://naver.me/x","publish":[{"platform":"myspace"}]}`, 422, "validation_failed"},
		"a platform twice":      {`{"url":"https://naver.me/x","publish":[{"platform":"youtube"},{"platform":"youtube"}]}`, 422, "publish_twice"},
		"a private reel":        {`{"url":"https://naver.me/x","publish":[{"platform":"instagram","privacy":"private"}]}`, 422, "instagram_only_public"},
		"an unlisted reel":      {`{"url":"https://naver.me/x","publish":[{"platform":"youtube"},{"platform":"instagram","privacy":"unlisted"}]}`, 422, "instagram_only_public"},
		"a far time":            {`{"url":"https://naver.me/x","publish":[{"platform":"youtube","publish_at":"2999-01-01T00:00:00Z"}]}`, 422, "publish_too_late"},
		"a time":                {`{"url":"https://naver.me/x","publish":[{"platform":"youtube","publish_at":"tomorrow"}]}`, 422, "validation_failed"},
		"a private callback":    {`{"url":"https://naver.me/x","callback_url":"http://127.0.0.1/"}`, 422, "url_refused"},
		"no images":             {place(``), 422, "validation_failed"},
		"null images":           {`{"place":{"name":"n","region":"r","images":null}}`, 422, "validation_failed"},
		"a private image":       {place(`"http://10.0.0.1/a.jpg"`), 422, "url_refused"},
		"a file":                {place(`"file:///etc/passwd"`), 422, "url_refused"},
		"blank name":            {`{"place":{"name":"  ","region":"r","images":["https://example.com/1.jpg"]}}`, 422, "validation_failed"},
		"blank hit":             {`{"hit":{"title":" "}}`, 422, "validation_failed"},
		"10 MB":                 {`{"url":"` + strings.Repeat("x", 10<<20) + `"}`, 413, "body_too_large"},
		"deep nesting":          {strings.Repeat("[", 500_000), 400, "malformed_request"},
		"something after it":    {goodTask + `{}`, 400, "malformed_request"},
		"a NUL in the language": {`{"url":"https://naver.me/x","language":"\u0000"}`, 422, "validation_failed"},
	}
	before := r.count()
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			a := r.call("POST", "/tasks", token, row.body, "Idempotency-Key", "bad-input")
			if a.status != row.status {
				t.Errorf("got %d %s, want %d", a.status, a.body, row.status)
			}
			if diff := cmp.Diff(row.code, a.code(t)); diff != "" {
				t.Error(diff)
			}
		})
	}
	if diff := cmp.Diff(before, r.count()); diff != "" {
		t.Errorf("rows were left behind: %s", diff)
	}
}

func TestSubmit_CountsBodiesOfUnknownLength(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	token := r.login("a", "user")
	body := struct{ io.Reader }{strings.NewReader(`{"url":"` + strings.Repeat("x", 3<<20) + `"}`)} // hides the length
	req, err := http.NewRequestWithContext(t.Context(), "POST", r.url+"/tasks", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	a := r.do(req)
	if diff := cmp.Diff([]any{413, "body_too_large", 0}, []any{a.status, a.code(t), r.count()}); diff != "" {
		t.Error(diff)
	}
	if a := r.call("GET", "/auth/me", token, ""); a.status != 200 {
		t.Errorf("the next request: got %d", a.status)
	}
}

func TestSubmit_NamesUnknownFields(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	a := r.call("POST", "/tasks", r.login("a", "user"), `{"url":"https://naver.me/x","music":{"speed":1}}`)
	p := into[Problem](t, a)
	if len(p.Errors) != 1 || p.Errors[0].Location != "body.music.speed" || !strings.Contains(p.Detail, "body.music.speed") {
		t.Errorf("got %s, want the field's place", a.body)
	}
}

func TestSubmit_RefusesWhatIsntJSON(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	a := r.call("POST", "/tasks", r.login("a", "user"), "url=x", "Content-Type", "application/x-www-form-urlencoded")
	if diff := cmp.Diff("unsupported_media_type", a.code(t)); diff != "" || a.status != http.StatusUnsupportedMediaType {
		t.Errorf("got %d: %s", a.status, diff)
	}
}

func TestSubmit_SameKeySameTask(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	token := r.login("a", "user")
	first := r.call("POST", "/tasks", token, goodTask, "Idempotency-Key", `"k-1"`)
	rows := r.count()
	again := r.call("POST", "/tasks", token, goodTask, "Idempotency-Key", "k-1")
	if diff := cmp.Diff(into[taskView](t, first).TaskID, into[taskView](t, again).TaskID); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]any{202, "true"}, []any{again.status, again.header.Get("Idempotent-Replayed")}); diff != "" {
		t.Error(diff)
	}
	other := r.call("POST", "/tasks", token, `{"url":"https://map.naver.com/p/entry/place/1133638932"}`, "Idempotency-Key", "k-1")
	if diff := cmp.Diff("idempotency_key_reused", other.code(t)); diff != "" || other.status != 422 {
		t.Errorf("got %d: %s", other.status, diff)
	}
	if diff := cmp.Diff(rows, r.count()); diff != "" {
		t.Error(diff)
	}
	if stranger := r.submitted(r.login("b", "user"), goodTask); stranger == into[taskView](t, first).TaskID {
		t.Error("a stranger's task came back")
	}
	if a := r.call("POST", "/tasks", token, goodTask, "Idempotency-Key", strings.Repeat("k", 300)); a.status != 422 {
		t.Errorf("got %d for a key that is too long", a.status)
	}
}

func TestSubmit_SameKeyAtOnceMakesOneTask(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	token := r.login("a", "user")
	ids := make([]string, 8)
	var all sync.WaitGroup
	for i := range ids {
		all.Go(func() {
			a := r.call("POST", "/tasks", token, goodTask, "Idempotency-Key", "race")
			var view taskView
			if err := json.Unmarshal(a.body, &view); err != nil || a.status != http.StatusAccepted {
				t.Errorf("got %d %s", a.status, a.body)
			}
			ids[i] = view.TaskID
		})
	}
	all.Wait()
	for _, id := range ids {
		if id != ids[0] || id == "" {
			t.Errorf("got the tasks %v, want one", ids)
		}
	}
	var n int
	if err := r.rows.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM `task`").Scan(&n); err != nil || n != 1 {
		t.Errorf("got %d tasks, %v", n, err)
	}
}

// source answers every look with the same error.
type source struct{ err error }

func (s source) Resolve(_ context.Context, ref scraper.Ref) (scraper.Ref, error) { return ref, s.err }
func (s source) Place(context.Context, string, string) (providers.Place, error) {
	return providers.Place{}, s.err
}
func (s source) FindHit(context.Context, providers.Hit) (string, float64, error) { return "", 0, s.err }

func TestSubmit_LooksThePlaceUp(t *testing.T) {
	t.Parallel()
	hit := `{"hit":{"title":"t","address":"a","roadAddress":"b"}}`
	rows := map[string]struct {
		body   string
		err    error
		status int
	}{
		"there":         {goodTask, nil, 202},
		"not there":     {goodTask, fault.Stop("place_not_found", errors.New("there is no such place")), 422},
		"hit not there": {hit, fault.Stop("place_not_found", errors.New("there is no such place")), 422},
		"ambiguous":     {hit, fault.Stop("place_ambiguous", &scraper.AmbiguousError{Title: "t"}), 422},
		"blocked":       {goodTask, fault.Wait(time.Now().Add(time.Hour), "naver_blocked", nil), 202},
		"away":          {goodTask, fault.Retry("naver_unreachable", errors.New("cut line")), 202},
		"changed":       {goodTask, fault.Stop("naver_schema_changed", errors.New("another form")), 202},
		"too slow":      {hit, context.DeadlineExceeded, 202},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, func(s *server) { s.Places, s.LookUp = source{row.err}, time.Minute })
			token := r.login("a", "user")
			a := r.call("POST", "/tasks", token, row.body)
			if a.status != row.status {
				t.Errorf("got %d %s, want %d", a.status, a.body, row.status)
			}
			if row.status == 422 {
				if diff := cmp.Diff(fault.Of(row.err).Code, a.code(t)); diff != "" {
					t.Error(diff)
				}
				if n := r.count(); n != 0 {
					t.Errorf("got %d rows, want none", n)
				}
			}
		})
	}
}
