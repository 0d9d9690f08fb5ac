package openai_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"castad/internal/fault"
	"castad/internal/testkit"
	"castad/internal/testkit/sandboxed"
	"castad/providers"
	"castad/providers/openai"
	"castad/providers/sandbox"
)

// model is the sandbox's OpenAI and a client of it.
type model struct {
	*openai.Client
	*sandboxed.Server
}

func openModel(t *testing.T, durations sandbox.Durations) *model {
	t.Helper()
	m := &model{Server: sandboxed.Open(t, sandbox.Config{Durations: durations}, nil)}
	m.Client = m.as("key")
	return m
}

func (m *model) as(key string) *openai.Client {
	return openai.New(openai.Config{BaseURL: m.URL + "/openai/v1", Key: key, Now: func() time.Time { return morning }})
}

// morning is when the client thinks it is.
var morning = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)

// fail makes the next call of a kind go wrong.
func (m *model) fail(t *testing.T, f sandbox.Fault) {
	t.Helper()
	f.Provider, f.Count = "openai", 1
	m.Fail(t, f)
}

// verse asks for a title and lines, as section 3 does.
func verse() providers.Prompt {
	return providers.Prompt{Name: "lyric", Model: "gpt-6.1-terra", Instructions: "Write.", Input: `{"name":"숲속펜션"}`, MaxTokens: 4000, Effort: "low",
		Metadata: map[string]string{"task_id": "0199", "stage": "lyric"},
		Schema: map[string]any{"type": "object", "additionalProperties": false, "required": []string{"title", "lines"}, "properties": map[string]any{
			"title": map[string]any{"type": "string"}, "lines": map[string]any{"type": "array", "items": map[string]any{"type": "string"}}}}}
}

func (m *model) started(t *testing.T) string {
	t.Helper()
	conversation, err := m.Prepare(t.Context(), map[string]string{"task_id": "0199"})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := m.Start(t.Context(), conversation, verse())
	if answer.ID == "" {
		t.Fatalf("started as %+v, %v", answer, err)
	}
	return answer.ID
}

// ended looks until an answer isn't worked on any more.
func (m *model) ended(t *testing.T, id string) (providers.Answer, error) {
	t.Helper()
	var answer providers.Answer
	var err error
	testkit.Eventually(t, "the answer ends", func() bool {
		answer, err = m.Look(t.Context(), id)
		return answer.Progress != providers.Working
	})
	return answer, err
}

// Section 3: an answer that fits the schema, with what it has used; while it is worked on it is Working.
func TestContract_AnswerFitsItsSchema(t *testing.T) {
	t.Parallel()
	m := openModel(t, sandbox.Durations{Answer: 300 * time.Millisecond})
	id := m.started(t)
	if first, err := m.Look(t.Context(), id); first.Progress != providers.Working || err != nil {
		t.Errorf("at first: %+v, %v", first, err)
	}
	answer, err := m.ended(t, id)
	var doc struct {
		Title string
		Lines []string
	}
	if err != nil || json.Unmarshal([]byte(answer.JSON), &doc) != nil || answer.InputTokens == 0 || answer.OutputTokens == 0 {
		t.Errorf("answer %+v, %v", answer, err)
	}
	again, err := m.Look(t.Context(), id)
	if again != answer || err != nil {
		t.Errorf("a stored answer: %+v, %v", again, err)
	}
}

