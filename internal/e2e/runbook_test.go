package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"castad/internal/e2e"
	"castad/internal/testkit"
)

// block is a command of docs/runbook.md, with what stands there about its end and its output.
type block struct {
	script string
	exit   int
	prints []string // lines, as the book has them
	curl   bool     // it asks the HTTP API
	done   bool
}

// book is docs/runbook.md, by heading.
type book struct {
	t      *testing.T
	p      *e2e.Product
	blocks map[string][]*block
}

func openBook(t *testing.T, p *e2e.Product) *book {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(testkit.Root(), "docs", "runbook.md"))
	if err != nil {
		t.Fatal(err)
	}
	b := &book{t, p, map[string][]*block{}}
	heading := ""
	parts := regexp.MustCompile("(?ms)^```([^\n]*)\n(.*?)^```$|^##+ ([^\n]*)$").FindAllStringSubmatch(string(raw), -1)
	for i, part := range parts {
		if part[3] != "" {
			heading = part[3]
		}
		if !strings.HasPrefix(part[1], "sh runbook") && part[1] != "sh curl" {
			continue
		}
		found := &block{script: part[2], curl: part[1] == "sh curl"}
		if _, code, ok := strings.Cut(part[1], "exit="); ok {
			if found.exit, err = strconv.Atoi(code); err != nil {
				t.Fatalf("%q: %v", part[1], err)
			}
		}
		if i+1 < len(parts) && parts[i+1][1] == "text" {
			found.prints = strings.Split(strings.TrimSpace(parts[i+1][2]), "\n")
		}
		b.blocks[heading] = append(b.blocks[heading], found)
	}
	return b
}

// next returns the first block under a heading that wasn't run yet.
func (b *book) next(heading string) *block {
	b.t.Helper()
	for _, candidate := range b.blocks[heading] {
		if !candidate.done {
			candidate.done = true
			return candidate
		}
	}
	b.t.Fatalf("docs/runbook.md has no more commands under %q", heading)
	return nil
}

// strict ends a block at its first failing command, as a careful operator would.
const strict = "set -euo pipefail\n"

// run runs the next block under a heading, once, and checks how it ends and what it prints.
func (b *book) run(heading string, env map[string]string) string {
	b.t.Helper()
	cmd := b.next(heading)
	out, code := b.p.Shell(strict+cmd.script, env)
	if code != cmd.exit {
		b.t.Fatalf("%s: ended with %d, the book says %d:\n%s\n%s", heading, code, cmd.exit, cmd.script, out)
	}
	if missing := cmd.missing(out); missing != "" {
		b.t.Errorf("%s: the book says that this prints %q:\n%s\n%s", heading, missing, cmd.script, out)
	}
	return out
}

// until runs the next block until it ends and prints as the book says, where that takes some seconds.
func (b *book) until(heading string, also func(out string) bool) {
	b.t.Helper()
	cmd := b.next(heading)
	testkit.Eventually(b.t, heading+": "+cmd.script, func() bool {
		out, code := b.p.Shell(strict+cmd.script, nil)
		return code == cmd.exit && cmd.missing(out) == "" && also(out)
	})
}

// missing returns the first line of the book that isn't in what was printed, in their order.
func (c *block) missing(out string) string {
	lines := strings.Split(out, "\n")
	for _, want := range c.prints {
		pattern := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(shape(want)), "…", ".*") + "$")
		for {
			if len(lines) == 0 {
				return want
			}
			line := shape(lines[0])
			lines = lines[1:]
			if pattern.MatchString(line) {
				break
			}
		}
	}
	return ""
}

