package broker_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"castad/events"
	"castad/internal/broker"
	"castad/internal/testkit"
)

func connect(t *testing.T) *broker.Broker {
	t.Helper()
	names, err := events.Prefixed(testkit.Prefix(t))
	if err != nil {
		t.Fatal(err)
	}
	b, err := broker.Connect(broker.Settings{URL: testkit.NATS(t), Name: t.Name(), Names: names, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	if err := b.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b
}

func letter(stage events.Stage, task, id string) broker.Letter {
	at := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	return broker.Letter{Dead: events.Dead{Version: 1, DeadID: id, TaskID: task, Stage: stage, Revision: 2, Cause: "suno_no_credits",
		Reason: "크레딧이 없다\r\nInjected: yes", Attempts: 3, FirstAt: at, LastAt: at.Add(time.Minute)},
		Stream: "W", Subject: "w.song.t", Seq: 7, Consumer: "song", Program: "song@x/1", Version: "v1", Traceparent: "00-1-2-01"}
}

func bury(t *testing.T, b *broker.Broker, l broker.Letter) (fresh bool, err error) {
	t.Helper()
	pending, err := b.Bury(l)
	if err != nil {
		t.Fatal(err)
	}
	return pending.Kept(t.Context())
}

func ids(t *testing.T, b *broker.Broker, like events.DeadRef) string {
	t.Helper()
	refs, err := b.DeadRefs(t.Context(), like)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, ref := range refs {
		ids = append(ids, ref.DeadID)
	}
	return strings.Join(ids, " ")
}

func TestDead_BuryReadUnbury(t *testing.T) {
	t.Parallel()
	b := connect(t)
	for _, l := range []broker.Letter{letter("song", "t1", "a"), letter("song", "t1", "b"), letter("song", "t2", "c"), letter("video", "t1", "d")} {
		if fresh, err := bury(t, b, l); !fresh || err != nil {
			t.Fatalf("bury %s: %v, %v", l.DeadID, fresh, err)
		}
	}
	if fresh, err := bury(t, b, letter("song", "t1", "a")); fresh || err != nil {
		t.Errorf("a second time: fresh %v, %v; want that it is there", fresh, err)
	}
	for _, tc := range []struct {
		like events.DeadRef
		want string
	}{
		{events.DeadRef{}, "a b c d"}, {events.DeadRef{Stage: "song"}, "a b c"}, {events.DeadRef{TaskID: "t1"}, "a b d"},
		{events.DeadRef{DeadID: "c"}, "c"}, {events.DeadRef{Stage: "video", TaskID: "t2"}, ""},
		{events.DeadRef{DeadID: "*"}, ""}, {events.DeadRef{DeadID: ">"}, ""}, {events.DeadRef{TaskID: "t1.a"}, ""}, {events.DeadRef{DeadID: "a b"}, ""},
	} {
		if got := ids(t, b, tc.like); got != tc.want {
			t.Errorf("%+v: got %q, want %q", tc.like, got, tc.want)
		}
	}
	ref := events.DeadRef{Stage: "song", TaskID: "t1", DeadID: "a"}
	got, err := b.LoadLetter(t.Context(), ref)
	if diff := cmp.Diff(letter("song", "t1", "a"), got); err != nil || diff != "" {
		t.Errorf("read again: %v (-want +got):\n%s", err, diff)
	}
	for range 2 {
		gone := 0
		if err := b.Unbury(t.Context(), []events.DeadRef{ref}, func(events.DeadRef) { gone++ }); err != nil || gone != 1 {
			t.Errorf("unbury: %d, %v", gone, err)
		}
	}
	if got := ids(t, b, events.DeadRef{}); got != "b c d" {
		t.Errorf("left are %q", got)
	}
	if _, err := b.LoadLetter(t.Context(), ref); !errors.Is(err, broker.ErrGone) {
		t.Errorf("read what is gone: %v", err)
	}
	if fresh, err := bury(t, b, letter("song", "t1", "a")); !fresh || err != nil {
		t.Errorf("filed again after its removal: fresh %v, %v", fresh, err)
	}
}

// A pattern in the place of a name removes nothing.
func TestUnbury_TakesNoPatterns(t *testing.T) {
	t.Parallel()
	b := connect(t)
	if _, err := bury(t, b, letter("song", "t1", "a")); err != nil {
		t.Fatal(err)
	}
	for _, ref := range []events.DeadRef{{Stage: "*", TaskID: "*", DeadID: "*"}, {Stage: "song", TaskID: "t1", DeadID: ">"}, {Stage: "song", TaskID: "t1"}} {
		if err := b.Unbury(t.Context(), []events.DeadRef{ref}, func(events.DeadRef) {}); err == nil {
			t.Errorf("%+v was removed", ref)
		}
	}
	if got := ids(t, b, events.DeadRef{}); got != "a" {
		t.Errorf("left are %q", got)
	}
}

// The server has one code for "full" and for "there already": a letter that a full stream refuses isn't filed.
func TestBury_OnAFullStream(t *testing.T) {
	t.Parallel()
	b := connect(t)
	stream, err := b.JetStream().Stream(t.Context(), b.Names().DeadStream())
	if err != nil {
		t.Fatal(err)
	}
	for name, limit := range map[string]func(*jetstream.StreamConfig){
		"messages": func(c *jetstream.StreamConfig) { c.MaxMsgs, c.MaxBytes = 1, -1 },
		"bytes":    func(c *jetstream.StreamConfig) { c.MaxMsgs, c.MaxBytes = -1, 1500 },
	} {
		cfg := stream.CachedInfo().Config
		limit(&cfg)
		if _, err := b.JetStream().UpdateStream(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		if _, err := bury(t, b, letter("song", "t1", "a")); err != nil {
			t.Errorf("%s: the first isn't filed: %v", name, err)
		}
		if fresh, err := bury(t, b, letter("song", "t1", "b-"+name)); err == nil {
			t.Errorf("%s: a letter too many counts as filed, fresh %v", name, fresh)
		}
	}
}

// Anybody may write on the stream; it is shown as what it is.
func TestLoadLetter_WrittenByAStranger(t *testing.T) {
	t.Parallel()
	b := connect(t)
	for i, body := range []string{"", "not JSON \x00\xff", `{"v":1}`, strings.Repeat("long ", 2000)} {
		ref := events.DeadRef{Stage: "nowhere", TaskID: "t", DeadID: fmt.Sprint("x", i)}
		if _, err := b.JetStream().Publish(t.Context(), b.Names().Dead(ref.Stage, ref.TaskID, ref.DeadID), []byte(body)); err != nil {
			t.Fatal(err)
		}
		l, err := b.LoadLetter(t.Context(), ref)
		if err != nil || l.Cause != broker.CauseStrange || l.DeadID != ref.DeadID || l.Stage != "nowhere" || l.LastAt.IsZero() || len(l.Body) > 2100 {
			t.Errorf("%.20q: %+v, %v", body, l, err)
		}
	}
}

func TestToken(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"": "none", "a-B_9": "a-B_9", "a b.*>\x00": "a_b____", strings.Repeat("x", 99): strings.Repeat("x", 64)} {
		if got := broker.Token(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
