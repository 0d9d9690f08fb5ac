package openai_test

import (
	"context"
	"net/http/httptest"
	"testing"
	"time"

	"castad/internal/fault"
	"castad/internal/testkit/sandboxed"
	"castad/providers"
	"castad/providers/openai"
	"castad/providers/sandbox"
)

// onSandbox returns a client of a sandbox whose answers take a while.
func onSandbox(t *testing.T, takes time.Duration) (*openai.Client, *sandboxed.Server) {
	t.Helper()
	server := sandboxed.Open(t, sandbox.Config{Durations: sandbox.Durations{Answer: takes}}, nil)
	return openai.New(openai.Config{BaseURL: server.URL + "/openai/v1", Key: "sk"}), server
}

func strict(p providers.Prompt) providers.Prompt {
	p.Schema = map[string]any{"type": "object", "properties": map[string]any{"title": map[string]any{"type": "string"}},
		"required": []any{"title"}, "additionalProperties": false}
	return p
}

// A call whose id was lost is found by its conversation once it is done, and until then a second one is refused.
func TestFind_LostAnswerIsInItsConversation(t *testing.T) {
	t.Parallel()
	client, server := onSandbox(t, 300*time.Millisecond)
	conversation, err := client.Prepare(t.Context(), map[string]string{"task_id": "0199"})
	if err != nil {
		t.Fatal(err)
	}
	if id, err := client.Find(t.Context(), conversation); id != "" || err != nil {
		t.Errorf("in an empty conversation: %q, %v", id, err)
	}
	if _, err := client.Start(t.Context(), conversation, strict(prompt)); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Start(t.Context(), conversation, strict(prompt)); fault.Of(err).Kind != fault.Uncertain {
		t.Errorf("a second call while the first is made: %v", err)
	}
	id := waited(t, client, conversation)
	answer, err := client.Look(t.Context(), id)
	if err != nil || answer.Progress != providers.Done || answer.JSON != `{"title":"sandbox"}` {
		t.Errorf("found %+v, %v", answer, err)
	}
	if got := calls(t, server); got != 1 {
		t.Errorf("%d calls were charged", got)
	}
}

func waited(t *testing.T, client *openai.Client, conversation string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		if id, err := client.Find(ctx, conversation); id != "" || err != nil {
			if err != nil {
				t.Fatal(err)
			}
			return id
		}
	}
}

func calls(t *testing.T, server *sandboxed.Server) int {
	t.Helper()
	return server.Bill(t).Providers["openai"].Calls
}

func TestLook_ReadsEachStateOfAConversation(t *testing.T) {
	t.Parallel()
	question := `{"id":"msg_0","type":"message","role":"user","status":"completed","content":[{"type":"input_text","text":"in"}]}`
	message := func(status, part string) string {
		return `{"id":"msg_1","type":"message","role":"assistant","status":"` + status + `","content":[` + part + `]},` +
			`{"id":"rs_1","type":"reasoning","summary":[]},` + question
	}
	for name, row := range map[string]struct {
		items    string
		progress providers.Progress
		code     string
	}{
		"empty":   {``, providers.Working, ""},
		"asked":   {question, providers.Working, ""},
		"done":    {message("completed", `{"type":"output_text","text":"{}","annotations":[]}`), providers.Done, ""},
		"refused": {message("completed", `{"type":"refusal","refusal":"no"}`), providers.Broken, "model_refused"},
		"cut":     {message("incomplete", `{"type":"output_text","text":"{\"ti","annotations":[]}`), providers.Broken, "model_answer_cut"},
		"blank":   {message("completed", ``), providers.Broken, "model_failed"},
	} {
		s := httptest.NewServer(says(200, `{"object":"list","has_more":false,"data":[`+row.items+`]}`))
		client := openai.New(openai.Config{BaseURL: s.URL, Key: "sk"})
		got, err := client.Look(t.Context(), "conv_1")
		if got.Progress != row.progress || (err == nil) != (row.code == "") || err != nil && fault.Of(err).Code != row.code {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
		id, err := client.Find(t.Context(), "conv_1")
		if (id != "") != (row.progress != providers.Working) || err != nil {
			t.Errorf("%s: found %q, %v", name, id, err)
		}
		s.Close()
	}
	s := httptest.NewServer(says(500, `oops`))
	defer s.Close()
	if id, err := openai.New(openai.Config{BaseURL: s.URL, Key: "sk"}).Find(t.Context(), "conv_1"); err == nil || id != "" {
		t.Errorf("a look that doesn't come through finds %q, %v", id, err)
	}
}
