package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"castad/internal/fault"
	"castad/providers"
	"castad/providers/creatomate"
	"castad/providers/sandbox"
	"castad/store"
)

func TestVideo_LostAnswerIsFoundInTheList(t *testing.T) {
	t.Parallel()
	r := atVideo(t, sandbox.Durations{})
	r.Fail(t, sandbox.Fault{Provider: "creatomate", What: "lost", Contains: paidOnly, Count: 1})
	r.wantFault(t, fault.Uncertain, store.CodeOutcomeUnknown)
	r.work(t)
	r.wantBilled(t, 1)
}

// dying is a render service whose caller is killed as soon as an order has arrived.
type dying struct{ renderer }

func (d dying) Submit(ctx context.Context, order providers.RenderOrder) (string, error) {
	_, err := d.renderer.Submit(ctx, order)
	panic(fmt.Sprint("kill -9 ", err))
}

func TestVideo_CrashInTheOrderIsFoundInTheList(t *testing.T) {
	t.Parallel()
	r := atVideo(t, sandbox.Durations{})
	alive := r.Renderer
	r.Renderer = dying{alive}
	died := make(chan struct{})
	go func() {
		defer close(died)
		defer func() { _ = recover() }()
		_, _ = r.Work(context.Background(), r.claim)
	}()
	<-died
	if job := r.job(t); job.Status != store.JobSent || job.ExternalID != "" {
		t.Fatalf("after the crash: %+v", job)
	}
	r.Renderer = alive
	r.work(t)
	r.wantBilled(t, 1)
}

// unlisted is a render service that doesn't offer the undocumented list.
func (r *rig) unlisted(t *testing.T) {
	t.Helper()
	r.Fail(t, sandbox.Fault{Provider: "creatomate", Call: "list", What: "status", Status: http.StatusNotFound})
}

func TestVideo_LostAnswerIsFoundByTheWebhook(t *testing.T) {
	t.Parallel()
	r := atVideo(t, sandbox.Durations{})
	r.unlisted(t)
	r.Fail(t, sandbox.Fault{Provider: "creatomate", What: "lost", Contains: paidOnly, Count: 1})
	for range 2 {
		r.wantFault(t, fault.Uncertain, store.CodeOutcomeUnknown)
	}
	call := <-r.calls
	id, err := creatomate.ParseCallback(call.body)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // callbacks may come twice
		if err := r.DB.Hint(t.Context(), "creatomate", call.token, id); err != nil {
			t.Fatal(err)
		}
	}
	if video := r.work(t); video.RenderID != id {
		t.Errorf("the webhook named %s, the video is of %s", id, video.RenderID)
	}
	r.wantBilled(t, 1)
}

// A webhook isn't signed: an id that it names is ours only if the render carries the call's own metadata.
func TestVideo_ForgedWebhooksAreNotBelieved(t *testing.T) {
	t.Parallel()
	r := atVideo(t, sandbox.Durations{})
	r.unlisted(t)
	r.Fail(t, sandbox.Fault{Provider: "creatomate", What: "lost", Contains: paidOnly, Count: 1})
	r.wantFault(t, fault.Uncertain, store.CodeOutcomeUnknown)
	job := r.job(t)
	again := job
	again.Try = 2
	for _, forged := range []string{r.order(t, `{"task_id":"another"}`), r.order(t, ""), r.order(t, metadata(again)), "no-such-render",
		"../templates", "?", strings.Repeat("숲", 300)} {
		if err := r.DB.Hint(t.Context(), "creatomate", job.Token, forged); err != nil {
			t.Fatal(err)
		}
		r.wantFault(t, fault.Uncertain, store.CodeOutcomeUnknown)
	}
	if job := r.job(t); job.Status != store.JobUnknown || job.ExternalID != "" {
		t.Errorf("after forged webhooks: %+v", job)
	}
}

// order has somebody else order a render, and returns its id.
func (r *rig) order(t *testing.T, metadata string) string {
	t.Helper()
	order := map[string]any{"elements": []map[string]string{{"type": "text", "name": "Name", "text": "남의 펜션"}}, "duration": 3, "metadata": metadata}
	var made struct{ ID string }
	if err := json.Unmarshal(r.post(t, "/creatomate/v2/renders", order), &made); err != nil {
		t.Fatal(err)
	}
	return made.ID
}
