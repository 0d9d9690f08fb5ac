package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"castad/events"
	"castad/internal/broker"
	"castad/internal/fault"
	"castad/internal/pipeline"
	"castad/internal/testkit"
	"castad/providers"
	"castad/store"
)

// desk is a database and a broker, and an operator who types.
type desk struct {
	t      *testing.T
	env    map[string]string
	db     *store.DB
	broker *broker.Broker
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{t: t, env: map[string]string{"CASTAD_MYSQL_DSN": testkit.Database(t), "CASTAD_NATS_URL": testkit.NATS(t), "CASTAD_PREFIX": testkit.Prefix(t)}}
	db, err := store.Open(store.Settings{DSN: d.env["CASTAD_MYSQL_DSN"]})
	if err != nil {
		t.Fatal(err)
	}
	names, err := events.Prefixed(d.env["CASTAD_PREFIX"])
	if err != nil {
		t.Fatal(err)
	}
	b, err := broker.Connect(broker.Settings{URL: d.env["CASTAD_NATS_URL"], Name: t.Name(), Names: names, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close(); db.Close() })
	if err := b.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.db, d.broker = db, b
	return d
}

// failed gives the crawl of a fresh task up, and returns the dead letter.
func (d *desk) failed(cause, reason string) store.Dead {
	d.t.Helper()
	task, _, err := d.db.Submit(d.t.Context(), store.Submission{UserUUID: "u", Language: providers.Korean, Orientation: "vertical"})
	if err != nil {
		d.t.Fatal(err)
	}
	claim, _, err := d.db.Claim(d.t.Context(), task, events.Crawl, "test", time.Minute, 5)
	if err != nil {
		d.t.Fatal(err)
	}
	f := fault.Of(fault.Stop(cause, errors.New(reason)))
	if err := d.db.Fail(d.t.Context(), claim, pipeline.DefaultAttempts.Judge(f, 1, 0), f, store.Origin{Stream: "W", Seq: 4}); err != nil {
		d.t.Fatal(err)
	}
	letters, err := d.db.ListDead(d.t.Context(), store.DeadFilter{TaskID: task})
	if err != nil || len(letters) != 1 {
		d.t.Fatalf("dead letters: %v, %v", letters, err)
	}
	return letters[0]
}

