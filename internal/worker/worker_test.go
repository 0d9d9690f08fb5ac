package worker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"castad/events"
	"castad/internal/broker"
	"castad/internal/fault"
	"castad/internal/pipeline"
	"castad/internal/relay"
	"castad/internal/testkit"
	"castad/internal/worker"
	"castad/providers"
	"castad/store"
)

const owner = "0199d4a0-0000-7000-8000-000000000001"

// pipe is the whole spine on a real broker and a real database, with stages made of functions.
type pipe struct {
	t      *testing.T
	dsn    string
	db     *store.DB
	broker *broker.Broker
	work   func(ctx context.Context, c store.Claim) (worker.Outcome[int], error)
}

// stage makes the pipe's function a stage.
type stage struct{ p *pipe }

func (s stage) Work(ctx context.Context, c store.Claim) (worker.Outcome[int], error) {
	return s.p.work(ctx, c)
}

func (s stage) Save(context.Context, *store.Tx, store.Claim, int) error { return nil }

func newPipe(t *testing.T, url string, work func(context.Context, store.Claim) (worker.Outcome[int], error)) *pipe {
	t.Helper()
	dsn := testkit.Database(t)
	db, err := store.Open(store.Settings{DSN: dsn})
	if err != nil {
		t.Fatal(err)
	}
	names, err := events.Prefixed(testkit.Prefix(t))
	if err != nil {
		t.Fatal(err)
	}
	b, err := broker.Connect(broker.Settings{URL: url, Name: t.Name(), Names: names, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	db.Nudge = b.Wake
	t.Cleanup(func() { b.Close(); db.Close() })
	return &pipe{t: t, dsn: dsn, db: db, broker: b, work: work}
}

// run starts a program and returns how to end it; the test's end ends it too.
func (p *pipe) run(program func(ctx context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	ended.Go(func() { program(ctx) })
	stop = sync.OnceFunc(func() { cancel(); ended.Wait() })
	p.t.Cleanup(stop)
	return stop
}

func (p *pipe) relay() (stop func()) {
	r := &relay.Relay{DB: p.db, Broker: p.broker, Lock: p.broker.Names().RelayLock(), Log: zerolog.Nop()}
	return p.run(r.Run)
}

func (p *pipe) worker(s events.Stage, change func(*worker.Settings)) (stop func()) {
	settings := worker.Settings{Stage: s, Slots: 8, Lease: 2 * time.Second, Grace: 5 * time.Second, Program: string(s), Log: zerolog.Nop(),
		Attempts: pipeline.Attempts{Limit: 3, First: 5 * time.Millisecond, Most: 20 * time.Millisecond}}
	if change != nil {
		change(&settings)
	}
	w := &worker.Worker[int]{Settings: settings, DB: p.db, Broker: p.broker, Work: stage{p}}
	return p.run(w.Run)
}

func (p *pipe) all() {
	p.relay()
	for _, s := range events.Stages {
		p.worker(s, nil)
	}
}

func (p *pipe) submit(n int) []string {
	p.t.Helper()
	ids := make([]string, n)
	for i := range ids {
		id, _, err := p.db.Submit(p.t.Context(), store.Submission{UserUUID: owner, Language: providers.Korean, Orientation: "vertical",
			Publish: []store.Target{{Platform: "youtube"}}})
		if err != nil {
			p.t.Fatal(err)
		}
		ids[i] = id
	}
	return ids
}

func (p *pipe) status(id string) pipeline.TaskStatus {
	task, err := p.db.LoadTask(context.Background(), id)
	if err != nil {
		return ""
	}
	return task.Status
}

func (p *pipe) eventually(status pipeline.TaskStatus, ids ...string) {
	p.t.Helper()
	for _, id := range ids {
		testkit.Eventually(p.t, fmt.Sprintf("task %s is %s", id, status), func() bool { return p.status(id) == status })
	}
}

// results counts the results that were committed. Save itself may be called more often: a deadlock repeats it.
func (p *pipe) results(ids ...string) int {
	p.t.Helper()
	n := 0
	for _, id := range ids {
		facts, err := p.db.EventsAfter(p.t.Context(), id, 0, 1000)
		if err != nil {
			p.t.Fatal(err)
		}
		for _, f := range facts {
			if f.What == string(pipeline.Completed) && f.Stage != events.TaskScope {
				n++
			}
		}
	}
	return n
}

func done(context.Context, store.Claim) (worker.Outcome[int], error) { return worker.Done(1) }

func TestTasks_RunThroughSixStages(t *testing.T) {
	t.Parallel()
	p := newPipe(t, testkit.NATS(t), done)
	heard := facts(p)
	p.all()
	ids := p.submit(20)
	p.eventually(pipeline.TaskCompleted, ids...)
	if got, want := p.results(ids...), 20*len(events.Stages); got != want {
		t.Errorf("%d results were saved, want %d", got, want)
	}
	testkit.Eventually(t, "the work stream is empty", func() bool { return messages(p, p.broker.Names().WorkStream()) == 0 })
	for _, id := range ids {
		testkit.Eventually(t, "watchers have heard all of it, in order", func() bool { return heard.inOrder(id, p.newest(id)) })
	}
}

// newest returns the number of a task's newest event.
func (p *pipe) newest(id string) int {
	task, err := p.db.LoadTask(context.Background(), id)
	if err != nil {
		return 0
	}
	return int(task.EventSeq)
}

// A message that was delivered before may be what has ended a program: the attempt is counted before the work begins.
func TestClaim_RedeliveredIsCountedBeforeItsWork(t *testing.T) {
	t.Parallel()
	const tasks = 10
	found := make(chan pipeline.Status, tasks)
	var p *pipe
	p = newPipe(t, testkit.NATS(t), func(_ context.Context, c store.Claim) (worker.Outcome[int], error) {
		found <- stageStatus(p, c.TaskID, events.Crawl)
		return worker.Done(1)
	})
	p.db.File = relay.AtOnce(p.broker)
	stop := p.worker(events.Crawl, nil) // it declares the consumer
	var consumer jetstream.Consumer
	testkit.Eventually(t, "the consumer is there", func() bool {
		var err error
		consumer, err = p.broker.Consumer(context.Background(), events.Crawl)
		return err == nil
	})
	stop()
	p.submit(tasks)
	first := make([]jetstream.Msg, tasks)
	for i := range first {
		var err error
		if first[i], err = consumer.Next(jetstream.FetchMaxWait(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	for _, msg := range first {
		if err := msg.Nak(); err != nil {
			t.Fatal(err)
		}
	}
	p.worker(events.Crawl, nil)
	for range tasks {
		if got := <-found; got != pipeline.Processing {
			t.Errorf("work began while its run was %s", got)
		}
	}
}

// Work that takes its time is seen to be under way.
func TestClaim_IsWrittenWhileWorkGoesOn(t *testing.T) {
	t.Parallel()
	var p *pipe
	p = newPipe(t, testkit.NATS(t), func(ctx context.Context, c store.Claim) (worker.Outcome[int], error) {
		testkit.Eventually(t, "the run is in work", func() bool { return stageStatus(p, c.TaskID, events.Crawl) == pipeline.Processing })
		return worker.Done(1)
	})
	p.relay()
	p.worker(events.Crawl, nil)
	id := p.submit(1)[0]
	testkit.Eventually(t, "crawl is completed", func() bool { return stageStatus(p, id, events.Crawl) == pipeline.Completed })
}

// hearing collects the live facts of each task.
type hearing struct {
	mu   sync.Mutex
	seqs map[string][]int64
}

func facts(p *pipe) *hearing {
	h := &hearing{seqs: map[string][]int64{}}
	ctx, cancel := context.WithCancel(context.Background())
	p.t.Cleanup(cancel)
	err := p.broker.Facts(ctx, func(f events.Fact) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.seqs[f.TaskID] = append(h.seqs[f.TaskID], f.Seq)
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return h
}

func (h *hearing) inOrder(id string, n int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, seq := range h.seqs[id] {
		if seq != int64(i+1) {
			return false
		}
	}
	return len(h.seqs[id]) == n
}

func messages(p *pipe, stream string) int {
	s, err := p.broker.JetStream().Stream(context.Background(), stream)
	if err != nil {
		return -1
	}
	return int(s.CachedInfo().State.Msgs)
}

func TestWait_HoldsNoSlotAndComesBack(t *testing.T) {
	t.Parallel()
	var looks sync.Map
	p := newPipe(t, testkit.NATS(t), func(_ context.Context, c store.Claim) (worker.Outcome[int], error) {
		n, _ := looks.LoadOrStore(c.TaskID, new(atomic.Int64))
		if n.(*atomic.Int64).Add(1) < 3 {
			return worker.Wait[int](10*time.Millisecond, "working", "…")
		}
		return worker.Done(1)
	})
	p.relay()
	p.worker(events.Crawl, func(s *worker.Settings) { s.Slots = 1 })
	for _, id := range p.submit(10) {
		testkit.Eventually(t, "crawl is completed", func() bool { return stageStatus(p, id, events.Crawl) == pipeline.Completed })
	}
}

func stageStatus(p *pipe, id string, s events.Stage) pipeline.Status {
	runs, err := p.db.LoadRuns(context.Background(), id)
	if err != nil || len(runs) == 0 {
		return ""
	}
	return runs[s.Index()].Status
}

func TestFailures_AreSettledByTheirKind(t *testing.T) {
	t.Parallel()
	cause := errors.New("because")
	var attempts sync.Map
	count := func(id string) int64 {
		n, _ := attempts.LoadOrStore(id, new(atomic.Int64))
		return n.(*atomic.Int64).Add(1)
	}
	for name, tc := range map[string]struct {
		work  func(id string) error
		want  pipeline.TaskStatus
		cause string
		tries int64
	}{
		"permanent":    {func(string) error { return fault.Stop("place_not_found", cause) }, pipeline.TaskFailed, "place_not_found", 1},
		"used up":      {func(string) error { return cause }, pipeline.TaskFailed, "internal", 3},
		"passing":      {func(id string) error { return onlyOnce(id, &attempts, fault.Retry("busy", cause)) }, pipeline.TaskCompleted, "", 0},
		"rate limited": {func(id string) error { return onlyOnce(id, &attempts, fault.Wait(time.Now(), "slow", cause)) }, pipeline.TaskCompleted, "", 0},
		"panic":        {func(string) error { panic("poison") }, pipeline.TaskFailed, "internal_error", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPipe(t, testkit.NATS(t), func(_ context.Context, c store.Claim) (worker.Outcome[int], error) {
				count(c.TaskID + "all")
				if err := tc.work(c.TaskID); err != nil {
					return worker.Outcome[int]{}, err
				}
				return worker.Done(1)
			})
			p.all()
			id := p.submit(1)[0]
			p.eventually(tc.want, id)
			if tc.cause == "" {
				return
			}
			if got := count(id+"all") - 1; got != tc.tries {
				t.Errorf("%d attempts, want %d", got, tc.tries)
			}
			letter := dead(p, id)
			if letter.Cause != tc.cause || letter.Subject != p.broker.Names().Work(events.Crawl, id) || letter.StreamSeq == 0 {
				t.Errorf("dead letter: %+v", letter)
			}
			testkit.Eventually(t, "the dead letter is on the stream", func() bool { return messages(p, p.broker.Names().DeadStream()) == 1 })
		})
	}
}

func onlyOnce(id string, seen *sync.Map, err error) error {
	if _, loaded := seen.LoadOrStore(id, new(atomic.Int64)); loaded {
		return nil
	}
	return err
}

func dead(p *pipe, id string) store.Dead {
	p.t.Helper()
	letters, err := p.db.ListDead(p.t.Context(), store.DeadFilter{TaskID: id})
	if err != nil || len(letters) != 1 {
		p.t.Fatalf("dead letters: %v, %v", letters, err)
	}
	return letters[0]
}

// What can't be read, or is about nothing, is buried with its cause; its neighbours go on.
func TestStrangeMessages(t *testing.T) {
	t.Parallel()
	p := newPipe(t, testkit.NATS(t), done)
	p.all()
	names := p.broker.Names()
	testkit.Eventually(t, "the streams are there", func() bool { return p.broker.Ensure(context.Background()) == nil })
	for subject, body := range map[string]string{
		names.Work(events.Song, "unreadable"): `{"task_id": 5`,
		names.Work(events.Song, "nobody"):     `{"v":1,"task_id":"nobody","stage":"song"}`,
		names.Work(events.Video, "tomorrow"):  `{"v":99}`,
		names.WorkFilter("intel") + "":        "",
	} {
		if strings.Contains(subject, "*") {
			continue
		}
		if _, err := p.broker.JetStream().Publish(t.Context(), subject, []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	p.eventually(pipeline.TaskCompleted, p.submit(1)...)
	testkit.Eventually(t, "two are buried", func() bool { return messages(p, names.DeadStream()) == 2 })
	testkit.Eventually(t, "the newer one is left for a newer program", func() bool { return messages(p, names.WorkStream()) == 1 })
	causes := map[string]bool{}
	stream, err := p.broker.JetStream().Stream(t.Context(), names.DeadStream())
	if err != nil {
		t.Fatal(err)
	}
	for seq := range uint64(2) {
		msg, err := stream.GetMsg(t.Context(), seq+1)
		if err != nil {
			t.Fatal(err)
		}
		causes[msg.Header.Get(events.HeaderCause)] = true
	}
	if diff := cmp.Diff(map[string]bool{"unreadable": true, "unknown_task": true}, causes); diff != "" {
		t.Errorf("causes (-want +got):\n%s", diff)
	}
}

// Anybody may ask for work twice, or for work that isn't due: the row decides.
func TestRedelivery_IsHarmless(t *testing.T) {
	t.Parallel()
	p := newPipe(t, testkit.NATS(t), done)
	p.all()
	id := p.submit(1)[0]
	p.eventually(pipeline.TaskCompleted, id)
	for _, s := range events.Stages {
		body := fmt.Sprintf(`{"v":1,"task_id":%q,"stage":%q,"revision":1}`, id, s)
		if _, err := p.broker.JetStream().Publish(t.Context(), p.broker.Names().Work(s, id), []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	testkit.Eventually(t, "the work stream is empty", func() bool { return messages(p, p.broker.Names().WorkStream()) == 0 })
	if got := p.results(id); got != 6 {
		t.Errorf("%d results were saved, want 6", got)
	}
}

// A worker that is told to end gives back what it can't finish, and the attempt doesn't count.
func TestShutdown_GivesRunsBack(t *testing.T) {
	t.Parallel()
	begun := make(chan struct{}, 8)
	var finish atomic.Bool
	p := newPipe(t, testkit.NATS(t), func(ctx context.Context, _ store.Claim) (worker.Outcome[int], error) {
		if finish.Load() {
			return worker.Done(1)
		}
		begun <- struct{}{}
		<-ctx.Done()
		return worker.Outcome[int]{}, ctx.Err()
	})
	p.relay()
	stop := p.worker(events.Crawl, func(s *worker.Settings) { s.Grace = time.Millisecond })
	id := p.submit(1)[0]
	<-begun
	stop()
	runs, err := p.db.LoadRuns(t.Context(), id)
	if err != nil || runs[0].Status != pipeline.Pending || runs[0].Attempt != 0 {
		t.Errorf("after the end: %s, attempt %d, %v", runs[0].Status, runs[0].Attempt, err)
	}
	finish.Store(true)
	p.worker(events.Crawl, nil)
	testkit.Eventually(t, "another worker has done it", func() bool { return stageStatus(p, id, events.Crawl) == pipeline.Completed })
}

// A run that is cancelled, or made again, while it is worked on is taken away from its worker.
func TestRerun_WhileTheOldRevisionIsWorkedOn(t *testing.T) {
	t.Parallel()
	begun, release := make(chan struct{}, 1), make(chan struct{})
	p := newPipe(t, testkit.NATS(t), func(_ context.Context, c store.Claim) (worker.Outcome[int], error) {
		if c.Revision == 1 {
			begun <- struct{}{}
			<-release
		}
		return worker.Done(1)
	})
	p.all()
	id := p.submit(1)[0]
	<-begun
	if _, err := p.db.Rerun(t.Context(), owner, id, events.Crawl, nil); err != nil {
		t.Fatal(err)
	}
	close(release)
	p.eventually(pipeline.TaskCompleted, id)
	if got := p.results(id); got != 6 {
		t.Errorf("%d results were saved, want 6: the old revision's must not be", got)
	}
}

// A broker that comes back without its messages is refilled from the rows.
func TestBroker_LosesItsDisk(t *testing.T) {
	t.Parallel()
	p := newPipe(t, testkit.NATS(t), done)
	stop := p.relay()
	ids := p.submit(20)
	names := p.broker.Names()
	testkit.Eventually(t, "all work is filed", func() bool { return messages(p, names.WorkStream()) == 20 })
	for _, stream := range []string{names.WorkStream(), names.FactsStream(), names.DeadStream()} {
		if err := p.broker.JetStream().DeleteStream(t.Context(), stream); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
			t.Fatal(err)
		}
	}
	for _, s := range events.Stages {
		p.worker(s, nil)
	}
	p.eventually(pipeline.TaskCompleted, ids...)
	stop()
}

// Two relays: one publishes, and when it ends the other goes on.
func TestRelays_TakeOver(t *testing.T) {
	t.Parallel()
	p := newPipe(t, testkit.NATS(t), done)
	first := p.relay()
	for _, s := range events.Stages {
		p.worker(s, nil)
	}
	p.eventually(pipeline.TaskCompleted, p.submit(1)...)
	p.relay()
	first()
	p.eventually(pipeline.TaskCompleted, p.submit(3)...)
}
