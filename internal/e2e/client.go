package e2e

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"castad/internal/testkit"
)

// caller gives up on what isn't answered at all.
var caller = &http.Client{Timeout: 30 * time.Second}

// Call asks the API, decodes its answer into out (nil for none), and returns the status. A request that doesn't come
// through is an error.
func (p *Product) Call(method, path string, header map[string]string, body io.Reader, out any) (int, error) {
	req, err := http.NewRequest(method, p.api()+path, body)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	if p.token != "" {
		req.Header.Set("Authorization", "Bearer "+p.token)
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	resp, err := caller.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return resp.StatusCode, err
	}
	if out != nil && resp.StatusCode < 300 {
		return resp.StatusCode, json.Unmarshal(raw, out)
	}
	if resp.StatusCode >= 300 {
		err = errors.New(string(raw))
	}
	return resp.StatusCode, err
}

// Login takes a development token for all further calls.
func (p *Product) Login() {
	p.t.Helper()
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if _, err := p.Call("POST", "/auth/dev/login", nil, strings.NewReader(`{"nickname":"tester"}`), &answer); err != nil {
		p.t.Fatal(err)
	}
	p.token = answer.AccessToken
}

// Submit posts a task until it is accepted, under one idempotency key, and returns its id.
func (p *Product) Submit(key, body string) string {
	p.t.Helper()
	var task struct {
		TaskID string `json:"task_id"`
	}
	testkit.Eventually(p.t, "the submission "+key+" is accepted", func() bool {
		status, err := p.Call("POST", "/tasks", map[string]string{"Idempotency-Key": key}, strings.NewReader(body), &task)
		if status >= 400 && status < 500 {
			p.t.Fatalf("submission %s is refused: %v", key, err)
		}
		return err == nil
	})
	return task.TaskID
}

// Task is what the API says of a task.
type Task struct {
	TaskID   string `json:"task_id"`
	Status   string `json:"status"`
	Name     string `json:"name"`
	Code     string `json:"code"`
	Reason   string `json:"reason"`
	VideoURL string `json:"video_url"`
	Posts    []struct {
		Platform string `json:"platform"`
		URL      string `json:"url"`
		Title    string `json:"title"`
	} `json:"posts"`
	Stages []struct {
		Stage    string `json:"stage"`
		Status   string `json:"status"`
		Revision int    `json:"revision"`
		Code     string `json:"code"`
		Reason   string `json:"reason"`
	} `json:"stages"`
}

// Task asks the API for a task.
func (p *Product) Task(id string) (Task, error) {
	var task Task
	_, err := p.Call("GET", "/tasks/"+id, nil, nil, &task)
	return task, err
}

// patience is how long a whole load may take for what takes seconds on a machine of its own.
const patience = 4 * time.Minute

// Completed waits until all tasks are completed. A task that fails ends the test with its reason.
func (p *Product) Completed(ids ...string) {
	p.t.Helper()
	deadline := time.Now().Add(patience)
	for _, id := range ids {
		var last Task
		for last.Status != "completed" {
			if task, err := p.Task(id); err == nil {
				last = task
			}
			if last.waitsForWord() {
				p.decide()
			}
			if last.Status == "failed" || time.Now().After(deadline) {
				p.t.Fatalf("task %s is %q: %s %s; stages %+v", id, last.Status, last.Code, last.Reason, last.Stages)
			}
			if last.Status != "completed" {
				<-time.After(20 * time.Millisecond)
			}
		}
	}
}
