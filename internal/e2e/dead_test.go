package e2e_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"castad/internal/e2e"
	"castad/internal/testkit"
)

// deadEnv says how many dead letters TestDead_ReplayedInThreeWays makes instead of deadDefault; docs/runbook.md names it.
const (
	deadEnv     = "CASTAD_E2E_DEAD"
	deadDefault = 300
)

func deadNumber(t *testing.T) int {
	t.Helper()
	n := testkit.Setting(t, deadEnv, deadDefault, strconv.Atoi)
	if n < 3 {
		t.Fatalf("%s is %d: a number from 3 is wanted", deadEnv, n)
	}
	return n
}

// quickly are settings under which a task takes little time and has nothing to publish to.
var quickly = map[string]string{"CASTAD_PLACE_LOOKUP": "0s", "CASTAD_CRAWL_FRESH": "1h", "CASTAD_SLOTS": "32", "CASTAD_LOG_LEVEL": "warn",
	"CASTAD_LEASE": "30s", "CASTAD_OPENAI_LOOK": "50ms", "CASTAD_SUNO_LOOK": "50ms", "CASTAD_CREATOMATE_LOOK": "50ms"}

// submitFast posts n tasks without posts, many at once.
func submitFast(p *e2e.Product, n int) []string {
	ids := make([]string, n)
	next := make(chan int)
	var crew sync.WaitGroup
	for range 16 {
		crew.Go(func() {
			for i := range next {
				ids[i] = p.Submit(fmt.Sprintf("dead-%d", i), fmt.Sprintf(`{"url":%q,"language":%q}`, fmt.Sprintf(place, i%4+1), languages[i%len(languages)]))
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	crew.Wait()
	return ids
}

// refusedSongs is a provider that takes every order, and the money, and then knows nothing of it: each task's song is
// given up with a paid job that a replay has to find.
const refusedSongs = `{"provider":"suno","call":"read","what":"status","status":404}`

// boss is an administrator at the HTTP API.
type boss struct {
	t     *testing.T
	p     *e2e.Product
	token string
}

func (b boss) call(method, path, body string, out any) (int, error) {
	return b.p.Call(method, path, map[string]string{"Authorization": "Bearer " + b.token}, strings.NewReader(body), out)
}

// manyReplayed is the answer of POST /admin/dead/replay.
type manyReplayed struct {
	Matched  int `json:"matched"`
	Replayed int `json:"replayed"`
	Left     int `json:"left"`
}

func (b boss) replay(body string) manyReplayed {
	b.t.Helper()
	var out manyReplayed
	if _, err := b.call("POST", "/admin/dead/replay", body, &out); err != nil {
		b.t.Errorf("replay %s: %v", body, err)
	}
	return out
}

// left counts the dead letters of songs.
func (b boss) left() int {
	b.t.Helper()
	return b.replay(`{"stage":"song","dry_run":true}`).Matched
}

// deadLetter is what the HTTP API says of one.
type deadLetter struct {
	DeadID string    `json:"dead_id"`
	TaskID string    `json:"task_id"`
	Cause  string    `json:"cause"`
	LastAt time.Time `json:"last_at"`
}

// letters returns all of them, by the time at which they were given up.
func (b boss) letters() []deadLetter {
	b.t.Helper()
	var all []deadLetter
	for cursor := ""; ; {
		var page struct {
			Items      []deadLetter `json:"items"`
			NextCursor string       `json:"next_cursor"`
		}
		if _, err := b.call("GET", "/admin/dead?limit=500&cursor="+cursor, "", &page); err != nil {
			b.t.Fatal(err)
		}
		all = append(all, page.Items...)
		if cursor = page.NextCursor; cursor == "" {
			slices.SortFunc(all, func(x, y deadLetter) int { return x.LastAt.Compare(y.LastAt) })
			return all
		}
	}
}

func instant(at time.Time) string { return at.Format(time.RFC3339Nano) }

// askForReplays has the nats command line ask for each letter that comes on its input as "task id".
const askForReplays = `set -eu
while read -r task id; do
	nats pub -J -q "castad.work.song.$task" "{\"v\":1,\"task_id\":\"$task\",\"stage\":\"song\",\"replay\":\"$id\"}"
done <<< "$LETTERS"`

func (b boss) byNATS(letters []deadLetter) {
	b.t.Helper()
	var lines []string
	for _, l := range letters {
		lines = append(lines, l.TaskID+" "+l.DeadID)
	}
	if out, code := b.p.Shell(askForReplays, map[string]string{"LETTERS": strings.Join(lines, "\n")}); code != 0 {
		b.t.Errorf("nats pub ended with %d:\n%s", code, out)
	}
}

// shell runs a command and checks its exit code.
func (b boss) shell(want int, script string) {
	b.t.Helper()
	if out, code := b.p.Shell(script, nil); code != want {
		b.t.Errorf("%s ended with %d, want %d:\n%s", script, code, want, out)
	}
}

// Letters of a stage whose provider failed after it was paid are replayed a third by castad, a third by HTTP and a third by
// nats, all at the same moment, and then each a second time in another of these ways: every task completes once, and
// nothing is charged a second time.
func TestDead_ReplayedInThreeWays(t *testing.T) {
	t.Parallel()
	p := e2e.Start(t, e2e.Options{Env: quickly})
	p.Login()
	p.Fault(refusedSongs)
	n := deadNumber(t)
	begun := time.Now()
	ids := submitFast(p, n)
	b := boss{t, p, p.AdminToken()}
	testkit.Eventually(t, "all songs are given up", func() bool { return b.left() == n })
	t.Logf("%d dead letters after %s", n, time.Since(begun).Round(time.Second))
	letters := b.letters()
	if len(letters) != n {
		t.Fatalf("%d letters are listed, want %d", len(letters), n)
	}
	p.NoFaults()
	b.inThreeWays(letters)
	b.again(letters)
	testkit.Eventually(t, "all letters are dealt with", func() bool { return b.left() == 0 })
	t.Logf("all replayed twice after %s", time.Since(begun).Round(time.Second))
	p.Completed(ids...)
	t.Logf("all completed after %s", time.Since(begun).Round(time.Second))
	b.completedOnce(ids)
}

// inThreeWays replays each third in its own way, all at once.
func (b boss) inThreeWays(letters []deadLetter) {
	b.t.Helper()
	one, two := letters[len(letters)/3].LastAt, letters[2*len(letters)/3].LastAt
	third := slices.DeleteFunc(slices.Clone(letters), func(l deadLetter) bool { return l.LastAt.Before(two) })
	var ways sync.WaitGroup
	ways.Go(func() { b.shell(0, "castad dead replay --stage song --before "+instant(one)+" --rate 0 --do") })
	ways.Go(func() {
		body := fmt.Sprintf(`{"stage":"song","since":%q,"before":%q,"limit":200}`, instant(one), instant(two))
		for b.replay(body).Left > 0 && !b.t.Failed() {
		}
	})
	ways.Go(func() { b.byNATS(third) })
	ways.Wait()
}

// again replays what was replayed: nothing is left to be done, and nothing of it is an error.
func (b boss) again(letters []deadLetter) {
	b.t.Helper()
	n := len(letters) / 3
	var ways sync.WaitGroup
	ways.Go(func() { b.byNATS(letters[:n]) })
	ways.Go(func() {
		var list []string
		for _, l := range letters[n : 2*n] {
			list = append(list, l.DeadID)
		}
		b.shell(0, "castad dead replay --rate 0 --do "+strings.Join(list, " "))
	})
	ways.Go(func() {
		for _, l := range letters[2*n:] {
			status, err := b.call("POST", "/admin/dead/"+l.DeadID+"/replay", "", nil)
			if status != 409 && status != 200 { // 200: before the message of the first time was read
				b.t.Errorf("replay %s a second time: %d, %v", l.DeadID, status, err)
			}
		}
	})
	ways.Wait()
}

// completedOnce checks the sandbox's bill, the news, and that nothing is left to be looked at.
func (b boss) completedOnce(ids []string) {
	b.t.Helper()
	bill := b.p.Bill()
	for mark, calls := range bill.Marks {
		if calls != 1 {
			b.t.Errorf("%s was charged %d times", mark, calls)
		}
	}
	for _, provider := range []string{"suno", "creatomate"} {
		if got := bill.Providers[provider].Calls; got != len(ids) {
			b.t.Errorf("%s was paid %d times for %d tasks", provider, got, len(ids))
		}
	}
	for _, what := range []string{"task.completed", "song.completed", "song.failed", "video.completed"} {
		testkit.Eventually(b.t, "each task has told of "+what+" once", func() bool { return b.toldOnce(what, ids) })
	}
	b.shell(0, "castad dead ls")
	testkit.Eventually(b.t, "the dead stream is empty", func() bool { return b.p.Messages("CASTAD_DEAD") == 0 })
}

// toldOnce reports whether the facts stream has exactly one fact of that kind for each task.
func (b boss) toldOnce(what string, ids []string) bool {
	out, code := b.p.Shell("nats stream subjects CASTAD_FACTS 'castad.facts.*."+what+"' --json", nil)
	var counts map[string]int
	if code != 0 || json.Unmarshal([]byte(out), &counts) != nil || len(counts) != len(ids) {
		return false
	}
	for _, id := range ids {
		if counts["castad.facts."+id+"."+what] != 1 {
			return false
		}
	}
	return true
}
