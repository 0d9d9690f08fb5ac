package relay_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"castad/events"
	"castad/internal/broker"
	"castad/internal/testkit"
	"castad/store"
)

// A power cut takes the broker back to an older state of its disk, under a running relay. What was filed since is filed
// again as soon as the broker is back, and not when its time comes, which is an hour later here.
func TestRelay_RefillsBrokerThatWentBack(t *testing.T) {
	t.Parallel()
	for name, after := range map[string]int{"nothing new": 0, "more new work than was lost": 5} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			nodes := testkit.StartBrokers(t, testkit.BrokerSettings{Nodes: 1})
			p := postAt(t, nodes.URL(), events.DefaultNames, 1)
			db, b := p.db, p.broker
			measured(t, db, b)
			filed := func(n int) {
				t.Helper()
				for range n {
					p.submit()
				}
			}
			filed(2)
			testkit.Eventually(t, "two are on the stream", func() bool { return queued(b) == 2 })
			nodes.Stop(0)
			old := t.TempDir()
			if err := os.CopyFS(old, os.DirFS(nodes.Store(0))); err != nil {
				t.Fatal(err)
			}
			nodes.Start(0)
			filed(3)
			testkit.Eventually(t, "five are on the stream, and the rows say so", func() bool { return queued(b) == 5 && settled(t, db) })
			nodes.Kill(0)
			postpone(t, p.dsn)
			filed(after)
			nodes.Wipe(0)
			if err := os.CopyFS(nodes.Store(0), os.DirFS(old)); err != nil {
				t.Fatal(err)
			}
			nodes.Start(0)
			testkit.Eventually(t, "all are on the stream again", func() bool { return queued(b) == 5+after })
		})
	}
}

// A power cut in the middle of a consumer's state leaves one that the broker can't read. It neither makes such a consumer
// nor removes it, so its stage would stand still for ever; the relay makes the whole stream anew, whether it is there
// when the broker comes back or starts later.
func TestRelay_MakesStreamWithSpoiledConsumerAnew(t *testing.T) {
	t.Parallel()
	for name, running := range map[string]bool{"under a running relay": true, "before the relay starts": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			nodes := testkit.StartBrokers(t, testkit.BrokerSettings{Nodes: 1})
			p := postAt(t, nodes.URL(), events.DefaultNames, 1)
			stop := p.relay()
			taken := p.taken()
			if !running {
				stop()
			}
			nodes.Stop(0)
			spoil(t, nodes, 0)
			nodes.Start(0)
			if !running {
				testkit.Eventually(t, "the consumer can't be had", func() bool { return errors.Is(p.broker.Ensure(t.Context()), broker.ErrSpoiled) })
				p.relay()
			}
			testkit.Eventually(t, "the work is delivered again", func() bool { return p.take() == taken })
			testkit.Eventually(t, "the relay is ready", func() bool { return p.broker.Ready() == nil })
		})
	}
}

// The power of all three machines is cut. With a majority of a consumer's states spoiled it has no leader any more, and
// nobody says why.
func TestRelay_MakesStreamOfLeaderlessConsumerAnew(t *testing.T) {
	t.Parallel()
	nodes := testkit.StartBrokers(t, testkit.BrokerSettings{Nodes: 3})
	p := postAt(t, nodes.URL(), events.DefaultNames, 3)
	p.election = 3 * time.Second
	p.relay()
	taken := p.taken()
	for node := range nodes.Len() {
		nodes.Stop(node)
	}
	for node := range nodes.Len() - 1 {
		spoil(t, nodes, node)
	}
	for node := range nodes.Len() {
		nodes.Launch(node)
	}
	testkit.Eventually(t, "the work is delivered again", func() bool { return p.take() == taken })
	nodes.Ready()
	testkit.Eventually(t, "the relay is ready", func() bool { return p.broker.Ready() == nil })
}

// taken has a task submitted and its crawl delivered, and returns that message's subject.
func (p *post) taken() (subject string) {
	p.t.Helper()
	p.submit()
	testkit.Eventually(p.t, "the work is delivered", func() bool { subject = p.take(); return subject != "" })
	testkit.Eventually(p.t, "the rows say that it was filed", func() bool { return settled(p.t, p.db) })
	return subject
}

// take takes a message of crawl without an answer, and returns its subject, or "".
func (p *post) take() string { return testkit.Take(p.broker.Consumer(p.t.Context(), events.Crawl)) }

// spoil makes the state of crawl's consumer unreadable on a node's disk.
func spoil(t *testing.T, nodes *testkit.Brokers, node int) {
	t.Helper()
	state := filepath.Join(nodes.Store(node), "jetstream", "CASTAD", "streams", "CASTAD_WORK", "obs", "crawl", "o.dat")
	if _, err := os.Stat(state); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(state, make([]byte, 40), 0o600); err != nil {
		t.Fatal(err)
	}
}

// queued returns how many messages are on the work stream, and told on that of facts; -1 when it can't be asked.
func queued(b *broker.Broker) int { return stored(b, b.Names().WorkStream()) }

func told(b *broker.Broker) int { return stored(b, b.Names().FactsStream()) }

func stored(b *broker.Broker, name string) int {
	stream, err := b.JetStream().Stream(context.Background(), name)
	if err != nil {
		return -1
	}
	return int(stream.CachedInfo().State.Msgs)
}

// settled reports whether the relay owes nothing: what it hadn't marked yet would be filed again without recognising
// anything, or, postponed, not at all.
func settled(t *testing.T, db *store.DB) bool {
	t.Helper()
	owed, err := db.Owed(t.Context())
	return err == nil && owed.Runs == 0
}

// postpone makes all filed runs wait for an hour before they are filed again by themselves.
func postpone(t *testing.T, dsn string) {
	t.Helper()
	rows, err := sql.Open("mysql", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	if _, err := rows.Exec("UPDATE `stage_run` SET `due_at`=`due_at` + INTERVAL 1 HOUR WHERE `due_at` IS NOT NULL"); err != nil {
		t.Fatal(err)
	}
}
