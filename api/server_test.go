package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"castad/internal/observe"
	"castad/store"
)

func TestErrors_AreProblemsEverywhere(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	rows := []struct {
		method, path string
		status       int
		code         string
	}{
		{"GET", "/nothing", 404, "not_found"},
		{"PATCH", "/tasks", 405, "method_not_allowed"},
		{"GET", "/images", 404, "not_found"},
	}
	for _, row := range rows {
		a := r.call(row.method, row.path, "", "")
		if diff := cmp.Diff([]any{row.status, row.code}, []any{a.status, a.code(t)}); diff != "" {
			t.Errorf("%s %s: %s", row.method, row.path, diff)
		}
		if a.header.Get("X-Request-Id") == "" || a.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s %s: got headers %v", row.method, row.path, a.header)
		}
	}
}

// What a refused request has sent must not be read as the next request of its connection.
func TestBody_LeftUnreadIsNoRequest(t *testing.T) {
	t.Parallel()
	r := start(t, func(s *server) { s.Blobs = &shelf{} })
	token := r.login("a", "user")
	smuggled := strings.Repeat("x", 100_000) + "DELETE /tasks HTTP/1.1\r\nHost: a\r\n\r\n"
	for _, head := range []string{"POST /tasks", "POST /images", "POST /nothing", "GET /tasks", "PUT /tasks"} {
		for _, framing := range []string{fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(smuggled), smuggled),
			fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(smuggled), smuggled)} {
			answers := r.raw(head + " HTTP/1.1\r\nHost: a\r\n" + framing + "GET /auth/me HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + token +
				"\r\nConnection: close\r\n\r\n")
			for i, status := range answers {
				if ok := i == 0 && status/100 == 4 || i == 1 && status == 200; !ok {
					t.Errorf("%s: got %v, want a refusal, then at most the answer to the next request", head, answers)
				}
			}
		}
	}
}

// raw sends bytes on one connection and returns the statuses of all answers.
func (r *rig) raw(text string) []int {
	r.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		r.t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		r.t.Fatal(err)
	}
	if _, err := io.WriteString(conn, text); err != nil {
		r.t.Fatal(err)
	}
	var statuses []int
	answers := bufio.NewReader(conn)
	for {
		resp, err := http.ReadResponse(answers, nil)
		if err != nil {
			return statuses // the server has closed the connection
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		statuses = append(statuses, resp.StatusCode)
	}
}

