package worker_test

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"castad/events"
	"castad/internal/broker"
	"castad/internal/pipeline"
	"castad/internal/testkit"
	"castad/internal/worker"
	"castad/store"
)

// causes returns the causes of what is on the dead stream, sorted.
func causes(p *pipe) []string {
	p.t.Helper()
	refs, err := p.broker.DeadRefs(p.t.Context(), events.DeadRef{})
	if err != nil {
		p.t.Fatal(err)
	}
	list := []string{}
	for _, ref := range refs {
		letter, err := p.broker.LoadLetter(p.t.Context(), ref)
		if err != nil {
			p.t.Fatal(err)
		}
		list = append(list, letter.Cause)
	}
	slices.Sort(list)
	return list
}

// A run whose handler panics is given up at once, with one dead letter; its neighbours, which share its process and its
// pull, complete in one attempt.
func TestPoison_Panics(t *testing.T) {
	t.Parallel()
	ready, poison := make(chan struct{}), ""
	p := newPipe(t, testkit.NATS(t), func(_ context.Context, c store.Claim) (worker.Outcome[int], error) {
		<-ready
		if c.TaskID == poison {
			var nobody *store.Task
			_ = nobody.ID
		}
		return worker.Done(1)
	})
	p.all()
	ids := p.submit(8)
	poison = ids[3]
	close(ready)
	neighbours := slices.Delete(slices.Clone(ids), 3, 4)
	p.eventually(pipeline.TaskCompleted, neighbours...)
	p.eventually(pipeline.TaskFailed, poison)
	p.quiet(1)
	if diff := cmp.Diff([]string{"internal_error"}, causes(p)); diff != "" {
		t.Errorf("causes (-want +got):\n%s", diff)
	}
	untouched(p, neighbours)
	if letter := dead(p, poison); letter.Attempts != 1 || !strings.Contains(letter.Reason, "panicked") {
		t.Errorf("dead letter: %+v", letter)
	}
}

// untouched checks that every run of the tasks was done in its first attempt.
func untouched(p *pipe, ids []string) {
	p.t.Helper()
	if got, want := p.results(ids...), len(ids)*len(events.Stages); got != want {
		p.t.Errorf("the neighbours have %d results, want %d", got, want)
	}
	for _, id := range ids {
		runs, err := p.db.LoadRuns(p.t.Context(), id)
		if err != nil {
			p.t.Fatal(err)
		}
		for _, run := range runs {
			if run.Attempt != 1 {
				p.t.Errorf("%s of task %s took %d attempts", run.Stage, id, run.Attempt)
			}
		}
	}
}

// What a poisoned process is told in its environment.
const (
	poisonDSN    = "CASTAD_POISON_DSN"
	poisonNATS   = "CASTAD_POISON_NATS"
	poisonPrefix = "CASTAD_POISON_PREFIX"
	poisonTask   = "CASTAD_POISON_TASK"
	poisonLimit  = 3
)

