package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"castad/internal/dead"
)

// deadLine is a dead letter as JSON.
type deadLine struct {
	DeadID    string    `json:"dead_id"`
	TaskID    string    `json:"task_id"`
	Stage     string    `json:"stage"`
	Revision  int       `json:"revision,omitempty"`
	Cause     string    `json:"cause"`
	Reason    string    `json:"reason"`
	Attempts  int       `json:"attempts,omitempty"`
	State     string    `json:"state"`
	FirstAt   time.Time `json:"first_at"`
	LastAt    time.Time `json:"last_at"`
	Stream    string    `json:"stream,omitempty"` // where the last message came from
	Subject   string    `json:"subject,omitempty"`
	StreamSeq uint64    `json:"stream_seq,omitempty"`
	Consumer  string    `json:"consumer,omitempty"`
	Program   string    `json:"program,omitempty"`
	Version   string    `json:"version,omitempty"`
	Trace     string    `json:"traceparent,omitempty"`
	OnStream  bool      `json:"on_stream_only,omitempty"` // it has no run: it can only be dropped
	Body      string    `json:"body,omitempty"`
	Result    string    `json:"result,omitempty"`
}

func viewDead(l dead.Letter) deadLine {
	return deadLine{DeadID: l.ID, TaskID: l.TaskID, Stage: string(l.Stage), Revision: l.Revision, Cause: l.Cause, Reason: l.Reason,
		Attempts: l.Attempts, State: l.State, FirstAt: l.FirstAt, LastAt: l.LastAt, Stream: l.Stream, Subject: l.Subject,
		StreamSeq: l.StreamSeq, Consumer: l.Consumer, Program: l.Program, Version: l.ProgramVersion, Trace: l.Traceparent,
		OnStream: l.OnStream, Body: l.Body}
}

// deadTable prints letters as they come: flushed now and then, so that a long list isn't held in memory.
type deadTable struct {
	out    io.Writer
	json   bool
	table  *tabwriter.Writer
	head   string
	inside int
}

const flushEvery = 500

func newDeadTable(out io.Writer, json bool) *deadTable {
	return &deadTable{out: out, json: json, table: tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)}
}

// letter prints one of a list.
func (t *deadTable) letter(l dead.Letter) error {
	if t.json {
		return printJSON(t.out, viewDead(l))
	}
	return t.row("ID\tSTAGE\tCAUSE\tATTEMPTS\tTASK\tLAST\tREASON", l.ID, l.Stage, l.Cause, l.Attempts, l.TaskID, l.LastAt.UTC().Format(time.RFC3339),
		short(strings.TrimPrefix(l.Reason, l.Cause+": ")))
}

// done prints what was done to one.
func (t *deadTable) done(l dead.Letter, result dead.Result) error {
	if t.json {
		line := viewDead(l)
		line.Result = string(result)
		return printJSON(t.out, line)
	}
	return t.row("ID\tSTAGE\tCAUSE\tTASK\tRESULT", l.ID, l.Stage, l.Cause, l.TaskID, result)
}

func (t *deadTable) row(head string, cells ...any) error {
	if t.head == "" {
		t.head = head
		fmt.Fprintln(t.table, head)
	}
	texts := make([]string, len(cells))
	for i, cell := range cells {
		texts[i] = plain(fmt.Sprint(cell))
	}
	fmt.Fprintln(t.table, strings.Join(texts, "\t"))
	if t.inside++; t.inside%flushEvery == 0 {
		return t.table.Flush()
	}
	return nil
}

func (t *deadTable) flush() error { return t.table.Flush() }

const widestReason = 60

func short(reason string) string {
	runes := []rune(reason)
	if len(runes) <= widestReason {
		return reason
	}
	return string(runes[:widestReason-1]) + "…"
}

// plain keeps a text from outside from steering the terminal.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '·'
	}, text)
}

// deadLetters says how many.
func deadLetters(n int) string {
	if n == 1 {
		return "1 dead letter"
	}
	return fmt.Sprintf("%d dead letters", n)
}

func printJSON(out io.Writer, v any) error {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

// countLine is a line of a preview as JSON.
type countLine struct {
	Stage    string    `json:"stage"`
	Cause    string    `json:"cause"`
	Letters  int       `json:"letters"`
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`
	OnStream bool      `json:"on_stream_only,omitempty"`
}

func printCounts(out io.Writer, counts []dead.Count, asJSON bool) error {
	table := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	if !asJSON && len(counts) > 0 {
		fmt.Fprintln(table, "STAGE\tCAUSE\tLETTERS\tFIRST\tLAST")
	}
	for _, c := range counts {
		if asJSON {
			if err := printJSON(out, countLine{string(c.Stage), c.Cause, c.Letters, c.First, c.Last, c.OnStream}); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%s\t%s\n", plain(string(c.Stage)), plain(c.Cause), c.Letters, c.First.UTC().Format(time.RFC3339),
			c.Last.UTC().Format(time.RFC3339))
	}
	return table.Flush()
}

// printResults sums up what was done.
func printResults(out io.Writer, results map[dead.Result]int) {
	var parts []string
	for _, result := range []dead.Result{dead.Replayed, dead.Dropped, dead.DealtWith, dead.NoRun} {
		if n := results[result]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, result))
		}
	}
	if len(parts) == 0 {
		parts = []string{"there was none"}
	}
	fmt.Fprintln(out, strings.Join(parts, ", ")+".")
}

// showDead prints all that is known of a letter.
func showDead(out io.Writer, l dead.Letter) error {
	table := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	rows := [][2]any{{"id", l.ID}, {"state", l.State}, {"task", l.TaskID}, {"stage", l.Stage}, {"revision", l.Revision},
		{"cause", l.Cause}, {"reason", l.Reason}, {"attempts", l.Attempts}, {"first at", l.FirstAt.UTC().Format(time.RFC3339Nano)},
		{"last at", l.LastAt.UTC().Format(time.RFC3339Nano)}, {"message", fmt.Sprintf("%s %d (%s)", l.Stream, l.StreamSeq, l.Subject)},
		{"consumer", l.Consumer}, {"program", l.Program + " " + l.ProgramVersion}, {"trace", l.Traceparent}}
	if l.OnStream {
		rows = append(rows, [2]any{"run", "none: it is on the dead stream alone, and can only be dropped"}, [2]any{"body", l.Body})
	}
	for _, row := range rows {
		fmt.Fprintf(table, "%s\t%s\n", row[0], plain(fmt.Sprint(row[1])))
	}
	return table.Flush()
}
