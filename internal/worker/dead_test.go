package worker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"castad/events"
	"castad/internal/fault"
	"castad/internal/pipeline"
	"castad/internal/testkit"
	"castad/internal/worker"
	"castad/store"
)

// refusing is a provider that refuses everything until it is told to be well.
type refusing struct{ well atomic.Bool }

func (r *refusing) work(_ context.Context, c store.Claim) (worker.Outcome[int], error) {
	if c.Stage == events.Crawl && !r.well.Load() {
		return worker.Outcome[int]{}, fault.Stop("place_not_found", errors.New("no such place"))
	}
	return worker.Done(1)
}

// given returns n tasks that were given up, and their dead letters.
func (p *pipe) given(n int) (tasks, letters []string) {
	p.t.Helper()
	tasks = p.submit(n)
	p.eventually(pipeline.TaskFailed, tasks...)
	for _, id := range tasks {
		letters = append(letters, dead(p, id).ID)
	}
	testkit.Eventually(p.t, "the letters are on the stream", func() bool { return messages(p, p.broker.Names().DeadStream()) == n })
	return tasks, letters
}

func (p *pipe) publish(stage events.Stage, task, body string) {
	p.t.Helper()
	if _, err := p.broker.JetStream().Publish(p.t.Context(), p.broker.Names().Work(stage, task), []byte(body)); err != nil {
		p.t.Fatal(err)
	}
}

func (p *pipe) ask(stage events.Stage, task, letter string) {
	p.t.Helper()
	p.publish(stage, task, fmt.Sprintf(`{"v":1,"task_id":%q,"stage":%q,"replay":%q}`, task, stage, letter))
}

// quiet waits until nothing is queued and nobody is owed anything on the dead stream but letters messages.
func (p *pipe) quiet(letters int) {
	p.t.Helper()
	names := p.broker.Names()
	testkit.Eventually(p.t, "the work stream is empty", func() bool { return messages(p, names.WorkStream()) == 0 })
	testkit.Eventually(p.t, fmt.Sprintf("%d letters are on the dead stream", letters), func() bool { return messages(p, names.DeadStream()) == letters })
}

func TestReplay_AskedForByAMessage(t *testing.T) {
	t.Parallel()
	var provider refusing
	p := newPipe(t, testkit.NATS(t), provider.work)
	p.all()
	tasks, letters := p.given(3)
	provider.well.Store(true)
	for range 3 { // the same three times
		p.ask(events.Crawl, tasks[0], letters[0])
	}
	p.eventually(pipeline.TaskCompleted, tasks[0])
	p.quiet(2)
	p.ask(events.Crawl, tasks[0], letters[0])
	p.quiet(2)
	if got := p.results(tasks[0]); got != len(events.Stages) {
		t.Errorf("%d results were saved, want %d", got, len(events.Stages))
	}
	if got := p.results(tasks[1:]...); got != 0 {
		t.Errorf("%d results of the others were saved", got)
	}
}

// What a message asks for that isn't there, or isn't of the run on whose subject it asks, changes nothing; what can't be
// an id is buried, once.
func TestReplay_AskedForWrongly(t *testing.T) {
	t.Parallel()
	var provider refusing
	p := newPipe(t, testkit.NATS(t), provider.work)
	p.all()
	tasks, letters := p.given(2)
	provider.well.Store(true)
	nobody := "0199d4a0-0000-7000-8000-00000000dead"
	p.ask(events.Crawl, tasks[0], nobody)
	p.ask(events.Crawl, tasks[0], p.broker.Names().WorkStream()+"-1")
	p.ask(events.Crawl, tasks[0], letters[1]) // of another task
	p.ask(events.Song, tasks[0], letters[0])  // of another stage
	p.ask(events.Crawl, nobody, nobody)
	p.ask(events.Crawl, "none", letters[0])
	p.quiet(2)
	p.ask(events.Crawl, tasks[0], "not an id; drop table")
	p.quiet(3)
	for i, id := range tasks {
		if p.status(id) != pipeline.TaskFailed || dead(p, id).ID != letters[i] {
			t.Errorf("task %s is %s, its letter %+v", id, p.status(id), dead(p, id))
		}
	}
}

