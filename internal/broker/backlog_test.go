package broker_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"castad/events"
	"castad/internal/broker"
	"castad/internal/testkit"
)

// A power cut leaves the state of a consumer, and neither its description nor the messages: the consumer that is declared
// again takes the state over, and would pass over all messages until the stream is as far as it was. Free makes it anew.
func TestFree_ConsumerThatIsAheadOfItsStream(t *testing.T) {
	t.Parallel()
	nodes := testkit.StartBrokers(t, testkit.BrokerSettings{Nodes: 1})
	b, err := broker.Connect(broker.Settings{URL: nodes.URL(), Name: t.Name(), Names: events.DefaultNames, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	testkit.Eventually(t, "the streams are there", func() bool { return b.Ensure(t.Context()) == nil })
	for _, task := range []string{"a", "b", "c"} {
		filed(t, b, task)
	}
	testkit.Eventually(t, "all are in work", func() bool { take(t, b); return inWork(t, b) == 3 })
	nodes.Stop(0)
	loseMessages(t, nodes.Store(0))
	nodes.Start(0)
	testkit.Eventually(t, "the streams are declared again", func() bool { return b.Ensure(t.Context()) == nil })
	filed(t, b, "d")
	if _, ahead, err := b.Stranded(t.Context()); err != nil || !ahead {
		t.Errorf("no consumer is ahead of the stream, %v", err)
	}
	freed, err := b.Free(t.Context())
	if diff := cmp.Diff([]events.Stage{events.Song}, freed); err != nil || diff != "" {
		t.Errorf("freed (-want +got): %v\n%s", err, diff)
	}
	testkit.Eventually(t, "the message is delivered", func() bool { return take(t, b) == b.Names().Work(events.Song, "d") })
	if stranded, ahead, err := b.Stranded(t.Context()); err != nil || stranded != 0 || ahead {
		t.Errorf("after that %d messages are stranded, ahead %t, %v", stranded, ahead, err)
	}
}

func filed(t *testing.T, b *broker.Broker, task string) {
	t.Helper()
	testkit.Eventually(t, "the broker takes a message", func() bool {
		pending, err := b.File(events.Wanted{Version: events.SchemaVersion, TaskID: task, Stage: events.Song}, task, "")
		if err != nil {
			return false
		}
		_, err = pending.Kept(t.Context())
		return err == nil
	})
}

// take takes a message of song without an answer, and returns its subject, or "".
func take(t *testing.T, b *broker.Broker) string {
	t.Helper()
	return testkit.Take(b.Consumer(t.Context(), events.Song))
}

func inWork(t *testing.T, b *broker.Broker) int {
	t.Helper()
	consumer, err := b.Consumer(t.Context(), events.Song)
	if err != nil {
		return -1
	}
	return consumer.CachedInfo().NumAckPending
}

// loseMessages empties the work stream's blocks and the description of the consumer of song.
func loseMessages(t *testing.T, store string) {
	t.Helper()
	stream := filepath.Join(store, "jetstream", "CASTAD", "streams", "CASTAD_WORK")
	lost, err := filepath.Glob(filepath.Join(stream, "msgs", "*"))
	if err != nil || len(lost) == 0 {
		t.Fatalf("there are no messages in %s: %v", stream, err)
	}
	for _, path := range append(lost, filepath.Join(stream, "obs", "song", "meta.inf")) {
		if err := os.Truncate(path, 0); err != nil {
			t.Fatal(err)
		}
	}
}
