package sandbox

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
)

// conversation is where responses are made, which say themselves where they belong: a response that is charged is in its
// conversation, whenever the sandbox ends.
type conversation struct {
	Metadata map[string]string `json:"metadata,omitempty"`
	Created  int64             `json:"created"` // Unix milliseconds
	Deleted  bool              `json:"deleted,omitempty"`
}

func (s *Server) createConversation(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Metadata map[string]string `json:"metadata"`
	}
	if !bearer(r) {
		openAIError(w, 401, "invalid_request_error", "", "invalid_api_key", "Incorrect API key provided.")
		return
	}
	if err := readJSON(r, &in); err != nil || len(in.Metadata) > 16 {
		openAIError(w, 400, "invalid_request_error", "metadata", "", "We could not parse the JSON body of your request, or its metadata has too many properties.")
		return
	}
	row := conversation{Metadata: in.Metadata, Created: nowMillis()}
	id, err := s.talks.add(func(n uint64) (string, conversation) { return "conv_" + hexID("conversation", n), row })
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	writeJSON(w, http.StatusOK, row.object(id))
}

func (c conversation) object(id string) object {
	return object{"id": id, "object": "conversation", "created_at": c.Created / 1000, "metadata": c.Metadata}
}

func (s *Server) findConversation(w http.ResponseWriter, id string) (conversation, bool) {
	row, ok := s.talks.find(id)
	if !ok || row.Deleted {
		openAIError(w, 404, "invalid_request_error", "", "", "Conversation with id '"+id+"' not found.")
		return row, false
	}
	return row, true
}

func (s *Server) readConversation(w http.ResponseWriter, r *http.Request) {
	if row, ok := s.findConversation(w, r.PathValue("id")); ok {
		writeJSON(w, http.StatusOK, row.object(r.PathValue("id")))
	}
}

func (s *Server) deleteConversation(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	if _, ok := s.findConversation(w, id); !ok {
		return
	}
	if _, err := s.talks.change(id, func(c *conversation) { c.Deleted = true }); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	writeJSON(w, http.StatusOK, object{"id": id, "object": "conversation.deleted", "deleted": true})
}

// begin keeps and charges a response, in its conversation if it has one. A conversation takes one at a time.
func (s *Server) begin(w http.ResponseWriter, row answer) (id string, ok bool) {
	s.talking.Lock()
	defer s.talking.Unlock()
	if row.At != "" {
		if _, ok := s.findConversation(w, row.At); !ok {
			return "", false
		}
		if slices.ContainsFunc(s.asked[row.At], s.unfinished) {
			openAIError(w, 400, "invalid_request_error", "conversation", "conversation_locked",
				"Another process is currently operating on this conversation. Please retry in a few seconds.")
			return "", false
		}
	}
	id, err := s.keepAnswer("resp_", row)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return "", false
	}
	s.file(id, row)
	return id, true
}

// file notes a response in its conversation.
func (s *Server) file(id string, row answer) {
	if row.At != "" {
		s.asked[row.At] = append(s.asked[row.At], id)
	}
}

// conversationID reads the two forms of a request's conversation: "conv_…" and {"id":"conv_…"}.
func conversationID(raw json.RawMessage) (id string) {
	var long struct {
		ID string `json:"id"`
	}
	if json.Unmarshal(raw, &id) != nil && json.Unmarshal(raw, &long) == nil {
		id = long.ID
	}
	return id
}

func (s *Server) unfinished(id string) bool {
	row, ok := s.answers.find(id)
	return ok && nowMillis() < row.Ready
}

// listItems shows what completed responses have left: question, reasoning and message, newest first unless asked
// otherwise. A response that is being made, or failed, shows nothing.
func (s *Server) listItems(w http.ResponseWriter, r *http.Request) {
	at := r.PathValue("id")
	if _, ok := s.findConversation(w, at); !ok {
		return
	}
	s.talking.Lock()
	asked := slices.Clone(s.asked[at])
	s.talking.Unlock()
	items := []any{}
	for _, id := range asked {
		answer, _ := s.answers.find(id)
		output, _ := answer.response(id)["output"].([]any)
		if len(output) == 0 {
			continue
		}
		items = append(items, object{"id": "msg_in_" + id[5:], "type": "message", "role": "user", "status": "completed",
			"content": []any{object{"type": "input_text", "text": answer.Question}}})
		items = append(items, output...)
	}
	if r.URL.Query().Get("order") != "asc" {
		slices.Reverse(items)
	}
	writeJSON(w, http.StatusOK, page(items, r))
}

// page cuts a list to limit (1 to 100, else 20) after the item of that id.
func page(items []any, r *http.Request) object {
	id := func(item any) any { return item.(object)["id"] }
	if after := r.URL.Query().Get("after"); after != "" {
		at := slices.IndexFunc(items, func(item any) bool { return id(item) == after })
		items = items[at+1:]
	}
	limit, err := strconv.Atoi(r.URL.Query().Get("limit"))
	if err != nil || limit < 1 || limit > 100 {
		limit = 20
	}
	more := len(items) > limit
	items = items[:min(limit, len(items))]
	out := object{"object": "list", "data": items, "has_more": more, "first_id": nil, "last_id": nil}
	if len(items) > 0 {
		out["first_id"], out["last_id"] = id(items[0]), id(items[len(items)-1])
	}
	return out
}
