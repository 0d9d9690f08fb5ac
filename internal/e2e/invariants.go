package e2e

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"castad/internal/testkit"
)

// Invariants checks what must be true of completed tasks whatever was killed on their way: each run was paid for once
// and the ledger says so; the events of each task are numbered without gaps, in the rows and for those who watched; and
// nothing of them is left on the broker. watch may be nil.
func (p *Product) Invariants(t testing.TB, ids []string, watch *Watch) {
	t.Helper()
	rows := p.Rows(t)
	p.paidOnce(t, rows, ids)
	p.LedgerIsBill(t)
	for _, id := range ids {
		p.oneRevision(t, rows, id)
		if got, want := eventsOf(t, rows, id), upTo(len(eventsOf(t, rows, id))); !slices.Equal(got, want) {
			t.Errorf("the events of task %s are %v", id, got)
		}
	}
	if watch != nil {
		p.watchedAll(t, rows, watch)
	}
	p.nothingLeft(t)
}

// paidOnce asks the sandbox's bill. A mark there names the run that paid, or an address that was made for the call alone.
// A song whose callback was lost may have been ordered again by a person.
func (p *Product) paidOnce(t testing.TB, rows *sql.DB, ids []string) {
	t.Helper()
	bill := p.Bill()
	for mark, calls := range bill.Marks {
		if calls != 1 && !strings.HasPrefix(mark, "youtube:") && !strings.HasPrefix(mark, "instagram:") {
			t.Errorf("%s was charged %d times", mark, calls)
		}
	}
	decided, calls := p.Decided(t), callsByTask(t, rows, bill)
	for _, id := range ids {
		paid := calls[id]
		again := decided["suno:"+id+"/song"]
		if paid["creatomate"] != 1 || paid["suno"] < 1 || paid["suno"] > 1+again || paid["openai"] < 1 {
			t.Errorf("task %s was charged %v", id, paid)
		}
	}
	for _, platform := range []string{"youtube", "instagram"} {
		var posts int
		if err := rows.QueryRow("SELECT COUNT(*) FROM `social_upload` WHERE `platform`=? AND `status`='published'", platform).Scan(&posts); err != nil {
			t.Errorf("count the posts: %v", err)
		}
		if got := bill.Providers[platform].Calls; got != posts {
			t.Errorf("%s has %d videos, and the rows tell of %d", platform, got, posts)
		}
	}
}

// callsByTask counts the calls on the bill by the task that they are for and by provider.
func callsByTask(t testing.TB, rows *sql.DB, bill Bill) map[string]map[string]int {
	t.Helper()
	tasks := tasksByToken(t, rows)
	paid := map[string]map[string]int{}
	for mark, calls := range bill.Marks {
		provider, run, _ := strings.Cut(mark, ":")
		task, ok := tasks[provider+":"+run[strings.LastIndex(run, "/")+1:]]
		if !ok {
			task, _, _ = strings.Cut(run, "/")
		}
		if paid[task] == nil {
			paid[task] = map[string]int{}
		}
		paid[task][provider] += calls
	}
	return paid
}

// tasksByToken tells for which task a call to a provider ("provider:token") was.
func tasksByToken(t testing.TB, rows *sql.DB) map[string]string {
	t.Helper()
	tasks := map[string]string{}
	for _, job := range Read[struct{ Token, Task string }](t, rows, "SELECT CONCAT(`provider`,':',`token`) AS `token`, `task_id` AS `task` FROM `provider_job`") {
		tasks[job.Token] = job.Task
	}
	return tasks
}

// oneRevision checks that no stage of a task was made twice, and that each post of it was planned and published once.
func (p *Product) oneRevision(t testing.TB, rows *sql.DB, id string) {
	t.Helper()
	const query = "SELECT (SELECT COUNT(*) FROM `stage_run` WHERE `task_id`=? AND `status`='completed' AND `revision`=1)," +
		" (SELECT COUNT(*) FROM `stage_run` WHERE `task_id`=?), (SELECT COUNT(*) FROM `song` WHERE `task_id`=?)," +
		" (SELECT COUNT(*) FROM `dead_letter` WHERE `task_id`=?)"
	var completed, runs, songs, dead int
	if err := rows.QueryRow(query, id, id, id, id).Scan(&completed, &runs, &songs, &dead); err != nil {
		t.Errorf("look at task %s: %v", id, err)
		return
	}
	if completed != 6 || runs != 6 || songs != 1 || dead != 0 {
		t.Errorf("task %s has %d runs, %d of them completed, %d songs and %d dead letters", id, runs, completed, songs, dead)
	}
}

// eventsOf returns the numbers of a task's events in the order of their commits.
func eventsOf(t testing.TB, rows *sql.DB, id string) []int64 {
	t.Helper()
	return Read[int64](t, rows, "SELECT `seq` FROM `task_event` WHERE `task_id`=? ORDER BY `id`", id)
}

func upTo(n int) []int64 {
	all := make([]int64, n)
	for i := range all {
		all[i] = int64(i + 1)
	}
	return all
}

func (p *Product) watchedAll(t testing.TB, rows *sql.DB, watch *Watch) {
	t.Helper()
	for _, id := range watch.Tasks() {
		want := eventsOf(t, rows, id)
		testkit.Eventually(t, "a watcher of task "+id+" has seen all", func() bool { return len(watch.Seen(id)) >= len(want) })
		if got := watch.Seen(id); !slices.Equal(got, want) {
			t.Errorf("a watcher of task %s saw %v of %v", id, got, want)
		}
	}
}

// nothingLeft waits until the work stream is empty, with the relay in agreement, and counts consumers: what watches
// must not leave one behind.
func (p *Product) nothingLeft(t testing.TB) {
	t.Helper()
	what := ""
	testkit.Eventually(t, "nothing is left on the broker", func() bool {
		var err error
		if what, err = p.left(); err != nil {
			what = err.Error()
		}
		return what == ""
	})
}

var consumersOf = map[string]int{"CASTAD_WORK": 6, "CASTAD_FACTS": 0, "CASTAD_DEAD": 0}

// left says what is on the broker that shouldn't be there.
func (p *Product) left() (string, error) {
	js, done, err := p.jetStream(2 * time.Second)
	if err != nil {
		return "", err
	}
	defer done()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for name, consumers := range consumersOf {
		stream, err := js.Stream(ctx, name)
		if err != nil {
			return "", err
		}
		info := stream.CachedInfo()
		if info.State.Consumers != consumers {
			return fmt.Sprintf("%s has %d consumers", name, info.State.Consumers), nil
		}
		if name == "CASTAD_WORK" && info.State.Msgs > 0 {
			stranded, err := strandedOn(ctx, stream)
			return fmt.Sprintf("%d messages, %d of them stranded", info.State.Msgs, stranded), err
		}
	}
	return "", nil
}

// strandedOn counts messages that no consumer will deliver.
func strandedOn(ctx context.Context, stream jetstream.Stream) (int, error) {
	n := int(stream.CachedInfo().State.Msgs)
	consumers := stream.ListConsumers(ctx)
	for info := range consumers.Info() {
		n -= int(info.NumPending) + info.NumAckPending
	}
	return n, consumers.Err()
}
