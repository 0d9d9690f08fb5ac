package relay_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"castad/events"
	"castad/internal/broker"
	"castad/internal/fault"
	"castad/internal/pipeline"
	"castad/internal/relay"
	"castad/internal/testkit"
	"castad/providers"
	"castad/store"
)

// post is a database and a broker with nothing between them but the relay that a test starts.
type post struct {
	t      *testing.T
	dsn    string
	db     *store.DB
	broker *broker.Broker

	window   int // of its relays
	election time.Duration
}

// newPost is on the broker that tests share, with its streams made.
func newPost(t *testing.T) *post {
	t.Helper()
	names, err := events.Prefixed(testkit.Prefix(t))
	if err != nil {
		t.Fatal(err)
	}
	p := postAt(t, testkit.NATS(t), names, 1)
	if err := p.broker.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.window = 4
	return p
}

// postAt is on a broker of the test's own.
func postAt(t *testing.T, url string, names events.Names, replicas int) *post {
	t.Helper()
	dsn := testkit.Database(t)
	db, err := store.Open(store.Settings{DSN: dsn})
	if err != nil {
		t.Fatal(err)
	}
	b, err := broker.Connect(broker.Settings{URL: url, Name: t.Name(), Names: names, Replicas: replicas, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	db.Nudge = b.Wake
	t.Cleanup(func() { b.Close(); db.Close() })
	return &post{t: t, dsn: dsn, db: db, broker: b}
}

func (p *post) relay() (stop func()) {
	r := &relay.Relay{DB: p.db, Broker: p.broker, Lock: p.broker.Names().RelayLock(), Window: p.window, Election: p.election, Log: zerolog.Nop()}
	ctx, cancel := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	ended.Go(func() { r.Run(ctx) })
	stop = sync.OnceFunc(func() { cancel(); ended.Wait() })
	p.t.Cleanup(stop)
	return stop
}

// submit has a task accepted, and returns its id.
func (p *post) submit() string {
	p.t.Helper()
	task, _, err := p.db.Submit(p.t.Context(), store.Submission{UserUUID: "u", Language: providers.Korean, Orientation: "vertical"})
	if err != nil {
		p.t.Fatal(err)
	}
	return task
}

// letters gives the crawl of n tasks up, and returns the ids of the dead letters.
func (p *post) letters(n int) []string {
	p.t.Helper()
	ids := make([]string, n)
	for i := range ids {
		task := p.submit()
		claim, _, err := p.db.Claim(p.t.Context(), task, events.Crawl, "test", time.Minute, 5)
		if err != nil {
			p.t.Fatal(err)
		}
		f := fault.Of(fault.Stop("place_not_found", errors.New("no such place")))
		if err := p.db.Fail(p.t.Context(), claim, pipeline.DefaultAttempts.Judge(f, 1, 0), f, store.Origin{}); err != nil {
			p.t.Fatal(err)
		}
		found, err := p.db.ListDead(p.t.Context(), store.DeadFilter{TaskID: task})
		if err != nil || len(found) != 1 {
			p.t.Fatalf("dead letters: %v, %v", found, err)
		}
		ids[i] = found[0].ID
	}
	return ids
}

func (p *post) onStream() string {
	refs, err := p.broker.DeadRefs(context.Background(), events.DeadRef{})
	if err != nil {
		return err.Error()
	}
	ids := make([]string, len(refs))
	for i, ref := range refs {
		ids[i] = ref.DeadID
	}
	return strings.Join(ids, " ")
}

// eventually waits until exactly these are on the stream, and the rows owe it nothing.
func (p *post) eventually(ids ...string) {
	p.t.Helper()
	want, got := strings.Join(ids, " "), ""
	defer func() {
		if p.t.Failed() {
			p.t.Logf("on the stream: %s; wanted: %s", got, want)
		}
	}()
	testkit.Eventually(p.t, "the dead stream is as the rows say", func() bool {
		owed, err := p.db.OwedDead(context.Background(), 100)
		got = p.onStream()
		return err == nil && len(owed) == 0 && got == want
	})
}

func (p *post) must(_ any, err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func TestDead_StreamFollowsTheRows(t *testing.T) {
	t.Parallel()
	p := newPost(t)
	p.relay()
	ids := p.letters(10)
	p.eventually(ids...)
	p.must(p.db.Replay(t.Context(), ids[0]))
	p.must(p.db.Drop(t.Context(), ids[4]))
	letter, err := p.db.LoadDead(t.Context(), ids[9])
	p.must(nil, err)
	p.must(nil, p.db.Retry(t.Context(), "u", letter.TaskID, events.Crawl))
	p.eventually(append(ids[1:4:4], ids[5:9]...)...)
	for _, id := range ids {
		p.must(p.db.Drop(t.Context(), id))
	}
	p.eventually()
}

// The relay dies at each point between a row and the broker's answer: the next one does what is left.
func TestDead_RelayDiesInBetween(t *testing.T) {
	t.Parallel()
	p := newPost(t)
	ids := p.letters(4)
	// Filed at the broker, and not marked.
	pending, err := p.broker.Bury(broker.Letter{Dead: events.Dead{DeadID: ids[0], TaskID: p.task(ids[0]), Stage: events.Crawl, Cause: "place_not_found"}})
	p.must(nil, err)
	p.must(pending.Kept(t.Context()))
	// Dealt with before it was filed.
	p.must(p.db.Replay(t.Context(), ids[1]))
	stop := p.relay()
	p.eventually(ids[0], ids[2], ids[3])
	stop()
	// Dealt with while no relay lives; one of them removed at the broker, and not marked.
	p.must(p.db.Drop(t.Context(), ids[0]))
	p.must(p.db.Drop(t.Context(), ids[2]))
	p.must(nil, p.broker.Unbury(t.Context(), []events.DeadRef{{Stage: events.Crawl, TaskID: p.task(ids[2]), DeadID: ids[2]}}, func(events.DeadRef) {}))
	p.relay()
	p.eventually(ids[3])
}

func (p *post) task(id string) string {
	p.t.Helper()
	letter, err := p.db.LoadDead(p.t.Context(), id)
	p.must(nil, err)
	return letter.TaskID
}

// The dead stream is deleted, and comes back: what nobody has dealt with is filed on it again.
func TestDead_StreamIsLost(t *testing.T) {
	t.Parallel()
	p := newPost(t)
	p.relay()
	ids := p.letters(6)
	p.eventually(ids...)
	p.must(p.db.Replay(t.Context(), ids[1]))
	p.eventually(ids[0], ids[2], ids[3], ids[4], ids[5])
	p.must(nil, p.broker.JetStream().DeleteStream(t.Context(), p.broker.Names().DeadStream()))
	p.must(nil, p.broker.Ensure(t.Context()))
	p.eventually(ids[0], ids[2], ids[3], ids[4], ids[5])
}

// A stream that comes from an old copy has letters that were dealt with since: they go. What has no row stays.
func TestDead_StreamIsRestoredFromACopy(t *testing.T) {
	t.Parallel()
	p := newPost(t)
	stop := p.relay()
	ids := p.letters(2)
	p.eventually(ids...)
	p.must(p.db.Drop(t.Context(), ids[0]))
	p.eventually(ids[1])
	stop()
	for id, task := range map[string]string{ids[0]: p.task(ids[0]), "T_WORK-7": "none"} {
		pending, err := p.broker.Bury(broker.Letter{Dead: events.Dead{DeadID: id, TaskID: task, Stage: events.Crawl, Cause: "unreadable"}})
		p.must(nil, err)
		p.must(pending.Kept(t.Context()))
	}
	p.relay()
	p.eventually(ids[1], "T_WORK-7")
}

// A full stream takes no letter, and none counts as filed. A drop makes room.
func TestDead_StreamIsFull(t *testing.T) {
	t.Parallel()
	p := newPost(t)
	p.relay()
	ids := p.letters(1)
	p.eventually(ids...) // the relay has declared the streams, with their own limits
	stream, err := p.broker.JetStream().Stream(t.Context(), p.broker.Names().DeadStream())
	p.must(nil, err)
	limited := stream.CachedInfo().Config
	limited.MaxMsgs = 3
	p.must(p.broker.JetStream().UpdateStream(t.Context(), limited))
	ids = append(ids, p.letters(8)...) // more than twice the relay's window
	full := func(ids ...string) func() bool {
		return func() bool { return p.onStream() == strings.Join(ids, " ") }
	}
	testkit.Eventually(t, "the stream is full", full(ids[:3]...))
	owed, err := p.db.OwedDead(t.Context(), 100)
	if err != nil || len(owed) != 6 {
		t.Errorf("%d letters are owed, %v; want 6", len(owed), err)
	}
	p.must(p.db.Drop(t.Context(), ids[0]))
	testkit.Eventually(t, "a drop made room for one", full(ids[1:4]...))
	limited.MaxMsgs = -1
	p.must(p.broker.JetStream().UpdateStream(t.Context(), limited))
	p.eventually(ids[1:]...)
}