var shapes = []struct {
	what *regexp.Regexp
	is   string
}{
	{regexp.MustCompile(`\x1b\[[0-9;]*m`), ""},
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "<id>"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[0-9.]*(Z|[+-]\d\d:\d\d)?`), "<time>"},
	{regexp.MustCompile(`\d[\d,.]*`), "#"},
	{regexp.MustCompile(`[│╭╰─┬┴┼├┤╮╯\s]+`), " "},
}

// shape reduces a line to what is the same each time: ids, times, numbers and widths differ.
func shape(line string) string {
	for _, s := range shapes {
		line = s.what.ReplaceAllString(line, s.is)
	}
	return strings.TrimSpace(line)
}

// leftOut fails for every command of the book that nobody has run.
func (b *book) leftOut() {
	b.t.Helper()
	for heading, blocks := range b.blocks {
		for _, c := range blocks {
			if !c.done {
				b.t.Errorf("%s: no test runs this:\n%s", heading, c.script)
			}
		}
	}
}

// curl has bash read a curl command and does what it says, so that the machine needs no curl.
func (b *book) curl(heading string, env map[string]string, out any) int {
	b.t.Helper()
	printed, code := b.p.Shell(strict+"curl() { printf '%s\\0' \"$@\"; }\n"+b.next(heading).script, env)
	if code != 0 {
		b.t.Fatalf("%s: bash ended with %d:\n%s", heading, code, printed)
	}
	method, path, header, body := http.MethodGet, "", map[string]string{}, ""
	args := strings.Split(printed, "\x00")
	for i := 0; i < len(args); i++ {
		switch arg := args[i]; arg {
		case "", "-s":
		case "-X":
			i++
			method = args[i]
		case "-d":
			i++
			body = args[i]
		case "-H":
			i++
			name, value, _ := strings.Cut(args[i], ": ")
			header[name] = value
		default:
			path = strings.TrimPrefix(arg, env["CASTAD_PUBLIC_URL"])
		}
	}
	status, err := b.p.Call(method, path, header, strings.NewReader(body), out)
	if err != nil {
		b.t.Errorf("%s: %s %s %s: %d, %v", heading, method, path, body, status, err)
	}
	return status
}

// drill is a product that is broken in every way of the book, one after the other.
type drill struct {
	*book
	boss
	orders int
	going  []string // tasks that have to be completed in the end
}

// order submits n tasks, with nothing to publish to unless publish says what.
func (d *drill) order(n int, publish string) []string {
	d.book.t.Helper()
	var ids []string
	for range n {
		d.orders++
		body := fmt.Sprintf(`{"url":%q,"language":%q,"publish":[%s]}`, fmt.Sprintf(place, d.orders%4+1), languages[d.orders%len(languages)], publish)
		ids = append(ids, d.book.p.Submit(fmt.Sprintf("drill-%d", d.orders), body))
	}
	d.going = append(d.going, ids...)
	return ids
}

// givenUp waits until so many letters are on the dead stream, and returns them.
func (d *drill) givenUp(n int) []deadLetter {
	d.book.t.Helper()
	testkit.Eventually(d.book.t, fmt.Sprintf("%d dead letters are on the stream", n), func() bool { return d.book.p.Messages("CASTAD_DEAD") == n })
	return d.letters()
}

// stageOf returns how a stage of a task stands.
func (d *drill) stageOf(id, stage string) (status, code string) {
	task, err := d.book.p.Task(id)
	if err != nil {
		return "", ""
	}
	for _, s := range task.Stages {
		if s.Stage == stage {
			return s.Status, s.Code
		}
	}
	return "", ""
}

// Every command of docs/runbook.md is run against the trouble that it is for, and what it should bring about is checked.
func TestRunbook(t *testing.T) {
	t.Parallel()
	p := e2e.Start(t, e2e.Options{Database: true, Env: map[string]string{"CASTAD_PLACE_LOOKUP": "0s"}}) // closed places are taken, and given up
	p.Login()
	d := &drill{book: openBook(t, p), boss: boss{t, p, p.AdminToken()}}
	d.lookAround()
	d.providerRefuses()
	d.stageStandsStill()
	d.payment()
	d.wrongDeploy()
	d.unreadable()
	d.relayDead()
	d.pause()
	d.databaseAway()
	d.brokerLost()
	d.streamFull()
	p.Completed(d.going...)
	d.leftOut()
	for mark, calls := range p.Bill().Marks {
		if calls != 1 {
			t.Errorf("%s was charged %d times", mark, calls)
		}
	}
}

func (d *drill) lookAround() {
	d.run("Looking around", nil)
}

func (d *drill) providerRefuses() {
	const heading = "A provider refuses everything"
	d.book.p.Fault(`{"provider":"suno","call":"create","what":"credits"}`)
	d.order(6, "")
	d.givenUp(6)
	d.run(heading, nil)
	d.run(heading, nil)
	late := d.order(1, "")[0] // comes while the stage is paused
	testkit.Eventually(d.book.t, "the next task waits before the paused stage", func() bool {
		lyric, _ := d.stageOf(late, "lyric")
		song, _ := d.stageOf(late, "song")
		return lyric == "completed" && song == "pending"
	})
	d.book.p.NoFaults()
	d.run(heading, nil)
	d.run(heading, nil)
	d.givenUp(0)
	d.book.p.Completed(d.going...)
}

func (d *drill) stageStandsStill() {
	const heading = "A stage stands still"
	d.book.p.Kill("video")
	id := d.order(1, "")[0]
	testkit.Eventually(d.book.t, "the task waits for its video", func() bool { status, _ := d.stageOf(id, "video"); return status == "pending" })
	out := d.run(heading, nil)
	for _, words := range []string{"Waiting Pulls:", "Outstanding Acks:"} {
		if !strings.Contains(out, words) {
			d.book.t.Errorf("nats consumer info doesn't print %q:\n%s", words, out)
		}
	}
	d.book.p.Run("video")
	d.book.p.Completed(id)
}

func (d *drill) payment() {
	const heading = "A payment nobody knows about"
	d.book.p.Fault(`{"provider":"suno","call":"create","what":"callback_never","count":1}`)
	d.book.p.Fault(`{"provider":"suno","call":"create","what":"lost","count":1}`)
	job := d.unknownJob()
	d.run(heading, nil)
	d.run(heading, map[string]string{"JOB": job, "ID": d.lastSong()})
	d.book.p.Fault(`{"provider":"suno","call":"create","what":"cut","count":1}`)
	job = d.unknownJob()
	d.run(heading, map[string]string{"JOB": job})
	d.book.p.Completed(d.going...)
	d.book.p.Fault(`{"provider":"suno","call":"create","what":"cut","count":1}`)
	d.run(heading, map[string]string{"JOB": d.unknownJob()})
	letters := d.givenUp(1)
	if letters[0].Cause != "call_given_up" {
		d.book.t.Errorf("the letter of a call that was given up: %+v", letters[0])
	}
	d.must("castad dead drop --cause call_given_up --do")
	d.givenUp(0)
	d.forget(letters[0].TaskID)
}

// forget takes a task out of those that have to be completed.
func (d *drill) forget(id string) {
	d.going = slices.DeleteFunc(d.going, func(other string) bool { return other == id })
}

// unknownJob submits a task and returns the number of its payment that nobody knows about.
func (d *drill) unknownJob() string {
	d.book.t.Helper()
	id := d.order(1, "")[0]
	testkit.Eventually(d.book.t, "the song waits for word", func() bool {
		status, code := d.stageOf(id, "song")
		return status == "waiting" && code == "outcome_unknown"
	})
	out, _ := d.book.p.Shell("castad job ls", nil)
	for line := range strings.Lines(out) {
		if fields := strings.Fields(line); len(fields) > 3 && fields[3] == id {
			return fields[0]
		}
	}
	d.book.t.Fatalf("the song of task %s isn't in the list:\n%s", id, out)
	return ""
}

// lastSong is what the operator finds on the provider's page.
func (d *drill) lastSong() string {
	d.book.t.Helper()
	resp, err := http.Get(d.book.p.Sandbox() + "/bill/charges")
	if err != nil {
		d.book.t.Fatal(err)
	}
	defer resp.Body.Close()
	last := ""
	for decoder := json.NewDecoder(resp.Body); decoder.More(); {
		var charge struct{ Provider, ID string }
		if err := decoder.Decode(&charge); err != nil {
			d.book.t.Fatal(err)
		}
		if charge.Provider == "suno" {
			last = charge.ID
		}
	}
	return last
}

// wrongPrompt is what a deploy with a wrong template comes to: the language model refuses every order for lyrics.
const wrongPrompt = `{"provider":"openai","call":"create","what":"status","status":400,"contains":"\"stage\":\"lyric\""}`

func (d *drill) wrongDeploy() {
	const heading = "A wrong deploy has given up a thousand tasks"
	d.book.p.Fault(wrongPrompt)
	d.order(30, "")
	d.givenUp(30)
	d.book.p.NoFaults()
	d.run(heading, nil)
	d.run(heading, nil)
	d.givenUp(29)
	d.run(heading, nil)
	d.givenUp(0)
	gone := d.book.p.Submit("closed", `{"url":"https://map.naver.com/p/entry/place/1999999999"}`)
	d.givenUp(1)
	d.run(heading, nil)
	d.givenUp(0)
	if task, err := d.book.p.Task(gone); err != nil || task.Status != "failed" {
		d.book.t.Errorf("the task of a dropped letter is %s, %v", task.Status, err)
	}
	d.book.p.Completed(d.going...)
	d.withNATSAlone()
	d.book.p.Completed(d.going...)
	d.overHTTP()
	d.book.p.Completed(d.going...)
}

func (d *drill) withNATSAlone() {
	const heading = "With nats alone"
	d.book.p.Fault(wrongPrompt)
	d.order(5, "")
	letters := d.givenUp(5)
	d.book.p.NoFaults()
	d.run(heading, map[string]string{"STAGE": "lyric", "TASK": letters[0].TaskID, "DEAD": letters[0].DeadID})
	d.givenUp(4)
	d.run(heading, nil)
	d.givenUp(0)
}

func (d *drill) overHTTP() {
	const heading = "Over HTTP"
	d.book.p.Fault(wrongPrompt)
	d.order(2, "")
	letters := d.givenUp(2)
	d.book.p.NoFaults()
	env := map[string]string{"TOKEN": d.token, "CASTAD_PUBLIC_URL": "http://api.example"}
	var counted manyReplayed
	if d.curl(heading, env, &counted); counted.Matched != 2 || counted.Left != 2 {
		d.book.t.Errorf("counted %+v, want 2", counted)
	}
	var page struct{ Items []deadLetter }
	if d.curl(heading, env, &page); len(page.Items) != 2 {
		d.book.t.Errorf("listed %+v, want 2", page)
	}
	env["DEAD"] = letters[0].DeadID
	d.curl(heading, env, nil)
	env["DEAD"] = letters[1].DeadID
	d.curl(heading, env, nil)
	d.givenUp(0)
	d.forget(letters[1].TaskID)
}

func (d *drill) unreadable() {
	const heading = "A message that nobody can read"
	if out, code := d.book.p.Shell("nats pub -J castad.work.song.oops hello", nil); code != 0 {
		d.book.t.Fatalf("publish: %d\n%s", code, out)
	}
	d.givenUp(1)
	out := d.run(heading, nil)
	id := regexp.MustCompile(`CASTAD_WORK-\d+`).FindString(out)
	d.run(heading, map[string]string{"DEAD": id})
	d.givenUp(0)
}

func (d *drill) relayDead() {
	d.book.p.Kill("relay")
	d.book.p.Fault(`{"provider":"suno","call":"create","what":"status","status":429,"retry_after":"1","count":1}`)
	id := d.order(1, "")[0]
	testkit.Eventually(d.book.t, "the song is to be ordered again", func() bool {
		status, code := d.stageOf(id, "song")
		return status == "pending" && code != ""
	})
	d.run("Tasks stay where they wait: the relay is dead", map[string]string{"TASK": id})
	d.book.p.Run("relay")
	d.book.p.Completed(id)
}

func (d *drill) pause() {
	const heading = "Pausing and resuming a stage"
	d.run(heading, nil)
	id := d.order(1, `{"platform":"youtube"}`)[0]
	testkit.Eventually(d.book.t, "the task waits before the paused stage", func() bool {
		video, _ := d.stageOf(id, "video")
		upload, _ := d.stageOf(id, "upload")
		return video == "completed" && upload == "pending"
	})
	d.run(heading, nil)
	d.book.p.Completed(id)
}

func (d *drill) streamFull() {
	const heading = "A stream is full"
	for _, command := range []string{"nats consumer pause CASTAD_WORK crawl 1h -f", "nats stream edit CASTAD_WORK --max-msgs 5 -f"} {
		d.must(command)
	}
	ids := d.order(8, "")
	testkit.Eventually(d.book.t, "the stream is full", func() bool { return d.book.p.Messages("CASTAD_WORK") == 5 })
	d.run(heading, nil)
	d.run(heading, nil)
	testkit.Eventually(d.book.t, "the rest is filed", func() bool { return d.book.p.Messages("CASTAD_WORK") == len(ids) })
	d.run(heading, nil)
	if got := d.book.p.Messages("CASTAD_WORK"); got != 0 {
		d.book.t.Errorf("%d messages are left after the purge", got)
	}
	d.must("nats consumer resume CASTAD_WORK crawl -f")
}

func (d *drill) must(command string) {
	d.book.t.Helper()
	if out, code := d.book.p.Shell(command, nil); code != 0 {
		d.book.t.Fatalf("%s ended with %d:\n%s", command, code, out)
	}
}

func (d *drill) databaseAway() {
	const heading = "The database is away"
	d.order(3, "")
	d.book.p.KillDatabase()
	d.run(heading, nil)
	d.run(heading, nil)
	d.book.p.StartDatabase()
	d.until(heading, func(string) bool { return true })
	d.book.p.Completed(d.going...)
}

func (d *drill) brokerLost() {
	d.book.p.Fault(`{"provider":"suno","call":"create","what":"credits"}`)
	given := d.order(2, "")
	d.givenUp(2)
	d.book.p.NoFaults()
	d.order(3, "")
	d.book.p.Kill("broker")
	d.book.p.WipeBroker()
	d.book.p.StartBroker()
	d.until("The broker's disk is lost", func(out string) bool {
		return strings.Contains(out, "CASTAD_WORK") && strings.Contains(out, given[0]) && strings.Contains(out, given[1])
	})
	d.must("castad dead replay --all --rate 0 --do")
	d.book.p.Completed(d.going...)
}
