package worker_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"castad/events"
	"castad/internal/pipeline"
	"castad/internal/testkit"
	"castad/internal/worker"
	"castad/store"
)

// The broker is away when a result was saved: the acknowledgement is repeated until it is heard, and the message isn't
// delivered again.
func TestAck_IsHeardByBrokerThatWasAway(t *testing.T) {
	t.Parallel()
	broker := testkit.OwnNATS(t)
	working, saved := make(chan struct{}), make(chan struct{})
	p := newPipe(t, broker.URL(), func(context.Context, store.Claim) (worker.Outcome[int], error) {
		close(working)
		<-saved
		return worker.Done(1)
	})
	p.relay()
	p.worker(events.Crawl, nil)
	id := p.submit(1)[0]
	<-working
	broker.Stop()
	close(saved)
	testkit.Eventually(t, "crawl is completed", func() bool { return stageStatus(p, id, events.Crawl) == pipeline.Completed })
	broker.Start()
	testkit.Eventually(t, "the message is acknowledged", func() bool { return ackPending(p) == 0 })
	consumer, err := p.broker.Consumer(t.Context(), events.Crawl)
	if err != nil {
		t.Fatal(err)
	}
	if got := consumer.CachedInfo().Delivered.Consumer; got != 1 {
		t.Errorf("the message was delivered %d times", got)
	}
}

// ackPending returns how many deliveries of crawl the broker waits for, or -1 when it can't be asked.
func ackPending(p *pipe) int {
	consumer, err := p.broker.Consumer(context.Background(), events.Crawl)
	if err != nil {
		return -1
	}
	return consumer.CachedInfo().NumAckPending
}

// The broker comes back without its disk while a run is in work, and gives the number of its message to another one: the
// acknowledgement, which goes by the number alone, must not remove that.
func TestAck_SparesMessageThatHasTheNumberNow(t *testing.T) {
	t.Parallel()
	broker := testkit.OwnNATS(t)
	var begun, ended sync.Map // by task
	p := newPipe(t, broker.URL(), func(ctx context.Context, c store.Claim) (worker.Outcome[int], error) {
		end, _ := ended.LoadOrStore(c.TaskID, make(chan struct{}))
		begun.Store(c.TaskID, true)
		select {
		case <-end.(chan struct{}):
			return worker.Done(1)
		case <-ctx.Done():
			return worker.Outcome[int]{}, ctx.Err()
		}
	})
	p.relay()
	p.worker(events.Crawl, func(s *worker.Settings) { s.Slots = 2; s.Grace = time.Millisecond })
	works := func(id string) func() bool { return func() bool { _, ok := begun.Load(id); return ok } }
	first := p.submit(1)[0]
	testkit.Eventually(t, "the first run is in work", works(first))
	broker.Stop()
	broker.Wipe()
	broker.Start()
	second := p.submit(1)[0]
	testkit.Eventually(t, "the second run is in work", works(second))
	third := p.submit(1)[0]
	end, _ := ended.Load(first)
	close(end.(chan struct{}))
	testkit.Eventually(t, "the first run's slot is free", works(third))
	stream, err := p.broker.JetStream().Stream(t.Context(), p.broker.Names().WorkStream())
	if err != nil {
		t.Fatal(err)
	}
	got, err := stream.GetMsg(t.Context(), 1)
	if want := p.broker.Names().Work(events.Crawl, second); err != nil || got.Subject != want {
		t.Errorf("message 1 is %+v, %v; want %s", got, err, want)
	}
}
