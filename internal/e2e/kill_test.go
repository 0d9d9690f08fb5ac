package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"castad/internal/e2e"
	"castad/internal/testkit"
)

// languages go round, so that tasks of one place differ.
var languages = []string{"Korean", "English", "Chinese", "Japanese", "Thai", "Vietnamese"}

// submitAll posts n tasks, each under its own key.
func submitAll(p *e2e.Product, n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = p.Submit(fmt.Sprintf("order-%d", i), order(i, languages[i%len(languages)]))
	}
	return ids
}

// completedOf counts how many tasks have come to their end.
func completedOf(p *e2e.Product, ids []string) int {
	n := 0
	for _, id := range ids {
		if task, err := p.Task(id); err == nil && task.Status == "completed" {
			n++
		}
	}
	return n
}

// paidOnce compares the sandbox's bill with what the tasks should have cost. Where nobody could know what became of a
// song or a render, the task waited for a person, and the test was that person. They are ordered again only after their
// provider would have told of them, so that nothing is charged twice, but for a song whose callback came while the API
// was dead.
func paidOnce(t *testing.T, p *e2e.Product, ids []string) {
	t.Helper()
	bill := p.Bill()
	for mark, calls := range bill.Marks {
		if calls != 1 && !strings.HasPrefix(mark, "youtube:") && !strings.HasPrefix(mark, "instagram:") {
			t.Errorf("%s was charged %d times", mark, calls)
		}
	}
	p.LedgerIsBill(t)
	if got := bill.Providers["creatomate"].Calls; got != len(ids) {
		t.Errorf("creatomate was paid for %d renders of %d tasks", got, len(ids))
	}
	if got := bill.Providers["suno"].Calls; got < len(ids) || got > len(ids)+decidedFor(t, p, "suno") {
		t.Errorf("suno was paid for %d songs of %d tasks, %d of them decided by a person", got, len(ids), decidedFor(t, p, "suno"))
	}
	for _, id := range ids {
		task, err := p.Task(id)
		if err != nil || len(task.Posts) != 2 {
			t.Errorf("task %s: %d posts, %v", id, len(task.Posts), err)
		}
		for _, stage := range task.Stages {
			if stage.Status != "completed" || stage.Revision != 1 {
				t.Errorf("task %s: %+v", id, stage)
			}
		}
	}
}

// Each program is killed in the middle of a run, and started again: every accepted task completes, nothing is charged
// twice. Answers take a moment, so that the kill meets calls under way.
func TestKill_EachProgram(t *testing.T) {
	t.Parallel()
	for _, name := range e2e.Programs {
		t.Run(name, func(t *testing.T) {
			p := e2e.Start(t, e2e.Options{Env: map[string]string{"CASTAD_SANDBOX_ANSWER": "200ms", "CASTAD_SANDBOX_SONG": "200ms", "CASTAD_SANDBOX_RENDER": "200ms"}})
			p.Login()
			ids := submitAll(p, 24)
			testkit.Eventually(t, "some are done", func() bool { return completedOf(p, ids) >= 2 })
			p.Kill(name)
			p.Run(name)
			p.Completed(ids...)
			paidOnce(t, p, ids)
		})
	}
}

// The broker's store is deleted while tasks are under way: what the rows want is filed again.
func TestBroker_StoreDeletedUnderWay(t *testing.T) {
	t.Parallel()
	p := e2e.Start(t, e2e.Options{Copies: 2, Env: map[string]string{"CASTAD_SANDBOX_SONG": "300ms"}})
	p.Login()
	ids := submitAll(p, 40)
	testkit.Eventually(t, "some are done", func() bool { return completedOf(p, ids) >= 2 })
	p.Kill("broker")
	p.WipeBroker()
	p.StartBroker()
	p.Completed(ids...)
	paidOnce(t, p, ids)
}

// The database is killed in the middle of a run.
func TestKill_Database(t *testing.T) {
	t.Parallel()
	p := e2e.Start(t, e2e.Options{Database: true, Env: map[string]string{"CASTAD_SANDBOX_SONG": "300ms"}})
	p.Login()
	ids := submitAll(p, 24)
	testkit.Eventually(t, "some are done", func() bool { return completedOf(p, ids) >= 2 })
	p.KillDatabase()
	p.StartDatabase()
	p.Completed(ids...)
	paidOnce(t, p, ids)
}

// Everything is killed at once, and started again.
func TestKill_All(t *testing.T) {
	t.Parallel()
	p := e2e.Start(t, e2e.Options{Env: map[string]string{"CASTAD_SANDBOX_SONG": "300ms"}})
	p.Login()
	ids := submitAll(p, 24)
	testkit.Eventually(t, "some are done", func() bool { return completedOf(p, ids) >= 2 })
	all := append([]string{"broker"}, e2e.Programs...)
	for _, name := range all {
		p.Kill(name)
	}
	p.StartBroker()
	for _, name := range e2e.Programs {
		p.Run(name)
	}
	p.Completed(ids...)
	paidOnce(t, p, ids)
}

func decidedFor(t *testing.T, p *e2e.Product, provider string) (n int) {
	for call, times := range p.Decided(t) {
		if strings.HasPrefix(call, provider+":") {
			n += times
		}
	}
	return n
}
