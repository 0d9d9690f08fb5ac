package relay_test

import (
	"database/sql"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"castad/events"
	"castad/internal/testkit"
)

// backlogEnv says how many rows wait instead of backlogDefault; docs/reliability.md names it.
const (
	backlogEnv     = "CASTAD_RELAY_BACKLOG"
	backlogDefault = 20_000
	backlogIn      = 3 * time.Minute
)

// Many rows wait for two relays. The broker is killed in the middle, the relay that publishes ends and the
// other one takes over; then the broker's disk is lost. Each time the broker has one message of each run in the end.
func TestRelay_Backlog(t *testing.T) {
	t.Parallel()
	backlog := testkit.Setting(t, backlogEnv, backlogDefault, strconv.Atoi)
	nodes := testkit.StartBrokers(t, testkit.BrokerSettings{Nodes: 1})
	p := postAt(t, nodes.URL(), events.DefaultNames, 1)
	pile(t, p.dsn, backlog)
	reaches := func(n int) {
		t.Helper()
		testkit.Within(t, backlogIn, fmt.Sprintf("%d runs are on the stream", n), func() bool { return queued(p.broker) >= n })
	}
	begun := time.Now()
	first := p.relay()
	reaches(backlog / 10)
	p.relay()
	nodes.Kill(0)
	nodes.Start(0)
	reaches(backlog / 5)
	first()
	reaches(backlog)
	testkit.Within(t, backlogIn, "the facts are on the stream", func() bool { return told(p.broker) >= backlog })
	if work, facts := queued(p.broker), told(p.broker); work != backlog || facts != backlog {
		t.Errorf("for %d rows the broker has %d runs and %d facts", backlog, work, facts)
	}
	t.Logf("all published after %s", time.Since(begun).Round(time.Second))
	nodes.Kill(0)
	nodes.Wipe(0)
	nodes.Start(0)
	reaches(backlog)
	if got := queued(p.broker); got != backlog {
		t.Errorf("after its disk was lost the broker has %d runs of %d", got, backlog)
	}
}

const piled = 1000 // rows of one statement

// pile makes n tasks whose first stage is due, each with one event to tell.
func pile(t *testing.T, dsn string, n int) {
	t.Helper()
	rows, err := sql.Open("mysql", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for into, values := range map[string]string{
		"`task` (`task_id`,`user_uuid`,`status`,`stage`,`language`,`source`,`music`,`publish`,`holds`,`created_at`,`updated_at`) VALUES ": "('task-%[1]d','u','pending','crawl','Korean','{}','{}','[]','[]',NOW(6),NOW(6)),",
		"`stage_run` (`task_id`,`stage`,`revision`,`status`,`due_at`,`created_at`) VALUES ":                                               "('task-%[1]d','crawl',1,'pending',NOW(6),NOW(6)),",
		"`task_event` (`event_id`,`task_id`,`seq`,`stage`,`what`,`task_status`,`at`,`unsent`) VALUES ":                                    "('event-%[1]d','task-%[1]d',1,'task','submitted','pending',NOW(6),1),",
	} {
		for from := 0; from < n; from += piled {
			statement := strings.Builder{}
			for i := from; i < from+piled; i++ {
				fmt.Fprintf(&statement, values, i)
			}
			if _, err := rows.Exec("INSERT INTO " + into + strings.TrimSuffix(statement.String(), ",")); err != nil {
				t.Fatal(err)
			}
		}
	}
}
