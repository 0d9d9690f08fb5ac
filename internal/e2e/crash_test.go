package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"castad/internal/e2e"
	"castad/internal/testkit"
)

// boundary is a point between two steps at which a process dies.
type boundary struct {
	program string
	step    string
	purpose string // tells the calls of a run apart
	state   string // what is true at that instant
	after   string // what happens when the program is started again
	fails   bool   // the stage's provider refuses once, so that there is a failure to write down
}

func (b boundary) point() string {
	return strings.TrimSuffix(b.program+"."+b.step+"."+b.purpose, ".")
}

// ofEveryStage are the boundaries that a run has whatever it does.
var ofEveryStage = []boundary{
	{step: "before_claim", state: "the message is delivered, the row untouched", after: "the broker delivers again"},
	{step: "after_claim", state: "the row is claimed, nothing done", after: "the lease ends; claimed again, which counts as an attempt"},
	{step: "before_save", state: "the work is done, nothing of it saved", after: "worked again: calls and files are found"},
	{step: "in_save", state: "the result is written, and not committed", after: "rolled back; worked again: calls and files are found"},
	{step: "after_save", state: "the result and the next stage are committed, the message not acknowledged", after: "delivered again: there is nothing to do"},
	{step: "after_ack", state: "the message is acknowledged", after: "nothing"},
}

// ofWaiting are those of a run that waits for its provider.
var ofWaiting = []boundary{
	{step: "before_wait", state: "the provider works, the row doesn't say so", after: "the lease ends; the call is found"},
	{step: "after_wait", state: "the row waits, the message isn't acknowledged", after: "looked at again when it is due"},
}

// ofCall are those of a call; found says how one is found whose id wasn't written, missing what becomes of one that was
// marked as sent and never left.
func ofCall(program, purpose, found, missing string) []boundary {
	return []boundary{
		{program, "after_plan", purpose, "the call is planned", "called", false},
		{program, "after_sent", purpose, "the row says sent, the call hasn't left", missing, false},
		{program, "after_call", purpose, "the provider has accepted, its id isn't written", found, false},
		{program, "after_answer", purpose, "the provider's id is written", "the job is found in the rows", false},
	}
}

const (
	inConversation = "found in its conversation"
	neverLeft      = "nothing is found after the longest time; called again"
	byPerson       = "waits for a person, who finds nothing in the provider's account and has it called again"
	byCallback     = "the callback on the call's own address names it"
	harmless       = "made again: the first is invisible and free"
)

func boundaries() []boundary {
	var all []boundary
	add := func(program string, more ...boundary) {
		for _, b := range more {
			b.program = program
			all = append(all, b)
		}
	}
	for _, stage := range []string{"crawl", "intel", "lyric", "song", "video", "upload"} {
		add(stage, ofEveryStage...)
	}
	for _, stage := range []string{"intel", "lyric", "song", "video", "upload"} {
		add(stage, ofWaiting...)
	}
	for stage, purpose := range map[string]string{"intel": "report", "lyric": "lyric", "upload": "title"} {
		add(stage, ofCall(stage, purpose, inConversation, neverLeft)...)
		add(stage, boundary{step: "after_prepare", purpose: purpose, state: "the conversation is made, the row doesn't know it", after: "another conversation is made; they are free"})
	}
	add("song", ofCall("song", "song", byCallback, byPerson)...)
	add("video", ofCall("video", "render", "the webhook names it, or the list of renders shows our metadata", byPerson)...)
	add("upload", ofCall("upload", "youtube-session-1", harmless, harmless)...)
	add("upload", ofCall("upload", "youtube-video-1", "the session says that it is whole", "the session says that it is empty; sent")...)
	add("upload", ofCall("upload", "instagram-container", harmless, harmless)...)
	add("upload", ofCall("upload", "instagram-publish", "the container says that it is published; found by our mark", "the container says that it isn't published; published")...)
	add("lyric", boundary{step: "before_fail", state: "the provider has refused, the row doesn't say so", after: "the lease ends; called again", fails: true},
		boundary{step: "after_fail", state: "the row is due again after a rest, the message isn't acknowledged", after: "delivered again; nothing to do before it is due", fails: true})
	for _, kind := range []string{"runs", "facts"} {
		add("relay", boundary{step: "after_read", purpose: kind, state: "the rows are read, nothing is published", after: "read again"},
			boundary{step: "after_publish", purpose: kind, state: "published, the rows don't say so", after: "published again: the broker or the receiver recognises it"},
			boundary{step: "after_mark", purpose: kind, state: "the rows say that it is published", after: "nothing"})
	}
	add("api", boundary{step: "before_submit", state: "a submission is checked, nothing is written", after: "the client asks again with its key: accepted"},
		boundary{step: "after_submit", state: "the task is committed, the client has no answer", after: "the client asks again with its key: the same task"},
		boundary{step: "before_hint", purpose: "suno", state: "a callback has come, nothing is written", after: "the provider calls again, or the job is looked at when it is due"},
		boundary{step: "after_hint", purpose: "suno", state: "a callback is written, the provider has no answer", after: "the provider calls again: harmless"})
	return all
}

