package sandbox

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// answer is one paid call to the language model, by either interface.
type answer struct {
	Chat       bool              `json:"chat,omitempty"`
	At         string            `json:"at,omitempty"`       // id of the conversation
	Question   string            `json:"question,omitempty"` // what was asked there
	Background bool              `json:"background,omitempty"`
	Store      bool              `json:"store"`
	Model      string            `json:"model"`
	Metadata   map[string]string `json:"metadata,omitempty"`
	End        string            `json:"end"`            // completed | failed | incomplete | refused | cancelled
	Text       string            `json:"text,omitempty"` // the document
	Input      int               `json:"input"`          // tokens
	Output     int               `json:"output"`
	Created    int64             `json:"created"` // Unix milliseconds
	Ready      int64             `json:"ready"`
}

func (s *Server) routeOpenAI(on router) {
	on("POST /openai/v1/responses", "openai", "create", s.createResponse)
	on("GET /openai/v1/responses/{id}", "openai", "read", s.readResponse)
	on("POST /openai/v1/responses/{id}/cancel", "openai", "cancel", s.cancelResponse)
	on("POST /openai/v1/conversations", "openai", "conversation", s.createConversation)
	on("GET /openai/v1/conversations/{id}", "openai", "read", s.readConversation)
	on("DELETE /openai/v1/conversations/{id}", "openai", "delete", s.deleteConversation)
	on("GET /openai/v1/conversations/{id}/items", "openai", "list", s.listItems)
	on("POST /openai/v1/chat/completions", "openai", "create", s.createChat)
	on("GET /openai/v1/chat/completions", "openai", "list", s.listChats)
}

// modelRequest has what both interfaces share once their own names are folded together.
type modelRequest struct {
	Model       string            `json:"model"`
	Metadata    map[string]string `json:"metadata"`
	Background  bool              `json:"background"`
	Store       *bool             `json:"store"`
	Temperature *float64          `json:"temperature"`
	TopP        *float64          `json:"top_p"`
	MaxTokens   *int              `json:"max_tokens"`

	Instructions string          `json:"instructions"`
	Input        json.RawMessage `json:"input"`
	Conversation json.RawMessage `json:"conversation"` // an id, or an object with one
	Text         struct {
		Format format `json:"format"`
	} `json:"text"`

	Messages       json.RawMessage `json:"messages"`
	ResponseFormat struct {
		Type       string `json:"type"`
		JSONSchema format `json:"json_schema"`
	} `json:"response_format"`
}

type format struct {
	Type   string         `json:"type"`
	Name   string         `json:"name"`
	Strict bool           `json:"strict"`
	Schema map[string]any `json:"schema"`
}

func (s *Server) createResponse(w http.ResponseWriter, r *http.Request) {
	in, ok := readModelRequest(w, r, "text.format.schema")
	if !ok {
		return
	}
	row, ok := s.think(w, r, in, in.Text.Format, texts(in.Input))
	if !ok {
		return
	}
	row.Background, row.Store = in.Background, in.Store == nil || *in.Store
	row.At, row.Question = conversationID(in.Conversation), texts(in.Input)
	id, ok := s.begin(w, row)
	if !ok {
		return
	}
	if !row.Background {
		pause(r.Context(), time.Duration(row.Ready-row.Created)*time.Millisecond)
	}
	writeJSON(w, http.StatusOK, row.response(id))
}

func (s *Server) createChat(w http.ResponseWriter, r *http.Request) {
	in, ok := readModelRequest(w, r, "response_format")
	if !ok {
		return
	}
	row, ok := s.think(w, r, in, in.ResponseFormat.JSONSchema, texts(in.Messages))
	if !ok {
		return
	}
	row.Chat, row.Store = true, in.Store != nil && *in.Store
	id, err := s.keepAnswer("chatcmpl-", row)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	pause(r.Context(), time.Duration(row.Ready-row.Created)*time.Millisecond)
	writeJSON(w, http.StatusOK, row.completion(id))
}

