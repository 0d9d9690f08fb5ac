package suno_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"castad/internal/fault"
	"castad/internal/testkit"
	"castad/providers"
	"castad/providers/suno"
)

var order = providers.SongOrder{Title: "하루", Lyrics: "[Verse]\n숲길", Style: "K-pop", Model: "V4_5", CallbackURL: "https://castad.example/hooks/suno/9f8c"}

func server(t *testing.T, h http.HandlerFunc) *suno.Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return suno.New(suno.Config{BaseURL: s.URL, Key: "k", Timeout: 10 * time.Second})
}

func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

func hangUp(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	conn, _, _ := w.(http.Hijacker).Hijack()
	conn.Close()
}

type class struct {
	Kind fault.Kind
	Code string
}

func classOf(err error) class {
	f := fault.Of(err)
	if f == nil {
		return class{}
	}
	return class{f.Kind, f.Code}
}

func TestSubmit_ClassifiesEachAnswer(t *testing.T) {
	t.Parallel()
	code := func(n int) http.HandlerFunc { return says(200, fmt.Sprintf(`{"code":%d,"msg":"m","data":null}`, n)) }
	unsure := class{fault.Uncertain, "suno_outcome_unknown"}
	for name, row := range map[string]struct {
		h    http.HandlerFunc
		want class
	}{
		"bad order":          {code(400), class{fault.Permanent, "suno_order_refused"}},
		"bad key":            {code(401), class{fault.Permanent, "suno_key_refused"}},
		"too long":           {code(413), class{fault.Permanent, "suno_order_refused"}},
		"429 is no credits":  {code(429), class{fault.Permanent, "suno_no_credits"}},
		"402":                {code(402), class{fault.Permanent, "suno_no_credits"}},
		"405 is too fast":    {code(405), class{fault.RateLimited, "suno_too_fast"}},
		"430":                {code(430), class{fault.RateLimited, "suno_too_fast"}},
		"455":                {code(455), class{fault.RateLimited, "suno_maintenance"}},
		"500 in envelope":    {code(500), unsure},
		"409 isn't listed":   {code(409), unsure},
		"gateway's 429":      {says(429, "slow down"), class{fault.RateLimited, "suno_too_fast"}},
		"gateway's 502":      {says(502, "<html>"), unsure},
		"redirect":           {says(307, ""), unsure},
		"no envelope":        {says(200, "ok"), unsure},
		"no id":              {says(200, `{"code":200,"data":{}}`), unsure},
		"cut line":           {hangUp, unsure},
		"cut in the answer":  {cutAnswer, unsure},
		"too long an answer": {says(200, `{"code":401,"msg":"m"`+strings.Repeat(" ", 9<<20)+"}"), unsure},
		"code beats status":  {says(500, `{"code":401,"msg":"m"}`), class{fault.Permanent, "suno_key_refused"}},
		"message, not msg":   {says(200, `{"code":422,"message":"m"}`), class{fault.Permanent, "suno_order_refused"}},
		"wrong path's 404":   {says(404, "nothing here"), class{fault.Permanent, "suno_not_offered"}},
		"gateway's time-out": {says(408, ""), unsure},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := server(t, row.h).Submit(t.Context(), order)
			if diff := cmp.Diff(row.want, classOf(err)); diff != "" {
				t.Errorf("class (-want +got):\n%s\n%v", diff, err)
			}
		})
	}
}

func cutAnswer(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Length", "1000")
	fmt.Fprint(w, `{"code":200`)
}

func TestSubmit_RefusedConnectionNeverLeft(t *testing.T) {
	t.Parallel()
	_, err := suno.New(suno.Config{BaseURL: "http://" + testkit.Refused(t)}).Submit(t.Context(), order)
	if diff := cmp.Diff(class{fault.Retryable, "suno_unreachable"}, classOf(err)); diff != "" || !fault.Classified(err) {
		t.Errorf("class (-want +got):\n%s", diff)
	}
}

func TestSubmit_ReturnsID(t *testing.T) {
	t.Parallel()
	id, err := server(t, says(200, `{"code":200,"msg":"success","data":{"taskId":"0123456789abcdef"}}`)).Submit(t.Context(), order)
	if id != "0123456789abcdef" || err != nil {
		t.Errorf("got %q, %v", id, err)
	}
}

