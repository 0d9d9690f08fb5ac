package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"castad/events"
	"castad/internal/e2e"
	"castad/internal/testkit"
)

// Somebody publishes every message of the programs once more, asks for every stage before its time, and sends messages
// that are a week old. The broker delivers them all, and every task completes once.
func TestDuplicates_EveryMessageTwice(t *testing.T) {
	t.Parallel()
	p := alone(t)
	rows := p.Rows(t)
	done, deleted := p.Submit("done", order(0, "Korean")), p.Submit("deleted", order(1, "English"))
	p.Completed(done, deleted)
	if status := post(t, p, http.MethodDelete, "/tasks/"+deleted, "", ""); status >= 300 {
		t.Fatalf("delete a task: status %d", status)
	}
	const told = "SELECT COUNT(*) FROM `task_event` WHERE `task_id` IN (?,?)"
	before := count(t, rows, told, done, deleted)
	e := newEcho(t, p.Brokers().URL())
	underLoad(t, p, []fault{{"twice", func(l *e2e.Load) {
		e.old(t, done, deleted)
		l.Completes(8)
	}}})
	e.stop()
	if after := count(t, rows, told, done, deleted); after != before {
		t.Errorf("old messages about ended tasks made %d events", after-before)
	}
	runs := count(t, rows, "SELECT COUNT(*) FROM `stage_run`") - 12 // of the two tasks before
	if work, early := e.work.Load(), e.early.Load(); work < int64(runs) || early < int64(runs/6) {
		t.Errorf("of %d runs %d messages were repeated, and %d tasks were asked for too early", runs, work, early)
	}
	facts := count(t, rows, "SELECT COUNT(*) FROM `task_event`")
	testkit.Eventually(t, "the stream has what was told, and what was told again", func() bool {
		return p.Messages("CASTAD_FACTS") == facts+int(e.facts.Load())
	})
	if got := p.Messages("CASTAD_DEAD"); got != 0 {
		t.Errorf("%d messages became dead letters", got)
	}
}

// echoed marks what the echo itself has published.
const echoed = "Castad-Test-Echo"

// echo publishes again what it hears on the broker, as new messages.
type echo struct {
	ctx  context.Context
	stop func()
	js   jetstream.JetStream
	crew sync.WaitGroup

	work, early, facts atomic.Int64 // messages that the broker took
}

func newEcho(t *testing.T, url string) *echo {
	t.Helper()
	conn, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	e := &echo{ctx: ctx, js: js}
	e.stop = func() { cancel(); e.crew.Wait(); conn.Close() }
	t.Cleanup(e.stop)
	e.hear(t, events.DefaultNames.WorkFilter("*"), e.repeatWork)
	e.hear(t, events.DefaultNames.FactsFilter(), func(m *nats.Msg) { e.publish(m.Subject, m.Data, &e.facts) })
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	return e
}

func (e *echo) hear(t *testing.T, subject string, do func(m *nats.Msg)) {
	t.Helper()
	_, err := e.js.Conn().Subscribe(subject, func(m *nats.Msg) {
		if m.Header.Get(echoed) == "" && m.Header.Get("Status") == "" {
			e.crew.Go(func() { do(m) })
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// repeatWork publishes a work message again, and asks for all later stages when it is one for the first.
func (e *echo) repeatWork(m *nats.Msg) {
	e.publish(m.Subject, m.Data, &e.work)
	if stage, task, err := events.DefaultNames.ParseWork(m.Subject); err == nil && stage == events.Crawl {
		e.want(task, events.Stages[1:], time.Now(), &e.early)
	}
}

// old asks for all stages of tasks as if a week ago.
func (e *echo) old(t *testing.T, tasks ...string) {
	t.Helper()
	var took atomic.Int64
	for _, task := range tasks {
		e.want(task, events.Stages, time.Now().Add(-7*24*time.Hour), &took)
	}
	if want := int64(len(tasks) * len(events.Stages)); took.Load() != want {
		t.Errorf("the broker took %d of %d old messages", took.Load(), want)
	}
}

func (e *echo) want(task string, stages []events.Stage, at time.Time, took *atomic.Int64) {
	for _, stage := range stages {
		body, _ := json.Marshal(events.Wanted{Version: events.SchemaVersion, TaskID: task, Stage: stage, Revision: 1, Reason: events.ReasonNew, WantedAt: at})
		e.publish(events.DefaultNames.Work(stage, task), body, took)
	}
}

const echoAgain = 10 * time.Millisecond

// publish holds out until the broker takes a message: of work for one stage of a task it keeps one at a time.
func (e *echo) publish(subject string, body []byte, took *atomic.Int64) {
	for e.ctx.Err() == nil {
		_, err := e.js.PublishMsg(e.ctx, &nats.Msg{Subject: subject, Data: body, Header: nats.Header{echoed: {"1"}}})
		if err == nil {
			took.Add(1)
			return
		}
		if refused := (*jetstream.APIError)(nil); errors.As(err, &refused) && !strings.Contains(refused.Description, "maximum messages per subject") {
			return
		}
		<-time.After(echoAgain)
	}
}