// Section 3: each end of an answer is told from the others; all of them are paid.
func TestContract_EachEndOfAnAnswer(t *testing.T) {
	t.Parallel()
	m := openModel(t, sandbox.Durations{})
	for what, want := range map[string]struct {
		kind fault.Kind
		code string
	}{
		"refusal":    {fault.Permanent, "model_refused"},
		"incomplete": {fault.Retryable, "model_answer_cut"},
		"failed":     {fault.Retryable, "model_failed"},
	} {
		m.fail(t, sandbox.Fault{What: what})
		answer, err := m.ended(t, m.started(t))
		if f := fault.Of(err); answer.Progress != providers.Broken || f == nil || f.Kind != want.kind || f.Code != want.code {
			t.Errorf("%s: %+v, %v", what, answer, err)
		}
	}
	id := m.started(t)
	look := func(body string) (providers.Answer, error) {
		m.fail(t, sandbox.Fault{Call: "read", What: "status", Status: 200, Body: `{"id":"` + id + `","object":"response",` + body + `}`})
		return m.Look(t.Context(), id)
	}
	for body, want := range map[string]string{
		`"status":"incomplete","incomplete_details":{"reason":"content_filter"},"output":[]`:           "model_answer_filtered",
		`"status":"failed","error":{"code":"rate_limit_exceeded","message":"m"},"output":[]`:           "model_failed",
		`"status":"failed","error":{"code":"invalid_prompt","message":"m"},"output":[]`:                "model_prompt_invalid",
		`"status":"failed","error":{"code":"bio_policy","message":"m"},"output":[]`:                    "model_prompt_invalid",
		`"status":"failed","error":{"code":"data_residency_mismatch","message":"m"},"output":[]`:       "model_prompt_invalid",
		`"status":"failed","error":{"code":"misalignment_policy_violation","message":"m"},"output":[]`: "model_prompt_invalid",
		`"status":"cancelled","output":[]`:                                                             "model_cancelled",
		`"status":"completed","output":[]`:                                                             "model_failed", // all of max_output_tokens went into thoughts
	} {
		if answer, err := look(body); answer.Progress != providers.Broken || fault.Of(err).Code != want {
			t.Errorf("%s: %+v, %v", body, answer, err)
		}
	}
	for _, status := range []string{"queued", "in_progress", "something_new"} {
		if answer, err := look(`"status":"` + status + `","output":[]`); answer.Progress != providers.Working || err != nil {
			t.Errorf("%s: %+v, %v", status, answer, err)
		}
	}
}

