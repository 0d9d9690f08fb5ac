package e2e

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Output returns all that the product has said so far, by where it was said: what its programs logged ("log of …") and tell
// of themselves ("metrics of …"), the rows of each table ("rows of …"), and what is on each stream, headers with it ("stream …").
func (p *Product) Output(t testing.TB) map[string]string {
	t.Helper()
	said := map[string]string{}
	p.sayLogs(t, said)
	p.sayMetrics(said)
	p.sayRows(t, said)
	p.sayStreams(t, said)
	return said
}

func (p *Product) sayLogs(t testing.TB, said map[string]string) {
	t.Helper()
	logs, err := filepath.Glob(filepath.Join(p.dir, "*.log"))
	if err != nil || len(logs) == 0 {
		t.Fatalf("no logs were found: %v", err)
	}
	for _, path := range logs {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		said["log of "+strings.TrimSuffix(filepath.Base(path), ".log")] = string(raw)
	}
}

func (p *Product) sayMetrics(said map[string]string) {
	p.t.Helper()
	for _, name := range Programs {
		if name == "sandbox" { // it isn't a part of what is watched
			continue
		}
		said["metrics of "+name] = p.metricsPage(name)
	}
}

func (p *Product) sayRows(t testing.TB, said map[string]string) {
	t.Helper()
	rows := p.Rows(t)
	for _, table := range Read[string](t, rows, "SHOW TABLES") {
		said["rows of "+table] = tableText(t, rows, table)
	}
}

// tableText returns all columns of all rows.
func tableText(t testing.TB, rows *sql.DB, table string) string {
	t.Helper()
	found, err := rows.Query("SELECT * FROM `" + table + "`")
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close() //nolint:errcheck // read to its end below
	columns, err := found.Columns()
	if err != nil {
		t.Fatal(err)
	}
	values := make([]sql.RawBytes, len(columns))
	into := make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	text := strings.Builder{}
	for found.Next() {
		if err := found.Scan(into...); err != nil {
			t.Fatal(err)
		}
		for i, value := range values {
			fmt.Fprintf(&text, "%s=%s\n", columns[i], value)
		}
	}
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

func (p *Product) sayStreams(t testing.TB, said map[string]string) {
	t.Helper()
	js, done, err := p.jetStream(2 * time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	names := js.StreamNames(ctx)
	for name := range names.Name() {
		said["stream "+name] = streamText(ctx, t, js, name)
	}
	if err := names.Err(); err != nil {
		t.Fatal(err)
	}
}

// streamText returns subjects, headers and bodies of all messages that a stream still has.
func streamText(ctx context.Context, t testing.TB, js jetstream.JetStream, name string) string {
	t.Helper()
	stream, err := js.Stream(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Builder{}
	state := stream.CachedInfo().State
	for seq := state.FirstSeq; seq <= state.LastSeq; seq++ {
		msg, err := stream.GetMsg(ctx, seq)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue // it was acknowledged
		}
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&text, "%s %v %s\n", msg.Subject, msg.Header, msg.Data)
	}
	return text.String()
}