// TestPoisonedProcess is no test: it is the program that TestPoison_EndsTheProcess runs, a crawl consumer that one task
// ends on the spot.
func TestPoisonedProcess(t *testing.T) {
	if os.Getenv(poisonDSN) == "" {
		return
	}
	names, err := events.Prefixed(os.Getenv(poisonPrefix))
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(store.Settings{DSN: os.Getenv(poisonDSN)})
	if err != nil {
		t.Fatal(err)
	}
	b, err := broker.Connect(broker.Settings{URL: os.Getenv(poisonNATS), Name: "poisoned", Names: names, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	p := &pipe{t: t, db: db, broker: b, work: func(_ context.Context, c store.Claim) (worker.Outcome[int], error) {
		if c.TaskID == os.Getenv(poisonTask) {
			os.Exit(3)
		}
		return worker.Done(1)
	}}
	w := &worker.Worker[int]{DB: db, Broker: b, Work: stage{p}, Settings: worker.Settings{Stage: events.Crawl, Slots: 1, Lease: time.Second,
		Program: "poisoned", Log: zerolog.Nop(), Attempts: pipeline.Attempts{Limit: poisonLimit, First: time.Millisecond, Most: time.Millisecond}}}
	w.Run(t.Context())
}

// A run that ends the whole program is given up after as many attempts as any other, with one dead letter. Attempts are
// counted before the work, so its neighbours' aren't, and the broker's count of deliveries plays no part. Only the first
// process ends before the claim is written that it has begun with (docs/adr/0006).
func TestPoison_EndsTheProcess(t *testing.T) {
	t.Parallel()
	p := newPipe(t, testkit.NATS(t), done)
	names := p.broker.Names()
	testkit.Eventually(t, "the streams are there", func() bool { return p.broker.Ensure(context.Background()) == nil })
	shortAckWait(p)
	p.relay()
	for _, s := range events.Stages[1:] {
		p.worker(s, nil)
	}
	ids := p.submit(6)
	ended := 0
	for p.status(ids[2]) != pipeline.TaskFailed {
		process := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestPoisonedProcess$")
		process.Env = append(os.Environ(), poisonDSN+"="+p.dsn, poisonNATS+"="+testkit.NATS(t),
			poisonPrefix+"="+strings.TrimSuffix(names.Subjects, "."), poisonTask+"="+ids[2])
		if err := process.Start(); err != nil {
			t.Fatal(err)
		}
		exited := make(chan struct{})
		go func() { _ = process.Wait(); close(exited) }()
		testkit.Eventually(t, "the process ended, or the run was given up", func() bool {
			select {
			case <-exited:
				return true
			default:
				return p.status(ids[2]) == pipeline.TaskFailed
			}
		})
		if p.status(ids[2]) == pipeline.TaskFailed {
			p.eventually(pipeline.TaskCompleted, slices.Delete(slices.Clone(ids), 2, 3)...)
			p.quiet(1) // killed between the failure and its ack, it would leave a message that nobody here takes
			_ = process.Process.Kill()
		} else if ended++; ended > poisonLimit+1 {
			t.Fatalf("the run has ended %d processes, its limit is %d", ended, poisonLimit)
		}
		<-exited
	}
	if diff := cmp.Diff([]string{"attempts_exhausted"}, causes(p)); diff != "" {
		t.Errorf("causes (-want +got):\n%s", diff)
	}
	if ended < poisonLimit { // or one more: the relay may or may not have noted its filing when the first message came
		t.Errorf("the run has ended %d processes, want %d at least", ended, poisonLimit)
	}
	untouched(p, slices.Delete(slices.Clone(ids), 2, 3))
}

// shortAckWait has the broker deliver the work of a dead process again soon.
func shortAckWait(p *pipe) {
	p.t.Helper()
	consumer, err := p.broker.Consumer(p.t.Context(), events.Crawl)
	if err != nil {
		p.t.Fatal(err)
	}
	cfg := consumer.CachedInfo().Config
	cfg.AckWait = time.Second
	if _, err := p.broker.JetStream().UpdateConsumer(p.t.Context(), p.broker.Names().WorkStream(), cfg); err != nil {
		p.t.Fatal(err)
	}
}

// A message that can't be read is buried once, however often it is delivered, with its beginning; one of a newer version is
// left for a newer program, whatever shape its fields have.
func TestPoison_CannotBeRead(t *testing.T) {
	t.Parallel()
	p := newPipe(t, testkit.NATS(t), done)
	p.all()
	names := p.broker.Names()
	testkit.Eventually(t, "the streams are there", func() bool { return p.broker.Ensure(context.Background()) == nil })
	p.publish(events.Song, "broken", "{\"task_id\": 5 \x00\xff "+strings.Repeat("한", 5000)) // nearly as long as a work message may be
	p.publish(events.Song, "empty", "")
	p.publish(events.Song, "newer", `{"v":2,"task_id":{"tenant":1,"id":"x"},"replay":["a"]}`)
	p.publish(events.Song, strings.Repeat("long", 500), `[]`)
	ids := p.submit(4)
	p.eventually(pipeline.TaskCompleted, ids...)
	testkit.Eventually(t, "three are buried", func() bool { return messages(p, names.DeadStream()) == 3 })
	testkit.Eventually(t, "the newer one is left", func() bool { return messages(p, names.WorkStream()) == 1 })
	if diff := cmp.Diff([]string{"unreadable", "unreadable", "unreadable"}, causes(p)); diff != "" {
		t.Errorf("causes (-want +got):\n%s", diff)
	}
	untouched(p, ids)
	refs, err := p.broker.DeadRefs(t.Context(), events.DeadRef{TaskID: "broken"})
	if err != nil || len(refs) != 1 {
		t.Fatalf("letters of the broken one: %v, %v", refs, err)
	}
	letter, err := p.broker.LoadLetter(t.Context(), refs[0])
	if err != nil || !strings.HasPrefix(letter.Body, `{"task_id": 5 `) || letter.Subject != names.Work(events.Song, "broken") || letter.Reason == "" {
		t.Errorf("letter: %+v, %v", letter, err)
	}
	if left, err := leftover(p); err != nil || left != names.Work(events.Song, "newer") {
		t.Errorf("left is %q, %v", left, err)
	}
}

// leftover returns the subject of the oldest work message.
func leftover(p *pipe) (string, error) {
	stream, err := p.broker.JetStream().Stream(p.t.Context(), p.broker.Names().WorkStream())
	if err != nil {
		return "", err
	}
	msg, err := stream.GetMsg(p.t.Context(), stream.CachedInfo().State.FirstSeq)
	if err != nil {
		return "", err
	}
	return msg.Subject, nil
}