// readModelRequest refuses what the gpt-5 family refuses.
func readModelRequest(w http.ResponseWriter, r *http.Request, param string) (in modelRequest, ok bool) {
	chat := param == "response_format"
	if !bearer(r) {
		openAIError(w, 401, "invalid_request_error", "", "invalid_api_key", "Incorrect API key provided.")
		return in, false
	}
	if err := readJSON(r, &in); err != nil || in.Model == "" {
		openAIError(w, 400, "invalid_request_error", "model", "missing_required_parameter", "We could not parse the JSON body of your request, or it has no model.")
		return in, false
	}
	switch {
	case len(in.Metadata) > 16:
		openAIError(w, 400, "invalid_request_error", "metadata", "object_above_max_properties", "Invalid 'metadata': too many properties.")
	case (in.Temperature != nil || in.TopP != nil) && chat:
		openAIError(w, 400, "invalid_request_error", "temperature", "unsupported_value", "Unsupported value: 'temperature' does not support this value with this model. Only the default (1) value is supported.")
	case in.Temperature != nil || in.TopP != nil:
		openAIError(w, 400, "invalid_request_error", "temperature", "", "Unsupported parameter: 'temperature' is not supported with this model.")
	case in.MaxTokens != nil:
		openAIError(w, 400, "invalid_request_error", "max_tokens", "unsupported_parameter", "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.")
	default:
		return in, true
	}
	return in, false
}

// think makes the document and decides how the answer ends.
func (s *Server) think(w http.ResponseWriter, r *http.Request, in modelRequest, f format, prompt string) (answer, bool) {
	problem := checkStrict(f.Schema, "")
	if f.Schema != nil && f.Schema["type"] != "object" {
		problem = `schema must be a JSON Schema of 'type: "object"'.`
	}
	if problem != "" {
		openAIError(w, 400, "invalid_request_error", "text.format.schema", "invalid_json_schema", "Invalid schema for response_format '"+f.Name+"': "+problem)
		return answer{}, false
	}
	if outcome(r, "quota") {
		openAIError(w, 429, "insufficient_quota", "", "insufficient_quota", "You exceeded your current quota, please check your plan and billing details.")
		return answer{}, false
	}
	now := time.Now()
	row := answer{Model: in.Model, Metadata: in.Metadata, End: "completed", Created: millis(now)}
	row.Ready = millis(now.Add(s.pick(s.cfg.Durations.Answer, 1500*time.Millisecond)))
	row.Text = s.write(f, prompt)
	row.Input, row.Output = (len(prompt)+len(in.Instructions))/3+40, len(row.Text)/3+128
	for fault, end := range map[string]string{"refusal": "refused", "incomplete": "incomplete", "failed": "failed"} {
		if outcome(r, fault) {
			row.End, row.Text = end, ""
		}
	}
	return row, true
}

// write asks the atlas, and fills the schema by itself where the atlas has nothing to say.
func (s *Server) write(f format, prompt string) string {
	if s.cfg.Atlas != nil {
		doc, err := s.cfg.Atlas.Answer(f.Name, firstObject(prompt))
		if err == nil {
			return string(doc)
		}
		s.cfg.Log.Warn().Err(err).Str("schema", f.Name).Msg("answered with filler")
	}
	b, _ := json.Marshal(fill(f.Schema)) // of maps, slices and plain values: can't fail
	return string(b)
}

func (s *Server) keepAnswer(prefix string, row answer) (string, error) {
	id, err := s.answers.add(func(n uint64) (string, answer) { return prefix + hexID("openai", n), row })
	if err != nil {
		return "", err
	}
	return id, s.bill.add(row.charge(id))
}