func TestUnavailable_WhileTheDatabaseIsAway(t *testing.T) {
	t.Parallel()
	away, err := store.Open(store.Settings{DSN: "u:p@tcp(127.0.0.1:1)/x"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { away.Close() })
	r := start(t, nil)
	token := r.login("a", "user")
	cut := &rig{t: t, logs: &lockedBuffer{}, server: &server{DB: away, Keys: r.Keys, Dev: true, Log: r.Log, Now: r.Now,
		Checks: []observe.Check{{Name: "database", Ask: away.Ping}, {Name: "broker", Ask: func(context.Context) error { return nil }}}}}
	cut.listen()
	a := cut.call("GET", "/tasks", token, "")
	if diff := cmp.Diff([]any{503, "unavailable", "3"}, []any{a.status, a.code(t), a.header.Get("Retry-After")}); diff != "" {
		t.Error(diff)
	}
	login := cut.call("POST", "/auth/dev/login", "", `{"nickname":"a"}`)
	if diff := cmp.Diff([]any{503, "unavailable", "3"}, []any{login.status, login.code(t), login.header.Get("Retry-After")}); diff != "" {
		t.Error(diff)
	}
	if a := cut.call("GET", "/healthz", "", ""); a.status != 200 {
		t.Errorf("healthz: got %d", a.status)
	}
	ready := cut.call("GET", "/readyz", "", "")
	var report struct {
		Status string
		Checks map[string]string
	}
	if err := json.Unmarshal(ready.body, &report); err != nil {
		t.Fatal(err)
	}
	if ready.status != 503 || report.Status != "not ready" || report.Checks["broker"] != "ok" || !strings.HasPrefix(report.Checks["database"], "ask the database") {
		t.Errorf("got %d %s", ready.status, ready.body)
	}
}

func TestReady_WhenAllChecksPass(t *testing.T) {
	t.Parallel()
	r := start(t, func(s *server) { s.Checks = []observe.Check{{Name: "database", Ask: s.DB.Ping}} })
	if a := r.call("GET", "/readyz", "", ""); a.status != 200 || !strings.Contains(string(a.body), `"database":"ok"`) {
		t.Errorf("got %d %s", a.status, a.body)
	}
}

func TestPages_NeedNothingFromElsewhere(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	for path, want := range map[string]string{"/": "text/html; charset=utf-8", "/page/app.js": "text/javascript; charset=utf-8",
		"/page/media.js": "text/javascript; charset=utf-8", "/page/style.css": "text/css; charset=utf-8", "/docs": "text/html; charset=utf-8",
		"/page/docs.js": "text/javascript; charset=utf-8"} {
		a := r.call("GET", path, "", "")
		if diff := cmp.Diff([]any{200, want, pagePolicy}, []any{a.status, a.header.Get("Content-Type"), a.header.Get("Content-Security-Policy")}); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
		for _, bad := range []string{`src="http`, `href="http`, "@import", "url(http"} {
			if bytes.Contains(a.body, []byte(bad)) {
				t.Errorf("%s has %s", path, bad)
			}
		}
	}
}

func TestDocument_NamesEveryEndpointAndCode(t *testing.T) {
	t.Parallel()
	r := start(t, func(s *server) { s.Blobs = &shelf{} })
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]any
		Codes   map[string]string `json:"x-problem-codes"`

		Components struct {
			Schemas map[string]struct{ Properties map[string]any }
		}
	}
	if err := json.Unmarshal(r.call("GET", "/openapi.json", "", "").body, &doc); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("3.1.0", doc.OpenAPI); diff != "" {
		t.Error(diff)
	}
	if got := doc.Components.Schemas["TaskView"].Properties; got["task_id"] == nil || got["stages"] == nil {
		t.Errorf("got the properties %v of a task", got)
	}
	if diff := cmp.Diff(problemCodes, doc.Codes); diff != "" {
		t.Error(diff)
	}
	for path, method := range map[string]string{"/tasks": "post", "/tasks/{task_id}": "delete", "/tasks/{task_id}/events": "get",
		"/tasks/{task_id}/stages/{stage}/rerun": "post", "/tasks/{task_id}/lyric": "put", "/images": "post", "/admin/dead/{id}/replay": "post"} {
		if doc.Paths[path][method] == nil {
			t.Errorf("the document lacks %s %s", method, path)
		}
	}
}

func TestCORS_ForNamedOriginsAndInDevelopmentForLocalhost(t *testing.T) {
	t.Parallel()
	r := start(t, func(s *server) { s.Origins = []string{"https://app.example.com"} })
	for origin, want := range map[string]string{"https://app.example.com": "https://app.example.com", "http://localhost:3000": "http://localhost:3000",
		"https://evil.example.com": "", "http://localhost.evil.com": ""} {
		a := r.call("OPTIONS", "/tasks", "", "", "Origin", origin, "Access-Control-Request-Method", "POST")
		if diff := cmp.Diff(want, a.header.Get("Access-Control-Allow-Origin")); diff != "" {
			t.Errorf("%s: %s", origin, diff)
		}
	}
}

// shelf keeps blobs in memory.
type shelf struct {
	mu    sync.Mutex
	blobs map[string][]byte
	err   error
}

