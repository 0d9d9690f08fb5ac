package events_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"castad/events"
)

func TestParseWanted(t *testing.T) {
	t.Parallel()
	const id = "01a2067e-b8dc-7ad6-8ab7-4925bdce3e2f"
	for name, tc := range map[string]struct {
		body string
		want events.Wanted
		ok   bool
	}{
		"as the relay files it":  {`{"v":1,"task_id":"t","stage":"song","revision":2,"reason":"new"}`, events.Wanted{Version: 1, TaskID: "t", Stage: "song", Revision: 2, Reason: "new"}, true},
		"unknown fields":         {`{"v":1,"task_id":"t","later":{"a":1}}`, events.Wanted{Version: 1, TaskID: "t"}, true},
		"a replay":               {`{"v":1,"replay":"` + id + `"}`, events.Wanted{Version: 1, Replay: id}, true},
		"of a message":           {`{"v":1,"replay":"CASTAD_WORK-17"}`, events.Wanted{Version: 1, Replay: "CASTAD_WORK-17"}, true},
		"not an id":              {`{"v":1,"replay":"a b"}`, events.Wanted{}, false},
		"a pattern":              {`{"v":1,"replay":"*"}`, events.Wanted{}, false},
		"too long":               {`{"v":1,"replay":"` + strings.Repeat("a", 65) + `"}`, events.Wanted{}, false},
		"not a text":             {`{"v":1,"replay":["` + id + `"]}`, events.Wanted{}, false},
		"not JSON":               {`{"v":1`, events.Wanted{}, false},
		"nothing":                {``, events.Wanted{}, false},
		"of a newer version":     {`{"v":2,"task_id":"t","replay":"` + id + `"}`, events.Wanted{Version: 2}, true},
		"newer, of other shapes": {`{"v":2,"task_id":{"id":"t"},"replay":[1]}`, events.Wanted{Version: 2}, true},
	} {
		got, err := events.ParseWanted([]byte(tc.body))
		if diff := cmp.Diff(tc.want, got); diff != "" || (err == nil) != tc.ok {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
}

func TestNames_DeadSubjects(t *testing.T) {
	t.Parallel()
	n := events.DefaultNames
	want := events.DeadRef{Stage: "song", TaskID: "t1", DeadID: "d1"}
	if got, err := n.ParseDead(n.Dead(want.Stage, want.TaskID, want.DeadID)); err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	for _, subject := range []string{"", "castad.dead.song.t1", "castad.dead.song.t1.d1.x", "castad.work.song.t1.d1", "acme.dead.song.t1.d1"} {
		if got, err := n.ParseDead(subject); err == nil {
			t.Errorf("%q was read as %+v", subject, got)
		}
	}
}