// Replays of all kinds, by many at once, while the stage is paused: after it goes on, each run is done once.
func TestReplay_WhileTheStageIsPaused(t *testing.T) {
	t.Parallel()
	var provider refusing
	p := newPipe(t, testkit.NATS(t), provider.work)
	p.all()
	tasks, letters := p.given(12)
	provider.well.Store(true)
	stream, err := p.broker.JetStream().Stream(t.Context(), p.broker.Names().WorkStream())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.PauseConsumer(t.Context(), string(events.Crawl), time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	var replayed atomic.Int64
	var operators sync.WaitGroup
	for range 4 {
		operators.Go(func() {
			for i := range letters {
				done, err := p.db.Replay(context.Background(), letters[i])
				if err != nil {
					t.Error(err)
				}
				if done {
					replayed.Add(1)
				}
			}
		})
		operators.Go(func() {
			for i := range letters {
				body := fmt.Sprintf(`{"v":1,"replay":%q}`, letters[i])
				if _, err := p.broker.JetStream().Publish(context.Background(), p.broker.Names().Work(events.Crawl, tasks[i]), []byte(body)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	operators.Wait()
	if replayed.Load() != int64(len(letters)) {
		t.Errorf("%d replays were done, want %d", replayed.Load(), len(letters))
	}
	testkit.Eventually(t, "the dead stream is empty", func() bool { return messages(p, p.broker.Names().DeadStream()) == 0 })
	if got := p.results(tasks...); got != 0 {
		t.Errorf("%d results were saved by a paused stage", got)
	}
	if _, err := stream.ResumeConsumer(t.Context(), string(events.Crawl)); err != nil {
		t.Fatal(err)
	}
	p.eventually(pipeline.TaskCompleted, tasks...)
	p.quiet(0)
	if got, want := p.results(tasks...), len(tasks)*len(events.Stages); got != want {
		t.Errorf("%d results were saved, want %d", got, want)
	}
}

// Messages and drops race: a run is done, or its letter was dropped, never both.
func TestReplay_RacesWithDrops(t *testing.T) {
	t.Parallel()
	var provider refusing
	p := newPipe(t, testkit.NATS(t), provider.work)
	p.all()
	tasks, letters := p.given(16)
	provider.well.Store(true)
	dropped := make([]atomic.Bool, len(letters))
	var all sync.WaitGroup
	for i := range letters {
		all.Go(func() {
			done, err := p.db.Drop(context.Background(), letters[i])
			if err != nil {
				t.Error(err)
			}
			dropped[i].Store(done)
		})
		p.ask(events.Crawl, tasks[i], letters[i])
	}
	all.Wait()
	p.quiet(0)
	for i, id := range tasks {
		want, results := pipeline.TaskCompleted, len(events.Stages)
		if dropped[i].Load() {
			want, results = pipeline.TaskFailed, 0
		}
		p.eventually(want, id)
		if got := p.results(id); got != results {
			t.Errorf("dropped %v: %d results were saved", dropped[i].Load(), got)
		}
	}
}

func TestReplay_LogsNoBodies(t *testing.T) {
	t.Parallel()
	logs := &lockedLog{}
	p := newPipe(t, testkit.NATS(t), done)
	p.relay()
	p.worker(events.Crawl, func(s *worker.Settings) { s.Log = zerolog.New(logs) })
	p.publish(events.Crawl, "none", `{"v":1,"replay":"Bearer sk-secret"}`)
	p.ask(events.Crawl, "none", "0199d4a0-0000-7000-8000-00000000dead")
	p.quiet(1)
	testkit.Eventually(t, "the unknown letter is in the log", func() bool { return strings.Contains(logs.String(), "there is no such dead letter") })
	if strings.Contains(logs.String(), "sk-secret") {
		t.Errorf("a message's body is in the log: %s", logs)
	}
}

type lockedLog struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lockedLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