func (a answer) charge(id string) charge {
	micros := int64(a.Input)/4 + int64(a.Output)*2 // $0.25 and $2 a million tokens
	return charge{Provider: "openai", Kind: "answer", ID: id, Micros: micros, Mark: markOf(a.Metadata)}
}

func (s *Server) readResponse(w http.ResponseWriter, r *http.Request) {
	row, ok := s.answers.find(r.PathValue("id"))
	if !ok || row.Chat || !row.Store && !row.Background {
		openAIError(w, 404, "invalid_request_error", "", "", "Response with id '"+r.PathValue("id")+"' not found.")
		return
	}
	writeJSON(w, http.StatusOK, row.response(r.PathValue("id")))
}

func (s *Server) cancelResponse(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	row, ok := s.answers.find(id)
	if !ok || !row.Background {
		openAIError(w, 404, "invalid_request_error", "", "", "Only background responses can be cancelled.")
		return
	}
	if nowMillis() < row.Ready {
		row, _ = s.answers.change(id, func(a *answer) { a.End, a.Text, a.Ready = "cancelled", "", nowMillis() })
	}
	writeJSON(w, http.StatusOK, row.response(id))
}

// listChats finds stored completions by metadata[key]=value.
func (s *Server) listChats(w http.ResponseWriter, r *http.Request) {
	data := []any{}
	for _, id := range s.answers.recent(keepRows) {
		row, _ := s.answers.find(id)
		if row.Chat && row.Store && len(data) < 100 && metadataFits(row.Metadata, r) {
			data = append(data, row.completion(id))
		}
	}
	slices.Reverse(data)
	writeJSON(w, http.StatusOK, object{"object": "list", "data": data, "has_more": false})
}

func metadataFits(have map[string]string, r *http.Request) bool {
	for name, values := range r.URL.Query() {
		key, ok := strings.CutPrefix(strings.TrimSuffix(name, "]"), "metadata[")
		if ok && have[key] != values[0] {
			return false
		}
	}
	return true
}

func (a answer) status() string {
	now := nowMillis()
	switch {
	case now >= a.Ready && a.End == "refused":
		return "completed"
	case now >= a.Ready || !a.Background:
		return a.End
	case now-a.Created < (a.Ready-a.Created)/5:
		return "queued"
	}
	return "in_progress"
}

func (a answer) response(id string) object {
	status := a.status()
	if status == "refused" {
		status = "completed"
	}
	out := object{"id": id, "object": "response", "created_at": a.Created / 1000, "status": status, "model": a.Model,
		"error": nil, "incomplete_details": nil, "metadata": a.Metadata, "service_tier": "default", "store": a.Store,
		"background": a.Background, "output": []any{}, "usage": nil}
	switch status {
	case "failed":
		out["error"] = object{"code": "server_error", "message": "The model produced an error."}
	case "incomplete":
		out["incomplete_details"] = object{"reason": "max_output_tokens"}
	case "completed":
		out["output"] = []any{
			object{"id": "rs_" + id[5:], "type": "reasoning", "summary": []any{}},
			object{"id": "msg_" + id[5:], "type": "message", "role": "assistant", "status": "completed", "content": []any{a.content()}}}
	}
	if status != "queued" && status != "in_progress" && status != "cancelled" {
		out["usage"] = object{"input_tokens": a.Input, "input_tokens_details": object{"cached_tokens": 0}, "output_tokens": a.Output,
			"output_tokens_details": object{"reasoning_tokens": 128}, "total_tokens": a.Input + a.Output}
	}
	return out
}

func (a answer) content() object {
	if a.End == "refused" {
		return object{"type": "refusal", "refusal": "I'm sorry, I can't help with that."}
	}
	return object{"type": "output_text", "text": a.Text, "annotations": []any{}, "logprobs": []any{}}
}

