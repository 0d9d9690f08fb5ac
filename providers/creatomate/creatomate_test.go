package creatomate_test

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"castad/internal/fault"
	"castad/providers"
	"castad/providers/creatomate"
)

var order = providers.RenderOrder{Metadata: `{"task_id":"0199"}`, CallbackURL: "https://castad.example/h", Composition: providers.Composition{
	Name: "숲속펜션", Region: "경기 가평군", Language: providers.Korean, Width: 1080, Height: 1920, Seconds: 61.8,
	Photos: []string{"https://x/1.jpg", "https://x/2.jpg", "https://x/3.jpg"}, SongURL: "https://x/song.mp3",
	Lines: []providers.Line{{Text: "숲길 끝에 만난 하루", Start: 4.2, End: 9}, {Text: "a line that is clearly longer than the others", Start: 8, End: 99}}}}

// twice answers the dry run as asked and the paid call with h.
func twice(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		if strings.Contains(string(raw), `"dry_run":true`) {
			fmt.Fprint(w, `{"valid":true,"errors":[],"warnings":[]}`)
			return
		}
		r.Body = io.NopCloser(strings.NewReader(string(raw)))
		h(w, r)
	}
}

func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(status); fmt.Fprint(w, body) }
}

func hangUp(w http.ResponseWriter, _ *http.Request) {
	conn, _, _ := w.(http.Hijacker).Hijack()
	conn.Close()
}

func client(t *testing.T, version string, h http.HandlerFunc) *creatomate.Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return creatomate.New(creatomate.Config{BaseURL: s.URL, Key: "k", Version: version})
}

func TestSubmit_ClassifiesEachAnswer(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		h    http.HandlerFunc
		kind fault.Kind
		code string
	}{
		"bad":               {twice(says(400, `{"hint":"h"}`)), fault.Permanent, "creatomate_order_refused"},
		"key":               {twice(says(401, ``)), fault.Permanent, "creatomate_key_refused"},
		"credits":           {twice(says(402, `{"hint":"h"}`)), fault.Permanent, "creatomate_no_credits"},
		"rate":              {twice(says(429, ``)), fault.RateLimited, "creatomate_too_fast"},
		"5xx":               {twice(says(503, ``)), fault.Uncertain, "creatomate_outcome_unknown"},
		"no id":             {twice(says(202, `{}`)), fault.Uncertain, "creatomate_outcome_unknown"},
		"two renders":       {twice(says(202, `[{"id":"a"},{"id":"b"}]`)), fault.Uncertain, "creatomate_outcome_unknown"},
		"cut line":          {twice(hangUp), fault.Uncertain, "creatomate_outcome_unknown"},
		"dry run cut":       {hangUp, fault.Retryable, "creatomate_unreachable"},
		"dry run 5xx":       {says(500, ``), fault.Retryable, "creatomate_check_failed"},
		"dry run not valid": {says(200, `{"valid":false,"errors":["no font"]}`), fault.Permanent, "creatomate_script_invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := client(t, "v2", row.h).Submit(t.Context(), order)
			if f := fault.Of(err); f == nil || f.Kind != row.kind || f.Code != row.code {
				t.Errorf("got %+v, want %s %s", f, row.kind, row.code)
			}
		})
	}
}

func TestSubmit_RefusedConnectionNeverLeft(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(nil)
	s.Close()
	for _, version := range []string{"v1", "v2"} { // v2 gets no further than the dry run
		_, err := creatomate.New(creatomate.Config{BaseURL: s.URL, Version: version}).Submit(t.Context(), order)
		if f := fault.Of(err); f == nil || f.Kind != fault.Retryable || f.Code != "creatomate_unreachable" {
			t.Errorf("%s: got %+v", version, f)
		}
	}
}

func TestSubmit_SpeaksBothVersions(t *testing.T) {
	t.Parallel()
	for version, answer := range map[string]string{"v1": `[{"id":"r-1234567"}]`, "v2": `{"id":"r-1234567"}`} {
		var paid atomic.Int32
		var body map[string]any
		id, err := client(t, version, twice(func(w http.ResponseWriter, r *http.Request) {
			paid.Add(1)
			_ = json.NewDecoder(r.Body).Decode(&body)
			says(202, answer)(w, r)
		})).Submit(t.Context(), order)
		if id != "r-1234567" || err != nil || paid.Load() != 1 {
			t.Errorf("%s: got %q, %v after %d calls", version, id, err, paid.Load())
		}
		source, nested := body["source"].(map[string]any)
		if nested != (version == "v1") || body["metadata"] != order.Metadata {
			t.Errorf("%s: nested %v, metadata %v", version, nested, body["metadata"])
		}
		if nested {
			body = source
		}
		checkScript(t, body)
	}
}

func checkScript(t *testing.T, script map[string]any) {
	t.Helper()
	total, names := 0.0, map[string]map[string]any{}
	for _, raw := range script["elements"].([]any) {
		e := raw.(map[string]any)
		names[e["name"].(string)] = e
		if e["type"] != "image" {
			continue
		}
		total += e["duration"].(float64)
		for _, a := range e["animations"].([]any) {
			if a := a.(map[string]any); a["transition"] == true {
				total -= a["duration"].(float64)
			}
		}
	}
	if math.Abs(total-61.8) > 0.0005 || script["duration"] != 61.8 {
		t.Errorf("photos fill %v of 61.8 seconds", total)
	}
	got := []any{names["Line-1"]["time"], names["Line-1"]["duration"], names["Line-2"]["duration"], names["Line-2"]["text"], names["Name"]["text"], names["Region"]["text"], names["Song"]["source"]}
	want := []any{4.2, 3.8, 53.8, "a line that is clearly\nlonger than the others", "숲속펜션", "경기 가평군", "https://x/song.mp3"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("elements (-want +got):\n%s", diff)
	}
}

func TestLook_ReadsEachState(t *testing.T) {
	t.Parallel()
	for status, want := range map[string]providers.Progress{"planned": providers.Working, "transcribing": providers.Working,
		"polishing": providers.Working, "succeeded": providers.Done, "failed": providers.Broken, "cancelled": providers.Broken} {
		got, err := client(t, "v2", says(200, `{"id":"r","status":"`+status+`","url":"https://x/r.mp4","metadata":"m"}`)).Look(t.Context(), "r")
		if got.Progress != want || err != nil || (got.MovieURL != "") != (want == providers.Done) {
			t.Errorf("%s: got %+v, %v", status, got, err)
		}
	}
	_, err := client(t, "v2", says(404, ``)).Look(t.Context(), "r")
	if fault.Of(err).Code != "creatomate_render_gone" {
		t.Errorf("404: %v", err)
	}
}

func TestFindByMetadata_ComparesExactly(t *testing.T) {
	t.Parallel()
	c := client(t, "v2", says(200, `[{"id":"a","metadata":"m1"},{"id":"b","metadata":"m"}]`))
	if id, found, err := c.FindByMetadata(t.Context(), "m"); id != "b" || !found || err != nil {
		t.Errorf("got %q %v %v", id, found, err)
	}
	if _, found, err := client(t, "v2", says(404, ``)).FindByMetadata(t.Context(), "m"); found || err != nil {
		t.Errorf("404: %v %v", found, err)
	}
}

func TestParseCallback_TakesOnlyAnID(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{`{"id":"11111111-2222","status":"succeeded"}`: "11111111-2222", `{"id":"../../../x"}`: "", `[]`: "", `{}`: ""} {
		if got, _ := creatomate.ParseCallback([]byte(body)); got != want {
			t.Errorf("ParseCallback(%s) = %q", body, got)
		}
	}
}
