package relay_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"castad/events"
	"castad/internal/broker"
	"castad/internal/relay"
	"castad/internal/testkit"
	"castad/providers"
	"castad/store"
)

// measured starts a relay and returns how to read its gauges.
func measured(t *testing.T, db *store.DB, b *broker.Broker) (gauge func(name string) float64) {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	r := &relay.Relay{DB: db, Broker: b, Lock: b.Names().RelayLock(), Metrics: registry, Log: zerolog.Nop()}
	ctx, cancel := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	ended.Go(func() { r.Run(ctx) })
	t.Cleanup(func() { cancel(); ended.Wait() })
	return func(name string) float64 {
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, family := range families {
			if family.GetName() == "castad_"+name {
				return family.GetMetric()[0].GetGauge().GetValue()
			}
		}
		return -1
	}
}

// Somebody has set a limit of deliveries: a message that used it up is neither queued nor in work, and would make the
// broker refuse every other one for its run. The relay tells of it, and has it delivered again; the pause of the
// consumer and its limit stay.
func TestRelay_FreesStrandedWork(t *testing.T) {
	t.Parallel()
	p := newPost(t)
	subject := strand(t, p.broker)
	gauge := measured(t, p.db, p.broker)
	testkit.Eventually(t, "the gauge tells of one message", func() bool { return gauge("work_stranded_messages") == 1 })
	testkit.Eventually(t, "it is delivered again", func() bool { return deliver(t, p.broker) == subject })
	consumer, err := p.broker.Consumer(t.Context(), events.Song)
	if err != nil {
		t.Fatal(err)
	}
	if got := consumer.CachedInfo().Config; got.MaxDeliver != -1 || got.MaxAckPending != 7 {
		t.Errorf("the consumer that was made again: %+v", got)
	}
	testkit.Eventually(t, "the gauge is back", func() bool { return gauge("work_stranded_messages") == 0 })
	if gauge("relay_leading") != 1 {
		t.Error("the relay that publishes doesn't say so")
	}
}

// strand leaves a message on the work stream that its consumer won't deliver, and returns its subject.
func strand(t *testing.T, b *broker.Broker) string {
	t.Helper()
	consumer, err := b.Consumer(t.Context(), events.Song)
	if err != nil {
		t.Fatal(err)
	}
	cfg := consumer.CachedInfo().Config
	cfg.MaxDeliver, cfg.AckWait, cfg.MaxAckPending = 1, 50*time.Millisecond, 7
	if _, err := b.JetStream().UpdateConsumer(t.Context(), b.Names().WorkStream(), cfg); err != nil {
		t.Fatal(err)
	}
	pending, err := b.File(events.Wanted{Version: events.SchemaVersion, TaskID: "stranded", Stage: events.Song}, "once", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pending.Kept(t.Context()); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "it is delivered", func() bool { return deliver(t, b) != "" })
	testkit.Eventually(t, "the broker has given it up", func() bool {
		deliver(t, b) // a look is what makes it give up
		stranded, _, err := b.Stranded(t.Context())
		return err == nil && stranded == 1
	})
	return b.Names().Work(events.Song, "stranded")
}

// deliver takes a message of song without an answer, and returns its subject, or "".
func deliver(t *testing.T, b *broker.Broker) string {
	t.Helper()
	return testkit.Take(b.Consumer(t.Context(), events.Song))
}

// The broker is away: what it hasn't been told is counted, and the count falls when it is back.
func TestRelay_CountsWhatIsOwed(t *testing.T) {
	t.Parallel()
	server := testkit.OwnNATS(t)
	db, err := store.Open(store.Settings{DSN: testkit.Database(t)})
	if err != nil {
		t.Fatal(err)
	}
	b, err := broker.Connect(broker.Settings{URL: server.URL(), Name: t.Name(), Names: events.DefaultNames, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close(); db.Close() })
	gauge := measured(t, db, b)
	testkit.Eventually(t, "the relay publishes", func() bool { return gauge("relay_leading") == 1 })
	server.Stop()
	for range 3 {
		if _, _, err := db.Submit(t.Context(), store.Submission{UserUUID: "u", Language: providers.Korean, Orientation: "vertical"}); err != nil {
			t.Fatal(err)
		}
	}
	testkit.Eventually(t, "three runs and their facts are owed", func() bool {
		return gauge("runs_due") == 3 && gauge("facts_unsent") >= 3 && gauge("runs_overdue_seconds") > 1
	})
	server.Start()
	testkit.Eventually(t, "nothing is owed", func() bool {
		return gauge("runs_due")+gauge("facts_unsent")+gauge("runs_overdue_seconds") == 0
	})
}