// Section 5: a schema that breaks the rules is refused before anything is paid.
func TestContract_SchemasAreStrict(t *testing.T) {
	t.Parallel()
	m := openModel(t, sandbox.Durations{})
	for name, schema := range map[string]map[string]any{
		"open object":       {"type": "object", "required": []string{"a"}, "properties": map[string]any{"a": map[string]any{"type": "string"}}},
		"optional property": {"type": "object", "additionalProperties": false, "required": []string{}, "properties": map[string]any{"a": map[string]any{"type": "string"}}},
		"no object":         {"type": "array", "items": map[string]any{"type": "string"}},
	} {
		p := verse()
		p.Schema = schema
		_, err := m.Start(t.Context(), "", p)
		if f := fault.Of(err); f == nil || f.Code != "openai_prompt_refused" || !strings.Contains(err.Error(), "invalid_json_schema") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Section 6, row by row, for the paid call and for a look.
func TestContract_EachErrorOfTheTable(t *testing.T) {
	t.Parallel()
	m := openModel(t, sandbox.Durations{})
	id := m.started(t)
	for _, row := range []struct {
		status      int
		code, kind  string
		start, look string
		startIs     fault.Kind
		after       time.Duration // of RateLimited
		retryAfter  string
	}{
		{400, "invalid_request_error", "invalid_request_error", "openai_prompt_refused", "openai_prompt_refused", fault.Permanent, 0, ""},
		{400, "context_length_exceeded", "invalid_request_error", "openai_prompt_refused", "openai_prompt_refused", fault.Permanent, 0, ""},
		{400, "unsupported_value", "invalid_request_error", "openai_prompt_refused", "openai_prompt_refused", fault.Permanent, 0, ""},
		{400, "content_policy_violation", "invalid_prompt", "openai_prompt_refused", "openai_prompt_refused", fault.Permanent, 0, ""},
		{401, "invalid_api_key", "invalid_request_error", "openai_key_refused", "openai_key_refused", fault.Permanent, 0, ""},
		{403, "unsupported_country_region_territory", "request_forbidden", "openai_key_refused", "openai_key_refused", fault.Permanent, 0, ""},
		{404, "model_not_found", "invalid_request_error", "openai_model_gone", "openai_answer_gone", fault.Permanent, 0, ""},
		{408, "timeout", "timeout", "openai_busy", "openai_busy", fault.Retryable, 0, ""},
		{409, "conflict", "conflict", "openai_busy", "openai_busy", fault.Retryable, 0, ""},
		{413, "", "invalid_request_error", "openai_prompt_refused", "openai_prompt_refused", fault.Permanent, 0, ""},
		{429, "rate_limit_exceeded", "requests", "openai_rate_limited", "openai_rate_limited", fault.RateLimited, 7 * time.Second, "7"},
		{429, "rate_limit_exceeded", "tokens", "openai_rate_limited", "openai_rate_limited", fault.RateLimited, 20 * time.Second, ""},
		{429, "insufficient_quota", "insufficient_quota", "openai_no_credits", "openai_no_credits", fault.Permanent, 0, ""},
		{429, "credit_balance_exhausted", "insufficient_quota", "openai_no_credits", "openai_no_credits", fault.Permanent, 0, ""},
		{429, "billing_hard_limit_reached", "insufficient_quota", "openai_no_credits", "openai_no_credits", fault.Permanent, 0, ""},
		{429, "slow_down", "rate_limit_error", "openai_slow_down", "openai_slow_down", fault.RateLimited, time.Minute, ""},
		{500, "server_error", "server_error", "openai_outcome_unknown", "internal", fault.Uncertain, 0, ""},
		{503, "server_is_overloaded", "service_unavailable_error", "openai_overloaded", "internal", fault.RateLimited, 30 * time.Second, ""},
	} {
		name := fmt.Sprintf("%d %s", row.status, row.code)
		body := fmt.Sprintf(`{"error":{"message":"because","type":%q,"param":null,"code":%q}}`, row.kind, row.code)
		m.fail(t, sandbox.Fault{What: "status", Status: row.status, Body: body, RetryAfter: row.retryAfter})
		_, err := m.Start(t.Context(), "", verse())
		f := fault.Of(err)
		if f == nil || f.Kind != row.startIs || f.Code != row.start || !strings.Contains(err.Error(), "because") {
			t.Errorf("%s: %v", name, err)
		} else if f.Kind == fault.RateLimited && !f.Until.Equal(morning.Add(row.after)) {
			t.Errorf("%s: again after %v", name, f.Until.Sub(morning))
		}
		m.fail(t, sandbox.Fault{Call: "read", What: "status", Status: row.status, Body: body})
		if answer, err := m.Look(t.Context(), id); fault.Of(err) == nil || fault.Of(err).Code != row.look || answer.Progress == providers.Broken {
			t.Errorf("%s at a look: %+v, %v", name, answer, err)
		}
	}
	for _, status := range []int{520, 521, 522, 523, 524} { // a gateway's page says nothing about the call
		m.fail(t, sandbox.Fault{What: "status", Status: status, Body: "<html>gateway</html>"})
		if _, err := m.Start(t.Context(), "", verse()); fault.Of(err) == nil || fault.Of(err).Kind != fault.Uncertain {
			t.Errorf("%d: %v", status, err)
		}
	}
}

// A lost answer is found by its conversation, and an id that nobody knows is gone for good.
func TestContract_LostAnswerIsFound(t *testing.T) {
	t.Parallel()
	m := openModel(t, sandbox.Durations{})
	conversation, err := m.Prepare(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	m.fail(t, sandbox.Fault{What: "lost"})
	if _, err := m.Start(t.Context(), conversation, verse()); fault.Of(err).Kind != fault.Uncertain {
		t.Fatalf("lost: %v", err)
	}
	testkit.Eventually(t, "the answer is found", func() bool {
		id, err := m.Find(t.Context(), conversation)
		return id != "" && err == nil
	})
	if _, err := m.Look(t.Context(), "resp_unknown"); fault.Of(err).Code != "openai_answer_gone" {
		t.Errorf("an unknown answer: %v", err)
	}
	if _, err := m.as("wrong").Start(t.Context(), "", verse()); fault.Of(err).Code != "openai_key_refused" {
		t.Errorf("a wrong key: %v", err)
	}
}