func (a answer) completion(id string) object {
	message := object{"role": "assistant", "content": a.Text, "refusal": nil, "annotations": []any{}}
	if a.End == "refused" {
		message["content"], message["refusal"] = nil, "I'm sorry, I can't help with that."
	}
	finish := map[string]string{"incomplete": "length", "failed": "content_filter"}[a.End]
	if finish == "" {
		finish = "stop"
	}
	return object{"id": id, "object": "chat.completion", "created": a.Created / 1000, "model": a.Model, "service_tier": "default",
		"metadata": a.Metadata, "system_fingerprint": nil,
		"choices": []any{object{"index": 0, "finish_reason": finish, "logprobs": nil, "message": message}},
		"usage": object{"prompt_tokens": a.Input, "completion_tokens": a.Output, "total_tokens": a.Input + a.Output,
			"prompt_tokens_details": object{"cached_tokens": 0}, "completion_tokens_details": object{"reasoning_tokens": 128}}}
}

func openAIError(w http.ResponseWriter, status int, kind, param, code, message string) {
	null := func(s string) any {
		if s == "" {
			return nil
		}
		return s
	}
	w.Header().Set("X-Request-Id", "req_sandbox")
	writeJSON(w, status, object{"error": object{"message": message, "type": kind, "param": null(param), "code": null(code)}})
}

// texts joins the user's texts of a string, or of a list of messages with string or part contents.
func texts(raw json.RawMessage) string {
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return ""
	}
	var out strings.Builder
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case string:
			out.WriteString(v + "\n")
		case []any:
			for _, item := range v {
				walk(item)
			}
		case map[string]any:
			if role := v["role"]; role == nil || role == "user" {
				walk(v["content"])
				walk(v["text"])
			}
		}
	}
	walk(v)
	return out.String()
}

// firstObject returns the first JSON object in a text, or {}.
func firstObject(text string) json.RawMessage {
	for at := strings.IndexByte(text, '{'); at >= 0; {
		var raw json.RawMessage
		if json.NewDecoder(strings.NewReader(text[at:])).Decode(&raw) == nil {
			return raw
		}
		next := strings.IndexByte(text[at+1:], '{')
		if next < 0 {
			break
		}
		at += 1 + next
	}
	return json.RawMessage("{}")
}

// checkStrict returns what strict mode refuses in a schema, or "". No schema at all is fine.
func checkStrict(schema map[string]any, at string) string {
	properties, isObject := schema["properties"].(map[string]any)
	if isObject || schema["type"] == "object" {
		if schema["additionalProperties"] != false {
			return "In context=(" + at + "), 'additionalProperties' is required to be supplied and to be false."
		}
		required, _ := schema["required"].([]any)
		if len(required) != len(properties) {
			return "In context=(" + at + "), 'required' is required to be supplied and to be an array including every key in properties."
		}
	}
	for name, sub := range properties {
		if m, ok := sub.(map[string]any); ok {
			if problem := checkStrict(m, at+"'properties', '"+name+"'"); problem != "" {
				return problem
			}
		}
	}
	if items, ok := schema["items"].(map[string]any); ok {
		return checkStrict(items, at+"'items'")
	}
	return ""
}

// fill makes the smallest value that fits a schema.
func fill(schema map[string]any) any {
	if list, ok := schema["enum"].([]any); ok && len(list) > 0 {
		return list[0]
	}
	kind, _ := schema["type"].(string)
	switch kind {
	case "object":
		out := object{}
		properties, _ := schema["properties"].(map[string]any)
		for name, sub := range properties {
			m, _ := sub.(map[string]any)
			out[name] = fill(m)
		}
		return out
	case "array":
		out := []any{}
		least, _ := schema["minItems"].(float64)
		items, _ := schema["items"].(map[string]any)
		for range max(1, int(min(least, 100))) {
			out = append(out, fill(items))
		}
		return out
	case "integer", "number":
		least, _ := strconv.ParseFloat(fmt.Sprint(schema["minimum"]), 64)
		return least
	case "boolean":
		return false
	}
	return "sandbox"
}
