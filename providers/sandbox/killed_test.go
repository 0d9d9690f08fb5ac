package sandbox_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"castad/providers/sandbox"
)

// A real provider accepts, charges and keeps a job in one step. Here these are several writes, and a process may be
// killed between any two: after the next start what was accepted is charged, once, and found where it belongs.
func TestKilled_BetweenTheWritesOfACall(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	url, stop := start(t, dir)
	conversation := orderAll(t, url)
	before, items := billAt(t, url), itemsOf(t, url, conversation)
	if before.Total.Calls != 4 || !strings.Contains(items, "assistant") {
		t.Fatalf("the bill is %+v, the conversation %s", before, items)
	}
	stop()
	journal, charges := filepath.Join(dir, "journal.jsonl"), filepath.Join(dir, "bill.jsonl")
	unlink(t, dir, journal)
	for _, lost := range []int{1, 4} {
		cutLines(t, charges, lost)
		url, stop = start(t, dir)
		if diff := cmp.Diff(before, billAt(t, url)); diff != "" {
			t.Errorf("%d charges weren't written (-before +after): %s", lost, diff)
		}
		if diff := cmp.Diff(items, itemsOf(t, url, conversation)); diff != "" {
			t.Errorf("the conversation (-before +after): %s", diff)
		}
		if status, body, _ := call(t, "PUT", url+"/youtube/upload/youtube/v3/videos?upload_id="+sessionOf(t, before), "", "Content-Range", "bytes */6"); status != 200 {
			t.Errorf("the finished upload is answered with %d %s", status, body)
		}
		stop()
	}
}

// orderAll has each kind of paid job made, and returns the id of the answer's conversation.
func orderAll(t *testing.T, url string) string {
	t.Helper()
	_, body, _ := call(t, "POST", url+"/openai/v1/conversations", `{}`)
	var conversation struct{ ID string }
	if err := json.Unmarshal([]byte(body), &conversation); err != nil {
		t.Fatal(err)
	}
	for path, order := range map[string]string{
		"/openai/v1/responses":   `{"model":"gpt-5-mini","input":"a","conversation":"` + conversation.ID + `","metadata":{"task_id":"t","stage":"lyric","revision":"1","purpose":"lyric"},"text":{"format":{"type":"json_schema","name":"a","strict":true,"schema":{"type":"object","properties":{"b":{"type":"string"}},"required":["b"],"additionalProperties":false}}}}`,
		"/suno/api/v1/generate":  strings.Replace(songOrder, "CALLBACK", "http://127.0.0.1:1/", 1),
		"/creatomate/v2/renders": `{"elements":[{"type":"text","name":"Name","text":"a"}],"duration":3}`,
	} {
		if status, body, _ := call(t, http.MethodPost, url+path, order); status > 299 {
			t.Fatalf("%s answered %d %s", path, status, body)
		}
	}
	_, _, header := call(t, "POST", url+"/youtube/upload/youtube/v3/videos?uploadType=resumable&part=snippet,status",
		`{"snippet":{"title":"a"},"status":{"privacyStatus":"public"}}`, "X-Upload-Content-Length", "6")
	if status, body, _ := call(t, "PUT", header.Get("Location"), "abcdef"); status != 200 {
		t.Fatalf("upload answered %d %s", status, body)
	}
	return conversation.ID
}

func billAt(t *testing.T, url string) (bill sandbox.Bill) {
	t.Helper()
	_, body, _ := call(t, "GET", url+"/bill", "")
	if err := json.Unmarshal([]byte(body), &bill); err != nil {
		t.Fatal(err)
	}
	return bill
}

func itemsOf(t *testing.T, url, conversation string) string {
	t.Helper()
	_, body, _ := call(t, "GET", url+"/openai/v1/conversations/"+conversation+"/items", "")
	return body
}

// sessionOf reads the id of the upload's session from the bill.
func sessionOf(t *testing.T, bill sandbox.Bill) string {
	t.Helper()
	for mark := range bill.Marks {
		if id, ok := strings.CutPrefix(mark, "youtube:"); ok {
			return id
		}
	}
	t.Fatalf("no upload is on the bill %+v", bill)
	return ""
}

// cutLines takes the newest lines off a file.
func cutLines(t *testing.T, path string, n int) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(raw, []byte("\n"))
	if err := os.WriteFile(path, bytes.Join(lines[:len(lines)-1-n], nil), 0o600); err != nil {
		t.Fatal(err)
	}
}

// unlink takes from the journal that an upload's session has ended, and gives the video's file back to the session.
func unlink(t *testing.T, dir, journal string) {
	t.Helper()
	raw, err := os.ReadFile(journal)
	if err != nil {
		t.Fatal(err)
	}
	var kept []byte
	for line := range bytes.Lines(raw) {
		var row struct {
			T, ID string
			Row   struct{ Video string }
		}
		if err := json.Unmarshal(line, &row); err != nil {
			t.Fatal(err)
		}
		if row.T != "session" || row.Row.Video == "" {
			kept = append(kept, line...)
			continue
		}
		videos := filepath.Join(dir, "videos")
		if err := os.Rename(filepath.Join(videos, row.Row.Video+".mp4"), filepath.Join(videos, row.ID+".part")); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(journal, kept, 0o600); err != nil {
		t.Fatal(err)
	}
}