// quickRecovery lets a dead process's work be taken over within a second.
var quickRecovery = map[string]string{"CASTAD_LEASE": "1s", "CASTAD_OPENAI_TIMEOUT": "3s", "CASTAD_FLIGHT": "500ms", "CASTAD_ASK_AGAIN": "250ms",
	"CASTAD_SANDBOX_ANSWER": "300ms", "CASTAD_SANDBOX_SONG": "300ms", "CASTAD_SANDBOX_RENDER": "300ms", "CASTAD_OPENAI_LOOK": "50ms", "CASTAD_SUNO_LOOK": "50ms",
	"CASTAD_CREATOMATE_LOOK": "50ms", "CASTAD_INSTAGRAM_LOOK": "50ms"}

// TestCrash kills each program at each of its boundaries, on purpose, and starts it again: the task completes, every call
// is charged once, the ledger is the bill, its events have no gap.
func TestCrash(t *testing.T) {
	byProgram := map[string][]boundary{}
	for _, b := range boundaries() {
		byProgram[b.program] = append(byProgram[b.program], b)
	}
	t.Run("matrix", func(t *testing.T) {
		for program, list := range byProgram {
			t.Run(program, func(t *testing.T) {
				t.Parallel()
				crashes(t, program, list)
			})
		}
	})
	document(t)
}

func crashes(t *testing.T, program string, list []boundary) {
	p := e2e.Start(t, e2e.Options{Env: quickRecovery})
	p.Login()
	var ids []string
	for i, b := range list {
		t.Run(strings.TrimPrefix(b.point(), program+"."), func(t *testing.T) {
			if b.fails {
				p.Fault(`{"provider":"openai","call":"create","contains":"\"stage\":\"lyric\"","what":"status","status":429,"retry_after":"1","count":1}`)
			}
			died := p.RunUntil(program, b.point())
			id := make(chan string, 1)
			go func() {
				id <- p.Submit(fmt.Sprintf("crash-%s-%d", program, i), order(i, languages[i/4%len(languages)]))
			}() // no report is used twice
			select {
			case <-died:
			case <-time.After(40 * time.Second):
				t.Error("the process has never come to this point")
				p.Kill(program)
			}
			p.Run(program)
			ids = append(ids, <-id)
			p.Completed(ids[len(ids)-1])
		})
	}
	p.Invariants(t, ids, nil)
	p.LedgerIsBill(t)
}

const matrixHead = `# The crash matrix

Each program is killed with SIGKILL at each boundary between two of its steps: reached on purpose, by name (internal/crash), against the real broker, the real database and the sandbox, and started again. After each the task is completed, every run once; every call is charged once on the sandbox's bill, which the ledger equals to the last micro-dollar; a task's events have no gap; nothing is left on the broker.

` + "`go test ./internal/e2e -run 'TestCrash/matrix/<program>/<boundary>'`" + ` repeats a row. This page is written by ` + "`CASTAD_UPDATE=1 go test ./internal/e2e -run TestCrash`" + `, and a test fails when it is out of date.

| program | boundary | at that instant | after the restart |
|---|---|---|---|
`

// document compares docs/crash-matrix.md with what is tested, or writes it.
func document(t *testing.T) {
	t.Helper()
	var rows []string
	for _, b := range boundaries() {
		rows = append(rows, fmt.Sprintf("| %s | %s | %s | %s |\n", b.program, strings.TrimPrefix(b.point(), b.program+"."), b.state, b.after))
	}
	slices.Sort(rows)
	page := matrixHead + strings.Join(rows, "")
	path := filepath.Join(testkit.Root(), "docs", "crash-matrix.md")
	if os.Getenv("CASTAD_UPDATE") != "" {
		if err := os.WriteFile(path, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(page, string(kept)); diff != "" {
		t.Errorf("docs/crash-matrix.md is out of date; CASTAD_UPDATE=1 writes it (-want +got):\n%s", diff)
	}
}