func TestLook_ReadsEachState(t *testing.T) {
	t.Parallel()
	done := []providers.Clip{{ID: "a", AudioURL: "https://x/a.mp3", Seconds: 61.8}}
	one := `{"sunoData":[{"id":"a","audioUrl":"https://x/a.mp3","duration":61.8},{"id":"b","audioUrl":"","duration":null}]}`
	for name, row := range map[string]struct {
		status, response string
		want             providers.Song
	}{
		"pending":           {"PENDING", "null", providers.Song{Progress: providers.Working}},
		"first":             {"FIRST_SUCCESS", one, providers.Song{Progress: providers.Working, Clips: done}},
		"success":           {"SUCCESS", one, providers.Song{Progress: providers.Done, Clips: done}},
		"success, no audio": {"SUCCESS", "null", providers.Song{Progress: providers.Working}},
		"callback failed":   {"CALLBACK_EXCEPTION", one, providers.Song{Progress: providers.Done, Clips: done}},
		"callback, early":   {"CALLBACK_EXCEPTION", "null", providers.Song{Progress: providers.Working}},
		"unknown":           {"SECOND_SUCCESS", one, providers.Song{Progress: providers.Working, Clips: done}},
		"sensitive":         {"SENSITIVE_WORD_ERROR", "null", providers.Song{Progress: providers.Broken, Code: "SENSITIVE_WORD_ERROR", Reason: "500 why"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			row.want.ID = "j"
			got, err := server(t, says(200, fmt.Sprintf(`{"code":200,"data":{"taskId":"j","status":%q,"response":%s,"errorCode":500,"errorMessage":"why","createTime":1795384831000}}`, row.status, row.response))).Look(t.Context(), "j")
			if diff := cmp.Diff(row.want, got); diff != "" || err != nil {
				t.Errorf("song (-want +got):\n%s\n%v", diff, err)
			}
		})
	}
}

func TestConfirm_ComparesOurCallback(t *testing.T) {
	t.Parallel()
	c := server(t, says(200, `{"code":200,"data":{"status":"PENDING","param":"{\"callBackUrl\":\"https://castad.example/hooks/suno/9f8c\"}"}}`))
	for url, want := range map[string]bool{order.CallbackURL: true, order.CallbackURL + "x": false, "": false} {
		if got, err := c.Confirm(t.Context(), "j", url); got != want || err != nil {
			t.Errorf("Confirm(%q) = %v, %v", url, got, err)
		}
	}
	if got, err := server(t, says(200, `{"code":404,"msg":"not found"}`)).Confirm(t.Context(), "j", order.CallbackURL); got || err != nil {
		t.Errorf("unknown job: %v, %v", got, err)
	}
}

func TestWords_KeepsTextWhole(t *testing.T) {
	t.Parallel()
	got, err := server(t, says(200, `{"code":200,"data":{"alignedWords":[
		{"word":"[Verse]\n","success":false},{"word":"Morning ","success":true,"startS":6.1,"endS":6.52},
		{"word":"trees\n","success":false,"startS":7},{"word":"sing","startS":9}]}}`)).Words(t.Context(), "j", "a")
	want := []providers.Word{{Text: "[Verse]\nMorning trees\n", Start: 6.1, End: 6.52}, {Text: "sing", Start: 9, End: 9}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("words (-want +got):\n%s\n%v", diff, err)
	}
}

func TestParseCallback_TakesOnlyAnID(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"code":200,"data":{"callbackType":"text","task_id":"0123456789abcdef"}}`: "0123456789abcdef",
		`{"code":501,"data":{"callbackType":"error","taskId":"0123456789abcdef"}}`: "0123456789abcdef",
		`{"data":{"task_id":"../../etc/passwd"}}`:                                  "", `{}`: "", `no`: "",
	} {
		if got, err := suno.ParseCallback([]byte(body)); got != want || (err == nil) != (want != "") {
			t.Errorf("ParseCallback(%s) = %q, %v", body, got, err)
		}
	}
}
