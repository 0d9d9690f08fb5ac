package main

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql"
	"github.com/rs/zerolog"

	"castad/internal/auth"
	"castad/internal/testkit"
	"castad/providers/creatomate"
	"castad/providers/fetch"
	"castad/providers/suno"
	"castad/store"
)

// rig is a server on loopback with a database of its own.
type rig struct {
	*server
	t    *testing.T
	url  string
	rows *sql.DB
	logs *lockedBuffer
}

func start(t *testing.T, change func(*server)) *rig {
	t.Helper()
	dsn := testkit.Database(t)
	db, err := store.Open(store.Settings{DSN: dsn, MaxOpen: 8})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	rows, err := sql.Open("mysql", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rows.Close() })
	r := &rig{t: t, rows: rows, logs: &lockedBuffer{}}
	r.server = &server{DB: db, Keys: testKeys(t), Dev: true, Log: zerolog.New(r.logs), Now: time.Now, CheckURL: fetch.New(fetch.Config{}).CheckURL,
		Callbacks: map[string]func([]byte) (string, error){"suno": suno.ParseCallback, "creatomate": creatomate.ParseCallback}}
	if change != nil {
		change(r.server)
	}
	r.listen()
	return r
}

func (r *rig) listen() {
	r.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	app := r.app()
	ended := make(chan error, 1)
	go func() { ended <- app.Listener(listener) }()
	r.t.Cleanup(func() {
		r.hub.close()
		if err := app.ShutdownWithTimeout(10 * time.Second); err != nil {
			r.t.Errorf("shut down: %v", err)
		}
		<-ended
	})
	r.url = "http://" + listener.Addr().String()
}

func testKeys(t *testing.T) auth.Keys {
	t.Helper()
	keys, err := auth.NewKeys(auth.Key{ID: "test", Secret: bytes.Repeat([]byte{'k'}, 32)})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) code(t *testing.T) string {
	t.Helper()
	var p Problem
	if err := json.Unmarshal(a.body, &p); err != nil {
		t.Fatalf("the answer %q isn't a problem: %v", a.body, err)
	}
	if got := a.header.Get("Content-Type"); got != problemType || p.Status != a.status || p.Type != "/docs#"+p.Code || p.Detail == "" {
		t.Errorf("got content type %q and %+v, want a whole problem document with status %d", got, p, a.status)
	}
	if _, ok := problemCodes[p.Code]; !ok {
		t.Errorf("code %q isn't documented", p.Code)
	}
	return p.Code
}

func into[T any](t *testing.T, a answer) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(a.body, &v); err != nil {
		t.Fatalf("read %q: %v", a.body, err)
	}
	return v
}

func (r *rig) call(method, path, token, body string, headers ...string) answer {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.url+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return r.do(req)
}

func (r *rig) do(req *http.Request) answer {
	r.t.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, raw}
}

// login returns a token of the user with that nickname.
func (r *rig) login(nickname, role string) string {
	r.t.Helper()
	a := r.call("POST", "/auth/dev/login", "", fmt.Sprintf(`{"nickname":%q,"role":%q}`, nickname, role))
	if a.status != http.StatusOK {
		r.t.Fatalf("log in: %d %s", a.status, a.body)
	}
	var out struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(a.body, &out); err != nil {
		r.t.Fatal(err)
	}
	return out.AccessToken
}

const goodTask = `{"url":"https://map.naver.com/p/entry/place/1133638931"}`

// submitted returns the id of a fresh task.
func (r *rig) submitted(token, body string) string {
	r.t.Helper()
	a := r.call("POST", "/tasks", token, body)
	if a.status != http.StatusAccepted {
		r.t.Fatalf("submit: %d %s", a.status, a.body)
	}
	return into[taskView](r.t, a).TaskID
}

// count returns how many rows there are of tasks and all that belongs to them.
func (r *rig) count() int {
	r.t.Helper()
	sum := 0
	for _, table := range []string{"task", "stage_run", "task_event", "idempotency_key"} {
		var n int
		if err := r.rows.QueryRowContext(r.t.Context(), "SELECT COUNT(*) FROM `"+table+"`").Scan(&n); err != nil {
			r.t.Fatal(err)
		}
		sum += n
	}
	return sum
}

func (r *rig) exec(statement string, args ...any) {
	r.t.Helper()
	if _, err := r.rows.ExecContext(r.t.Context(), statement, args...); err != nil {
		r.t.Fatal(err)
	}
}

// stream is an open event stream.
type stream struct {
	t      *testing.T
	lines  *bufio.Scanner
	cancel context.CancelFunc
}

func (r *rig) watching(token, taskID, lastEventID string) *stream {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 30*time.Second)
	req, err := http.NewRequestWithContext(ctx, "GET", r.url+"/tasks/"+taskID+"/events", nil)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if lastEventID != "" {
		req.Header.Set("Last-Event-ID", lastEventID)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { cancel(); resp.Body.Close() })
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		r.t.Fatalf("watch: %d %s", resp.StatusCode, resp.Header.Get("Content-Type"))
	}
	return &stream{t: r.t, lines: bufio.NewScanner(resp.Body), cancel: cancel}
}

// next returns the id of the next event, and false at the stream's end.
func (s *stream) next() (id int64, data string, ok bool) {
	for s.lines.Scan() {
		line := s.lines.Text()
		if text, found := strings.CutPrefix(line, "id: "); found {
			if _, err := fmt.Sscan(text, &id); err != nil {
				s.t.Fatal(err)
			}
		}
		if text, found := strings.CutPrefix(line, "data: "); found {
			return id, text, true
		}
	}
	return 0, "", false
}

// ids returns the ids of the next n events.
func (s *stream) ids(n int) []int64 {
	s.t.Helper()
	var ids []int64
	for range n {
		id, _, ok := s.next()
		if !ok {
			s.t.Fatalf("the stream ended after %v: %v", ids, s.lines.Err())
		}
		ids = append(ids, id)
	}
	return ids
}

func upTo(from, to int64) []int64 {
	var ids []int64
	for id := from; id <= to; id++ {
		ids = append(ids, id)
	}
	return ids
}
