package e2e_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"castad/internal/e2e"
	"castad/internal/testkit"
)

// post sends a command and returns the status.
func post(t *testing.T, p *e2e.Product, method, path, key, body string) int {
	t.Helper()
	header := map[string]string{}
	if key != "" {
		header["Idempotency-Key"] = key
	}
	status, err := p.Call(method, path, header, strings.NewReader(body), nil)
	if status == 0 || status >= 500 {
		t.Errorf("%s %s: %d, %v", method, path, status, err)
	}
	return status
}

// stageOf returns how a stage of a task is.
func stageOf(t *testing.T, p *e2e.Product, id, stage string) (status string, revision int) {
	t.Helper()
	task, err := p.Task(id)
	if err != nil {
		t.Error(err)
	}
	for _, s := range task.Stages {
		if s.Stage == stage {
			return s.Status, s.Revision
		}
	}
	return "", 0
}

// 64 clicks on one button, at two API processes: one task, by one key, whoever came first.
func TestRace_SameSubmissionAtOnce(t *testing.T) {
	t.Parallel()
	p := e2e.Start(t, e2e.Options{Copies: 2})
	p.Login()
	var all sync.WaitGroup
	ids := make([]string, 64)
	for i := range ids {
		all.Go(func() { ids[i] = p.Submit("one click", order(0, "Korean")) })
	}
	all.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Fatalf("one key made tasks %s and %s", ids[0], id)
		}
	}
	if status := post(t, p, "POST", "/tasks", "one click", order(1, "English")); status != http.StatusUnprocessableEntity && status != http.StatusConflict {
		t.Errorf("another request under the same key: %d", status)
	}
	p.Completed(ids[0])
	paidOnce(t, p, ids[:1])
}

// Cancelling races with every step of the work, and with the completion. Who was told that it is cancelled finds it
// cancelled; nothing goes on behind it, and what was ordered is in the ledger.
func TestRace_CancelAtAnyTime(t *testing.T) {
	t.Parallel()
	p := e2e.Start(t, e2e.Options{Env: slow, Copies: 2})
	p.Login()
	var all sync.WaitGroup
	for i := range 40 {
		id := p.Submit(fmt.Sprintf("cancel-%d", i), order(i, languages[i%len(languages)]))
		after := time.Duration(rand.Int64N(int64(3 * time.Second)))
		all.Go(func() {
			<-time.After(after)
			status := post(t, p, "POST", "/tasks/"+id+"/cancel", "", "")
			ended := map[int]string{http.StatusOK: "cancelled", http.StatusAccepted: "cancelled", http.StatusConflict: "completed"}[status]
			testkit.Eventually(t, "the task is "+ended, func() bool {
				task, err := p.Task(id)
				return err == nil && task.Status == ended
			})
		})
	}
	all.Wait()
	p.Quiet()
	p.LedgerIsBill(t)
	for mark, calls := range p.Bill().Marks {
		if calls != 1 {
			t.Errorf("%s was charged %d times", mark, calls)
		}
	}
}

// An owner changes the lyrics again and again while song and video are being made of the old ones. The last word wins,
// each revision pays at most once, and the published video is of the newest.
func TestRace_EditsWhileTheWorkGoesOn(t *testing.T) {
	t.Parallel()
	p := e2e.Start(t, e2e.Options{Env: slow, Copies: 2})
	p.Login()
	var all sync.WaitGroup
	for i := range 8 {
		id := p.Submit(fmt.Sprintf("edit-%d", i), order(i, "Korean"))
		all.Go(func() {
			testkit.Eventually(t, "there are lyrics", func() bool { status, _ := stageOf(t, p, id, "lyric"); return status == "completed" })
			var result struct{ Lyric struct{ Text string } }
			if _, err := p.Call("GET", "/tasks/"+id+"/stages/lyric/result", nil, nil, &result); err != nil {
				t.Errorf("read the lyrics: %v", err)
			}
			for n, title := range []string{"하나", "둘", "셋", "넷", "다섯"} {
				<-time.After(time.Duration(rand.Int64N(int64(400 * time.Millisecond))))
				body, _ := json.Marshal(map[string]string{"title": title, "text": result.Lyric.Text}) // strings: can't fail
				if status := post(t, p, "PUT", "/tasks/"+id+"/lyric", "", string(body)); status >= 300 {
					t.Errorf("edit %d: %d", n, status)
				}
			}
			p.Completed(id)
			if status, revision := stageOf(t, p, id, "video"); status != "completed" || revision != 6 {
				t.Errorf("video of task %s is %s at revision %d", id, status, revision)
			}
		})
	}
	all.Wait()
	p.Quiet()
	p.LedgerIsBill(t)
	for mark, calls := range p.Bill().Marks {
		if calls != 1 && !strings.HasPrefix(mark, "youtube:") && !strings.HasPrefix(mark, "instagram:") {
			t.Errorf("%s was charged %d times", mark, calls)
		}
	}
}

// Ten people press retry at once on each failed stage: each is tried again once.
func TestRace_RetriesAtOnce(t *testing.T) {
	t.Parallel()
	p := e2e.Start(t, e2e.Options{})
	p.Login()
	p.Fault(`{"provider":"suno","call":"create","what":"credits","count":8}`)
	ids := submitAll(p, 8)
	for _, id := range ids {
		testkit.Eventually(t, "the song has failed", func() bool { status, _ := stageOf(t, p, id, "song"); return status == "failed" })
	}
	var all sync.WaitGroup
	for _, id := range ids {
		for range 10 {
			all.Go(func() { post(t, p, "POST", "/tasks/"+id+"/stages/song/retry", "", "") })
		}
	}
	all.Wait()
	p.Completed(ids...)
	paidOnce(t, p, ids)
}
