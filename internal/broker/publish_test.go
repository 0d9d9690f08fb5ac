package broker_test

import (
	"testing"
	"time"

	"castad/events"
	"castad/internal/broker"
)

// The relay may die between the broker's answer and its own note of it, and then publishes again. A fact is kept once,
// by its id; work is kept once for a stage of a task, under whatever id.
func TestPublish_AgainAfterALostNote(t *testing.T) {
	t.Parallel()
	b := connect(t)
	kept := func(publish func() (broker.Pending, error)) (fresh bool) {
		t.Helper()
		pending, err := publish()
		if err != nil {
			t.Fatal(err)
		}
		if fresh, err = pending.Kept(t.Context()); err != nil {
			t.Fatal(err)
		}
		return fresh
	}
	fact := events.Fact{TaskID: "t", Stage: events.Song, What: "completed", Seq: 7, At: time.Now()}
	work := events.Wanted{Version: events.SchemaVersion, TaskID: "t", Stage: events.Song, Revision: 1}
	for n, id := range []string{"a", "b"} {
		kept(func() (broker.Pending, error) { return b.Tell(fact, "t.7", "") })
		if fresh := kept(func() (broker.Pending, error) { return b.File(work, id, "") }); fresh != (n == 0) {
			t.Errorf("work filed for the time number %d is fresh: %t", n+1, fresh)
		}
	}
	for stream, want := range map[string]uint64{b.Names().FactsStream(): 1, b.Names().WorkStream(): 1} {
		info, err := b.JetStream().Stream(t.Context(), stream)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.CachedInfo().State.Msgs; got != want {
			t.Errorf("%s has %d messages, want %d", stream, got, want)
		}
	}
}
