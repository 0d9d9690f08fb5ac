package openai_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"castad/internal/fault"
	"castad/providers"
	"castad/providers/openai"
)

var prompt = providers.Prompt{Name: "lyric", Model: "gpt-5-mini", Input: "in", Schema: map[string]any{"type": "object"}, MaxTokens: 4000, Effort: "low", Metadata: map[string]string{"task_id": "0199"}}

func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

func TestStart_ClassifiesEachAnswerAndNeverRepeats(t *testing.T) {
	t.Parallel()
	e := func(status int, code, kind string) http.HandlerFunc {
		return says(status, fmt.Sprintf(`{"error":{"message":"m","type":%q,"param":null,"code":%q}}`, kind, code))
	}
	cut := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		conn, _, _ := w.(http.Hijacker).Hijack()
		conn.Close()
	}
	for name, row := range map[string]struct {
		h    http.HandlerFunc
		kind fault.Kind
		code string
	}{
		"bad":        {e(400, "unsupported_value", "invalid_request_error"), fault.Permanent, "openai_prompt_refused"},
		"key":        {e(401, "invalid_api_key", ""), fault.Permanent, "openai_key_refused"},
		"model":      {e(404, "model_not_found", ""), fault.Permanent, "openai_model_gone"},
		"rate":       {e(429, "rate_limit_exceeded", "requests"), fault.RateLimited, "openai_rate_limited"},
		"quota":      {e(429, "insufficient_quota", "insufficient_quota"), fault.Permanent, "openai_no_credits"},
		"locked":     {e(400, "conversation_locked", "invalid_request_error"), fault.Uncertain, "openai_outcome_unknown"},
		"slow down":  {e(429, "slow_down", "rate_limit_error"), fault.RateLimited, "openai_slow_down"},
		"overloaded": {e(503, "server_is_overloaded", "service_unavailable_error"), fault.RateLimited, "openai_overloaded"},
		"500":        {e(500, "server_error", "server_error"), fault.Uncertain, "openai_outcome_unknown"},
		"gateway":    {says(520, "<html>"), fault.Uncertain, "openai_outcome_unknown"},
		"redirect":   {says(307, ""), fault.Uncertain, "openai_outcome_unknown"},
		"not JSON":   {says(200, "ok"), fault.Uncertain, "openai_outcome_unknown"},
		"cut":        {cut, fault.Uncertain, "openai_outcome_unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int32
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { calls.Add(1); row.h(w, r) }))
			defer s.Close()
			_, err := openai.New(openai.Config{BaseURL: s.URL + "/v1", Key: "sk"}).Start(t.Context(), "conv_1", prompt)
			if f := fault.Of(err); f == nil || f.Kind != row.kind || f.Code != row.code || calls.Load() != 1 {
				t.Errorf("got %+v after %d calls, want %s %s", f, calls.Load(), row.kind, row.code)
			}
		})
	}
	s := httptest.NewServer(says(200, ""))
	s.Close()
	if _, err := openai.New(openai.Config{BaseURL: s.URL, Key: "sk"}).Start(t.Context(), "conv_1", prompt); fault.Of(err).Code != "openai_unreachable" {
		t.Errorf("refused connection: %v", err)
	}
}

func TestStart_AsksInTheBackgroundWithAStrictSchema(t *testing.T) {
	t.Parallel()
	var body string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		body = r.Method + " " + r.URL.Path + " " + string(raw)
		says(200, `{"id":"resp_1","status":"queued","output":[]}`)(w, r)
	}))
	defer s.Close()
	got, err := openai.New(openai.Config{BaseURL: s.URL + "/v1", Key: "sk"}).Start(t.Context(), "conv_1", prompt)
	if got.ID != "resp_1" || got.Progress != providers.Working || err != nil {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, want := range []string{"POST /v1/responses", `"background":true`, `"store":true`, `"strict":true`, `"type":"json_schema"`, `"max_output_tokens":4000`, `"effort":"low"`, `"task_id":"0199"`, `"conversation":"conv_1"`} {
		if !strings.Contains(body, want) {
			t.Errorf("request lacks %s: %s", want, body)
		}
	}
}

func TestLook_ReadsEachState(t *testing.T) {
	t.Parallel()
	text := `[{"type":"reasoning","summary":[]},{"type":"message","content":[{"type":"output_text","text":"{}","annotations":[]}]}]`
	for name, row := range map[string]struct {
		body     string
		progress providers.Progress
		kind     fault.Kind
		code     string
	}{
		"working":  {`"status":"in_progress"`, providers.Working, 0, ""},
		"unknown":  {`"status":"dreaming"`, providers.Working, 0, ""},
		"done":     {`"status":"completed","output":` + text, providers.Done, 0, ""},
		"refused":  {`"status":"completed","output":[{"type":"message","content":[{"type":"refusal","refusal":"no"}]}]`, providers.Broken, fault.Permanent, "model_refused"},
		"cut":      {`"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"}`, providers.Broken, fault.Retryable, "model_answer_cut"},
		"filtered": {`"status":"incomplete","incomplete_details":{"reason":"content_filter"}`, providers.Broken, fault.Permanent, "model_answer_filtered"},
		"failed":   {`"status":"failed","error":{"code":"server_error","message":"m"}`, providers.Broken, fault.Retryable, "model_failed"},
		"prompt":   {`"status":"failed","error":{"code":"invalid_prompt","message":"m"}`, providers.Broken, fault.Permanent, "model_prompt_invalid"},
	} {
		s := httptest.NewServer(says(200, `{"id":"resp_1",`+row.body+`}`))
		got, err := openai.New(openai.Config{BaseURL: s.URL, Key: "sk"}).Look(t.Context(), "resp_1")
		s.Close()
		if got.Progress != row.progress || (err == nil) != (row.code == "") || err != nil && (fault.Of(err).Code != row.code || fault.Of(err).Kind != row.kind) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
		if row.progress == providers.Done && got.JSON != "{}" {
			t.Errorf("%s: JSON %q", name, got.JSON)
		}
	}
}