func (d *desk) bury(stage events.Stage, id string) {
	d.t.Helper()
	pending, err := d.broker.Bury(broker.Letter{Dead: events.Dead{Version: 1, DeadID: id, TaskID: "none", Stage: stage, Cause: "unreadable",
		Reason: "not JSON", LastAt: time.Now().UTC(), Body: "{\x1b[2J"}})
	if err == nil {
		_, err = pending.Kept(d.t.Context())
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

// types runs a command and returns what it printed and its exit code.
func (d *desk) types(args ...string) (out string, code int, err error) {
	d.t.Helper()
	var printed bytes.Buffer
	err = run(d.t.Context(), args, func(name string) string { return d.env[name] }, &printed)
	if own, ok := errors.AsType[*exitError](err); ok {
		return printed.String(), own.code, err
	} else if err != nil {
		return printed.String(), 1, err
	}
	return printed.String(), 0, nil
}

// says checks what a command prints: each line of want is a regular expression for a line.
func (d *desk) says(code int, want string, args ...string) {
	d.t.Helper()
	out, got, err := d.types(args...)
	if got != code {
		d.t.Errorf("castad %v ended with %d (%v), want %d\n%s", args, got, err, code, out)
	}
	pattern := `^` + strings.ReplaceAll(want, "\n", ` *\n`) + `\n?$`
	if !regexp.MustCompile(pattern).MatchString(out) {
		d.t.Errorf("castad %v printed\n%s\nwant\n%s", args, out, want)
	}
}

const instant = `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`

func TestDead_ListsAndEndsWithWhatIsLeft(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.says(0, ``, "dead", "ls")
	a, b := d.failed("place_not_found", "no such place\x1b[31m"), d.failed("naver_blocked", strings.Repeat("막혔다 ", 40))
	d.bury(events.Song, "T_WORK-9")
	d.says(3, `ID +STAGE +CAUSE +ATTEMPTS +TASK +LAST +REASON
`+a.ID+` +crawl +place_not_found +1 +`+a.TaskID+` +`+instant+` +no such place·\[31m
`+b.ID+` +crawl +naver_blocked +1 +`+b.TaskID+` +`+instant+` +막혔다 .{30,60}…
T_WORK-9 +song +unreadable +0 +none +`+instant+` +not JSON`, "dead", "ls")
	for _, tc := range []struct {
		args string
		want []string
	}{
		{"--stage crawl", []string{a.ID, b.ID}}, {"--stage song", []string{"T_WORK-9"}}, {"--stage upload", nil},
		{"--cause naver_blocked", []string{b.ID}}, {"--task " + a.TaskID, []string{a.ID}}, {"--since 1h", []string{a.ID, b.ID, "T_WORK-9"}},
		{"--before 1h", nil}, {"--since " + b.LastAt.Format(time.RFC3339Nano), []string{b.ID, "T_WORK-9"}}, {"--limit 1", []string{a.ID}}, {b.ID, []string{b.ID}},
	} {
		out, code, err := d.types(append([]string{"dead", "ls", "--json"}, strings.Fields(tc.args)...)...)
		var got []string
		for line := range strings.Lines(out) {
			var l deadLine
			if err := json.Unmarshal([]byte(line), &l); err != nil {
				t.Fatalf("%s: %v in %q", tc.args, err, line)
			}
			got = append(got, l.DeadID)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" || (code == 3) != (len(got) > 0) {
			t.Errorf("%s: code %d, %v (-want +got):\n%s", tc.args, code, err, diff)
		}
	}
}

func TestDead_Show(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	a := d.failed("place_not_found", "no such place")
	d.bury(events.Song, "T_WORK-9")
	out, code, err := d.types("dead", "show", a.ID)
	for _, want := range []string{a.TaskID, "place_not_found", "no such place", "filed", "W 4"} {
		if code != 0 || !strings.Contains(out, want) {
			t.Errorf("code %d, %v: %q isn't in\n%s", code, err, want, out)
		}
	}
	out, code, err = d.types("dead", "show", "T_WORK-9")
	if code != 0 || !strings.Contains(out, `{·[2J`) || !strings.Contains(out, "can only be dropped") {
		t.Errorf("code %d, %v:\n%s", code, err, out)
	}
	if _, code, err := d.types("dead", "show", "nobody"); code != 1 || !strings.Contains(err.Error(), "castad dead ls") {
		t.Errorf("an unknown id: code %d, %v", code, err)
	}
}

func TestDead_ReplaysInSteps(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	var letters []store.Dead
	for i := range 5 {
		letters = append(letters, d.failed([]string{"a", "b"}[i%2], "because"))
	}
	d.bury(events.Song, "T_WORK-9")
	if _, code, err := d.types("dead", "replay", "--do"); code != 1 || !strings.Contains(err.Error(), "say which") {
		t.Errorf("nothing selected: code %d, %v", code, err)
	}
	d.says(3, `STAGE +CAUSE +LETTERS +FIRST +LAST
crawl +a +3 +`+instant+` +`+instant+`
3 dead letters would be replayed\. Nothing was done: add --do to do it\.`, "dead", "replay", "--cause", "a")
	d.says(3, `ID +STAGE +CAUSE +TASK +RESULT
`+letters[0].ID+` +crawl +a +`+letters[0].TaskID+` +replayed
1 replayed\.`, "dead", "replay", "--cause", "a", "--limit", "1", "--do")
	d.says(0, `(?s)ID .*\n2 replayed\.`, "dead", "replay", "--cause", "a", "--do", "--rate", "0")
	d.says(0, `there was none\.`, "dead", "replay", "--cause", "a", "--do")
	d.says(0, `(?s)ID .*dealt with before\n1 dealt with before\.`, "dead", "replay", letters[0].ID, "--do")
	d.says(3, `(?s)ID .*\n2 replayed, 1 has no run\.`, "dead", "replay", "--all", "--do")
	for _, l := range letters {
		runs, err := d.db.LoadRuns(t.Context(), l.TaskID)
		if err != nil || runs[0].Status != pipeline.Pending {
			t.Errorf("task %s: %s, %v", l.TaskID, runs[0].Status, err)
		}
	}
	d.says(3, `(?s)STAGE .*song +unreadable +1 .*\n1 dead letter would be dropped\..*`, "dead", "drop", "T_WORK-9")
	d.says(0, `(?s)ID .*\n1 dropped\.`, "dead", "drop", "T_WORK-9", "--do")
	d.says(0, ``, "dead", "ls")
}

func TestDead_DropKeepsTheRunFailed(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	a, b := d.failed("a", "because"), d.failed("b", "because")
	d.says(0, `(?s)ID .*\n1 dropped\.`, "dead", "drop", a.ID, "--do")
	d.says(0, `(?s)ID .*\n1 dealt with before\.`, "dead", "replay", a.ID, "--do")
	if runs, err := d.db.LoadRuns(t.Context(), a.TaskID); err != nil || runs[0].Status != pipeline.Failed {
		t.Errorf("the run of a dropped letter: %s, %v", runs[0].Status, err)
	}
	d.says(3, `(?s)ID .*`+b.ID+`.*`, "dead", "ls")
}

// Without the broker rows are dealt with all the same, and the end says that something wasn't looked at.
func TestDead_BrokerAway(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	a := d.failed("a", "because")
	for _, url := range []string{"", fmt.Sprintf("nats://127.0.0.1:%d", unusedPort)} {
		d.env["CASTAD_NATS_URL"] = url
		out, code, err := d.types("dead", "ls")
		if code != 1 || !strings.Contains(out, a.ID) || !strings.Contains(err.Error(), "CASTAD_NATS_URL") {
			t.Errorf("%q: code %d, %v\n%s", url, code, err, out)
		}
	}
	d.says(1, `(?s)STAGE .*`, "dead", "replay", "--all")
	d.says(0, `(?s)ID .*\n1 replayed\.`, "dead", "replay", a.ID, "--do")
}

// unusedPort is one of the ports that nobody may listen on.
const unusedPort = 1

func TestDead_WrongFlags(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for args, want := range map[string]string{
		"ls --stage sing": "--stage", "ls --since yesterday": "--since", "ls --before -2h": "--before", "ls --limit -1": "--limit",
		"replay --all --rate -1": "--rate", "replay nobody --do": "nobody",
	} {
		_, code, err := d.types(append([]string{"dead"}, strings.Fields(args)...)...)
		if code != 1 || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: code %d, %v; want something about %s", args, code, err, want)
		}
	}
}