func (s *shelf) Keep(_ context.Context, name, contentType string, r io.Reader) (string, error) {
	data, err := io.ReadAll(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil || s.err != nil {
		return "", errors.Join(err, s.err)
	}
	if s.blobs == nil {
		s.blobs = map[string][]byte{}
	}
	s.blobs[name+" "+contentType] = data
	return "https://blobs.example.com/" + name, nil
}

func (s *shelf) Sign(address string) (string, error) { return address + "?signed=now", nil }

func picture(t *testing.T, width, height int, encode func(io.Writer, image.Image) error) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := encode(&out, image.NewGray(image.Rect(0, 0, width, height))); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func asJPEG(w io.Writer, i image.Image) error { return jpeg.Encode(w, i, nil) }

func (r *rig) upload(token string, files ...[]byte) answer {
	r.t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for _, file := range files {
		part, err := form.CreateFormFile("files", "../../사진.exe")
		if err != nil {
			r.t.Fatal(err)
		}
		if _, err := part.Write(file); err != nil {
			r.t.Fatal(err)
		}
	}
	if err := form.Close(); err != nil {
		r.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(r.t.Context(), "POST", r.url+"/images", &body)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Content-Type", form.FormDataContentType())
	req.Header.Set("Authorization", "Bearer "+token)
	return r.do(req)
}

func TestImages_AreStoredByTheirContent(t *testing.T) {
	t.Parallel()
	kept := &shelf{}
	r := start(t, func(s *server) { s.Blobs = kept })
	large := append(picture(t, 300, 200, asJPEG), make([]byte, 5<<20)...)
	a := r.upload(r.login("a", "user"), large, picture(t, 100, 80, png.Encode))
	if a.status != http.StatusCreated {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	images := into[struct{ Images []storedImage }](t, a).Images
	got := []any{len(images), images[0].Width, images[0].ContentType, images[1].Height, images[1].ContentType, len(kept.blobs)}
	if diff := cmp.Diff([]any{2, 300, "image/jpeg", 80, "image/png", 2}, got); diff != "" {
		t.Error(diff)
	}
	for name, data := range kept.blobs {
		if strings.Contains(name, "..") || strings.Contains(name, "exe") || (len(data) != len(large) && strings.Contains(name, "jpeg")) {
			t.Errorf("got blob %q with %d bytes", name, len(data))
		}
	}
}

func TestImages_Refuses(t *testing.T) {
	t.Parallel()
	kept := &shelf{}
	r := start(t, func(s *server) { s.Blobs = kept })
	token := r.login("a", "user")
	good := picture(t, 100, 100, asJPEG)
	var many [][]byte
	for range 21 {
		many = append(many, good)
	}
	rows := map[string]struct {
		files  [][]byte
		status int
		code   string
	}{
		"none":       {nil, 422, "validation_failed"},
		"text":       {[][]byte{good, []byte("<html>hello</html>")}, 422, "image_refused"},
		"tiny":       {[][]byte{picture(t, 1, 1, png.Encode)}, 422, "image_refused"},
		"16 MiB":     {[][]byte{append(bytes.Clone(good), make([]byte, 16<<20)...)}, 422, "image_refused"},
		"too many":   {many, 422, "validation_failed"},
		"not a form": {nil, 415, "unsupported_media_type"},
	}
	for name, row := range rows {
		var a answer
		if name == "not a form" {
			a = r.call("POST", "/images", token, `{"images":[]}`)
		} else {
			a = r.upload(token, row.files...)
		}
		if a.status != row.status && a.status/100 != 4 {
			t.Errorf("%s: got %d %s, want %d", name, a.status, a.body, row.status)
		}
		if row.status == a.status {
			if diff := cmp.Diff(row.code, a.code(t)); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
	}
	if len(kept.blobs) != 0 {
		t.Errorf("got %d blobs, want none", len(kept.blobs))
	}
	kept.err = errors.New("the store of files is away")
	if a := r.upload(token, good); a.status != 503 || a.code(t) != "blobs_unavailable" {
		t.Errorf("got %d %s", a.status, a.body)
	}
	if a := r.upload("", good); a.status != 401 {
		t.Errorf("without a token: got %d", a.status)
	}
}
