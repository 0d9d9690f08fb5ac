package clients

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"

	"castad/internal/testkit/sandboxed"
	"castad/providers/sandbox"
)

// model returns OpenAI's own client on the sandbox, used as its README shows.
func model(t *testing.T, key string) openai.Client {
	t.Helper()
	return openai.NewClient(option.WithAPIKey(key), option.WithBaseURL(sandboxed.Open(t, sandbox.Config{}, nil).URL+"/openai/v1"), option.WithMaxRetries(0))
}

var schema = map[string]any{"type": "object", "additionalProperties": false, "required": []string{"title", "lines"}, "properties": map[string]any{
	"title": map[string]any{"type": "string"}, "lines": map[string]any{"type": "array", "items": map[string]any{"type": "string"}}}}

func question(schema map[string]any) responses.ResponseNewParams {
	format := responses.ResponseFormatTextConfigParamOfJSONSchema("lyric", schema)
	format.OfJSONSchema.Strict = openai.Bool(true)
	return responses.ResponseNewParams{Model: "gpt-6.1-terra", Input: responses.ResponseNewParamsInputUnion{OfString: openai.String("숲속펜션")},
		Text: responses.ResponseTextConfigParam{Format: format}}
}

func fits(t *testing.T, what, text string) {
	t.Helper()
	var doc struct {
		Title *string
		Lines []string
	}
	if err := json.Unmarshal([]byte(text), &doc); err != nil || doc.Title == nil {
		t.Errorf("%s answered %q, %v", what, text, err)
	}
}

// A response is answered at once, stored, and read again; so is a chat completion, which is found by its metadata.
func TestOpenAI_AnswersFitTheirSchemas(t *testing.T) {
	t.Parallel()
	client := model(t, "key")
	answer, err := client.Responses.New(t.Context(), question(schema))
	if err != nil || answer.Status != responses.ResponseStatusCompleted || answer.Usage.TotalTokens == 0 {
		t.Fatalf("answered %+v, %v", answer, err)
	}
	fits(t, "the response", answer.OutputText())
	stored, err := client.Responses.Get(t.Context(), answer.ID, responses.ResponseGetParams{})
	if err != nil || stored.OutputText() != answer.OutputText() {
		t.Errorf("stored as %+v, %v", stored, err)
	}
	chat, err := client.Chat.Completions.New(t.Context(), openai.ChatCompletionNewParams{Model: "gpt-6.1-terra",
		Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("숲속펜션")}, Store: openai.Bool(true),
		Metadata: openai.Metadata{"task_id": "0199"},
		ResponseFormat: openai.ChatCompletionNewParamsResponseFormatUnion{OfJSONSchema: &openai.ResponseFormatJSONSchemaParam{
			JSONSchema: openai.ResponseFormatJSONSchemaJSONSchemaParam{Name: "lyric", Strict: openai.Bool(true), Schema: schema}}}})
	if err != nil || len(chat.Choices) != 1 || chat.Choices[0].FinishReason != "stop" {
		t.Fatalf("chat %+v, %v", chat, err)
	}
	fits(t, "the chat", chat.Choices[0].Message.Content)
	list, err := client.Chat.Completions.List(t.Context(), openai.ChatCompletionListParams{Metadata: openai.Metadata{"task_id": "0199"}})
	if err != nil || len(list.Data) != 1 || list.Data[0].ID != chat.ID {
		t.Errorf("found %+v, %v", list, err)
	}
}

func TestOpenAI_RefusalsAreUnderstood(t *testing.T) {
	t.Parallel()
	client := model(t, "key")
	loose := map[string]any{"type": "object", "properties": map[string]any{"a": map[string]any{"type": "string"}}}
	_, err := client.Responses.New(t.Context(), question(loose))
	wantRefusal(t, err, http.StatusBadRequest, "invalid_json_schema")
	warm := question(schema)
	warm.Temperature = openai.Float(0.2)
	_, err = client.Responses.New(t.Context(), warm)
	wantRefusal(t, err, http.StatusBadRequest, "")
	wrong := model(t, "wrong")
	_, err = wrong.Responses.New(t.Context(), question(schema))
	wantRefusal(t, err, http.StatusUnauthorized, "invalid_api_key")
	_, err = client.Responses.Get(t.Context(), "resp_unknown", responses.ResponseGetParams{})
	wantRefusal(t, err, http.StatusNotFound, "")
}

func wantRefusal(t *testing.T, err error, status int, code string) {
	t.Helper()
	refused, ok := errors.AsType[*openai.Error](err)
	if !ok || refused.StatusCode != status || code != "" && refused.Code != code || refused.Message == "" {
		t.Errorf("wanted %d %s, got %v", status, code, err)
	}
}
